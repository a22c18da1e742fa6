"""Which of several estimates is right where: a mixture by their unbiased risks.

Stein's unbiased risk of an estimate x of z with noise of variance 1 is (z - x)^2 + 2 d - 1, d the divergence
(Stein, Ann. Stat. 9 (1981) 1135); it needs no truth. Weights fall exponentially with it (Leung & Barron,
IEEE Trans. Inf. Theory 52 (2006) 3396). It is summed over cells and blurred, as one pixel's tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from .overlap import Estimate, Plane

CELL = 4
"""px, side of the cells that have weights of their own."""
TEMPERATURE = 7.0
"""Risk, over the area of the blur, that takes an estimate's weight down by e."""
AREA = 200.0
"""px, of the blur: a Gaussian of standard deviation 4 px."""
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / np.float32(16)
Planes = npt.NDArray[np.float32]


def mixture(frame: Plane, estimates: Sequence[Estimate]) -> Plane:
    """The estimates (ny, nx), each weighted where its risk is low.

    Parameters
    ----------
    frame : (ny, nx) float32, C-contiguous, finite, with noise of variance 1: what was estimated from.
    estimates : one or more.
    """
    (ny, nx), cells = frame.shape, tuple(-(-n // CELL) for n in frame.shape)
    risks = np.zeros((len(estimates), *cells), np.float32)
    for estimate, risk in zip(estimates, risks, strict=True):
        _risk(frame, estimate.values, estimate.freedom, risk)
    blurred = _blurred(_blurred(risks, 1), 2)
    shares = np.exp((blurred.min(axis=0) - blurred) * np.float32(AREA / TEMPERATURE))
    shares /= shares.sum(axis=0)
    mixed = np.zeros((ny, nx), np.float32)
    for estimate, share in zip(estimates, shares, strict=True):
        _add_share(estimate.values, share, mixed)
    return mixed


def _blurred(planes: Planes, axis: int) -> Planes:
    """Along an axis, the last cell repeated."""
    n = planes.shape[axis]
    margins = [(2, 2) if k == axis else (0, 0) for k in range(planes.ndim)]
    wide = np.moveaxis(np.pad(planes, margins, mode="edge"), axis, 0)
    blurred = sum(factor * wide[k : k + n] for k, factor in enumerate(BINOMIAL))
    return np.moveaxis(np.asarray(blurred), 0, axis)


@njit("void(f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def _risk(frame: Plane, values: Plane, freedom: Plane, risk: Plane) -> None:
    """Mean risk of the pixels of each cell, plus 1."""
    ny, nx = frame.shape
    row = np.empty(nx, np.float32)
    for cy in range(risk.shape[0]):
        row[:] = 0
        bottom = min(ny, CELL * cy + CELL)
        for y in range(CELL * cy, bottom):
            for x in range(nx):
                off = frame[y, x] - values[y, x]
                row[x] += off * off + np.float32(2) * freedom[y, x]
        for cx in range(risk.shape[1]):
            cell = row[CELL * cx : CELL * cx + CELL]
            risk[cy, cx] = cell.sum() / np.float32(cell.size * (bottom - CELL * cy))


@njit("void(f4[:,::1], f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def _add_share(values: Plane, share: Plane, mixed: Plane) -> None:
    """Adds the estimate times its share, which is linear between the centres of cells."""
    (ny, nx), (rows, columns) = mixed.shape, share.shape
    row, wide = np.empty(columns + 2, np.float32), np.empty(CELL * (columns + 1), np.float32)
    for y in range(ny):
        place = (y + 0.5) / CELL - 0.5
        above = int(np.floor(place))
        part = np.float32(place - above)
        upper, lower = share[max(above, 0)], share[min(above + 1, rows - 1)]
        for k in range(columns):
            row[k + 1] = upper[k] + part * (lower[k] - upper[k])
        row[0], row[columns + 1] = row[1], row[columns]
        for k in range(columns + 1):
            for j in range(CELL):
                part = np.float32((j + 0.5) / CELL)
                wide[CELL * k + j] = row[k] + part * (row[k + 1] - row[k])
        for x in range(nx):
            mixed[y, x] += values[y, x] * wide[x + CELL // 2]
