"""Paths of the probe in a sparse scan: spiral, Lissajous, random, line hopping.

Each gives (n, 2) float32 positions (y, x) in scan pixels, all inside the field, in the order in which the
probe visits them. Knows neither specimen nor detector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import gcd

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.float32]
Shape = tuple[int, int]
Path = Callable[[Shape, int, np.random.Generator], Positions]


def spiral(shape: Shape, n: int, rng: np.random.Generator) -> Positions:
    """Archimedean spiral at constant speed from the centre to the corners, begun at a random angle.

    Turns and samples along a turn are equally far apart; where the spiral is outside the field, nothing is
    sampled.
    """
    pitch = np.sqrt(shape[0] * shape[1] / n)
    phase = rng.random()
    path = _spiral_turns(shape, pitch, phase)
    while len(path) < n:  # the edge of the field cuts some off
        pitch *= 0.99
        path = _spiral_turns(shape, pitch, phase)
    return path[:n].astype(np.float32)


def _spiral_turns(shape: Shape, pitch: float, phase: float) -> npt.NDArray[np.float64]:
    """The part of a whole spiral that lies in the field; ``pitch`` px between turns and samples."""
    ny, nx = shape
    whole = int(np.ceil(np.pi * (0.5 * np.hypot(ny, nx) / pitch + 1) ** 2))
    radius = pitch * np.sqrt((np.arange(whole) + 0.5) / np.pi)
    angle = 2 * np.pi * (radius / pitch + phase)
    path = np.stack([radius * np.sin(angle) + (ny - 1) / 2, radius * np.cos(angle) + (nx - 1) / 2], axis=1)
    return _inside(path, shape)


def lissajous(shape: Shape, n: int, rng: np.random.Generator) -> Positions:
    """Two sine drives of coprime frequencies: lines about as far apart as the samples along them."""
    lines = max(2, round(float(np.sqrt(n) / 2.2)))
    other = next(k for k in range(lines + 1, 2 * lines + 2) if gcd(k, 2 * lines) == 1)
    time = 2 * np.pi * (np.arange(n) + rng.random()) / n
    reach = (np.array(shape) - 1) / 2
    path = np.stack([np.sin(lines * time), np.sin(other * time + np.pi / 4)], axis=1)
    return (path * reach + reach).astype(np.float32)


def random(shape: Shape, n: int, rng: np.random.Generator) -> Positions:
    """Pixel centres in random order, none twice as long as there are enough."""
    ny, nx = shape
    draws = -(-n // (ny * nx))
    flat = np.concatenate([rng.permutation(ny * nx) for _ in range(draws)])[:n]
    return np.stack(np.divmod(flat, nx), axis=1).astype(np.float32)


def line_hop(shape: Shape, n: int, rng: np.random.Generator) -> Positions:
    """Lines along x, each hopping at random within its own band of rows (Kovarik et al., APL 109, 164102,
    2016)."""
    ny, nx = shape
    lines = max(1, min(ny, round(n / nx)))
    along = np.linspace(0, nx - 1, -(-n // lines), dtype=np.float64)
    edges = np.linspace(0, ny, lines + 1)
    low, high = edges[:-1, None], edges[1:, None]
    row = np.floor(low + rng.random((lines, len(along))) * (high - low)).clip(0, ny - 1)
    column = np.where(np.arange(lines)[:, None] % 2 == 1, along[::-1], along)
    return np.stack([row, np.broadcast_to(column, row.shape)], axis=-1).reshape(-1, 2)[:n].astype(np.float32)


def _inside(path: npt.NDArray[np.float64], shape: Shape) -> npt.NDArray[np.float64]:
    """Positions that round to a pixel of the field."""
    kept: npt.NDArray[np.float64] = path[np.all((path >= -0.5) & (path < np.array(shape) - 0.5), axis=1)]
    return kept


PATHS: Mapping[str, Path] = {"spiral": spiral, "lissajous": lissajous, "random": random, "line_hop": line_hop}
