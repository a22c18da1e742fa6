"""Drift on a CUDA device: the Fourier transforms and the mean stay there, 33 x 33 numbers a frame come down.

Written in terms of an array namespace and of a module with ``rfft2`` and ``irfft2``: cupy and
cupyx.scipy.fft, or numpy and scipy.fft. Knows no consumer.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ..denoise.drift import Curve, DriftTracker, places_around, rings_of, window_of


class CupyDrift(DriftTracker):
    """See `DriftTracker`, whose state it keeps in host memory; frames are of the device.

    Parameters
    ----------
    xp, fft : the namespaces; default: cupy and cupyx.scipy.fft, which have to be installed.
    """

    def __init__(self, xp: Any = None, fft: Any = None) -> None:
        self._given = (xp, fft)
        self._tables: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        super().__init__()

    @cached_property
    def _xp(self) -> Any:
        return self._given[0] or import_module("cupy")

    @cached_property
    def _fft(self) -> Any:
        return self._given[1] or import_module("cupyx.scipy.fft")

    def _completed(self, frame: Any) -> Any:
        xp, frame = self._xp, self._xp.asarray(frame)
        known = xp.isfinite(frame)
        count = known.sum()
        level = xp.where(known, frame, 0).sum() / xp.maximum(count, 1)
        return xp.where(known, frame, level).astype(xp.float32)

    def _surface(self, frame: Any, middle: npt.NDArray[np.int64]) -> Curve:
        xp, fft, mean = self._xp, self._fft, self._mean
        assert mean is not None
        window, ring, count = self._tables_of(frame.shape)
        now, past = (fft.rfft2(window * (image - image.mean())) for image in (frame, mean))
        power = (xp.abs(past) ** 2 / frame.size).ravel()
        signal = xp.bincount(ring, power) / count - self._noise * (1 + 3 / xp.sqrt(count))
        signal = xp.maximum(signal, 0)
        past *= (signal / (signal + self._noise))[ring].reshape(past.shape).astype(xp.float32)
        surface = fft.irfft2(now * past.conj(), frame.shape)
        found = surface[xp.ix_(*map(xp.asarray, places_around(middle, frame.shape)))]
        return np.asarray(found if isinstance(found, np.ndarray) else xp.asnumpy(found), np.float64)

    def _moved(self, frame: Any, by: npt.NDArray[np.float64]) -> Any:
        """The frame at ``pixel + by``: `flow.moved` along one axis, then the other."""
        xp = self._xp
        for axis, shift in enumerate(by):
            n = frame.shape[axis]
            place = np.clip(np.arange(n) + np.float32(shift), 0.0, n - 1.0)
            whole = place.astype(np.int64)
            taps = zip(range(-1, 3), _cubic(place - whole), strict=True)
            frame = sum(
                xp.take(frame, xp.asarray(np.clip(whole + k, 0, n - 1)), axis)
                * xp.asarray(weights.reshape((-1, 1) if axis == 0 else (1, -1)))
                for k, weights in taps
            )
        return frame.astype(xp.float32)

    def _rolled(self, image: Any, shift: npt.NDArray[np.int64]) -> Any:
        for axis, by in enumerate(shift):
            n = image.shape[axis]
            image = self._xp.take(image, self._xp.asarray(np.clip(np.arange(n) - by, 0, n - 1)), axis)
        return image

    def _tables_of(self, shape: tuple[int, int]) -> tuple[Any, Any, Any]:
        """Window, ring of each frequency and how many lie in each, on the device."""
        if shape not in self._tables:
            xp, (ring, count) = self._xp, rings_of(shape)
            self._tables = {
                shape: (xp.asarray(window_of(shape)), xp.asarray(ring.ravel()), xp.asarray(count))
            }
        return self._tables[shape]


def _cubic(t: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Weights (4, n) of the pixels -1, 0, 1, 2 for places in 0..1, as in `flow`."""
    return [
        t * (-0.5 + t * (1 - 0.5 * t)),
        1 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    ]
