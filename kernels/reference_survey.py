"""What `frame_survey` computes, in the plain array API: the oracle of its tests."""

from __future__ import annotations

from typing import Any

import numpy as np

_AROUND = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]


def survey(frame: Any, limit: float, xp: Any = np, live: Any = None) -> tuple[int, float, int]:
    """Live finite pixels of a frame (h, w), their sum, and how many have at least ``limit`` counts."""
    values = xp.asarray(frame, dtype=xp.float64)
    known = xp.isfinite(values) if live is None else xp.isfinite(values) & live
    reached = known & (values >= limit)
    pixels, at_limit = (int(xp.sum(xp.asarray(each, dtype=xp.int64))) for each in (known, reached))
    return pixels, float(xp.sum(xp.where(known, values, xp.zeros_like(values)))), at_limit


def leads(frame: Any, sharp: float, xp: Any = np) -> Any:
    """(h, w) bool: above all eight neighbours by over ``sharp`` times their range; none of the border."""
    values = xp.asarray(frame, dtype=xp.float64)
    h, w = values.shape
    found = xp.zeros((h, w), dtype=xp.bool)
    if min(h, w) < 3:
        return found
    around = xp.stack([values[y : h - 2 + y, x : w - 2 + x] for y, x in _AROUND])
    high, low = xp.max(around, axis=0), xp.min(around, axis=0)
    ahead = values[1 : h - 1, 1 : w - 1] - high
    found[1 : h - 1, 1 : w - 1] = (ahead > 0) & (ahead > sharp * (high - low))
    return found
