"""Single frames denoised at the pace of a camera: levels of quality, and what each of them costs.

The noise is evened out, filtered and led back without bias (`noise.NoiseModel`). No one filter is best on
lattices, grains and particles, so that several estimate and their risks decide, locally.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..inpaint.pyramid import push_pull
from ..noise import NoiseModel
from .classical import CLASSICAL
from .cosine_windows import FOLLOWS_AGAIN, CosineWindows
from .fourier_windows import FourierWindows
from .neighbours import AlikeNeighbours
from .overlap import Estimate, Plane
from .risk import mixture

LEAST_SIDE = 8
"""px."""
MARGIN = 64
"""px a frame costs more a side, for the windows around it."""
BRIGHTEST = 2e9
"""Stabilised: 1e18 electrons, more than float32 can tell apart."""
SPARSE = CosineWindows(16, 8)
SMALL, MEDIUM, LARGE = CosineWindows(8, 2), CosineWindows(16, 4), CosineWindows(32, 8)
CELLS, CRYSTALS = FourierWindows(64, 32), FourierWindows(128, 64)
OF_LARGE = np.float32(0.3)
"""Share of the large windows in what is asked which neighbours look alike."""


@dataclass(frozen=True, slots=True)
class Level:
    """One step of quality."""

    name: str
    denoise: Callable[[Plane], Plane]
    """From a frame with noise of variance 1 to one with little; both (ny, nx) float32."""
    ns_per_pixel: float
    """CPU time on one core of the machine of docs/decisions/0030; `livem bench denoise` tells this one's."""
    tells: str
    """What it does, for the user."""

    def cost_s(self, shape: tuple[int, int]) -> float:
        """CPU seconds of a frame."""
        return 1e-9 * self.ns_per_pixel * (shape[0] + MARGIN) * (shape[1] + MARGIN)


def _quick(frame: Plane) -> Plane:
    return SPARSE.kept(frame).estimate().values


def _lattice(frame: Plane) -> Plane:
    return mixture(frame, [SPARSE.kept(frame).estimate(), *_waves(frame)])


def _fine(frame: Plane) -> Plane:
    return mixture(frame, [_cosines(frame), *_waves(frame)])


def _full(frame: Plane) -> Plane:
    cosines = _cosines(frame)
    again = LARGE.shrunk(frame, cosines.values, FOLLOWS_AGAIN).estimate()
    pilot = cosines.values + OF_LARGE * (again.values - cosines.values)
    alike = AlikeNeighbours.by(float(cosines.freedom.mean())).mean(frame, pilot)
    return mixture(frame, [cosines, again, *_waves(frame), alike])


def _waves(frame: Plane) -> list[Estimate]:
    return [windows.kept(frame).estimate() for windows in (CELLS, CRYSTALS)]


def _cosines(frame: Plane) -> Estimate:
    pilot = MEDIUM.kept(frame) + SMALL.kept(frame)
    return MEDIUM.shrunk(frame, pilot.estimate().values).estimate()


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        level.name: level
        for level in (
            Level("quick", _quick, 4, "cosines, one stage"),
            Level("lattice", _lattice, 90, "and waves for crystals"),
            Level("fine", _fine, 120, "cosines in two stages, and waves"),
            Level("full", _full, 195, "and large windows, and neighbours that look alike"),
        )
    }
)
"""From the fastest to the best."""
METHODS = (*LEVELS, *CLASSICAL)


def level_within(budget_s: float, shape: tuple[int, int]) -> Level:
    """The best level whose cost fits, else the fastest."""
    fitting = [level for level in LEVELS.values() if level.cost_s(shape) <= budget_s]
    return fitting[-1] if fitting else next(iter(LEVELS.values()))


class FrameFilter:
    """Takes the noise out of frames; keeps nothing from frame to frame and may be called by several threads.

    Parameters
    ----------
    noise : of one visit of a pixel; the default is for counted electrons.
    method : one of `METHODS`.

    Raises
    ------
    ValueError
        Another method.
    """

    def __init__(self, noise: NoiseModel | None = None, method: str = "full") -> None:
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
        self.noise = noise or NoiseModel()
        self.method = method
        self._denoise = LEVELS[method].denoise if method in LEVELS else CLASSICAL[method]

    def __call__(self, frame: npt.NDArray[Any]) -> Plane:
        """The expected values of a frame.

        Parameters
        ----------
        frame : (ny, nx) of integers or floats, 8 px or more a side, in values of `noise`. What is not finite
            is not known.

        Returns
        -------
        (ny, nx) float32, never below the value of 0 electrons; NaN where the frame is not known.

        Raises
        ------
        ValueError
            Not a frame of numbers, or too small.
        MissingDependencyError
            A classical method whose package is not installed.
        """
        check_frame(frame)
        with np.errstate(over="ignore"):  # beyond float32: infinite, so not known
            values = np.asarray(frame, np.float32)
        stabilised = self.noise.stabilise(values)
        known = np.isfinite(values) & (stabilised < BRIGHTEST)
        if not known.any():
            return np.full(values.shape, np.nan, np.float32)
        if known.all():
            return self.noise.unstabilise(self._denoise(stabilised))
        filled = np.empty_like(stabilised)
        push_pull(np.where(known, stabilised, np.float32(0)), known.astype(np.float32), filled)
        return np.where(known, self.noise.unstabilise(self._denoise(filled)), np.float32(np.nan))

    def frames(self, stack: npt.NDArray[Any], threads: int = 2) -> Plane:
        """Frames (n, ny, nx), each on its own, by so many threads at a time."""
        if not len(stack):
            return np.empty(np.shape(stack), np.float32)
        with ThreadPoolExecutor(threads, "livem-denoise") as pool:
            return np.stack(list(pool.map(self, stack)))


def check_frame(frame: npt.NDArray[Any]) -> None:
    """Raises ValueError for what is no frame of numbers of 8 x 8 pixels or more."""
    if np.ndim(frame) != 2 or min(np.shape(frame)) < LEAST_SIDE:
        raise ValueError(
            f"frame is {np.shape(frame)}: give (ny, nx) of {LEAST_SIDE} x {LEAST_SIDE} pixels or more"
        )
    if np.asarray(frame).dtype.kind not in "buif":
        raise ValueError(f"frame is of {np.asarray(frame).dtype}: give integers or floats")
