"""Seeded movies of which the truth is known."""

from __future__ import annotations

import numpy as np


def disks(places, radius, height, shape=(64, 64), base=0.9):
    """Expected electrons (n, h, w): a smooth disk at each of (n, 2) places, on a slope."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    slope = base + 0.1 * x / shape[1]
    frames = []
    for cy, cx in places:
        depth = np.clip(radius - np.hypot(y - cy, x - cx) + 0.5, 0, 1)
        frames.append(slope + height * depth)
    return np.array(frames, np.float32)


def counted(truth, seed=0):
    return np.random.default_rng(seed).poisson(truth).astype(np.float32)


def mean_square(a, b):
    return float(np.mean((np.asarray(a, float) - b) ** 2))
