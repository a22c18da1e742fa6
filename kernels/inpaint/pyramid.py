"""Push-pull: the first look at a sparse image, in one pass down a pyramid and one up. Knows arrays only.

Gortler, Grzeszczuk, Szeliski & Cohen, The Lumigraph (1996), section 3.4: samples are pushed down, each cell
the weighted mean of the four below; then pulled up, each cell its own mean as far as its weight goes, for
the rest what the coarser grid says there. Linear in the pixels, and defined from one sample on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .arguments import check_problem, usable_weight
from .grids import cells, expand_row, grid, grids
from .solution import Budget, Image, Solution, Weight

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PushPull:
    """See the module. A `Solver`; it takes no start and heeds no budget: 0.3 ms for 256 x 256."""

    name = "push-pull"
    version = 1
    warm = False

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `Solver.solve`; ``strength`` in visits, as in `push_pull`."""
        check_problem(data, weight, start, strength)
        weight = usable_weight(data, weight)
        image = np.empty_like(data)
        for channel, out in zip(data, image, strict=True):
            push_pull(channel, weight, out, strength)
        return Solution(image, 1, float("nan"), True)


def push_pull(data: Plane, weight: Plane, out: Plane, strength: float = 0.0) -> None:
    """Fill ``out`` (ny, nx); NaN without any weight.

    Parameters
    ----------
    data, weight : (ny, nx) float32; data of weight 0 are not looked at.
    strength : >= 0, in visits: a cell of weight w takes w / (w + strength) of its own mean, the rest from
        the coarser grid. At 0 what is known stays as it is.
    """
    table = grids(weight.shape)
    _push_pull(data, weight, out, strength, table, *(np.empty(cells(table), np.float32) for _ in range(2)))


@njit(nogil=True, cache=True)
def _push_pull(data, weight, out, strength, table, means, weights):  # type: ignore[no-untyped-def]
    finer, finer_weight = data, weight
    for level in range(len(table)):
        mean, total = grid(means, table, level), grid(weights, table, level)
        _push(finer, finer_weight, mean, total)
        finer, finer_weight = mean, total
    if not finer_weight[0, 0] > 0:
        out[:] = np.nan
        return
    for level in range(len(table) - 2, -1, -1):
        here = grid(means, table, level)
        _pull(here, grid(weights, table, level), strength, grid(means, table, level + 1), here)
    if len(table):
        _pull(data, weight, strength, grid(means, table, 0), out)
    else:
        out[:] = data


@njit(nogil=True, cache=True, error_model="numpy")
def _push(fine, fine_weight, mean, total):  # type: ignore[no-untyped-def]
    """Weighted means of 2 x 2; in float64, so that no scale of values overflows."""
    ny, nx = fine.shape
    for i in range(mean.shape[0]):
        below = min(2 * i + 1, ny - 1)
        once = 1.0 if 2 * i + 1 < ny else 0.0
        for j in range(nx // 2):
            w0, s0 = _weighed(fine, fine_weight, 2 * i, 2 * j, 1.0)
            w1, s1 = _weighed(fine, fine_weight, 2 * i, 2 * j + 1, 1.0)
            w2, s2 = _weighed(fine, fine_weight, below, 2 * j, once)
            w3, s3 = _weighed(fine, fine_weight, below, 2 * j + 1, once)
            _set_mean((w0 + w1) + (w2 + w3), (s0 + s1) + (s2 + s3), i, j, mean, total)
        if nx % 2:
            w0, s0 = _weighed(fine, fine_weight, 2 * i, nx - 1, 1.0)
            w2, s2 = _weighed(fine, fine_weight, below, nx - 1, once)
            _set_mean(w0 + w2, s0 + s2, i, nx // 2, mean, total)


@njit(nogil=True, cache=True)
def _weighed(values, weight, i, j, factor):  # type: ignore[no-untyped-def]
    w = factor * np.float64(weight[i, j])
    return w, w * (np.float64(values[i, j]) if w > 0 else 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _set_mean(weights, sums, i, j, mean, total):  # type: ignore[no-untyped-def]
    total[i, j] = weights
    mean[i, j] = sums / (weights if weights > 0 else 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _pull(own, weight, strength, coarse, out):  # type: ignore[no-untyped-def]
    mix, row = np.empty(coarse.shape[1] + 2, np.float32), np.empty(own.shape[1], np.float32)
    softness, one = np.float32(strength), np.float32(1)
    for i in range(own.shape[0]):
        expand_row(coarse, i, mix, row)
        for j in range(row.size):
            w = weight[i, j]
            share = w / (w + softness if w > 0 else one)
            value = own[i, j] if w > 0 else row[j]
            out[i, j] = value if share == one else row[j] + share * (value - row[j])
