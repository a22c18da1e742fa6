"""Pixels that no specimen explains: X-ray hits and hot pixels, found, counted and replaced.

A hit is one to three pixels; the smallest thing that a lens images spreads over more. So a pixel is a spike
only if of the 24 around it fewer than three come near it, in noise and by ratio; nothing else of the frame is
asked, and a particle of any brightness is left alone. Knows no scenes and no drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from ..noise import NoiseModel

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

EXCESS = 4.5
"""Standard deviations above the third brightest neighbour: in flat noise one pixel of 1e8."""
RATIO = 6.0
"""Times the third brightest neighbour, which is 2.8 for a round spot of 1.65 px full width at half maximum: 5
took 4 of 1000 such spots of 30 electrons on 1 for spikes."""
SETTLED = 16
"""Frames from which on the mean is asked for hot pixels."""
MEMORY = 1 / 64
"""Weight of a new frame in that mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A frame without spikes."""

    values: Image
    """(h, w), spikes replaced by the median of the neighbours that are none."""
    spikes: Mask
    """(h, w), what was replaced."""

    @property
    def replaced(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.spikes))


def find_spikes(frame: Image, noise: NoiseModel, frames: float = 1.0) -> Mask:
    """Pixels (h, w) that stand alone.

    Parameters
    ----------
    frame : (h, w) float32 values; those that are not finite are no spikes and tell nothing of others.
    noise : of one frame's values.
    frames : how many frames ``frame`` is the mean of.

    Notes
    -----
    At most three pixels that touch are found; a fourth beside them makes it a thing.
    """
    found = np.zeros(frame.shape, np.bool_)
    base = 0.375 + (noise.read_noise / noise.gain) ** 2
    excess = EXCESS / float(np.sqrt(frames))
    _find(np.array(frame, np.float32, order="C"), noise.gain, noise.offset, base, excess, found)
    return found


def without(frame: Image, spikes: Mask) -> Image:
    """The frame with spikes replaced by the median of what is finite and no spike within 5 x 5 pixels.

    NaN where there is no such neighbour.
    """
    values = frame.astype(np.float32)
    if not spikes.any():
        return values
    for y, x in np.argwhere(spikes):
        near = np.s_[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        others = frame[near][~spikes[near] & np.isfinite(frame[near])]
        values[y, x] = np.median(others) if others.size else np.nan
    return values


class SpikeFilter:
    """Frames in, cleaned frames out; a pixel that stands alone in the mean of the frames is hot.

    The mean is that of the detector's pixels: frames as they come, not moved by a drift. A specimen that
    rests is told from hot pixels like one in a single frame, by its size.

    Parameters
    ----------
    noise : of the frames.
    """

    def __init__(self, noise: NoiseModel) -> None:
        self.noise = noise
        self.replaced = 0
        """Pixels of all frames."""
        self._begin((0, 0))

    def _begin(self, shape: tuple[int, ...]) -> None:
        self._mean = np.zeros(shape, np.float32)
        self._frames, self._share = 0, 0.0
        self.hot: Mask = np.zeros(shape, np.bool_)
        """(h, w), as of the last frame."""

    def add(self, frame: Image) -> Cleaned:
        """Clean a frame (h, w) float32; another shape begins anew.

        Raises
        ------
        ValueError
            A frame that is not (h, w).
        """
        if frame.ndim != 2:
            raise ValueError(f"frame is {frame.shape}: give (h, w)")
        if frame.shape != self._mean.shape:
            self._begin(frame.shape)
        hits = find_spikes(frame, self.noise)
        self._remember(without(frame, hits & ~self.hot))
        spikes = hits | (self.hot & np.isfinite(frame))
        self.replaced += int(np.count_nonzero(spikes))
        return Cleaned(without(frame, spikes), spikes)

    def _remember(self, frame: Image) -> None:
        self._frames += 1
        weight = max(MEMORY, 1 / self._frames)
        self._share = (1 - weight) ** 2 * self._share + weight**2
        known = np.isfinite(frame)
        change = np.float32(weight) * (frame - self._mean)
        np.add(self._mean, change, out=self._mean, where=known)
        if self._frames >= SETTLED:
            self.hot = find_spikes(self._mean, self.noise, 1 / self._share)


@njit("void(f4[::1], f8, f8, f8, f8, f8[::1])", nogil=True, cache=True)
def _near(row: Image, gain: float, offset: float, base: float, excess: float, least: Values) -> None:
    """From which value on others come near a row's pixels; -inf where no value of them would be a spike."""
    for x in range(row.size):
        electrons = (row[x] - offset) / gain
        rest = 2 * np.sqrt(max(electrons + base, 0.0)) - excess
        level = offset + gain * min(electrons / RATIO, rest * rest / 4 - base)
        least[x] = level if rest > 0 and electrons < np.inf else -np.inf


@njit("b1(f4[:, ::1], i8, i8, f8)", nogil=True, cache=True)
def _stands_alone(frame: Image, y: int, x: int, least: float) -> bool:
    """Whether of 5 x 5 pixels at most three come so near, and more than three are known."""
    height, width = frame.shape
    near, known = 0, 0
    for i in range(max(y - 2, 0), min(y + 3, height)):
        for j in range(max(x - 2, 0), min(x + 3, width)):
            if np.isfinite(frame[i, j]):
                known += 1
                near += frame[i, j] >= least
        if near > 3:
            return False
    return known > 3


@njit("void(f4[:, ::1], f8, f8, f8, f8, b1[:, ::1])", nogil=True, cache=True)
def _find(frame: Image, gain: float, offset: float, base: float, excess: float, found: Mask) -> None:
    """See `find_spikes`; ``base`` is that of the Anscombe transform, in electrons.

    Three of the four next to a pixel that come near it are enough to say that it is none: that is asked of
    all pixels of a row at once, and leaves few for a look at all 24.
    """
    height, width = frame.shape
    least, near = np.empty(width), np.empty(width, np.int32)
    for y in range(height):
        _near(frame[y], gain, offset, base, excess, least)
        near[:] = 0
        if 0 < y < height - 1 and width > 2:
            above, row, below = frame[y - 1], frame[y], frame[y + 1]
            for x in range(1, width - 1):
                level = least[x]
                near[x] = (
                    np.int32(level <= row[x - 1] < np.inf)
                    + np.int32(level <= row[x + 1] < np.inf)
                    + np.int32(level <= above[x] < np.inf)
                    + np.int32(level <= below[x] < np.inf)
                )
        for x in range(width):
            if near[x] < 3 and least[x] > -np.inf:
                found[y, x] = _stands_alone(frame, y, x, least[x])
