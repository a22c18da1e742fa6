"""The oracles: the kernels said in plain array-API terms, slow and short.

They run on numpy, cupy or torch (pass the namespace as ``xp``) and tests hold the fast versions to them.
Results agree exactly for integer frames (beside 32-bit centres of mass) and to rounding for float frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Center = tuple[float, float]


def detector_sum(block: Any, mask: Any, xp: Any = np) -> Any:
    """Sum over ``mask`` (h, w) of each frame of ``block`` (n, h, w): int64 or float64 (n,).

    Pixels that are not finite are left out; frames without any finite pixel in the mask give NaN.
    """
    values, finite = _clean(block, mask, xp)
    total = xp.sum(values, axis=(1, 2))
    if not _is_float(block, xp):
        return total
    empty = ~xp.any(xp.any(finite & mask, axis=2), axis=1) & bool(xp.any(mask))
    return xp.where(empty, xp.asarray(float("nan"), dtype=xp.float64), total)


def excluded(block: Any, mask: Any, xp: Any = np) -> Any:
    """Pixels of the mask that are not finite, per frame: int64 (n,)."""
    bad = xp.asarray(~_clean(block, mask, xp)[1] & mask, dtype=xp.int64)
    return xp.sum(bad, axis=(1, 2))


def center_of_mass(block: Any, mask: Any, center: Center, xp: Any = np) -> Any:
    """Centre of mass (n, 2) as (y, x) in px relative to ``center``; NaN where the sum is zero."""
    values, _ = _clean(block, mask, xp)
    values = xp.asarray(values, dtype=xp.float64)
    y = xp.arange(values.shape[1], dtype=xp.float64)
    x = xp.arange(values.shape[2], dtype=xp.float64)
    total = xp.sum(values, axis=(1, 2))
    divisor = xp.where(total == 0, xp.asarray(float("nan"), dtype=xp.float64), total)
    vertical = xp.sum(values * y[:, None], axis=(1, 2)) / divisor - center[0]
    horizontal = xp.sum(values * x[None, :], axis=(1, 2)) / divisor - center[1]
    return xp.stack([vertical, horizontal], axis=1)


def weighted_sum(block: Any, mask: Any, weights: Any, xp: Any = np) -> Any:
    """Sum of the masked pixels times ``weights`` (h, w): int64 if both are integers, else float64 (n,).

    NaN and what is left out as for `detector_sum`.
    """
    values, _ = _clean(block, mask, xp)
    exact = not _is_float(block, xp) and not _is_float(weights, xp)
    kind = xp.int64 if exact else xp.float64
    products = xp.asarray(values, dtype=kind) * xp.asarray(weights, dtype=kind)
    total = xp.sum(products, axis=(1, 2))
    return total if exact else total + 0 * xp.asarray(detector_sum(block, mask, xp), dtype=xp.float64)


def radial_profile(block: Any, index: Any, count: int, xp: Any = np) -> Any:
    """Sum of each bin (n, count) of pixels with that ``index`` (h, w); each as `detector_sum` has it."""
    return xp.stack([detector_sum(block, index == number, xp) for number in range(count)], axis=1)


def area_mean(frame: Any, factor: int, xp: Any = np, live: Any = None) -> Any:
    """Mean of the finite pixels of each factor x factor area, edge areas cut off: float64; NaN where none.

    ``live`` (h, w) bool, optional: the others are left out.
    """
    return _by_area(frame, live, factor, xp.mean, xp)


def area_max(frame: Any, factor: int, xp: Any = np, live: Any = None) -> Any:
    """Maximum of the finite (and live) pixels of each area, as float64; NaN where there are none."""
    return _by_area(frame, live, factor, xp.max, xp)


def _by_area(frame: Any, live: Any, factor: int, reduce: Any, xp: Any) -> Any:
    counted = xp.isfinite(frame) if live is None else xp.isfinite(frame) & live
    h, w = frame.shape
    image = xp.full((-(-h // factor), -(-w // factor)), float("nan"), dtype=xp.float64)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            bottom, right = min(h, (i + 1) * factor), min(w, (j + 1) * factor)
            place = (slice(i * factor, bottom), slice(j * factor, right))
            values = frame[place][counted[place]]
            if values.shape[0]:
                image[i, j] = reduce(xp.asarray(values, dtype=xp.float64))
    return image


def _clean(block: Any, mask: Any, xp: Any) -> tuple[Any, Any]:
    """Values in the accumulator's type with everything that does not count at zero, and what is finite."""
    kind = xp.float64 if _is_float(block, xp) else xp.int64
    finite = xp.isfinite(block)
    values = xp.asarray(block, dtype=kind)
    return xp.where(finite & mask, values, xp.asarray(0, dtype=kind)), finite


def _is_float(block: Any, xp: Any) -> bool:
    return block.dtype in (xp.float32, xp.float64)
