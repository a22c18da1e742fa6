"""Detection on the device that a worker has, and what is done when that fails. Knows no consumer.

Loads no GPU package where none is used.
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from ..device import Device
from .detect import Detector, Frame
from .options import DetectorOptions
from .table import Detections
from .verdict import Found

LEAST_PIXELS = 1 << 16
"""Of a frame for a device to be worth it: some 40 launches take as long as the processor takes for fewer.
Reckoned from 10 us a launch, not measured; `livem bench gpu` tells."""


class Examiner(Protocol):
    """What finds the particles of a frame, as `cuda.tracking.CudaDetector`."""

    def examine(self, frame: Frame, keep_rest: bool = False) -> Found:
        """See `Detector.examine`."""


class OnDevice:
    """A detector of a device, with the processor's for when it fails; stands where `Detector` does.

    Frames may be given from several threads at once: the device looks at one after the other.

    Parameters
    ----------
    there, here : two ways to the same particles.
    device : what is told of it.

    Attributes
    ----------
    here : the processor's.
    alarm : why the processor does the work, or ""; for the user.
    """

    def __init__(self, there: Examiner, here: Detector, device: Device) -> None:
        self.here, self.options, self.shape, self.alarm = here, here.options, here.shape, ""
        self._there: Examiner | None = there
        self._device, self._turn = device, threading.Lock()

    def detect(self, frame: Frame) -> Detections:
        """See `Detector.detect`."""
        return self.examine(frame).detections

    def examine(self, frame: Frame, keep_rest: bool = False) -> Found:
        """See `Detector.examine`; whatever fails on the device is done by the processor, from then on."""
        with self._turn:
            found = self._on_device(frame, keep_rest)
        return self.here.examine(frame, keep_rest) if found is None else found

    def _on_device(self, frame: Frame, keep_rest: bool) -> Found | None:
        """None: it failed. In this process it is not used again, since its context may be lost with it."""
        if self._there is None:
            return None
        try:
            return self._there.examine(frame, keep_rest)
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
            self._there = None
            self.alarm = _said(self._device, frame.shape, error)
            return None


def detector_on(device: Device, here: Detector, least_pixels: int = LEAST_PIXELS) -> Detector | OnDevice:
    """A detector on a device; the one that is given where there is none, frames are small, or it fails."""
    if device.kind == "cpu" or here.shape[0] * here.shape[1] < least_pixels:
        return here
    from ..cuda.tracking import CudaDetector

    try:
        return OnDevice(CudaDetector(here), here, device)
    except Exception as error:  # noqa: BLE001 - as above
        found = OnDevice(here, here, device)
        found.alarm = _said(device, here.shape, error)
        return found


def _said(device: Device, shape: tuple[int, ...], error: Exception) -> str:
    named = "x".join(map(str, shape))
    no_room = "OUT_OF_MEMORY" in f"{error}".upper().replace(" ", "_")
    said = f"has no memory for frames of {named}" if no_room else f"failed at a frame of {named}"
    hint = "; end other programs on it" if no_room else ""
    return f"{device.name} {said} ({error}): the CPU goes on{hint}"


def warm_up(device: Device) -> str:
    """Compile or load all kernels of a device; why it cannot be used, or ""."""
    if device.kind == "cpu":
        return ""
    frame = np.random.default_rng(0).poisson(20.0, (32, 32)).astype(np.float32)
    frame[10:16, 10:16] *= 0.2
    finder = detector_on(device, Detector(frame.shape, DetectorOptions(radius=3.0)), least_pixels=1)
    finder.examine(frame, keep_rest=True)
    return finder.alarm if isinstance(finder, OnDevice) else ""
