"""Solvers of a device in the place of the processor's, without a device."""

from __future__ import annotations

import numpy as np
import pytest

from livem.errors import DeviceFaultError
from livem.kernels.device import Device
from livem.kernels.inpaint.devices import OnDevice, ladders_on, solver_on
from livem.kernels.inpaint.ladders import ladders_for
from livem.kernels.inpaint.pyramid import PushPull
from livem.kernels.inpaint.thin_plate import ThinPlate

CPU = Device("cpu", "CPU", "for a test")
CARD = Device("cuda", "NVIDIA H100", "for a test")
DATA, WEIGHT = np.ones((1, 4, 4), np.float32), np.eye(4, dtype=np.float32)


class There:
    """Makes pictures that are 1 higher, or fails."""

    name, version, warm = "there", 9, False

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, 0

    def solve(self, data, weight, start=None, strength=0.0, budget=None):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return PushPull().solve(data + 1, weight)


def image(solver):
    return solver.solve(DATA, WEIGHT).image[0, 0, 0]


def test_on_the_processor_ladders_stay_as_they_are():
    ladders = ladders_for("auto")
    assert ladders_on(CPU, ladders) == list(ladders)


def test_a_solver_that_a_device_does_not_have_stays():
    solver = PushPull()
    assert solver_on(CARD, solver) is solver


def test_a_solver_of_a_device_goes_by_the_same_name():
    solver = OnDevice(There(), ThinPlate(), CARD)
    assert (solver.name, solver.version, solver.warm) == ("thin plate", ThinPlate.version, True)


@pytest.mark.parametrize(("least", "expected"), [(16, 2.0), (17, 1.0)])
def test_small_images_are_the_processors(least, expected):
    assert image(OnDevice(There(), PushPull(), CARD, least)) == expected


@pytest.mark.parametrize("text", ["[2] CUDA_ERROR_OUT_OF_MEMORY", "Out of memory: 12 bytes"])
def test_when_memory_ends_the_processor_goes_on_and_says_so(text):
    there = There(RuntimeError(text))
    solver = OnDevice(there, PushPull(), CARD, 1)
    assert image(solver) == image(solver) == 1.0
    assert there.calls == 1
    assert "NVIDIA H100 has no memory for pictures of (1, 4, 4)" in solver.alarm


def test_any_other_error_is_a_fault_of_the_device():
    solver = OnDevice(There(RuntimeError("CUDA_ERROR_LAUNCH_FAILED")), PushPull(), CARD, 1)
    with pytest.raises(DeviceFaultError, match=r"H100 failed while it solved \(1, 4, 4\): CUDA_ERROR"):
        image(solver)


def test_what_does_not_fit_is_the_callers_error():
    with pytest.raises(ValueError, match="strength"):
        image(OnDevice(There(ValueError("strength is -1")), PushPull(), CARD, 1))
