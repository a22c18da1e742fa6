"""The oracles of detection: its filters and its fit said in plain array-API terms, slow and short.

They run on numpy, torch or cupy (pass the namespace as ``xp``), in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def background(frame: Any, cell: int, reach: int, floor: float, xp: Any = np) -> tuple[Any, Any]:
    """The frame's `cell_means`, smoothed by `smooth_cells`, interpolated as `scale_frame` does; and one over
    the root of what is above ``floor`` of it, which runs straight between rows of cells.

    ``frame`` (h, w), all finite: its sides are multiples of ``cell``, two cells or more.
    """
    h, w = frame.shape
    ny, nx = h // cell, w // cell
    means = xp.mean(xp.reshape(frame, (ny, cell, nx, cell)), axis=(1, 3))
    boxes = _box(ny, reach, xp) @ means @ _box(nx, reach, xp).T
    rows, down = boxes @ _straight(w, cell, nx, xp).T, _straight(h, cell, ny, xp)
    within = xp.minimum(xp.maximum(down, xp.zeros_like(down)), xp.ones_like(down))
    return down @ rows, within @ (1 / xp.sqrt(xp.maximum(rows, xp.full_like(rows, floor))))


def _box(n: int, reach: int, xp: Any) -> Any:
    """(n, n) running mean, smaller near an end."""
    at = xp.arange(n, dtype=xp.float64)
    half = xp.asarray([max(min(reach, i, n - 1 - i), 1) for i in range(n)], dtype=xp.float64)
    near = xp.asarray(xp.abs(at[None, :] - at[:, None]) <= half[:, None], dtype=xp.float64)
    return near / xp.sum(near, axis=1, keepdims=True)


def _straight(length: int, cell: int, n: int, xp: Any) -> Any:
    """(length, n) weights of the cells at each pixel."""
    place = (xp.arange(length, dtype=xp.float64) - (cell - 1) / 2) / cell
    first = xp.minimum(xp.maximum(xp.trunc(place), xp.zeros_like(place)), xp.full_like(place, n - 2))
    column = xp.arange(n, dtype=xp.float64)[None, :]
    low = xp.asarray(column == first[:, None], dtype=xp.float64)
    high = xp.asarray(column == first[:, None] + 1, dtype=xp.float64)
    part = (place - first)[:, None]
    return low * (1 - part) + high * part


def scaled(frame: Any, level: Any, root: Any, sign: float) -> Any:
    """See `backgrounds.scale_frame`; ``level, root``: `background` at every pixel."""
    return sign * (frame - level) * root


def gaussian(values: Any, half: Any, xp: Any = np) -> Any:
    """See `scales.blur`: products with the matrices of the taps."""
    return _taps(values.shape[0], half, xp) @ values @ _taps(values.shape[1], half, xp).T


def _taps(n: int, half: Any, xp: Any) -> Any:
    at = xp.arange(n)
    distance = xp.abs(at[:, None] - at[None, :])
    out = xp.zeros((n, n), dtype=xp.float64)
    for k in range(half.shape[0]):
        out = out + half[k] * xp.asarray(distance == k, dtype=xp.float64)
    return out


def halved(values: Any, xp: Any = np) -> Any:
    """See `scales.halve`."""
    h, w = values.shape[0] // 2, values.shape[1] // 2
    return xp.sum(xp.reshape(values[: 2 * h, : 2 * w], (h, 2, w, 2)), axis=(1, 3)) / 2


def crests(response: Any, least: float, reach: int, xp: Any = np) -> Any:
    """(h, w) bool: the pixels of `peaks.local_maxima`, where no two values are equal."""
    h, w = response.shape
    rim = xp.full((h + 2 * reach, w + 2 * reach), -xp.inf, dtype=xp.float64)
    rim[reach : reach + h, reach : reach + w] = response
    highest = response
    for j in range(2 * reach + 1):
        for i in range(2 * reach + 1):
            highest = xp.maximum(highest, rim[j : j + h, i : i + w])
    return (response >= highest) & (response > least)


def drawn(
    shape: tuple[int, int], particles: Any, terms: Any, variance: float, reach: float, xp: Any = np
) -> Any:
    """Sum of particles as `refine.add_particles` draws them.

    Parameters
    ----------
    particles : (n, 4) as in `refine`; ``terms``: (n, `profile.TERMS`) coefficients of each one's profile.
    """
    y, x = xp.arange(shape[0], dtype=xp.float64)[:, None], xp.arange(shape[1], dtype=xp.float64)[None, :]
    total = xp.zeros(shape, dtype=xp.float64)
    for k in range(particles.shape[0]):
        dy, dx = y - particles[k, 0], x - particles[k, 1]
        radius = xp.exp(particles[k, 3])
        u = (dy**2 + dx**2) / (radius**2 / 5 + variance)
        height = sum(terms[k, i] * u**i for i in range(terms.shape[1])) * xp.exp(-u / 2)
        inside = (xp.abs(dy) <= radius + reach) & (xp.abs(dx) <= radius + reach)
        total = total + xp.where(inside, particles[k, 2] * height, xp.zeros_like(height))
    return total
