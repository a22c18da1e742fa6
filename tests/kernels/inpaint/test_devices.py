"""Solvers of a device in the place of the processor's, without a device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livem.kernels.device import Device
from livem.kernels.inpaint import devices
from livem.kernels.inpaint.devices import Ladders, OnDevice, solver_on
from livem.kernels.inpaint.ladders import THIN_PLATE, ladders_for
from livem.kernels.inpaint.live import LiveInpainter, Plan
from livem.kernels.inpaint.pyramid import PushPull
from livem.kernels.inpaint.thin_plate import ThinPlate
from livem.kernels.noise import NoiseModel

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
    assert Ladders(CPU)("auto") == list(ladders_for("auto")) == Ladders()("auto")


def test_a_device_has_one_solver_for_all_strengths_and_tells_when_it_fails(monkeypatch):
    there = There(RuntimeError("CUDA_ERROR_LAUNCH_FAILED"))
    monkeypatch.setattr(
        devices, "solver_on", lambda device, one: OnDevice(there, one, device, 1) if one.warm else one
    )
    ladders = Ladders(CARD)
    plate = ladders("thin_plate", 0.3)[0].solver
    assert plate is ladders("auto")[0].solver
    assert ladders("push_pull")[0].solver is ladders_for("push_pull")[0].solver
    assert ladders.alarm == ""
    image(plate)
    assert "NVIDIA H100 failed" in ladders.alarm


def test_a_solver_that_a_device_does_not_have_stays():
    solver = PushPull()
    assert solver_on(CARD, solver) is solver


def test_a_solver_of_a_device_goes_by_the_same_name():
    solver = OnDevice(There(), ThinPlate(), CARD)
    assert (solver.name, solver.version, solver.warm) == ("thin plate", ThinPlate.version, True)


@pytest.mark.parametrize(("least", "expected"), [(16, 2.0), (17, 1.0)])
def test_small_images_are_the_processors(least, expected):
    assert image(OnDevice(There(), PushPull(), CARD, least)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[2] CUDA_ERROR_OUT_OF_MEMORY", "has no memory for pictures of 1x4x4"),
        ("Out of memory: 12 bytes", "has no memory for pictures of 1x4x4"),
        ("CUDA_ERROR_LAUNCH_FAILED", "failed at a picture of 1x4x4"),
    ],
)
def test_when_the_device_fails_the_processor_goes_on_and_says_so(text, said):
    there = There(RuntimeError(text))
    solver = OnDevice(there, PushPull(), CARD, 1)
    assert image(solver) == image(solver) == 1.0
    assert there.calls == 1
    assert solver.alarm.startswith(f"NVIDIA H100 {said} ({text}): the CPU goes on")


def test_a_device_that_does_not_work_is_found_out_before_the_first_picture():
    there = There(RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU"))
    solver = OnDevice(there, PushPull(), CARD)
    solver.warm_up()
    assert there.calls == 1
    assert "CUDA_ERROR_NO_BINARY_FOR_GPU" in solver.alarm


def test_warming_up_compiles_cold_and_warm_solves():
    there = There()
    OnDevice(there, PushPull(), CARD).warm_up()
    assert there.calls == 2


def test_the_last_word_is_the_processors():
    """Whatever a device makes of the pictures before it: live and offline are the same, on any machine."""
    there = There()
    ladder = replace(ladders_for("thin_plate")[0], solver=OnDevice(there, ThinPlate(), CARD, 1))
    rng = np.random.default_rng(0)
    places = np.argwhere(rng.random((24, 24)) < 0.4)
    values, found = rng.poisson(20, len(places)), []
    for ladders in (lambda algorithm, strength: [ladder], ladders_for):
        live = LiveInpainter((24, 24), 1, Plan("thin_plate", noise=NoiseModel()), ladders)
        live.add(places, values)
        live.refresh()
        found.append(live.settle())
    assert there.calls == 1
    for name in ("image", "sigma", "held_out", "strength", "algorithm"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))
    assert live.contest.champion.ladder == THIN_PLATE


def test_what_does_not_fit_is_the_callers_error():
    with pytest.raises(ValueError, match="strength"):
        image(OnDevice(There(ValueError("strength is -1")), PushPull(), CARD, 1))
