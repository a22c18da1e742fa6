"""A scan of diffraction patterns as a file that a simulated DECTRIS detector plays, and the truth about it.

The file is what LiberTEM's simulator reads: every part of every message behind its length (signed 64 bit,
little endian). Knows no receiver.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.bslz4 import encode
from ..stream.burst import Burst
from ..stream.series import Series, SeriesKey
from ..stream.simulate.simplon_v1 import ImageWords, end_parts, start_parts

SERIES = 34
PARTS = 4
"""Of an image: identity, data, blob, times."""
BAD_VALUE = 65_535
RINGS: Mapping[str, tuple[float, float]] = {"bf": (0.0, 0.25), "abf": (0.25, 0.5), "adf": (0.5, 0.95)}
"""Annuli, inner and outer radius as shares of half the frame's shorter side."""
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What is in the scan."""

    scan: tuple[int, int] = (128, 128)
    shape: tuple[int, int] = (256, 256)
    mean_counts: float = 0.3
    """Of a pixel, over the whole frame."""
    bad_pixels: int = 0
    """Pixels that read BAD_VALUE in every frame."""
    unique: int = 256
    """Patterns; they are repeated over the scan."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ScanDump:
    """A scan on disk, and the truth about it."""

    path: Path
    plan: ScanPlan
    bad: npt.NDArray[np.int64]
    """(n, 2) y, x of the pixels that are not to be used."""
    truth: Mapping[str, Array]
    """By detector: (ny, nx) int64 sums, and "com" (ny, nx, 2) float64 px from the frame's centre, y first."""
    ratio: float
    """Raw bytes of a frame to those of its blob."""

    @property
    def frames(self) -> int:
        ny, nx = self.plan.scan
        return ny * nx

    def live(self) -> npt.NDArray[np.bool_]:
        """(h, w), false where a pixel is bad."""
        live = np.ones(self.plan.shape, np.bool_)
        live[self.bad[:, 0], self.bad[:, 1]] = False
        return live


def ring_radii(name: str, shape: tuple[int, int]) -> tuple[float, float]:
    """(inner, outer) in px of one of RINGS; inner <= r < outer belongs to it."""
    inner, outer = RINGS[name]
    return inner * min(shape) / 2, outer * min(shape) / 2


def ring_mask(name: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(h, w) of one of RINGS around the middle of the frame."""
    y, x = axes_from_centre(shape)
    inner, outer = ring_radii(name, shape)
    squared = y**2 + x**2
    return np.asarray((squared >= inner**2) & (squared < outer**2))


def axes_from_centre(shape: tuple[int, int]) -> tuple[Array, Array]:
    """(h, 1) y and (1, w) x in px from the middle of the frame."""
    h, w = shape
    return np.arange(h)[:, None] - (h - 1) / 2, np.arange(w)[None, :] - (w - 1) / 2


def record(path: Path, plan: ScanPlan) -> ScanDump:
    """Make a scan and write it to ``path``."""
    rng = np.random.default_rng(plan.seed)
    ny, nx = plan.scan
    unique = min(plan.unique, ny * nx)
    frames = _patterns(plan, unique, rng)
    h, w = plan.shape
    places = rng.choice(h * w, plan.bad_pixels, replace=False)
    bad = np.stack(np.unravel_index(places, plan.shape), axis=1).astype(np.int64)
    frames[:, bad[:, 0], bad[:, 1]] = BAD_VALUE
    blobs = [encode(frame) for frame in frames]
    _write(path, plan, blobs)
    ratio = frames[0].nbytes * unique / sum(map(len, blobs))
    frames[:, bad[:, 0], bad[:, 1]] = 0
    return ScanDump(path, plan, bad, _truth(frames, plan), ratio)


def _patterns(plan: ScanPlan, unique: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """(unique, h, w) Poisson counts: a bright disk that wanders over a weak halo."""
    y, x = axes_from_centre(plan.shape)
    radius = min(plan.shape) / 2
    frames = np.empty((unique, *plan.shape), np.uint16)
    for i, phase in enumerate(2 * np.pi * np.arange(unique) / unique):
        r = np.hypot(y - 0.08 * radius * np.sin(phase), x - 0.08 * radius * np.cos(3 * phase))
        disk = 1 / (1 + np.exp(np.clip((r - 0.35 * radius) / 1.5, -50, 50)))
        expected = disk + 0.1 * np.exp(-2 * r / radius)
        frames[i] = rng.poisson(expected * (plan.mean_counts / expected.mean()))
    return frames


def _truth(frames: npt.NDArray[np.uint16], plan: ScanPlan) -> Mapping[str, Array]:
    ny, nx = plan.scan
    which = np.arange(ny * nx).reshape(ny, nx) % len(frames)
    flat = frames.reshape(len(frames), -1).astype(np.int64)
    truth: dict[str, Array] = {
        name: (flat @ ring_mask(name, plan.shape).reshape(-1).astype(np.int64))[which] for name in RINGS
    }
    axes = [np.broadcast_to(axis, plan.shape).reshape(-1) for axis in axes_from_centre(plan.shape)]
    total = flat.sum(axis=1)
    truth["com"] = np.stack([(flat @ axis) / total for axis in axes], axis=-1)[which]
    return truth


def _series(plan: ScanPlan) -> Series:
    ny, nx = plan.scan
    return Series(SeriesKey(bytes(8), SERIES), plan.shape, "uint16", encoding="bslz4", count=ny * nx)


def _write(path: Path, plan: ScanPlan, blobs: list[bytes]) -> None:
    series = _series(plan)
    with path.open("wb") as file:
        for parts in _messages(series, plan, blobs):
            for part in parts:
                file.write(struct.pack("<q", len(part)))
                file.write(part)


def _messages(series: Series, plan: ScanPlan, blobs: list[bytes]) -> Iterator[tuple[bytes | memoryview, ...]]:
    words = ImageWords(series, "bs16-lz4<")
    digests = [hashlib.md5(blob, usedforsecurity=False).hexdigest() for blob in blobs]
    yield start_parts(series, "basic", {}, b"", "2026-01-01T00:00:00")
    for index in range(series.count or 0):
        blob = blobs[index % len(blobs)]
        identity = words.identity(index, digests[index % len(blobs)])
        yield identity, words.data(plan.shape, len(blob)), blob, words.times(index * 1_000_000)
    yield end_parts(series)


def as_burst(path: Path, frames: int) -> Burst:
    """The whole file as messages in memory, for a sender that does not read while it sends."""
    data = np.fromfile(path, np.uint8)
    starts = np.empty((PARTS * frames + 3, 2), np.int64)
    at, row = 0, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8].tobytes(), "little", signed=True)
        starts[row] = at + 8, size
        at, row = at + 8 + size, row + 1
    first = np.concatenate([[0], np.arange(2, PARTS * frames + 3, PARTS), [PARTS * frames + 3]])
    return Burst(data, starts, first.astype(np.int64), np.zeros(frames + 2, np.uint8))
