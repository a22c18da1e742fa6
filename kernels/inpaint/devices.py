"""Solvers on the device that a worker has, and what is done when that fails. Knows no consumer.

Loads no GPU package where none is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..device import Device
from .choice import Ladder
from .ladders import ladders_for
from .solution import Budget, Image, Solution, Solver, Weight
from .thin_plate import ThinPlate

LEAST_PIXELS = 1 << 17
"""Of an image and channel for a device to be worth it: fewer are solved by the processor while launches are
made. Reckoned for 8 iterations from 15 us a launch (1.3 ms, those of the processor at 360 x 360), not
measured; `livem bench gpu` tells."""


class Ladders:
    """The ladders that there are, with the solvers of a device where it has them (the thin plate).

    A device's solver is made once and kept, with its memory; so whoever shares this shares that.

    Parameters
    ----------
    device : where to solve; default: the processor.
    """

    def __init__(self, device: Device | None = None) -> None:
        self.device = device or Device("cpu", "CPU", "nothing else was asked for")
        self._made: dict[int, Solver] = {}

    def __call__(self, algorithm: str, strength: float | None = None) -> Sequence[Ladder]:
        """As `ladders_for`, there."""
        ladders = ladders_for(algorithm, strength)
        return [replace(ladder, solver=self._solver(ladder.solver)) for ladder in ladders]

    @property
    def alarm(self) -> str:
        """Why the processor does the work of the device, or ""; for the user."""
        return next((alarm for solver in self._made.values() if (alarm := getattr(solver, "alarm", ""))), "")

    def _solver(self, solver: Solver) -> Solver:
        if id(solver) not in self._made:  # those of `LADDERS`, which live as long as the module
            self._made[id(solver)] = solver_on(self.device, solver)
        return self._made[id(solver)]


def solver_on(device: Device, solver: Solver) -> Solver:
    """The same solver on a device; the one that is given where there is no other.

    Sparse cosines stay on the processor: those of `cuda.inpaint_cosine` would be no faster, by reckoning, as
    long as tiles are solved one after another (docs/decisions/0011).
    """
    if device.kind == "cpu" or not isinstance(solver, ThinPlate):
        return solver
    from ..cuda.inpaint import CudaThinPlate

    found = OnDevice(CudaThinPlate(solver.tension), solver, device)
    found.warm_up()
    return found


def on_processor(ladders: Sequence[Ladder]) -> list[Ladder]:
    """The same ladders with the processor's solvers, so that what depends on no device is made by them."""
    return [
        replace(ladder, solver=ladder.solver.here) if isinstance(ladder.solver, OnDevice) else ladder
        for ladder in ladders
    ]


class OnDevice:
    """A solver of a device, with the processor's for small images and for when it fails. A `Solver`.

    Parameters
    ----------
    there, here : two ways to the same image.
    device : what is told of it in errors.
    least_pixels : of an image for the device.

    Attributes
    ----------
    alarm : why the processor does the work, or ""; for the user.
    here : the processor's.
    """

    def __init__(self, there: Solver, here: Solver, device: Device, least_pixels: int = LEAST_PIXELS) -> None:
        self.name, self.version, self.warm = here.name, here.version, here.warm
        self.alarm = ""
        self._there: Solver | None = there
        self.here, self._device, self._least = here, device, least_pixels

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `Solver.solve`; whatever fails on the device is done by the processor, from then on."""
        if self._there is not None and weight.size >= self._least:
            found = self._on_device(data, weight, start, strength, budget)
            if found is not None:
                return found
        return self.here.solve(data, weight, start, strength, budget)

    def warm_up(self) -> None:
        """Compile for the device, or find out that it does not work."""
        data, weight = np.zeros((1, 16, 16), np.float32), np.eye(16, dtype=np.float32)
        for start in (None, data):
            if self._there is not None:
                self._on_device(data, weight, start, 1.0, Budget(iterations=2))

    def _on_device(
        self, data: Image, weight: Weight, start: Image | None, strength: float, budget: Budget | None
    ) -> Solution | None:
        """None: it failed. In this process it is not used again, since its context may be lost with it."""
        assert self._there is not None
        try:
            return self._there.solve(data, weight, start, strength, budget)
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
            self._there, shape = None, "x".join(map(str, data.shape))
            no_room = "OUT_OF_MEMORY" in f"{error}".upper().replace(" ", "_")
            said = f"has no memory for pictures of {shape}" if no_room else f"failed at a picture of {shape}"
            hint = "; end other programs on it" if no_room else ""
            self.alarm = f"{self._device.name} {said} ({error}): the CPU goes on{hint}"
            return None
