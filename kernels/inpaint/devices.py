"""Solvers on the device that a worker has, and what is done when its memory ends. Knows no consumer.

Loads no GPU package where none is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...errors import DeviceFaultError
from ..device import Device
from .choice import Ladder
from .solution import Budget, Image, Solution, Solver, Weight
from .thin_plate import ThinPlate

LEAST_PIXELS = 1 << 17
"""Of an image and channel for a device to be worth it: fewer are solved by the processor while launches are
made. Reckoned for 8 iterations from 15 us a launch (1.3 ms, those of the processor at 360 x 360), not
measured; `livem bench gpu` tells."""


def ladders_on(device: Device, ladders: Iterable[Ladder]) -> list[Ladder]:
    """The same ladders, with the solvers of a device where it has them (the thin plate); new ones at each
    call, as they keep their memory there."""
    return [replace(ladder, solver=solver_on(device, ladder.solver)) for ladder in ladders]


def solver_on(device: Device, solver: Solver) -> Solver:
    """The same solver on a device; the one that is given where there is no other.

    Sparse cosines stay on the processor: `cuda.inpaint_cosine` has them, and has been measured on no device.
    """
    if device.kind == "cpu" or not isinstance(solver, ThinPlate):
        return solver
    from ..cuda.inpaint import CudaThinPlate

    return OnDevice(CudaThinPlate(solver.tension), solver, device)


class OnDevice:
    """A solver of a device, with the processor's for small images and for when memory ends. A `Solver`.

    Parameters
    ----------
    there, here : two ways to the same image.
    device : what is told of it in errors.
    least_pixels : of an image for the device.

    Attributes
    ----------
    alarm : why the processor does the work, or ""; for the user.
    """

    def __init__(self, there: Solver, here: Solver, device: Device, least_pixels: int = LEAST_PIXELS) -> None:
        self.name, self.version, self.warm = here.name, here.version, here.warm
        self.alarm = ""
        self._there: Solver | None = there
        self._here, self._device, self._least = here, device, least_pixels

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `Solver.solve`.

        Raises
        ------
        ValueError
            As there.
        DeviceFaultError
            The device failed: nothing more can be computed on it in this process.
        """
        if self._there is not None and weight.size >= self._least:
            try:
                return self._there.solve(data, weight, start, strength, budget)
            except ValueError:
                raise
            except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
                self._recover(error, data.shape)
        return self._here.solve(data, weight, start, strength, budget)

    def _recover(self, error: Exception, shape: tuple[int, ...]) -> None:
        """Without memory do without the device; of no other error does its context recover."""
        if "OUT_OF_MEMORY" not in f"{error}".upper().replace(" ", "_"):
            raise DeviceFaultError(f"{self._device.name} failed while it solved {shape}: {error}") from error
        self._there = None
        self.alarm = (
            f"{self._device.name} has no memory for pictures of {shape}: the CPU goes on; end other programs "
            "on it"
        )
