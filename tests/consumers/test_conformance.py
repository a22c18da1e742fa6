"""livem's own consumers under the suite that users inherit."""

from __future__ import annotations

from typing import Any

from livem.consumers.base import Consumer
from livem.consumers.preview import Preview
from livem.consumers.testing import ConsumerTests
from livem.consumers.virtual_detectors import VirtualDetectors


class TestPreview(ConsumerTests):
    uses_pixel_mask = True

    def make(self) -> Consumer[Any]:
        return Preview("live", max_size=16)


class TestPreviewMaximum(ConsumerTests):
    uses_pixel_mask = True

    def make(self) -> Consumer[Any]:
        return Preview("live", mode="max", trace_length=16)


class TestDefaultDetectors(ConsumerTests):
    uses_pixel_mask = True

    def make(self) -> Consumer[Any]:
        return VirtualDetectors("vd")


class TestEveryKindOfDetector(ConsumerTests):
    uses_pixel_mask = True
    series = tuple(series for series in ConsumerTests.series if series.shape != (1, 1))

    def make(self) -> Consumer[Any]:
        detectors = {
            "bf": {"kind": "disk", "radius": 3},
            "adf": {"kind": "annulus", "inner": 3, "outer": 6, "center": [5, 7.5]},
            "slit": {"kind": "rectangle", "top": 2, "left": 0, "height": 3, "width": 14},
            "com": {"kind": "com", "radius": 5},
            "sum": {"kind": "total"},
        }
        return VirtualDetectors("vd", detectors)


class TestDeadPixelsOfTheUser(TestEveryKindOfDetector):
    def make(self) -> Consumer[Any]:
        return VirtualDetectors("vd", dead_pixels=[[5, 6], [0, 0]])


class TestPreviewWithDeadPixels(ConsumerTests):
    uses_pixel_mask = True
    series = TestEveryKindOfDetector.series

    def make(self) -> Consumer[Any]:
        return Preview("live", mode="max", dead_pixels=[[5, 6]])
