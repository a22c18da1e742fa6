"""Live denoising on the GPU of this machine: the processor's pictures, at sizes of real frames."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from livem.benchmarks import gpu_denoise
from livem.kernels.denoise.devices import tracker_on, warm_up
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.device import choose_device, find_cuda

FOUND = find_cuda()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(FOUND.name is None or "SIMULATOR" in FOUND.name.upper(), reason=FOUND.text),
]


def test_all_kernels_can_be_used():
    assert warm_up(choose_device("cuda")) == ""


@pytest.mark.parametrize("shape", [(256, 256), (130, 257), (8, 9)])
@pytest.mark.parametrize("movie", [True, False])
def test_the_gpu_agrees_with_the_processor(shape, movie):
    from denoise_cases import NOISE, a_movie, assert_chain_agrees

    from livem.kernels.cuda.denoise import DeviceChain

    frames = a_movie(shape, 6)
    frames[2, 4, 4] = 900.0
    if movie:
        frames[3, 0, :3] = np.nan
    assert_chain_agrees(DeviceChain(NOISE, movie=movie), frames, method="movie" if movie else "quick")


def test_drift_on_the_gpu():
    from denoise_cases import NOISE, a_movie, assert_chain_agrees

    from livem.kernels.cuda.denoise import DeviceChain

    tracker = tracker_on(choose_device("cuda"))
    chain = DeviceChain(NOISE, drift=tracker)
    assert_chain_agrees(chain, a_movie((128, 160), 6), drift=DriftTracker())


def test_equal_frames_give_equal_bits():
    from denoise_cases import NOISE, a_movie

    from livem.kernels.cuda.denoise import DeviceChain

    frames = a_movie((200, 144), 4)
    pictures = []
    for _ in range(2):
        chain = DeviceChain(NOISE)
        pictures.append([chain.add(frame).estimate for frame in frames])
    np.testing.assert_array_equal(*pictures)


def test_the_benchmark():
    measured = gpu_denoise.measure(gpu_denoise.Plan((256,), 2, 4))
    assert len(measured["rows"]) == 2
    assert all(gate["ok"] for gate in measured["gates"] if "differ" in gate["name"])
