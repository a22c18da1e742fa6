"""The oracles of tails.py and marks.py: every line and ring against every pixel, in plain array-API terms.

They run on any namespace (``xp``), and give what the fast versions draw on an empty overlay but for the last
steps of a channel, since distances round otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Shape = tuple[int, int]


def tails(shape: Shape, y: Any, x: Any, track: Any, colour: Any, width: float, xp: Any = np) -> Any:
    """What `tails.draw_tails` draws: (h, w) words as int64."""
    rows, columns = _grid(shape, xp)
    y0, x0, y1, x1 = (part[:, None, None] for part in (y[:-1], x[:-1], y[1:], x[1:]))
    steep = xp.abs(y1 - y0) > xp.abs(x1 - x0)
    along, across = xp.where(steep, rows, columns), xp.where(steep, columns, rows)
    a0, a1 = xp.where(steep, y0, x0), xp.where(steep, y1, x1)
    b0, b1 = xp.where(steep, x0, y0), xp.where(steep, x1, y1)
    slope = (b1 - b0) / xp.where(a1 == a0, xp.ones_like(a0), a1 - a0)
    far = xp.abs(across - b0 - (along - a0) * slope)
    ends = xp.floor(xp.stack([xp.minimum(a0, a1), xp.maximum(a0, a1)]) + 0.5)
    joined = (track[1:] == track[:-1])[:, None, None] & (along >= ends[0, ...]) & (along <= ends[1, ...])
    coverage = xp.where(joined & xp.isfinite(a0 + b0 + a1 + b1), 0.5 * width + 0.5 - far, xp.zeros_like(far))
    return _strongest(coverage, colour[1:], xp)


def rings(
    shape: Shape, y: Any, x: Any, radius: Any, colour: Any, dashed: Any, width: float, xp: Any = np
) -> Any:
    """What `marks.draw_rings` draws: (h, w) words as int64."""
    rows, columns = _grid(shape, xp)
    dy, dx = rows - y[:, None, None], columns - x[:, None, None]
    far = xp.abs(xp.sqrt(dy * dy + dx * dx) - radius[:, None, None])
    coverage = xp.where(xp.isfinite(far), 0.5 * width + 0.5 - far, xp.zeros_like(far))
    gap = dashed[:, None, None] & (xp.cos(8 * xp.atan2(dy, dx)) < 0)
    return _strongest(xp.where(gap, xp.zeros_like(coverage), coverage), colour, xp)


def _grid(shape: Shape, xp: Any) -> tuple[Any, Any]:
    rows = xp.arange(shape[0], dtype=xp.float64)[None, :, None]
    return rows, xp.arange(shape[1], dtype=xp.float64)[None, None, :]


def _strongest(coverage: Any, colour: Any, xp: Any) -> Any:
    """The colour of the highest alpha at each pixel, premultiplied; of equal ones the first."""
    colour = xp.asarray(colour, dtype=xp.int64)
    opacity = xp.asarray(colour // 2**24, dtype=xp.float64)[:, None, None]
    alphas = xp.asarray(xp.floor(opacity * xp.clip(coverage, 0.0, 1.0) + 0.5), dtype=xp.int64)
    alpha = xp.max(alphas, axis=0)
    chosen = xp.reshape(xp.argmax(alphas, axis=0), (-1,))
    chosen = xp.reshape(xp.take(colour, chosen), alpha.shape)
    word = alpha * 2**24
    for place in (2**16, 2**8, 1):
        word = word + (chosen // place % 256 * alpha + 127) // 255 * place
    return word
