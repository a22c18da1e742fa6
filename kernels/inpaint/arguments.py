"""What every solver of a sparse scan refuses, and which pixels it may take as known. Knows no solver."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .solution import Image, Weight


def check_problem(data: Image, weight: Weight, start: Image | None, strength: float) -> None:
    """Raise ValueError where the arguments of `Solver.solve` do not fit each other."""
    if data.ndim != 3 or data.dtype != np.float32 or not data.size:
        raise ValueError(f"data is {data.dtype} {data.shape}: give float32 (c, ny, nx), none of them 0")
    if weight.shape != data.shape[1:] or weight.dtype != np.float32:
        raise ValueError(
            f"weight is {weight.dtype} {weight.shape}: data of {data.shape} wants float32 {data.shape[1:]}"
        )
    if not (math.isfinite(strength) and strength >= 0):
        raise ValueError(f"strength is {strength}: give a finite number >= 0")
    if start is None:
        return
    if start.shape != data.shape:
        raise ValueError(f"start is {start.shape}, data {data.shape}: start from an image of the same shape")
    if not np.isfinite(start).all():
        raise ValueError("start has values that are not finite: start without one (None)")


def usable_weight(data: Image, weight: Weight) -> Weight:
    """Weights with 0 where the weight or a channel's value is not finite, or the weight is negative."""
    usable: npt.NDArray[np.bool_] = np.isfinite(weight) & (weight > 0)
    usable &= np.isfinite(data).all(axis=0)
    return np.where(usable, weight, np.float32(0))
