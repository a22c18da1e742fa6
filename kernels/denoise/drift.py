"""Where the field has drifted to, frame by frame, at doses at which no frame tells it alone.

A frame is correlated with the mean of those before, each moved to where the field was at first. Of white
noise the correlation is the log likelihood of a displacement, where the mean is trusted at each frequency as
far as it is above its own noise; so its curvature tells how sure a displacement is, and a field that moves
steadily (position and velocity: Kalman, J. Basic Eng. 82 (1960) 35) tells where to look and how much to
believe. Unlike phase correlation (Kuglin & Hines, Proc. IEEE Conf. Cybern. Soc. 1975, 163), which weighs all
frequencies alike, it does not follow noise, nor a pattern of the detector, which is fine and stays.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from .flow import moved, rigid_flow
from .patches import Image

Curve = npt.NDArray[np.float64]
"""(n, 2) px (y, x)"""

MEMORY = 0.03
"""Weight of a new frame in the mean."""
REACH = 16
"""px around where the field is expected that are searched."""
JOLT = 0.1
"""px per frame: standard deviation of the change of the drift from frame to frame."""
FASTEST = 2.0
"""px per frame: standard deviation of the drift at the beginning."""
LOST = 0.8
"""Share of the velocity that is kept in a frame that says nothing."""
NOTICED = 12.0
"""Log likelihood above its median in the reach from which on a displacement is believed: a maximum of noise
over 33 x 33 places stays below."""


class DriftTracker:
    """Frames in, displacements out; for stabilised frames (noise of variance 1).

    Pixels that are not finite count as the mean. Another shape begins anew, at 0; the curve goes on.
    """

    def __init__(self) -> None:
        self._places: list[tuple[float, float]] = []
        self._mean: Image | None = None
        self._begin()

    def _begin(self) -> None:
        self._whole = np.zeros(2, np.int64)
        """px by which the mean has been moved since the beginning."""
        self._noise, self._frames = 1.0, 1
        self._state = np.zeros((2, 2))
        """Position and velocity of each axis, (2 of state, 2 of axes)."""
        self._spread = np.repeat(np.diag([0.0, FASTEST**2])[:, :, None], 2, axis=2)

    @property
    def curve(self) -> Curve:
        """(n, 2) px (y, x): where the field of each frame is.

        Relative to the first, whose own place is as uncertain as any: an offset of all others.
        """
        return np.array(self._places, np.float64).reshape(-1, 2)

    @property
    def uncertainty(self) -> tuple[float, float]:
        """px (y, x), standard deviation of the last place relative to the mean of the frames before."""
        y, x = np.sqrt(self._spread[0, 0])
        return float(y), float(x)

    def add(self, frame: Image) -> tuple[float, float]:
        """Displacement px (y, x) of the frame's field since the frame before.

        Parameters
        ----------
        frame : (h, w) float32.

        Raises
        ------
        ValueError
            A frame that is not (h, w).
        """
        if frame.ndim != 2 or not frame.size:
            raise ValueError(f"frame is {frame.shape}: give (h, w)")
        whole = self._completed(frame)
        if self._mean is None or self._mean.shape != frame.shape:
            self._mean = whole
            self._begin()
            self._places.append((0.0, 0.0))
            return 0.0, 0.0
        before = self._state[0].copy()
        self._predict()
        if min(frame.shape) > 8:
            self._measure(whole)
        self._remember(whole)
        y, x = (float(v) for v in self._state[0])
        self._places.append((y, x))
        return y - float(before[0]), x - float(before[1])

    def _completed(self, frame: Image) -> Image:
        """Without holes."""
        known = np.isfinite(frame)
        level = np.float32(frame[known].mean()) if known.any() else np.float32(0)
        return np.array(np.where(known, frame, level), np.float32, order="C")

    def _surface(self, frame: Image, middle: npt.NDArray[np.int64]) -> Curve:
        """The likelihood of displacements from the mean; see `likelihood`."""
        assert self._mean is not None
        return likelihood(frame, self._mean, self._noise, middle)

    def _predict(self) -> None:
        step = np.array([[1.0, 1.0], [0.0, 1.0]])
        jolt = JOLT**2 * np.array([[0.25, 0.5], [0.5, 1.0]])
        self._state = step @ self._state
        self._spread = np.einsum("ij,jka,lk->ila", step, self._spread, step) + jolt[:, :, None]

    def _measure(self, frame: Image) -> None:
        """Take what the likelihood says about the place into the state."""
        expected = np.rint(self._state[0]).astype(np.int64)
        likely = self._surface(frame, expected - self._whole)
        away = [np.arange(n) - n // 2 + expected[a] - self._state[0, a] for a, n in enumerate(likely.shape)]
        prior = [d**2 / (2 * (self._spread[0, 0, a] + 0.01)) for a, d in enumerate(away)]
        best = np.unravel_index(np.argmax(likely - prior[0][:, None] - prior[1]), likely.shape)
        if likely[best] - np.median(likely) < NOTICED:
            self._state[1] *= LOST
            return
        for axis, line in enumerate((likely[:, best[1]], likely[best[0]])):
            at = int(best[axis])
            if not 0 < at < line.size - 1:
                continue
            bend = 2 * line[at] - line[at - 1] - line[at + 1]
            if not bend > 0:
                continue
            place = expected[axis] + at - line.size // 2
            place = place + min(max(0.5 * (line[at + 1] - line[at - 1]) / bend, -1.0), 1.0)
            self._update(axis, place, 1 / bend)

    def _update(self, axis: int, place: float, variance: float) -> None:
        spread = self._spread[:, :, axis]
        gain = spread[:, 0] / (spread[0, 0] + variance)
        self._state[:, axis] += gain * (place - self._state[0, axis])
        self._spread[:, :, axis] = spread - np.outer(gain, spread[0])

    def _remember(self, frame: Image) -> None:
        """Add the frame to the mean, which follows the field by whole pixels: its noise stays white."""
        assert self._mean is not None
        whole = np.rint(self._state[0]).astype(np.int64)
        if (whole != self._whole).any():
            self._mean = self._rolled(self._mean, whole - self._whole)
            self._whole = whole
        here = self._moved(frame, self._state[0] - whole)
        self._frames += 1
        weight = max(MEMORY, 1 / self._frames)
        self._mean = self._mean + np.float32(weight) * (here - self._mean)
        self._noise = (1 - weight) ** 2 * self._noise + weight**2

    def _moved(self, frame: Image, by: npt.NDArray[np.float64]) -> Image:
        return moved(frame, rigid_flow(by, frame.shape))

    def _rolled(self, image: Image, shift: npt.NDArray[np.int64]) -> Image:
        """Moved by whole pixels; where nothing is known the border is repeated."""
        rows, columns = (np.clip(np.arange(n) - s, 0, n - 1) for n, s in zip(image.shape, shift, strict=True))
        return np.ascontiguousarray(image[rows][:, columns])


def likelihood(frame: Image, mean: Image, noise: float, middle: npt.NDArray[np.int64]) -> Curve:
    """Log likelihood of displacements of a frame within REACH of ``middle``, but for a constant.

    Parameters
    ----------
    frame : (h, w), noise of variance 1.
    mean : (h, w), noise of variance ``noise``.
    """
    window = window_of(frame.shape)
    now, past = (fft.rfft2(window * (image - image.mean())) for image in (frame, mean))
    past *= _trust(np.abs(past) ** 2 / frame.size, noise, frame.shape)
    surface = fft.irfft2(now * past.conj(), frame.shape)
    return np.asarray(surface[np.ix_(*places_around(middle, frame.shape))], np.float64)


def places_around(middle: npt.NDArray[np.int64], shape: tuple[int, int]) -> list[npt.NDArray[np.int64]]:
    """Rows and columns of a correlation within REACH of ``middle``; it goes round."""
    reach = [min(REACH, (n - 1) // 2) for n in shape]
    return [(m + np.arange(-r, r + 1)) % n for m, n, r in zip(middle, shape, reach, strict=True)]


@lru_cache(maxsize=4)
def window_of(shape: tuple[int, int]) -> Image:
    """(h, w) by which a frame fades to its border; its mean square is 1."""
    window = np.hanning(shape[0])[:, None] * np.hanning(shape[1])
    return np.asarray(window / math.sqrt(float((window**2).mean())), np.float32)


@lru_cache(maxsize=4)
def rings_of(shape: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The ring of each frequency of a real transform, and how many lie in each."""
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1]))
    ring = np.minimum((radius * min(shape)).astype(np.int64), min(shape) // 2)
    return ring, np.maximum(np.bincount(ring.ravel()), 1)


def _trust(power: npt.NDArray[np.floating], noise: float, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Wiener weights of the mean's frequencies, from the power of each ring and its noise."""
    ring, count = rings_of(shape)
    signal = np.bincount(ring.ravel(), power.ravel()) / count - noise * (1 + 3 / np.sqrt(count))
    signal = np.maximum(signal, 0)
    return np.asarray((signal / (signal + noise))[ring], np.float32)
