"""The oracles of movie denoising: the kernels said in plain array-API terms, slow and short.

They run on numpy, torch or cupy (pass the namespace as ``xp``), in float64; tests hold the fast ones to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..noise import NoiseModel
from .flow import CELL, DISTANCE, GAIN, REACH
from .patches import FLOOR, THRESHOLD
from .spikes import EXCESS, RATIO


def cosines(side: int, xp: Any = np) -> Any:
    """(side, side) orthonormal DCT-II."""
    k, i = xp.arange(side)[:, None], xp.arange(side)[None, :]
    waves = xp.cos(xp.asarray(k * (2 * i + 1), dtype=xp.float64) * (math.pi / (2 * side)))
    return waves * xp.where(k > 0, (2 / side) ** 0.5, (1 / side) ** 0.5)


def shrunk(layers: Any, pilot: Any | None, noise: Any, side: int, step: int, xp: Any = np) -> tuple[Any, Any]:
    """Estimate and variance of `Patches.cut` (without a pilot) or `Patches.weigh`."""
    margin, (height, width) = side - step, layers.shape[1:]
    rows, columns = (_mirrored(n, margin, n + margin + (-n) % step) for n in (height, width))
    transform, window = cosines(side, xp), xp.asarray(np.outer(np.kaiser(side, 2.0), np.kaiser(side, 2.0)))
    whole = layers[:, rows][:, :, columns]
    believed = None if pilot is None else pilot[:, rows][:, :, columns]
    values, variances, weights = (xp.zeros((len(rows), len(columns)), dtype=xp.float64) for _ in range(3))
    for y in range(0, len(rows) - side + 1, step):
        for x in range(0, len(columns) - side + 1, step):
            at = slice(y, y + side), slice(x, x + side)
            terms = transform @ whole[(slice(None), *at)] @ transform.T
            variance = xp.zeros_like(terms) + noise[:, None, None] ** 2
            if believed is None:
                share = xp.astype(terms**2 > THRESHOLD**2 * variance, xp.float64)
            else:
                power = (transform @ believed[(slice(None), *at)] @ transform.T) ** 2 + 1e-20
                share = power / (power + variance)
            share[-1, 0, 0] = 1
            left = float(xp.sum(share * variance))
            weight = window / (left + FLOOR)
            values[at] += weight * (transform.T @ xp.sum(share * terms, axis=0) @ transform)
            variances[at] += weight * (left / side**2)
            weights[at] += weight
    inside = slice(margin, margin + height), slice(margin, margin + width)
    return (values / weights)[inside], (variances / weights)[inside]


def _mirrored(n: int, before: int, stop: int) -> list[int]:
    """Pixels of the places -before to stop of an axis with mirror images."""
    folded = [place % (2 * n) for place in range(-before, stop)]
    return [place if place < n else 2 * n - 1 - place for place in folded]


def flow_of_cells(now: Any, before: Any, xp: Any = np) -> Any:
    """(2, rows, columns) displacements of `block_flow` before they are smoothed."""
    height, width = now.shape
    rows, columns = height // CELL, width // CELL
    found = xp.zeros((2, rows, columns), dtype=xp.float64)
    steps = range(-REACH, REACH + 1)
    for r in range(rows):
        for c in range(columns):
            at = (
                range(CELL * max(r - 1, 0), CELL * min(r + 2, rows)),
                range(CELL * max(c - 1, 0), CELL * min(c + 2, columns)),
            )
            costs = {(dy, dx): _cost(now, before, at, dy, dx, xp) for dy in steps for dx in steps}
            best = min(costs, key=lambda place: costs[place])
            if costs[0, 0] - costs[best] > GAIN:
                for axis in (0, 1):
                    found[axis, r, c] = best[axis] + _summit(costs, best, axis)
    return found


def _cost(now: Any, before: Any, at: tuple[range, range], dy: int, dx: int, xp: Any) -> float:
    height, width = now.shape
    rows = [min(max(y + dy, 0), height - 1) for y in at[0]]
    columns = [min(max(x + dx, 0), width - 1) for x in at[1]]
    off = now[at[0].start : at[0].stop, at[1].start : at[1].stop] - before[rows][:, columns]
    return float(xp.mean(off * off)) + DISTANCE * (dy * dy + dx * dx)


def _summit(costs: dict[tuple[int, int], float], best: tuple[int, int], axis: int) -> float:
    beside = [(best[0] + d * (axis == 0), best[1] + d * (axis == 1)) for d in (-1, 1)]
    if not all(place in costs for place in beside):
        return 0.0
    low, high = (costs[place] for place in beside)
    bend = low - 2 * costs[best] + high
    return min(max(0.5 * (low - high) / bend, -0.5), 0.5) if bend > 1e-9 else 0.0


def moved(image: Any, flow: Any, xp: Any = np) -> Any:
    """See `flow.moved`: Keys's kernel between all pixels and all places of each axis."""
    height, width = image.shape
    out = xp.zeros((height, width), dtype=xp.float64)
    for y in range(height):
        for x in range(width):
            down = _row(min(max(y + float(flow[0, y, x]), 0), height - 1), height, xp)
            along = _row(min(max(x + float(flow[1, y, x]), 0), width - 1), width, xp)
            out[y, x] = down @ image @ along
    return out


def _row(place: float, n: int, xp: Any) -> Any:
    """(n,) weights of the pixels of an axis at a place; those beyond its ends are its ends."""
    row = xp.zeros(n, dtype=xp.float64)
    for pixel in range(math.floor(place) - 1, math.floor(place) + 3):
        t = abs(place - pixel)
        near = (1.5 * t - 2.5) * t * t + 1
        far = ((-0.5 * t + 2.5) * t - 4) * t + 2
        row[min(max(pixel, 0), n - 1)] += near if t <= 1 else far if t < 2 else 0.0
    return row


def memory(frames: Sequence[Any], gain: float) -> Any:
    """(n,) weights of frames in an exponential memory that starts as a running mean."""
    weights = np.zeros(len(frames))
    for i in range(len(frames)):
        share = max(gain, 1 / (i + 1))
        weights *= 1 - share
        weights[i] = share
    return weights


def spikes(frame: Any, noise: NoiseModel, frames: float = 1.0, xp: Any = np) -> Any:
    """See `spikes.find_spikes`: by the third brightest neighbour."""
    height, width = frame.shape
    found = xp.zeros((height, width), dtype=xp.bool)
    base = 0.375 + (noise.read_noise / noise.gain) ** 2
    electrons = (frame - noise.offset) / noise.gain
    for y in range(height):
        for x in range(width):
            near = [
                float(electrons[i, j])
                for i in range(max(y - 2, 0), min(y + 3, height))
                for j in range(max(x - 2, 0), min(x + 3, width))
                if (i, j) != (y, x) and math.isfinite(electrons[i, j])
            ]
            if len(near) < 3 or not math.isfinite(electrons[y, x]):
                continue
            own, third = float(electrons[y, x]), sorted(near)[-3]
            above = 2 * math.sqrt(max(own + base, 0)) - 2 * math.sqrt(max(third + base, 0))
            found[y, x] = above > EXCESS / math.sqrt(frames) and own > RATIO * third
    return found
