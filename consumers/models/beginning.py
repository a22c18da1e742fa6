"""What stands for the frames before a series began, for a model that sees several. Knows no model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Values = npt.NDArray[np.float32]

SMOOTH = 9
"""px; the mean of the whole field instead lost 2 dB more."""


def with_past(frames: Values, count: int, noise: float = 0.0) -> Values:
    """The frames that there are, and before them what makes them ``count``.

    Parameters
    ----------
    frames : (n, h, w), n >= 1.
    noise : standard deviation of their white noise, where it is known: then the first frame, smoothed, stands
        for each of those before it, with noise of its own, the same each time. Repeated as it is, its noise
        would be that of all of them, and look like a specimen: 11.5 dB instead of 20.8 in the first frame of
        a movie of 1 electron a pixel. 0: repeated as it is.
    """
    lacking = count - len(frames)
    if lacking <= 0:
        return frames
    before = np.repeat(frames[:1], lacking, axis=0)
    if noise:
        before = np.repeat(ndimage.uniform_filter(frames[:1], (1, SMOOTH, SMOOTH)), lacking, axis=0)
        drawn = np.random.default_rng(0).standard_normal((count, *frames.shape[1:]), np.float32)
        before += np.float32(noise) * drawn[-lacking:]
    return np.concatenate([before, frames])
