"""Movies for the tests of tracking: discs that walk, and the series that they are frames of."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.consumers.base import Frames
from livem.stream.series import Series, SeriesKey

SHAPE = (96, 112)


def a_series(dtype: str = "uint16", **meta: Any) -> Series:
    return Series(SeriesKey(bytes(8), 1), SHAPE, dtype, meta=meta)


def a_movie(count: int = 24, seed: int = 0, contrast: float = -0.4) -> tuple[np.ndarray, np.ndarray]:
    """Places (count, 12, 2), and frames of discs of radius 4 px at 150 counts a pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    grid = np.stack(np.meshgrid([16, 48, 80], [14, 42, 70, 98], indexing="ij"), axis=-1).reshape(-1, 2)
    steps = 0.5 * rng.standard_normal((count, 12, 2))
    places = grid + np.cumsum(steps, axis=0)
    frames = np.empty((count, *SHAPE))
    for n, field in enumerate(places):
        height = sum(np.clip(1 - ((y - py) ** 2 + (x - px) ** 2) / 16, 0, None) ** 0.5 for py, px in field)
        frames[n] = rng.poisson(150 * (1 + contrast * height))
    return places, frames


def frames_of(series: Series, frames: np.ndarray, first: int = 0) -> Frames:
    data = frames.astype(series.numpy_dtype)
    return Frames(series, np.arange(first, first + len(data), dtype=np.int64), data)
