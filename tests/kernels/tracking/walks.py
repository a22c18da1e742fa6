"""Particles that walk at random, as a detector would find them: positions, no images."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.kernels.tracking.link import Linker, LinkOptions, TrackUpdate
from livem.kernels.tracking.table import DETECTION, Flag, empty_detections
from livem.kernels.tracking.tracks import TRACK

SHAPE = (256, 256)


def found(places: Any, radius: Any = 4.0, score: Any = np.nan, error: float = 0.0) -> np.ndarray:
    """Detections at (n, 2) places (y, x), px."""
    places = np.asarray(places, np.float64).reshape(-1, 2)
    rows = empty_detections(len(places))
    rows["y"], rows["x"] = places.T
    rows["radius"], rows["score"] = radius, score
    rows["var_radius"] = 0.05
    if error:
        rows["var_y"] = rows["var_x"] = error**2
    return rows


def scattered(n: int, seed: int, apart: float = 10.0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(n, 2) places at least ``apart`` px from each other and from the edges."""
    rng = np.random.default_rng(seed)
    places: list[np.ndarray] = []
    while len(places) < n:
        new = rng.uniform(apart, np.array(shape) - apart)
        if all(np.hypot(*(new - old)) >= apart for old in places):
            places.append(new)
    return np.array(places)


def walk(
    places: np.ndarray, frames: int, seed: int, step: float = 1.0, drift: tuple[float, float] = (0.3, 0.15)
) -> np.ndarray:
    """(frames, n, 2) of a walk of ``step`` px along each axis on a field that drifts."""
    rng = np.random.default_rng(seed)
    steps = step * rng.standard_normal((frames - 1, *places.shape)) + drift
    return np.concatenate([places[None], places + np.cumsum(steps, axis=0)])


def weak(rows: np.ndarray) -> np.ndarray:
    """The same as detections that may not start a track."""
    rows["flags"] |= np.uint32(Flag.WEAK)
    return rows


def follow(
    frames: Any, numbers: Any = None, linker: Linker | None = None, **options: Any
) -> tuple[np.ndarray, list[TrackUpdate]]:
    """All final rows, and what each frame told."""
    linker = linker or Linker(LinkOptions(**{"shape": SHAPE, **options}))
    numbers = range(len(frames)) if numbers is None else numbers
    updates = [linker.step(k, rows) for k, rows in zip(numbers, frames, strict=True)]
    return np.concatenate([*(u.final for u in updates), linker.finish()[0]]).astype(TRACK), updates


def join(*rows: np.ndarray) -> np.ndarray:
    return np.concatenate(rows).astype(DETECTION)


def events_of(updates: list[TrackUpdate]) -> np.ndarray:
    return np.concatenate([u.events for u in updates])
