"""Thin plates on the GPU of this machine: the processor's images, at sizes of real scans."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from inpaint_cases import assert_alike, samples

from livem.benchmarks import gpu_plates
from livem.kernels.device import choose_device, find_cuda
from livem.kernels.inpaint.devices import OnDevice, solver_on
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.thin_plate import ThinPlate

FOUND = find_cuda()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(FOUND.name is None or "SIMULATOR" in FOUND.name.upper(), reason=FOUND.text),
]


def a_plate():
    from livem.kernels.cuda.inpaint import CudaThinPlate

    return CudaThinPlate()


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(1, 256, 256), (2, 512, 512), (3, 257, 130), (1, 1, 600), (1, 7, 5)])
def test_the_gpu_agrees_with_the_processor(shape, strength):
    plate = a_plate()
    data, weight = samples(shape, 0.25, counts=True)
    first = assert_alike(plate, data, weight, strength=strength)
    assert_alike(plate, data + 1, weight, first.image, strength)


def test_equal_samples_give_equal_bits():
    data, weight = samples((2, 300, 200), 0.1)
    images = [a_plate().solve(data, weight, None, 0.3).image for _ in range(3)]
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


def test_shapes_in_turn():
    plate = a_plate()
    for shape in ((1, 64, 64), (2, 64, 64), (1, 64, 64), (1, 100, 30)):
        assert_alike(plate, *samples(shape), strength=0.1)


def test_arrays_that_lie_on_the_device():
    from numba import cuda

    data, weight = samples((1, 128, 128))
    found = a_plate().solve(cuda.to_device(data), cuda.to_device(weight), None, 0.1)
    np.testing.assert_array_equal(found.image, a_plate().solve(data, weight, None, 0.1).image)


def test_little_time_is_kept():
    data, weight = samples((1, 1024, 1024))
    plate = a_plate()
    plate.solve(data, weight, None, 0.1, Budget(iterations=8))
    found = plate.solve(data, weight, None, 0.1, Budget(seconds=0.0, tolerance=1e-6))
    assert found.iterations == 0


def test_memory_that_really_ends():
    """More than any device has: the processor goes on, and what was taken is free again."""
    solver = solver_on(choose_device("cuda"), ThinPlate())
    assert isinstance(solver, OnDevice)
    from numba import cuda

    hoard = []
    free, _ = cuda.current_context().get_memory_info()
    hoard.append(cuda.device_array(max(free - (8 << 20), 1), np.uint8))
    data, weight = samples((1, 1024, 1024))
    found = solver.solve(data, weight, None, 1.0, Budget(iterations=20))
    assert solver.alarm
    assert np.isfinite(found.image).all()
    hoard.clear()


def test_the_benchmark():
    measured = gpu_plates.measure(gpu_plates.Plan((256,), 2))
    assert len(measured["rows"]) == 1
    assert all(gate["ok"] for gate in measured["gates"])
