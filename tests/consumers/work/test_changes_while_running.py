"""Detectors set in the middle of a scan: the same picture as from the start, and no wait for a compiler."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from scan_tools import FRAMES, MIXED, a_series, assert_alike, block_of, image, played

from livem.consumers.base import Consumer
from livem.consumers.pool import Pool
from livem.consumers.testing import ConsumerTests, snapshot
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work.analysis import Analysis

MOVED = {
    "bf": {"kind": "disk", "radius": 7.0, "center": [20.0, 30.0]},
    "com": {"kind": "com", "center": [21.0, 26.0], "radius": 15.0, "rotation": 12.0},
    "seg": {"kind": "segments", "outer": 16.0, "count": 3},
}


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
@pytest.mark.parametrize("name", list(MOVED))
def test_a_moved_detector_is_as_if_it_had_begun_there(encoding, name):
    series = a_series(encoding=encoding)
    changes = {1: [(f"detectors.{name}", MOVED[name])]}
    moved = played(VirtualDetectors("vd", MIXED), series, [50, 90, 140], 2, changes)
    started = played(VirtualDetectors("vd", MIXED | {name: MOVED[name]}), series, [50, 90, 140])
    assert_alike(started, moved)


def test_the_others_are_not_touched_and_the_change_shows_at_once():
    consumer = VirtualDetectors("vd", MIXED)
    before = played(consumer, a_series(), [])
    consumer.set("detectors.ring.outer", 15.0)
    after = snapshot(consumer.close())
    assert np.isnan(image(after, "ring")).all()
    assert after["ring"]["attrs"]["outer"] == 15.0
    for name in ("bf", "com", "seg.s2", "dose"):
        np.testing.assert_array_equal(image(after, name), image(before, name))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_mask_file_written_anew_begins_anew(tmp_path, weighted):
    table = {"kind": "mask", "path": str(tmp_path / "mask.npy"), "weighted": weighted}
    np.save(tmp_path / "mask.npy", np.ones(FRAMES.shape[1:], np.int64))
    consumer = VirtualDetectors("vd", {"mask": table})
    before = played(consumer, a_series(), [])
    consumer.set("detectors.mask", table)
    np.testing.assert_array_equal(image(snapshot(consumer.close()), "mask"), image(before, "mask"))
    changed = np.full(FRAMES.shape[1:], 2 if weighted else 1)
    changed[:9] = 3 if weighted else 0
    np.save(tmp_path / "mask.npy", changed)
    consumer.set("detectors.mask", table)
    assert np.isnan(image(snapshot(consumer.close()), "mask")).all()


def test_how_a_field_is_shown_changes_without_measuring_anew():
    consumer = VirtualDetectors("vd", MIXED | {"icom": {"kind": "icom", "of": "com"}})
    before = played(consumer, a_series(), [])
    consumer.set("detectors.com.rotation", 40.0)
    after = snapshot(consumer.close())
    np.testing.assert_array_equal(image(after, "com.raw"), image(before, "com"))
    assert np.isfinite(image(after, "icom")).all()
    assert not np.array_equal(image(after, "icom"), image(before, "icom"))


def compilations() -> dict[str, int]:
    """Of every compiled kernel, how many signatures it has."""
    return {
        f"{module}.{name}": len(value.signatures)
        for module, content in list(sys.modules.items())
        if module.startswith("livem.kernels")
        for name, value in list(vars(content).items())
        if isinstance(value, Dispatcher)
    }


@pytest.mark.parametrize(("encoding", "recorded"), [("raw", "raw"), ("bslz4", "bslz4"), ("raw", "bslz4")])
def test_nothing_is_compiled_after_open(encoding, recorded):
    series = a_series(encoding=encoding, dtype="uint8")
    frames = FRAMES.astype(np.uint8)
    consumer = VirtualDetectors("vd", MIXED)
    consumer.open(series)
    before = compilations()
    series = replace(series, encoding=recorded)
    analysis = Analysis(consumer, series, Pool(1))

    def feed() -> None:
        for _, partial in analysis.run(block_of(series, frames)).pieces:
            consumer.merge(partial)
        snapshot(consumer.close())

    feed()
    changes: list[tuple[str, Any]] = [
        ("detectors.bf.preset", "haadf"),
        ("detectors.ring", {"kind": "disk", "radius": 8}),
        ("detectors.ring", {"kind": "profile"}),
        ("detectors.com.rotation", "auto"),
        ("detectors.dose", {"kind": "icom", "of": "com"}),
        ("detectors.dose", {"kind": "dpc", "of": "seg", "rotation": "auto"}),
        ("dead_pixels", [[3, 4], [5, 6]]),
        ("passes", "mean"),
        ("calibrate", True),
    ]
    for name, value in changes:
        consumer.set(name, value)
        feed()
    assert before
    assert compilations() == before


class TestAllKinds(ConsumerTests):
    uses_pixel_mask = True
    series = tuple(series for series in ConsumerTests.series if series.shape != (1, 1))

    def make(self) -> Consumer[Any]:
        detectors = {
            "bf": {"preset": "bf"},
            "df": {"preset": "df"},
            "com": {"kind": "com", "rotation": 30, "descan": "plane"},
            "icom": {"kind": "icom", "of": "com"},
            "seg": {"kind": "segments", "outer": 5, "center": "auto"},
            "dpc": {"kind": "dpc", "of": "seg"},
            "idpc": {"kind": "idpc", "of": "seg"},
            "dcom": {"kind": "dcom", "of": "com"},
            "rings": {"kind": "profile"},
            "wide": {"kind": "profile", "width": 2, "center": "auto"},
            "dose": {"kind": "dose"},
        }
        return VirtualDetectors("vd", detectors, pattern=True)


class TestMeanOfPasses(TestAllKinds):
    def make(self) -> Consumer[Any]:
        detectors = {"bf": {"kind": "disk", "radius": 4}, "com": {"kind": "com"}}
        return VirtualDetectors("vd", detectors, passes="mean")
