"""What pictures of a whole detector are judged by: single electrons, and a lattice finer than the screen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]
EVENTS = 8_399
LATTICE_PX = 4.2
SEEN = 32
"""Tones above the darkest one from which on a dot is seen."""


def electrons(side: int, seed: int = 1) -> tuple[Counts, npt.NDArray[np.intp]]:
    """A frame (side, side) of single electrons, and their (n, 2) places (y, x); `EVENTS` on 4096 x 4096."""
    rng = np.random.default_rng(seed)
    flat = rng.choice(side * side, max(1, EVENTS * side * side // 4096**2), replace=False)
    frame = np.zeros(side * side, np.uint16)
    frame[flat] = rng.integers(1, 4, len(flat))
    return frame.reshape(side, side), np.stack(np.divmod(flat, side), axis=1)


def lattice(side: int) -> Counts:
    """Counts (side, side) with a period of `LATTICE_PX` along both axes and full contrast."""
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * np.arange(side) / LATTICE_PX)
    return np.asarray(500 + 2000 * wave[:, None] * wave, np.uint16)


def share_seen(drawn: Bytes, places: npt.NDArray[np.intp], per_pixel: float) -> float:
    """Of events at places (n, 2) of the frame, those whose own pixel of a picture (h, w) is lit.

    ``per_pixel``: the frame's pixels along one of the picture's.
    """
    rows, columns = np.minimum((places / per_pixel).astype(int), np.array(drawn.shape) - 1).T
    return float(np.mean(drawn[rows, columns] >= int(drawn.min()) + SEEN))


def fringes(drawn: Bytes, full: float) -> float:
    """Of a drawn lattice, what is left of ``full`` tones, 1st to 99th per cent, without the rim."""
    inner = drawn[4:-4, 4:-4].astype(float)
    low, high = np.percentile(inner, (1, 99))
    return float((high - low) / full)
