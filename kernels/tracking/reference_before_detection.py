"""The oracles of `before_detection` in plain array-API terms, float64; ``xp`` is the namespace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .before_detection import MOST, NEAR, REACH, SIDE, STEP, TAPS


def _bell(at: Any, mean: float, variance: float, xp: Any) -> Any:
    return xp.exp(-((at - mean) ** 2) / (2 * variance))


def _matched(window: Any, reach: int, s2: float, xp: Any) -> Any:
    places = xp.arange(-reach, reach + 1, dtype=xp.float64)[:, None]
    away = xp.arange(SIDE, dtype=xp.float64)[None, :] - SIDE // 2 - places
    taps = xp.where(xp.abs(away) <= TAPS, _bell(away, 0.0, s2, xp), xp.zeros_like(away))
    return taps @ window @ taps.T


def radius_odds(window: Any, y: float, x: float, variance: float, s2: Any, heights: Any, xp: Any = np) -> Any:
    """See `before_detection.radius_odds`: (n,)."""
    at = xp.arange(-NEAR, NEAR + 1, dtype=xp.float64)
    chance = _bell(at, y, variance, xp)[:, None] * _bell(at, x, variance, xp)[None, :]
    told = []
    for k in range(s2.shape[0]):
        ratio = float(heights[k]) * _matched(window, NEAR, float(s2[k]), xp)
        best, own = xp.max(ratio), 0.5 * float(heights[k]) ** 2 * math.pi * float(s2[k])
        told.append(best - own + xp.log(xp.sum(chance * xp.exp(ratio - best)) / xp.sum(chance)))
    return xp.stack(told)


def _steps(mean: float, variance: float, xp: Any) -> Any:
    """(n, n) probability of each place after a step, by that before."""
    bell = _bell(xp.arange(-STEP, STEP + 1, dtype=xp.float64), mean, variance, xp)
    at = xp.arange(2 * REACH + 1, dtype=xp.float64)
    away = at[:, None] - at[None, :]
    chance = _bell(away, mean, variance, xp) / xp.sum(bell)
    return xp.where(xp.abs(away) <= STEP, chance, xp.zeros_like(chance))


def presence(
    windows: Any, y: float, x: float, variance: float, moves: Any, walks: Any, s2: Any, heights: Any,
    hidden: float, xp: Any = np,
) -> tuple[Any, Any]:  # fmt: skip
    """See `before_detection.presence`: (n,) and (n, 2)."""
    at = xp.arange(-REACH, REACH + 1, dtype=xp.float64)
    chance = _bell(at, y, variance, xp)[:, None] * _bell(at, x, variance, xp)[None, :]
    chance, total, odds, places = chance / xp.sum(chance), 0.0, [], []
    for k in range(windows.shape[0]):
        down = _steps(float(moves[k, 0]), float(walks[k]), xp)
        along = _steps(float(moves[k, 1]), float(walks[k]), xp)
        chance = down @ chance @ along.T
        height, wide = float(heights[k]), float(s2[k])
        ratio = height * _matched(windows[k, ...], REACH, wide, xp) - 0.5 * height**2 * math.pi * wide
        seen = xp.exp(xp.minimum(ratio, xp.full_like(ratio, MOST)))
        chance = chance * ((1 - hidden) * seen + hidden)
        mass = xp.sum(chance)
        chance, total = chance / mass, total + xp.log(mass)
        odds.append(total)
        places.append(xp.stack([xp.sum(chance * at[:, None]), xp.sum(chance * at[None, :])]))
    return xp.stack(odds), xp.stack(places)
