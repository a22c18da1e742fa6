"""What the compiled steps of following particles must give: dense matrices, plainly. For tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]


def assigned(start: Indices, column: Indices, cost: Numbers, miss: Numbers, m: int) -> tuple[Indices, float]:
    """The column of each row, or -1, at the least sum of costs; and that sum. See `assign.assign`."""
    n = len(miss)
    matrix = np.full((n, m + n), np.inf)
    for i in range(n):
        edges = slice(start[i], start[i + 1])
        matrix[i, column[edges]] = cost[edges]
        matrix[i, m + i] = miss[i]
    finite = np.where(np.isfinite(matrix), matrix, 1e9)
    rows, columns = linear_sum_assignment(finite)
    taken = np.where(columns < m, columns, -1).astype(np.int32)
    return taken, float(finite[rows, columns].sum())


def nearest(place: Numbers, points: Numbers, reach: float, most: int) -> tuple[Indices, Numbers]:
    """Of points (n, 2) within ``reach`` the nearest few, and their distances squared; as `nearby`."""
    square = ((points - place) ** 2).sum(axis=1)
    order = np.argsort(square, kind="stable")
    order = order[square[order] <= reach**2][:most]
    return order.astype(np.int32), square[order]


def smoothed(measured: Numbers, noise: Numbers, shifts: Numbers, walks: Numbers) -> tuple[Numbers, Numbers]:
    """The most likely places of a random walk along an axis, and their variances. See `kalman.smooth`.

    Parameters
    ----------
    measured, noise : (n,) places and their variances; NaN where it was not seen, but not at first.
    shifts, walks : (n,) the field's displacement and the variance of the walk since the frame before.
    """
    seen = np.isfinite(measured)
    offset = np.cumsum(np.where(np.arange(len(shifts)) > 0, shifts, 0.0))
    weight = np.where(seen, 1 / noise, 0.0)
    precision = np.diag(weight)
    for k in range(1, len(measured)):
        precision[k - 1 : k + 1, k - 1 : k + 1] += np.array([[1, -1], [-1, 1]]) / walks[k]
    covariance = np.linalg.inv(precision)
    places = covariance @ (weight * np.where(seen, measured - offset, 0.0))
    return places + offset, np.diag(covariance)
