"""Large and irregular particles: regions of a mask, drawn by a model or found here, measured as they are.

A region is what hangs together, corners included. `adaptive_mask` finds what differs from its surroundings,
`clustered_mask` what belongs together by intensity and gradient (both are used by Qian, Huang, Li & Ding,
IEEE Trans. Image Process. 25 (2016) 5713, for particles in noisy micrographs); the rim of a region is where
it has half of its own height. `RegionDetector` finds particles by either. Knows no other frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from . import backgrounds, peaks, scales
from .options import DetectorOptions
from .table import Detections, Flag, empty_detections

Frame = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
Way: TypeAlias = Literal["regions", "clusters"]
"""To a mask: `adaptive_mask`, `clustered_mask`."""

ROUNDS = 20
"""Of the clustering; it ends earlier where nothing changes."""
SOLID = 3.0
"""Standard deviations of the smoothed noise from which a pixel may belong to a region."""
SMALLEST = 4.0
"""px^2; smaller regions have no shape."""
LEAST_BLUR = 0.7
"""px, of the Gaussian before the threshold."""
FLAT = 1e-5
"""In the root of the background, what is float32's rounding and no picture."""
SUMMED = 9
"""Columns of `_sum_regions`."""


def adaptive_mask(frame: Frame, radius: float, threshold: float = 3.0, dark: bool = True) -> Mask:
    """Pixels whose surroundings, smoothed by a Gaussian of radius / 4, differ from the background.

    What hangs together is cut at half of its height: there the blur leaves the rim of a plate where it was.

    Parameters
    ----------
    frame : (h, w), any real dtype.
    radius : typical radius, px: the background is that of boxes ten times wider.
    threshold : in standard deviations of the smoothed noise.
    dark : whether particles are darker than the background.
    """
    seen = _Seen.of(np.ascontiguousarray(frame, np.float32), radius, dark)
    return seen.above(threshold)


def clustered_mask(frame: Frame, radius: float, dark: bool = True) -> Mask:
    """Pixels of the darker (or brighter) of two clusters in intensity and gradient, by k-means.

    Rims have gradients on both sides: they are cut as those of `adaptive_mask`.

    Parameters
    ----------
    frame, radius, dark : see `adaptive_mask`. Both features are smoothed alike and scaled by their deviation.
    """
    return _Seen.of(np.ascontiguousarray(frame, np.float32), radius, dark).clustered()


class RegionDetector:
    """Finds particles as regions, of any shape; stands where `detect.Detector` does.

    Frames may be given from several threads at once.

    Parameters
    ----------
    shape : (h, w) of the frames, px.
    options : what is looked for. ``radius`` is that of a typical region's area; regions smaller than the
        least of `DetectorOptions.radii` are left out, ``blur`` does not matter.
    way : to the mask.

    Raises
    ------
    ValueError
        Another way.
    """

    def __init__(
        self, shape: tuple[int, int], options: DetectorOptions | None = None, way: Way = "regions"
    ) -> None:
        if way not in ("regions", "clusters"):
            raise ValueError(f"way is {way!r}: give regions or clusters")
        self.shape, self.way = shape, way
        self.options = DetectorOptions() if options is None else options
        one = self.options
        self._smallest = max(math.pi * one.radii[0] ** 2, SMALLEST)
        area, sigma = float(shape[0] * shape[1]), max(one.radius / 4, LEAST_BLUR)
        self._strict = peaks.threshold_for(one.false_alarms, area, sigma)
        self._weak = min(self._strict, peaks.threshold_for(one.weak_alarms, area, sigma))

    def detect(self, frame: Frame) -> Detections:
        """The regions of a frame (h, w) of numbers, by falling score.

        Returns
        -------
        Detections
            As of `detect_mask`, but from the background where each region is, and ``score`` is the sum over
            the region in standard deviations of its noise. `Flag.WEAK` where the highest response is one that
            noise reaches more than ``false_alarms`` times a frame.

        Raises
        ------
        ValueError
            A frame of another shape.
        """
        if frame.shape != self.shape:
            raise ValueError(f"frame is {frame.shape}: this detector was made for {self.shape}")
        values = np.ascontiguousarray(frame, np.float32)
        kinds = {"dark": (True,), "bright": (False,), "both": (True, False)}[self.options.polarity]
        rows = np.concatenate([self._found(values, dark) for dark in kinds])
        rows = rows[np.argsort(-rows["score"], kind="stable")[: self.options.most]]
        return rows

    def _found(self, frame: Values, dark: bool) -> Detections:
        seen = _Seen.of(frame, self.options.radius, dark)
        if not seen.spread:
            return empty_detections()
        labels, n = label(seen.above(SOLID) if self.way == "regions" else seen.clustered())
        sums = np.zeros((n, SUMMED))
        _sum_regions(labels, frame, sums)
        rows, area = _rows(sums, 0.0), sums[:, 0]
        total = np.bincount(labels.ravel(), seen.values.ravel(), n + 1)[1:]
        level = backgrounds.level_at(seen.level, seen.cell, rows["y"].copy(), rows["x"].copy())
        root = np.sqrt(np.maximum(level, seen.floor))
        rows["mass"], rows["background"] = np.abs(total) * root, level
        rows["contrast"] = (-1 if dark else 1) * total / (area * root)
        rows["score"] = total / (seen.noise * np.sqrt(area))
        height = _highest(labels, seen.response, n) / seen.spread
        rows["flags"] |= np.where(height < self._strict, np.uint32(Flag.WEAK), np.uint32(0))
        kept: Detections = rows[(area >= self._smallest) & (height >= self._weak)]
        return kept


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame made ready for a mask: particles rise from 0, their noise is known."""

    values: Values
    """(h, w) scaled by the root of the background."""
    response: Values
    """The same after a Gaussian."""
    spread: float
    """Noise of the response; 0 where nothing varies."""
    noise: float
    """Of a pixel's value."""
    level: Values
    """Background at the cells."""
    cell: int
    floor: float

    @classmethod
    def of(cls, frame: Values, radius: float, dark: bool) -> _Seen:
        """The background is found twice: what stands out from the first one is left out of the second."""
        cell, taps = max(4, round(2 * radius)), scales.taps(max(radius / 4, LEAST_BLUR))
        level = _background(frame, cell)
        floor = max(float(np.abs(level).mean()) * backgrounds.FLOOR, 1e-6)
        values, out, spread = np.empty_like(frame), np.zeros_like(frame), 0.0
        for again in (False, True):
            if again:
                outside = np.where(np.abs(out) > SOLID * spread, np.float32(np.nan), frame)
                found = _background(outside, cell)
                level = np.where(found == 0, level, found)
            backgrounds.scale_frame(frame, level, cell, floor, -1.0 if dark else 1.0, values)
            if float(np.abs(values).max()) <= FLAT * math.sqrt(floor / backgrounds.FLOOR):
                return cls(values, out, 0.0, 0.0, level, cell, floor)
            scales.blur(values, taps, out)
            spread = peaks.spread_of(out)
        return cls(values, out, spread, spread / scales.white_spread(taps), level, cell, floor)

    def above(self, threshold: float) -> Mask:
        """What is above so many standard deviations, each region down to half of its height."""
        if not self.spread:
            return np.zeros(self.response.shape, bool)
        return _cut(np.asarray(self.response > threshold * self.spread), self.response)

    def clustered(self) -> Mask:
        """What is nearer to the higher of two centres in response and gradient, each region likewise."""
        response = self.response
        if not self.spread or min(response.shape) < 2:
            return np.zeros(response.shape, bool)
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
        return _cut(_nearer_second(features, centres).reshape(response.shape), response)


def _cut(mask: Mask, response: Values) -> Mask:
    """A mask without what is below half of the height of what it hangs together with."""
    labels, n = label(np.ascontiguousarray(mask))
    return np.asarray(mask & (response > _half_heights(labels, response, n)[labels]))


def _nearer_second(features: Values, centres: Values) -> Mask:
    first, second = (((features - c) ** 2).sum(axis=1) for c in centres)
    return np.asarray(second < first)


def _background(frame: Values, cell: int) -> Values:
    """Smoothed means of cells; 0 where no pixel about one is finite."""
    shape = backgrounds.cells_of((frame.shape[0], frame.shape[1]), cell)
    means, counts, level = (np.empty(shape, np.float32) for _ in range(3))
    backgrounds.cell_means(frame, cell, means, counts)
    backgrounds.smooth_cells(means, counts, 2, level)
    return level


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
    return _rows(sums[sums[:, 0] >= smallest], _level(values, mask))


def _level(values: Values, mask: Mask) -> float:
    """Mean outside the mask; NaN where nothing is."""
    outside = values[~mask & np.isfinite(values)]
    return float(outside.mean()) if outside.size else math.nan


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
def _root(parents: Labels, i: int) -> int:
    """First of a label's family; the way there is shortened."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@njit("Tuple((i4[:,::1], i8))(b1[:,::1])", nogil=True, cache=True)
def label(mask: Mask) -> tuple[Labels, int]:
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


@njit("f4[::1](i4[:,::1], f4[:,::1], i8)", nogil=True, cache=True)
def _highest(labels: Labels, response: Values, n: int) -> Values:
    """(n,) the highest value of each region."""
    out = np.full(n, -np.inf, np.float32)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            k = labels[y, x] - 1
            if k >= 0 and response[y, x] > out[k]:
                out[k] = response[y, x]
    return out


@njit("f4[::1](i4[:,::1], f4[:,::1], i8)", nogil=True, cache=True)
def _half_heights(labels: Labels, response: Values, n: int) -> Values:
    """(n + 1,) half of the height of each region's top, the mean of what is above its mean; 0 outside."""
    sums, counts = np.zeros((2, n + 1)), np.zeros((2, n + 1))
    for part in range(2):
        for y in range(labels.shape[0]):
            for x in range(labels.shape[1]):
                k, value = labels[y, x], response[y, x]
                if k and (part == 0 or value * counts[0, k] >= sums[0, k]):
                    sums[part, k] += value
                    counts[part, k] += 1
    out = np.zeros(n + 1, np.float32)
    for k in range(1, n + 1):
        out[k] = 0.5 * sums[1, k] / max(counts[1, k], 1.0)
    return out


@njit("void(i4[:,::1], f4[:,::1], f8[:,::1])", nogil=True, cache=True)
def _sum_regions(labels: Labels, frame: Values, out: Sums) -> None:
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
