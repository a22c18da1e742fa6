"""Live denoising on the device that a worker has, and what is done when that fails. Knows no consumer.

Loads no GPU package where none is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..device import Device
from ..noise import MOST_READ, NoiseModel
from .drift import DriftTracker

Image = npt.NDArray[np.float32]
METHODS = ("movie", "quick")
"""What a device has."""


class Found(Protocol):
    """A frame and what was made of it."""

    @property
    def values(self) -> Image:
        """(h, w) without spikes."""

    @property
    def estimate(self) -> Image:
        """(h, w)"""

    @property
    def replaced(self) -> int:
        """Spikes."""


class Chain(Protocol):
    """Frames in, estimates out; as `cuda.denoise.DeviceChain`."""

    def add(self, frame: Image) -> Found:
        """The estimate of a frame (h, w) float32, NaN where it is not known."""


class OnDevice:
    """A chain of a device, until it fails.

    Parameters
    ----------
    there : the chain.
    device : what is told of it.

    Attributes
    ----------
    alarm : why the processor does the work, or ""; for the user.
    """

    def __init__(self, there: Chain, device: Device) -> None:
        self.alarm = ""
        self._there: Chain | None = there
        self._device = device

    def add(self, frame: Image) -> Found | None:
        """None: the processor has to do it; from then on, where the device failed."""
        if self._there is None:
            return None
        try:
            return self._there.add(frame)
        except ValueError:
            return None  # a frame that the device cannot take: the next one it may
        except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
            self._there, shape = None, "x".join(map(str, frame.shape))
            no_room = "OUT_OF_MEMORY" in f"{error}".upper().replace(" ", "_")
            said = f"has no memory for frames of {shape}" if no_room else f"failed at a frame of {shape}"
            hint = "; end other programs on it" if no_room else ""
            self.alarm = f"{self._device.name} {said} ({error}): the CPU goes on{hint}"
            return None


def tracker_on(device: Device) -> DriftTracker:
    """Follows the drift there; on the processor where the device has no Fourier transforms (cupy)."""
    if device.kind == "cpu" or find_spec("cupy") is None:
        return DriftTracker()
    from ..cuda.denoise_drift import CupyDrift

    return CupyDrift()


def chain_on(
    device: Device, method: str, noise: NoiseModel, *, spikes: bool, drift: DriftTracker | None
) -> OnDevice | None:
    """The chain on a device; None where there is none, or it has no such method.

    Parameters
    ----------
    method, spikes, drift : as of the consumer `denoise`; the tracker is the one that has the curve.
    """
    if device.kind == "cpu" or method not in METHODS or noise.read_noise > MOST_READ * noise.gain:
        return None
    from ..cuda.denoise import DeviceChain

    is_movie = method == "movie"
    return OnDevice(DeviceChain(noise, movie=is_movie, spikes=spikes, drift=drift), device)


def warm_up(device: Device) -> str:
    """Compile or load all kernels of a device; why it cannot be used, or ""."""
    for method in METHODS:
        chain = chain_on(device, method, NoiseModel(), spikes=True, drift=None)
        frame = np.random.default_rng(0).poisson(5.0, (16, 16)).astype(np.float32)
        for _ in range(2):
            if chain is not None and chain.add(frame) is None:
                return chain.alarm
    return ""
