"""The oracle of heat_maps.py in plain array-API terms, slow and short; tests hold the kernel to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .heat_maps import LEVEL, NARROW, PIXEL, REACH, VOLUME_OF_LEVEL

SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def peaks(heat: Any, threshold: float, radius: float, valley: float, xp: Any = np) -> Any:
    """(n, 5) float64: y, x, score, area, width of the peaks of ``heat`` (h, w): `heat_maps.find_peaks`."""
    finite = xp.isfinite(heat)
    values = xp.where(finite, xp.astype(heat, xp.float64), -math.inf)
    highest = _highest(values, threshold, radius, xp)
    tops, rows = _measured(values, highest, xp)
    for top in [top for top in tops if _is_part(values, top, tops, rows, valley)]:
        highest[top] = False
    rows = _measured(values, highest, xp)[1]
    return xp.asarray(rows, dtype=xp.float64) if rows else xp.zeros((0, 5), dtype=xp.float64)


def _measured(values: Any, highest: Any, xp: Any) -> tuple[list[tuple[int, int]], list[list[float]]]:
    """Pixels of the peaks, and a row of figures of each."""
    owner = _regions(values, highest, xp)
    tops = [(int(y), int(x)) for y, x in zip(*xp.nonzero(highest), strict=True)]
    return tops, [_row(values, owner, k, top, xp) for k, top in enumerate(tops)]


def _is_part(
    values: Any, top: tuple[int, int], tops: list[tuple[int, int]], rows: list[list[float]], valley: float
) -> bool:
    """Whether no valley parts a peak from a higher one that is near in its widths."""
    score = float(values[top])
    for other, row in zip(tops, rows, strict=True):
        way = top[0] - other[0], top[1] - other[1]
        higher = row[2] > score or (row[2] == score and other < top)
        if not higher or way[0] ** 2 + way[1] ** 2 > (REACH * row[4]) ** 2:
            continue
        steps = max(abs(way[0]), abs(way[1]))
        line = [
            tuple(at + (2 * d * step + steps) // (2 * steps) for at, d in zip(other, way, strict=True))
            for step in range(1, steps)
        ]
        if all(float(values[at]) > valley * score for at in line):
            return True
    return False


def _highest(values: Any, threshold: float, radius: float, xp: Any) -> Any:
    """(h, w) bool: above the threshold and all pixels before it within the radius, not below those after."""
    highest, reach = values > threshold, int(radius)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if 0 < dy * dy + dx * dx <= radius * radius:
                other = _moved(values, -dy, -dx, -math.inf, xp)
                highest &= (values > other) if (dy, dx) < (0, 0) else (values >= other)
    return highest


def _regions(values: Any, highest: Any, xp: Any) -> Any:
    """(h, w) int64 number of the peak that a pixel belongs to, -1 of none: one step from all at a time."""
    marks = xp.reshape(xp.astype(highest, xp.int64), (-1,))
    numbers = xp.reshape(xp.cumulative_sum(marks) * marks - 1, values.shape)
    tops = xp.reshape(values, (-1,))[xp.nonzero(marks)[0]]
    owner, count = numbers, int(xp.sum(marks))
    levels = xp.astype(xp.asarray(LEVEL * tops, dtype=xp.float32), xp.float64)
    while count:
        claimed = xp.full(values.shape, count, dtype=xp.int64)
        for dy, dx in SIDES:
            near = _moved(owner, dy, dx, -1, xp)
            flat = xp.reshape(xp.where(near < 0, 0, near), (-1,))
            low, top = (xp.reshape(xp.take(one, flat), values.shape) for one in (levels, tops))
            may = (owner < 0) & (near >= 0) & (values > low) & (values <= top)
            claimed = xp.where(may & (near < claimed), near, claimed)
        if bool(xp.all(claimed == count)):
            break
        owner = xp.where(claimed < count, claimed, owner)
    return owner


def _row(values: Any, owner: Any, k: int, top: tuple[int, int], xp: Any) -> list[float]:
    ys, xs = xp.nonzero(owner == k)
    own = xp.stack([values[int(y), int(x)] for y, x in zip(ys, xs, strict=True)])
    (y, x), score = top, float(values[top])
    excess = own - float(np.float32(LEVEL * score))
    total, area = float(xp.sum(excess)), int(own.shape[0])
    found = _paraboloid(values, y, x, xp) if area < NARROW else None
    if found is None:
        dy, dx = (
            float(xp.sum(excess * xp.astype(at - c, xp.float64))) / total for at, c in ((ys, y), (xs, x))
        )
        found = dy, dx, max(total / (score * VOLUME_OF_LEVEL) - PIXEL, 0.0)
    return [y + found[0], x + found[1], score, area, math.sqrt(found[2])]


def _paraboloid(values: Any, y: int, x: int, xp: Any) -> tuple[float, float, float] | None:
    """Step to the vertex of the least-squares paraboloid of 3 x 3 logarithms, and a Gaussian's variance."""
    h, w = values.shape
    if not (0 < y < h - 1 and 0 < x < w - 1):
        return None
    patch = values[y - 1 : y + 2, x - 1 : x + 2]
    if not bool(xp.all(patch > 0)):
        return None
    logs = xp.log(patch)
    step = xp.asarray([-1.0, 0.0, 1.0], dtype=xp.float64)
    bend = 3 * step * step - 2
    gradient = [float(xp.sum(logs * one)) / 6 for one in (step[:, None], step[None, :])]
    syy, sxx = (float(xp.sum(logs * one)) / 3 for one in (bend[:, None], bend[None, :]))
    syx = float(xp.sum(logs * step[:, None] * step[None, :])) / 4
    turn = syy * sxx - syx * syx
    if not (syy < 0 and turn > 0):
        return None
    dy = (syx * gradient[1] - sxx * gradient[0]) / turn
    dx = (syx * gradient[0] - syy * gradient[1]) / turn
    return (dy, dx, -2 / (syy + sxx)) if max(abs(dy), abs(dx)) <= 1 else None


def _moved(image: Any, dy: int, dx: int, fill: float, xp: Any) -> Any:
    """The image moved by (dy, dx); what enters is ``fill``."""
    h, w = image.shape
    moved = xp.full((h, w), fill, dtype=image.dtype)
    if abs(dy) < h and abs(dx) < w:
        there = slice(max(dy, 0), h + min(dy, 0)), slice(max(dx, 0), w + min(dx, 0))
        here = slice(max(-dy, 0), h + min(-dy, 0)), slice(max(-dx, 0), w + min(-dx, 0))
        moved[there] = image[here]
    return moved
