"""Where a bright disk may be: circles about the bright areas of an image, as guesses for `rim` to refine.

Knows one image without holes; whether a guess is a disk is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numba import njit

from .rim import Circle, FloatArray, fit_points

SMOOTHING = (1, 4)
"""Half sides of the boxes that smooth the pattern: the second for doses where single counts stand alone."""
OUTLINE = 72
"""Directions in which the outline of a bright area is followed."""
MIN_PIXELS = 8
"""Of a class that is worth another threshold."""
SMALLEST = 0.75
"""Radius in px; the circle through the centres of 2 x 2 pixels has 0.7."""


def guesses(image: FloatArray) -> Iterator[Circle]:
    """Circles about the bright areas of an image (h, w), the likeliest first."""
    for half in SMOOTHING:
        if half > min(image.shape) // 8:
            return
        roots = np.sqrt(np.clip(_box(image, half), 0.0, None))
        for level in _levels(roots):
            guess = _around_brightest(roots, level)
            if guess is not None:
                yield guess


def _levels(roots: FloatArray) -> Iterator[float]:
    """Between dark and bright; then within the dark (weak disk, hot area), then the bright."""
    middle = _otsu(roots)
    yield middle
    for part in (roots[roots <= middle], roots[roots > middle]):
        if part.size > MIN_PIXELS:
            yield _otsu(part)


@njit(nogil=True, cache=True)
def _box(image, half):  # type: ignore[no-untyped-def]
    """Mean over the pixels of the frame within ``half`` px along y and x."""
    return _box_columns(_box_columns(image, half).T.copy(), half).T.copy()


@njit(nogil=True, cache=True)
def _box_columns(image, half):  # type: ignore[no-untyped-def]
    """Mean along y: a running sum of rows, which vectorises."""
    h = image.shape[0]
    smooth = np.empty_like(image)
    total = np.zeros(image.shape[1])
    for y in range(-half, h):
        if y + half < h:
            total += image[y + half]
        if y - half > 0:
            total -= image[y - half - 1]
        if y >= 0:
            smooth[y] = total / (min(y + half, h - 1) - max(y - half, 0) + 1)
    return smooth


def _otsu(values: FloatArray) -> float:
    """The threshold with the largest variance between both classes (Otsu 1979), from 256 bins."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return low
    bins = ((values.ravel() - low) * (255.999 / (high - low))).astype(np.uint8)
    counts = np.bincount(bins, minlength=256)
    n = np.cumsum(counts)
    total = np.cumsum(counts * np.arange(256.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (total[-1] * n - total * n[-1]) ** 2 / (n * (n[-1] - n))
    return low + (int(np.nanargmax(between[:-1])) + 1) * (high - low) / 256


def _around_brightest(roots: FloatArray, level: float) -> Circle | None:
    """Circle through the outline of the area above ``level`` with most electrons; None where it has none."""
    labels, flux = _areas(roots, level)
    if flux.size == 1:
        return None
    brightest = int(flux.argmax())
    y, x = np.nonzero(labels == brightest)
    points = _outline(y, x, float(y.mean()), float(x.mean()), OUTLINE)
    inner = (points > 0.5).all(axis=1) & (points < np.array(roots.shape) - 1.5).all(axis=1)
    circle = fit_points(points[inner, 0], points[inner, 1])
    if circle is None or not SMALLEST <= circle.r <= 2 * max(roots.shape):
        return None
    return circle


@njit(nogil=True, cache=True)
def _areas(roots, level):  # type: ignore[no-untyped-def]
    """Label the 4-connected areas above level, 1, 2, ...; flux[label] is the sum of the squares in it."""
    h, w = roots.shape
    labels = np.zeros((h, w), np.int32)
    stack = np.empty(h * w, np.int64)
    flux = [0.0]
    for start in range(h * w):
        if labels[start // w, start % w] or roots[start // w, start % w] <= level:
            continue
        labels[start // w, start % w] = len(flux)
        flux.append(0.0)
        stack[0], depth = start, 1
        while depth:
            depth -= 1
            y, x = stack[depth] // w, stack[depth] % w
            flux[-1] += roots[y, x] ** 2
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < h and 0 <= u < w and not labels[v, u] and roots[v, u] > level:
                    labels[v, u] = len(flux) - 1
                    stack[depth] = v * w + u
                    depth += 1
    return labels, np.array(flux)


@njit(nogil=True, cache=True)
def _outline(y, x, cy, cx, directions):  # type: ignore[no-untyped-def]
    """(n, 2) the farthest point in each direction that has any."""
    points = np.full((directions, 2), -1.0)
    farthest = np.zeros(directions)
    for i in range(y.size):
        dy, dx = y[i] - cy, x[i] - cx
        d = int((math.atan2(dy, dx) / (2 * math.pi) + 0.5) * directions) % directions
        if dy * dy + dx * dx > farthest[d]:
            farthest[d] = dy * dy + dx * dx
            points[d, 0], points[d, 1] = y[i], x[i]
    return points[farthest > 0]
