"""Drift by arrays of a device's kind: with numpy for cupy it is that of the processor."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from scipy import fft, ndimage

from livem.kernels.denoise.devices import OnDevice, chain_on, tracker_on
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.device import Device
from livem.kernels.noise import NoiseModel

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)
CARD = Device("cuda", "Card", "it is there")


def test_the_curve_is_that_of_the_processor():
    from livem.kernels.cuda.denoise_drift import CupyDrift

    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.normal(size=(80, 90)), 2) * 20 + 10
    usual, there = DriftTracker(), CupyDrift(np, fft)
    for k in range(10):
        view = ndimage.shift(scene, (0.3 * k, -0.7 * k), order=3)[8:72, 8:80]
        frame = (view + rng.normal(size=view.shape)).astype(np.float32)
        frame[4, k] = np.nan
        here, found = usual.add(frame), there.add(frame)
        np.testing.assert_allclose(found, here, atol=1e-3)
    np.testing.assert_allclose(there.curve, usual.curve, atol=1e-3)
    assert usual.curve[-1] == pytest.approx([2.7, -6.3], abs=0.3)


def test_what_a_device_has_no_use_for_stays_on_the_processor():
    assert chain_on(Device("cpu", "CPU", "x"), "movie", NoiseModel(), spikes=True, drift=None) is None
    assert chain_on(CARD, "full", NoiseModel(), spikes=True, drift=None) is None
    assert type(tracker_on(Device("cpu", "CPU", "x"))) is DriftTracker


class Fails:
    """A chain of a device whose second frame it cannot take, and whose third ends it."""

    def __init__(self) -> None:
        self.frames = 0

    def add(self, frame):
        self.frames += 1
        if self.frames == 2:
            raise ValueError("3 pixels of a single frame are not known")
        if self.frames > 2:
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        return frame


def test_a_device_that_fails_is_asked_no_more():
    there, frame = Fails(), np.zeros((8, 9), np.float32)
    chain: Any = OnDevice(there, CARD)
    assert chain.add(frame) is frame
    assert chain.add(frame) is None
    assert not chain.alarm
    assert [chain.add(frame), chain.add(frame)] == [None, None]
    assert chain.alarm == "Card failed at a frame of 8x9 (CUDA_ERROR_LAUNCH_FAILED): the CPU goes on"
    assert there.frames == 3
