"""Movies for the tests of denoising on a device, and the processor's chain beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.kernels.cuda.denoise import Denoised, DeviceChain
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.denoise.frames import FrameFilter
from livem.kernels.denoise.movies import MovieFilter
from livem.kernels.denoise.spikes import SpikeFilter
from livem.kernels.noise import NoiseModel

NOISE = NoiseModel(2.0, 1.0, 0.5)


def a_movie(shape: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """(count, h, w) float32: a particle that moves by a pixel a frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle, reach = shape[0] / 2, min(shape) / 4
    frames = [
        3 + 30 * np.exp(-((y - middle) ** 2 + (x - shape[1] / 3 - k) ** 2) / reach**2) for k in range(count)
    ]
    values = (
        NOISE.gain * rng.poisson(frames) + NOISE.offset + rng.normal(0, NOISE.read_noise, np.shape(frames))
    )
    return values.astype(np.float32)


def on_processor(
    frames: np.ndarray, spikes: bool = True, drift: DriftTracker | None = None, method: str = "movie"
) -> list[Denoised]:
    """As the consumer `denoise` does it."""
    cleaner, movie, found = SpikeFilter(NOISE), MovieFilter(), []
    for frame in frames:
        cleaned = cleaner.add(frame) if spikes else None
        values = frame if cleaned is None else cleaned.values
        if method == "movie":
            even = NOISE.stabilise(values)
            even[~np.isfinite(values)] = np.nan
            shift = (0.0, 0.0) if drift is None else drift.add(even)
            estimate = NOISE.unstabilise(movie.add(even, shift).values)
        else:
            estimate = FrameFilter(NOISE, method)(values)
        found.append(Denoised(values, estimate, 0 if cleaned is None else cleaned.replaced))
    return found


def assert_chain_agrees(chain: DeviceChain, frames: np.ndarray, **how: Any) -> list[Denoised]:
    """Within what the order of sums in float32 does; returns what the device made."""
    found = [chain.add(frame) for frame in frames]
    for ours, theirs in zip(found, on_processor(frames, **how), strict=True):
        assert ours.replaced == theirs.replaced
        np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-5)
        np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-4, atol=2e-3)
    return found
