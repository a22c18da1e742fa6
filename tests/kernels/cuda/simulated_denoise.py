"""Run by test_simulator.py in a process of its own, in which numba simulates the device.

Not collected by itself: the simulator has to be chosen before numba is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config

sys.path.insert(0, str(Path(__file__).parent))
import turns  # noqa: F401 - or its threads wait for each other most of the time
from denoise_cases import NOISE, a_movie, assert_chain_agrees

from livem.consumers.denoise import Denoise
from livem.consumers.testing import example_frames, example_series, run
from livem.kernels.cuda import denoise
from livem.kernels.cuda.denoise import DeviceChain, DevicePatches, DeviceRecursion, Launcher
from livem.kernels.denoise import movies, spikes
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.denoise.patches import FLOOR, Patches
from livem.kernels.denoise.recursions import Exponential, PixelKalman, RunningMean
from livem.kernels.device import choose_device

assert config.ENABLE_CUDASIM, "NUMBA_ENABLE_CUDASIM=1 has to be set before numba is imported"


@pytest.fixture(autouse=True)
def _few_patches(monkeypatch):
    """Nine for an image of 8 x 8, not 49: a patch takes 15 ms here."""
    for module in (denoise, movies):
        monkeypatch.setattr(module, "SECOND", Patches(8, 4))


def test_a_movie_with_spikes_holes_and_drift_is_that_of_the_processor():
    frames = a_movie((9, 12), 2)
    frames[1, 4, 4] = 900.0
    frames[1, 0, :3] = np.nan
    chain = DeviceChain(NOISE, drift=Drifts(), threads=1)
    found = assert_chain_agrees(chain, frames, drift=Drifts())
    assert [one.replaced for one in found] == [0, 1]


class Drifts(DriftTracker):
    """So far from frame to frame, whatever they show."""

    def add(self, frame):
        return 0.3, -1.25


def test_another_scene_and_another_shape_begin_anew():
    frames = a_movie((8, 9), 2)
    frames[1] = frames[1].max() - frames[1]
    chain = DeviceChain(NOISE, spikes=False, threads=1)
    assert_chain_agrees(chain, frames, spikes=False)
    assert chain._movie.frames == 1
    assert chain.add(a_movie((8, 8), 1)[0]).estimate.shape == (8, 8)


def test_hot_pixels_are_found_in_the_mean(monkeypatch):
    frames = np.full((3, 8, 8), 3.0, np.float32)
    frames[:, 2, 3] = 9.0
    for module in (denoise, spikes):
        monkeypatch.setattr(module, "SETTLED", 2)
        monkeypatch.setattr(module, "EXCESS", 2.0)
        monkeypatch.setattr(module, "MEMORY", 0.5)
    chain = DeviceChain(NOISE, movie=False, threads=1)
    assert_chain_agrees(chain, frames, method="quick")


def test_one_frame_at_the_quick_level():
    (frame,) = a_movie((9, 8), 1)
    assert_chain_agrees(DeviceChain(NOISE, movie=False, threads=1), frame[None], method="quick")
    frame[2, 2] = np.nan
    with pytest.raises(ValueError, match="1 pixels of a single frame are not known"):
        DeviceChain(NOISE, movie=False, threads=1).add(frame)


@pytest.mark.parametrize("weigh", [False, True])
def test_threads_that_share_a_patch_give_what_the_processor_gives(weigh):
    shape, noise, patches = (7, 8), np.array([0.6, 1.0], np.float32), Patches(8, 4)
    layers, pilot = np.random.default_rng(1).normal(2, 1, (2, 2, *shape)).astype(np.float32)
    found = []
    for threads in (1, 4):
        on = Launcher(threads)
        there, values, variance = DevicePatches(patches, shape, FLOOR, on), on.empty(shape), on.empty(shape)
        there.shrink(on.up(layers), on.up(pilot) if weigh else None, noise, values, variance)
        found.append((on.down(values), on.down(variance)))
    usual = patches.weigh(layers, pilot, noise) if weigh else patches.cut(layers, noise)
    for one, shared, expected in zip(*found, (usual.values, usual.variance), strict=True):
        np.testing.assert_allclose(shared, one, rtol=1e-6)
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "how"),
    [(RunningMean, {}), (Exponential, {"gain": 0.125}), (PixelKalman, {"wander": 0.02})],
    ids=["mean", "exponential", "Kalman"],
)
def test_recursions(make, how):
    frames = np.random.default_rng(2).normal(5, 1, (12, 3, 4)).astype(np.float32)
    frames[0, 0, 0] = frames[3, 1, 1] = np.nan
    on, usual = Launcher(2), make(**how)
    there = DeviceRecursion((3, 4), on, **how)
    for frame in frames:
        there.add(on.up(frame))
        expected = usual.add(frame)
    np.testing.assert_allclose(on.down(there.values), expected.values, rtol=1e-6)
    np.testing.assert_allclose(on.down(there.variance), expected.variance, rtol=1e-6)


class Few(DeviceChain):
    """Of one thread a block."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **{**how, "threads": 1})


def test_a_consumer_on_the_device_and_what_it_does_when_that_fails(monkeypatch):
    monkeypatch.setattr(denoise, "DeviceChain", Few)
    series = example_series(shape=(8, 8))
    frames = [example_frames(series, count=2)]
    shown = {}
    for wanted in ("cpu", "cuda"):
        consumer = Denoise("d", method="movie", gain=1.0)
        monkeypatch.setattr("livem.consumers.denoise.warm_up", lambda device: "")
        consumer.compute_on(choose_device(wanted))
        shown[wanted] = run(consumer, series, frames)
    for name in ("image", "raw", "residual"):
        expected, got = (shown[way][name]["arrays"]["image"] for way in ("cpu", "cuda"))
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)

    def fails(self, frame):
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(Few, "add", fails)
    again = run(consumer, series, frames)
    np.testing.assert_array_equal(again["image"]["arrays"]["image"], shown["cpu"]["image"]["arrays"]["image"])
    assert "has no memory for frames of 8x8" in consumer.alarms()[0]
    consumer.open(series)
    assert consumer._device.kind == "cpu"
