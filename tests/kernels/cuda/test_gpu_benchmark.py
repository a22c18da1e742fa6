"""The GPU benchmark where there is no GPU, and on one."""

from __future__ import annotations

import pytest

from livem.benchmarks import gpu
from livem.kernels.device import CudaState, find_cuda


def test_without_a_device_it_says_so_and_passes():
    measured = gpu.measure(gpu.QUICK, CudaState(None, "numba-cuda is not installed"))
    assert "no CUDA device here, numba-cuda is not installed" in measured["title"]
    assert not measured["rows"]
    assert not measured["gates"]


@pytest.mark.gpu
@pytest.mark.skipif(find_cuda().name is None, reason=find_cuda().text)
def test_on_a_device_it_agrees_with_the_processor():
    measured = gpu.measure(gpu.Plan(frames=64, rounds=2), find_cuda())
    assert len(measured["rows"]) == 8
    assert all(gate["ok"] for gate in measured["gates"])
