"""Large and irregular particles: regions of a mask, drawn by a model or found here, measured as they are.

A region is what hangs together, corners included. `adaptive_mask` finds what differs from its surroundings;
`clustered_mask` what belongs together by intensity and gradient (both are used by Qian, Huang, Li & Ding,
IEEE Trans. Image Process. 25 (2016) 5713, for particles in noisy micrographs). Knows no other frame.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from . import backgrounds, peaks, scales
from .table import Detections, Flag, empty_detections

Frame = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]
Sums = npt.NDArray[np.float64]

ROUNDS = 20
"""Of the clustering; it ends earlier where nothing changes."""
SUMMED = 9
"""Columns of `_sum_regions`."""


def adaptive_mask(frame: Frame, radius: float, threshold: float = 3.0, dark: bool = True) -> Mask:
    """Pixels whose surroundings, smoothed by a Gaussian of radius / 4, differ from the background.

    Parameters
    ----------
    frame : (h, w), any real dtype.
    radius : typical radius, px: the background is that of boxes ten times wider.
    threshold : in standard deviations of the smoothed noise.
    dark : whether particles are darker than the background.
    """
    values = np.ascontiguousarray(frame, np.float32)
    response, white = _smoothed(values, radius, -1.0 if dark else 1.0)
    spread = peaks.spread_of(response)
    return np.asarray(response > threshold * spread) if white and spread else np.zeros(values.shape, bool)


def clustered_mask(frame: Frame, radius: float, dark: bool = True) -> Mask:
    """Pixels of the darker (or brighter) of two clusters in intensity and gradient, by k-means.

    Parameters
    ----------
    frame, radius, dark : see `adaptive_mask`. Both features are smoothed alike and scaled by their deviation.
    """
    values = np.ascontiguousarray(frame, np.float32)
    response, white = _smoothed(values, radius, -1.0 if dark else 1.0)
    if not white or min(values.shape) < 2:
        return np.zeros(values.shape, bool)
    features = np.stack([response, np.hypot(*np.gradient(response))], axis=-1).reshape(-1, 2)
    features = features / np.maximum(features.std(axis=0), 1e-12)
    centres = np.stack([features[features[:, 0].argmin()], features[features[:, 0].argmax()]])
    sample = features[:: max(len(features) // 16_384, 1)]
    for _ in range(ROUNDS):
        near = _nearer_second(sample, centres)
        if near.all() or not near.any():
            break
        moved = np.stack([sample[~near].mean(axis=0), sample[near].mean(axis=0)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(_nearer_second(features, centres).reshape(values.shape))


def _nearer_second(features: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]) -> Mask:
    first, second = (((features - c) ** 2).sum(axis=1) for c in centres)
    return np.asarray(second < first)


def _smoothed(
    frame: npt.NDArray[np.float32], radius: float, sign: float
) -> tuple[npt.NDArray[np.float32], bool]:
    """The scaled frame after a Gaussian, and whether anything varies in it."""
    cell = max(4, round(2 * radius))
    shape = backgrounds.cells_of((frame.shape[0], frame.shape[1]), cell)
    means, counts, level = (np.empty(shape, np.float32) for _ in range(3))
    backgrounds.cell_means(frame, cell, means, counts)
    backgrounds.smooth_cells(means, counts, 2, level)
    floor = max(float(np.abs(level).mean()) * backgrounds.FLOOR, 1e-6)
    values, out = np.empty_like(frame), np.empty_like(frame)
    backgrounds.scale_frame(frame, level, cell, floor, sign, values)
    scales.blur(values, scales.taps(max(radius / 4, 0.7)), out)
    return out, float(np.abs(values).max()) > 1e-5 * math.sqrt(floor / backgrounds.FLOOR)


def detect_mask(mask: Mask, frame: Frame, smallest: int = 4) -> Detections:
    """Regions of a mask as detections, in reading order of their first pixels.

    Parameters
    ----------
    mask : (h, w) bool.
    frame : (h, w): what is integrated; the background is the mean of the frame outside the mask.
    smallest : regions of fewer pixels are left out.

    Returns
    -------
    Detections
        ``score`` is the root of the area; the covariance that of a disc's centroid whose rim is uncertain by
        half a pixel. Radius, area, diameter, ellipticity and angle are the region's.

    Raises
    ------
    ValueError
        Mask and frame of different shapes.
    """
    if mask.shape != frame.shape or mask.ndim != 2:
        raise ValueError(f"mask is {mask.shape}, frame {frame.shape}: give two of one shape (h, w)")
    values = np.ascontiguousarray(frame, np.float32)
    labels, n = label(np.ascontiguousarray(mask, np.bool_))
    sums = np.zeros((n, SUMMED))
    _sum_regions(labels, values, sums)
    outside = values[~mask & np.isfinite(values)]
    level = float(outside.mean()) if outside.size else math.nan
    return _rows(sums[sums[:, 0] >= smallest], level)


def _rows(sums: Sums, level: float) -> Detections:
    rows = empty_detections(len(sums))
    area, finite = sums[:, 0], np.maximum(sums[:, 7], 1)
    y, x = sums[:, 1] / area, sums[:, 2] / area
    vy, vx = sums[:, 3] / area - y**2 + 1 / 12, sums[:, 4] / area - x**2 + 1 / 12
    cross = sums[:, 5] / area - y * x
    middle, half = (vy + vx) / 2, np.hypot((vx - vy) / 2, cross)
    radius = np.sqrt(area / math.pi)
    rows["y"], rows["x"], rows["radius"], rows["area"], rows["diameter"] = y, x, radius, area, 2 * radius
    rows["ellipticity"] = 1 - np.sqrt(np.maximum(middle - half, 0) / (middle + half))
    angle = np.arctan2(2 * cross, vx - vy) / 2
    rows["angle"] = np.where(angle >= math.pi / 2, -math.pi / 2, angle)
    mean = sums[:, 6] / finite
    rows["mass"], rows["background"] = np.abs(mean - level) * area, level
    rows["contrast"] = (mean - level) / level if level else math.nan
    rows["score"], rows["var_radius"] = np.sqrt(area), 1 / (8 * math.pi * radius)
    rows["var_y"] = rows["var_x"] = 1 / (4 * math.pi * radius)
    rows["cov_yx"] = 0
    flags = np.full(len(sums), np.uint32(Flag.FROM_MASK))
    flags[sums[:, 7] < area] |= np.uint32(Flag.INVALID_PIXELS)
    flags[sums[:, 8] > 0] |= np.uint32(Flag.EDGE)
    rows["flags"] = flags
    return rows


@njit("i4(i4[::1], i4)", nogil=True, cache=True)
def _root(parents: npt.NDArray[np.int32], i: int) -> int:
    """First of a label's family; the way there is shortened."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@njit("Tuple((i4[:,::1], i8))(b1[:,::1])", nogil=True, cache=True)
def label(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Regions of a mask (h, w), corners included: labels from 1, 0 outside, and their number.

    Two passes with a forest of equal labels (Rosenfeld & Pfaltz, J. ACM 13 (1966) 471).
    """
    h, w = mask.shape
    labels = np.zeros((h, w), np.int32)
    parents = np.zeros((h * w) // 2 + 2, np.int32)
    used = np.int32(0)
    for y in range(h):
        for x in range(w):
            if not mask[y, x]:
                continue
            own = np.int32(0)
            for k in range(4):
                j, i = (y, x - 1) if k == 0 else (y - 1, x + k - 2)
                if j < 0 or i < 0 or i >= w or labels[j, i] == 0:
                    continue
                other = _root(parents, labels[j, i])
                if own == 0 or other == own:
                    own = other
                else:
                    parents[max(own, other)] = min(own, other)
                    own = min(own, other)
            if own == 0:
                used += np.int32(1)
                parents[used] = used
                own = used
            labels[y, x] = own
    names = np.zeros(used + 1, np.int32)
    n = 0
    for k in range(1, used + 1):
        if parents[k] == k:
            n += 1
            names[k] = n
    for y in range(h):
        for x in range(w):
            if labels[y, x]:
                labels[y, x] = names[_root(parents, labels[y, x])]
    return labels, n


@njit("void(i4[:,::1], f4[:,::1], f8[:,::1])", nogil=True, cache=True)
def _sum_regions(labels: npt.NDArray[np.int32], frame: npt.NDArray[np.float32], out: Sums) -> None:
    """Add up each region: pixels, y, x, y^2, x^2, y x, finite values, how many are, pixels at the edge."""
    h, w = labels.shape
    for y in range(h):
        for x in range(w):
            if labels[y, x] == 0:
                continue
            row = out[labels[y, x] - 1]
            row[0] += 1
            row[1] += y
            row[2] += x
            row[3] += y * y
            row[4] += x * x
            row[5] += y * x
            if math.isfinite(frame[y, x]):
                row[6] += frame[y, x]
                row[7] += 1
            if y == 0 or x == 0 or y == h - 1 or x == w - 1:
                row[8] += 1
