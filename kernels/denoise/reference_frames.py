"""The oracles of single frames: the filters said in plain array-API terms, window by window, slow and short.

They run on numpy, torch or cupy (pass the namespace as ``xp``), in float64. Frames are padded already where
they are padded (`overlap.padded`), and a result is a pair: weighted values, and weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Filter = Callable[[Any, Any], tuple[Any, Any]]
"""From a window of the frame and of the pilot to its values and its weight (a number)."""


def overlapping(plane: Any, pilot: Any, taper: Any, step: int, filtered: Filter, xp: Any = np) -> Any:
    """Windows of the size of ``taper``, filtered and averaged; every pixel that a window covers."""
    values, weights = xp.zeros_like(plane), xp.zeros_like(plane)
    side = taper.shape[0]
    for top, left in _places(plane.shape, side, step):
        place = slice(top, top + side), slice(left, left + side)
        found, weight = filtered(plane[place], pilot[place])
        values[place] += weight * taper * found
        weights[place] += weight * taper
    return values, weights


def cosines_kept(threshold: float, side: int, xp: Any = np) -> Filter:
    """The hard threshold of `CosineWindows`."""
    basis = cosine_basis(side, xp)

    def filtered(window: Any, _: Any) -> tuple[Any, Any]:
        cosines = basis @ window @ basis.T
        is_kept = xp.asarray(xp.abs(cosines) > threshold)
        is_kept[0, 0] = True
        found = basis.T @ xp.where(is_kept, cosines, xp.zeros_like(cosines)) @ basis
        return found, 1 / xp.sum(xp.asarray(is_kept, dtype=xp.float64))

    return filtered


def cosines_shrunk(side: int, xp: Any = np) -> Filter:
    """The Wiener factors of `CosineWindows`."""
    basis = cosine_basis(side, xp)

    def filtered(window: Any, pilot: Any) -> tuple[Any, Any]:
        power = (basis @ pilot @ basis.T) ** 2
        factors = power / (power + 1)
        factors[0, 0] = 1.0
        return basis.T @ (factors * (basis @ window @ basis.T)) @ basis, 1 / xp.sum(factors**2)

    return filtered


def waves_kept(threshold: float, arch: Any, xp: Any = np) -> Filter:
    """The threshold of `FourierWindows`; windows come back divided by the taper ``arch`` (side, side)."""

    def filtered(window: Any, _: Any) -> tuple[Any, Any]:
        waves = xp.fft.fft2(window * arch)
        is_kept = xp.asarray(xp.abs(waves) > threshold * xp.sqrt(xp.sum(arch**2)))
        is_kept[0, 0] = True
        found = xp.real(xp.fft.ifft2(xp.where(is_kept, waves, xp.zeros_like(waves))))
        return found / arch, 1 / (1 + xp.sum(xp.asarray(is_kept, dtype=xp.float64)))

    return filtered


def alike(plane: Any, guide: Any, reach: int, furthest: float, xp: Any = np) -> Any:
    """`AlikeNeighbours` of a plane padded by ``reach`` and a guide padded by one more: (ny, nx) estimate."""
    ny, nx = plane.shape[0] - 2 * reach, plane.shape[1] - 2 * reach
    values, weights = xp.zeros((ny, nx), dtype=xp.float64), xp.zeros((ny, nx), dtype=xp.float64)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            if (dy - reach) ** 2 + (dx - reach) ** 2 > (reach + 0.5) ** 2:
                continue
            distance = sum(
                (guide[dy + i : dy + i + ny, dx + j : dx + j + nx] - _middle(guide, reach, i, j, ny, nx)) ** 2
                for i in range(3)
                for j in range(3)
            )
            share = xp.clip(1 - distance / (9 * furthest), 0, 1) ** 2
            values += share * plane[dy : dy + ny, dx : dx + nx]
            weights += share
    return values / weights


def cosine_basis(side: int, xp: Any = np) -> Any:
    """(side, side) orthonormal DCT-II, a frequency a row."""
    k, places = xp.arange(side)[:, None], xp.arange(side)[None, :]
    waves = xp.cos(xp.asarray(k * (2 * places + 1), dtype=xp.float64) * (np.pi / (2 * side)))
    return waves * xp.where(k > 0, (2 / side) ** 0.5, (1 / side) ** 0.5)


def _middle(guide: Any, reach: int, i: int, j: int, ny: int, nx: int) -> Any:
    return guide[reach + i : reach + i + ny, reach + j : reach + j + nx]


def _places(shape: tuple[int, int], side: int, step: int) -> Iterator[tuple[int, int]]:
    for top in range(0, shape[0] - side + 1, step):
        for left in range(0, shape[1] - side + 1, step):
            yield top, left
