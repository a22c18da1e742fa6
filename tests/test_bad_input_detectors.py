"""Detectors of absurd size or place are refused by their table, never found out frame by frame."""

from __future__ import annotations

import math
from typing import Any

import pytest

from livem.consumers.registry import create
from livem.errors import PipelineError

HUGE, NAN, INFINITE = 1e300, math.nan, math.inf


@pytest.mark.parametrize(
    ("table", "word"),
    [
        *(({"kind": "disk", "radius": radius}, "radius") for radius in (HUGE, NAN, INFINITE, -HUGE)),
        *(({"kind": "annulus", "inner": inner, "outer": 2 * inner}, "inner") for inner in (HUGE, NAN)),
        ({"kind": "annulus", "inner": 1.0, "outer": HUGE}, "outer"),
        *(({"kind": "disk", "radius": 3.0, "center": [at, 4.0]}, "center") for at in (HUGE, NAN, -INFINITE)),
        ({"kind": "com", "center": [4.0, HUGE]}, "center"),
        ({"kind": "com", "radius": HUGE}, "radius"),
        ({"kind": "rectangle", "top": 0, "left": 0, "height": HUGE, "width": 4}, "height"),
        ({"kind": "rectangle", "top": HUGE, "left": 0, "height": 4, "width": 4}, "top"),
    ],
)
def test_a_detector_beyond_all_measure_is_refused_by_name(table: dict[str, Any], word: str) -> None:
    with pytest.raises(PipelineError) as refused:
        create("virtual_detectors", "vd", {"detectors": {"far": table}})
    assert "far" in str(refused.value)
    assert word in str(refused.value)
