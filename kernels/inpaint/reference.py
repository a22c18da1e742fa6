"""The oracles of sparse scans: the solvers said in plain array-API terms, dense, slow and short.

They run on numpy, torch or cupy (pass the namespace as ``xp``), in float64, on one channel (ny, nx), and
tests hold the fast solvers to them. Dense means (ny nx)^2 numbers: images of a few hundred pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def push_pull(data: Any, weight: Any, strength: float = 0.0, xp: Any = np) -> Any:
    """See `pyramid.push_pull`; NaN everywhere without any weight."""
    known = weight > 0
    own = xp.where(known, data, xp.zeros_like(data))
    if weight.shape == (1, 1):
        return xp.where(known, own, xp.full_like(own, float("nan")))
    total, sums = _by_cells(weight, xp), _by_cells(weight * own, xp)
    means = sums / xp.where(total > 0, total, xp.ones_like(total))
    coarse = push_pull(means, total, strength, xp)
    ny, nx = data.shape
    up = interpolation(ny, xp) @ coarse @ interpolation(nx, xp).T
    share = weight / xp.where(known, weight + strength, xp.ones_like(weight))
    return xp.where(known, share * own + (1 - share) * up, up)


def _by_cells(plane: Any, xp: Any) -> Any:
    ny, nx = plane.shape
    return _pairs(ny, xp).T @ plane @ _pairs(nx, xp)


def _pairs(n: int, xp: Any) -> Any:
    """(n, cells) 1 where a pixel lies in a cell."""
    fine, coarse = xp.arange(n)[:, None], xp.arange((n + 1) // 2)[None, :]
    return xp.asarray(fine // 2 == coarse, dtype=xp.float64)


def interpolation(n: int, xp: Any = np) -> Any:
    """(n, ceil(n / 2)) of `grids`: 3/4 of the cell a pixel lies in, 1/4 of the one it is next to."""
    cells = (n + 1) // 2
    pixels, places = xp.arange(n), xp.arange(cells)[None, :]
    beside = xp.clip(pixels // 2 + 2 * (pixels % 2) - 1, 0, cells - 1)[:, None]
    return 0.75 * _pairs(n, xp) + 0.25 * xp.asarray(beside == places, dtype=xp.float64)


def bending(shape: tuple[int, int], tension: float = 0.0, xp: Any = np) -> Any:
    """(ny nx, ny nx) E of `stencils`: u E u is the bending energy of u."""
    (gy, by), (gx, bx) = (_differences(n, xp) for n in shape)
    ey, ex = xp.eye(shape[0], dtype=xp.float64), xp.eye(shape[1], dtype=xp.float64)
    plate = _kron(by, ex, xp) + _kron(ey, bx, xp) + 2 * _kron(gy, gx, xp)
    return plate + tension * (_kron(gy, ex, xp) + _kron(ey, gx, xp))


def _differences(n: int, xp: Any) -> tuple[Any, Any]:
    """D' D of first and of second differences."""
    one = xp.eye(n, dtype=xp.float64)
    first = one[1:, :] - one[:-1, :]
    second = first[1:, :] - first[:-1, :]
    return first.T @ first, second.T @ second


def _kron(a: Any, b: Any, xp: Any) -> Any:
    n = a.shape[0] * b.shape[0]
    return xp.reshape(a[:, None, :, None] * b[None, :, None, :], (n, n))


def thin_plate(data: Any, weight: Any, strength: float, tension: float, xp: Any = np) -> Any:
    """The solution of `ThinPlate`, where there is one: samples not all on a line, or a tension."""
    w = xp.reshape(weight, (-1,))
    y = xp.where(w > 0, xp.reshape(data, (-1,)), xp.zeros_like(w))
    plate = bending(weight.shape, tension, xp)
    one = xp.eye(w.shape[0], dtype=xp.float64)
    if strength > 0:
        solved = xp.linalg.solve(w * one + strength * plate, w * y)
    else:
        free = xp.asarray(w == 0, dtype=xp.float64)
        matrix = free[:, None] * plate * free[None, :] + (1 - free) * one
        solved = xp.linalg.solve(matrix, y - free * (plate @ y))
    return xp.reshape(solved, weight.shape)


def cosines(n: int, kept: int, xp: Any = np) -> Any:
    """(n, kept) the first orthonormal cosines (DCT-II) of a side."""
    k, places = xp.arange(kept)[None, :], xp.arange(n)[:, None]
    waves = xp.cos(xp.asarray(k * (2 * places + 1), dtype=xp.float64) * (np.pi / (2 * n)))
    return waves * ((1 + xp.asarray(k > 0, dtype=xp.float64)) / n) ** 0.5


def cosine_objective(coefficients: Any, data: Any, weight: Any, threshold: Any, xp: Any = np) -> Any:
    """What `cosine` minimises for a channel: coefficients and thresholds (By, Bx), weights at most 1."""
    rows, columns = coefficients.shape
    ny, nx = weight.shape
    image = cosines(ny, rows, xp) @ coefficients @ cosines(nx, columns, xp).T
    off = xp.where(weight > 0, image - data, xp.zeros_like(image))
    return xp.sum(weight * off * off) / 2 + xp.sum(threshold * xp.abs(coefficients))
