"""Cosine and sine series of images that end where they end: no copy of the other border is implied.

numpy has Fourier transforms only; these are half as long as the transform of the mirrored image would be
(Makhoul, IEEE Trans. ASSP 28 (1980) 27).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def cosines(values: FloatArray, axis: int) -> FloatArray:
    """DCT-II along an axis of n: c[k] = 2 sum of v[j] cos(pi k (2 j + 1) / (2 n)), k = 0 .. n - 1."""
    return np.moveaxis(_cosines(np.moveaxis(values, axis, -1)), -1, axis)


def sines(values: FloatArray, axis: int) -> FloatArray:
    """Likewise s[k] = 2 sum of v[j] sin(pi k (2 j + 1) / (2 n)), k = 0 .. n - 1 (the first is 0)."""
    moved = np.moveaxis(values, axis, -1)
    signs = np.where(np.arange(moved.shape[-1]) % 2, -1.0, 1.0)
    shifted = _cosines(moved * signs)[..., ::-1]  # s[k] = c[n - k] of (-1)^j v[j]
    result = np.zeros_like(shifted)
    result[..., 1:] = shifted[..., :-1]
    return np.moveaxis(result, -1, axis)


def from_cosines(coefficients: FloatArray, axis: int) -> FloatArray:
    """The inverse of `cosines`."""
    moved = np.moveaxis(coefficients, axis, -1)
    n = moved.shape[-1]
    mirrored = np.zeros_like(moved)
    mirrored[..., 1:] = moved[..., :0:-1]
    half = n // 2 + 1
    spectrum = 0.5 * np.exp(0.5j * np.pi * np.arange(half) / n) * (moved - 1j * mirrored)[..., :half]
    folded = np.fft.irfft(spectrum, n, axis=-1)
    values = np.empty_like(folded)
    values[..., ::2] = folded[..., : (n + 1) // 2]
    values[..., 1::2] = folded[..., : (n + 1) // 2 - 1 : -1]
    return np.moveaxis(values, -1, axis)


def _cosines(values: FloatArray) -> FloatArray:
    """Along the last axis: even places forward, then odd ones backward, so that n points serve for 2 n."""
    n = values.shape[-1]
    folded = np.concatenate([values[..., ::2], values[..., 1::2][..., ::-1]], axis=-1)
    half = n // 2 + 1
    spectrum = 2 * np.exp(-0.5j * np.pi * np.arange(half) / n) * np.fft.rfft(folded, axis=-1)
    result = np.empty(values.shape)
    result[..., :half] = spectrum.real
    result[..., half:] = -spectrum.imag[..., 1 : n - half + 1][..., ::-1]
    return result
