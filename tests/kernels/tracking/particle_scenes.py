"""Movies of spheres whose truth is known: absorbing or bright, blurred, with counting noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def scene(number, shape=(192, 192), count=30, radius=4.0, contrast=0.3, counts=45.0, bright=False, apart=1.0):
    """A frame (h, w) float32 and its truth (n, 3) y, x, radius; no two discs nearer than ``apart`` px."""
    rng = np.random.default_rng(number)
    truth = []
    while len(truth) < count:
        r = radius * np.exp(0.18 * rng.normal())
        y, x = rng.uniform(10, shape[0] - 11), rng.uniform(10, shape[1] - 11)
        if all(np.hypot(y - a, x - b) > r + c + apart for a, b, c in truth):
            truth.append((y, x, r))
    return drawn(shape, truth, radius, contrast, counts, bright, rng), np.array(truth)


def drawn(shape, truth, radius, contrast, counts, bright, rng):
    """Poisson counts of spheres that absorb ``contrast`` at their centre where they have this radius."""
    fine = 3
    yy, xx = ((np.arange(n * fine) - 1) / fine for n in shape)
    depth = np.zeros((len(yy), len(xx)))
    for y, x, r in truth:
        rows, columns = np.abs(yy - y) < r, np.abs(xx - x) < r
        left = r**2 - (yy[rows] - y)[:, None] ** 2 - (xx[columns] - x)[None, :] ** 2
        depth[np.ix_(rows, columns)] += 2 * np.sqrt(np.maximum(left, 0))
    depth = depth.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
    through = np.exp(np.log(1 - contrast) / (2 * radius) * depth)
    image = 0.3 + (1 - through) if bright else through
    slope = 1 + 0.2 * np.linspace(-1, 1, shape[0])[:, None] * np.linspace(1, 0, shape[1])[None, :]
    return rng.poisson(gaussian_filter(image * slope, 0.8) * counts).astype(np.float32)


def matched(truth, rows, gate=3.0):
    """Pairs (i, j) of the truth and of detections, each nearest to the other and within ``gate`` px."""
    if not len(rows) or not len(truth):
        return np.empty((0, 2), int)
    distance = np.hypot(truth[:, :1] - rows["y"], truth[:, 1:2] - rows["x"])
    nearest = distance.argmin(axis=1)
    mutual = distance.argmin(axis=0)[nearest] == np.arange(len(truth))
    found = np.flatnonzero(mutual & (distance.min(axis=1) < gate))
    return np.column_stack([found, nearest[found]])
