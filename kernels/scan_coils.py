"""What the scan coils make of a path: delay, lag, gain, rotation, shear, shift.

A scan generator holds each commanded position for the wait and the dwell of its sample (zero-order hold);
the coils follow as a linear system does, each axis for itself; then comes a matrix about a centre, and a
shift. Knows no pattern and no specimen; scan_calibration.py finds the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, pi

import numpy as np
import numpy.typing as npt
from numba import njit

from .scan_path import Positions, ScanPath

FloatArray = npt.NDArray[np.float64]
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lag:
    """A first-order low-pass: what is left of a step after ``seconds`` is 1/e of it."""

    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < inf:
            raise ValueError(f"a lag of {self.seconds} s; it must be finite and 0 or more")

    def _numbers(self) -> tuple[float, float, float]:
        return self.seconds, 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Resonance:
    """A second-order low-pass: damping below 1 overshoots, above 1 creeps."""

    frequency: float
    """Hz, undamped."""
    damping: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.frequency < inf and 0 < self.damping < inf):
            raise ValueError(
                f"a resonance at {self.frequency} Hz with a damping of {self.damping}; both must be above 0"
            )

    def _numbers(self) -> tuple[float, float, float]:
        return 0.0, 2 * pi * self.frequency, self.damping


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis follows its command."""

    delay: float = 0.0
    """s: what is recorded now belongs to where the probe was so long ago (coils and detector together). Below
    0 where the signal leads."""
    response: Lag | Resonance = Lag()

    def __post_init__(self) -> None:
        if not isfinite(self.delay):
            raise ValueError(f"a delay of {self.delay} s; it must be finite")


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where the probe was while each sample was exposed."""

    positions: Positions
    """(n, 2) mean (y, x) over the exposure, px; may lie outside the field."""
    travel: npt.NDArray[np.float32]
    """(n,) px between where the exposure began and where it ended: of a sample with a long one the value
    belongs to no place."""


@dataclass(frozen=True, slots=True)
class CoilModel:
    """From what was commanded to where the probe was: a calibration of a microscope.

    actual = centre + matrix @ (follow(commanded) - centre) + shift, all (y, x).
    """

    y: Axis = Axis()
    x: Axis = Axis()
    matrix: tuple[Pair, Pair] = ((1.0, 0.0), (0.0, 1.0))
    """Gain, rotation and shear, rows of y and x: numbers of 1 and 0 change nothing."""
    centre: Pair = (0.0, 0.0)
    """px, what the matrix leaves in its place."""
    shift: Pair = (0.0, 0.0)
    """px."""

    def __post_init__(self) -> None:
        numbers = np.array([*self.matrix, self.centre, self.shift], np.float64)
        if not np.isfinite(numbers).all():
            raise ValueError(f"{self} has numbers that are not finite")

    def apply(self, path: ScanPath) -> Positions:
        """(n, 2) float32 where the probe was, mean over each sample's exposure.

        Exact for the model, whatever the dwell times: the means are integrals in closed form. Before the path
        begins, the probe rests at its first position. Results may lie outside the field.
        """
        y, x = (follow_axis(path, axis, model)[0] for axis, model in ((0, self.y), (1, self.x)))
        return self.placed(y, x, self.centre, self.shift)

    def track(self, path: ScanPath) -> Track:
        """The same, and how far the probe travelled during each exposure."""
        (y, y0, y1), (x, x0, x1) = (
            follow_axis(path, axis, model) for axis, model in ((0, self.y), (1, self.x))
        )
        moved = self.placed(y1 - y0, x1 - x0, (0.0, 0.0), (0.0, 0.0))
        return Track(self.placed(y, x, self.centre, self.shift), np.hypot(moved[:, 0], moved[:, 1]))

    def placed(self, y: FloatArray, x: FloatArray, centre: Pair, shift: Pair) -> Positions:
        """The matrix about a centre, and a shift."""
        placed = np.empty((len(y), 2), np.float32)
        for axis, (by_y, by_x) in enumerate(self.matrix):
            placed[:, axis] = by_y * (y - centre[0]) + by_x * (x - centre[1]) + (centre[axis] + shift[axis])
        return placed


def follow_axis(path: ScanPath, axis: int, model: Axis) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) mean position of one axis (0 = y) during each exposure, and the positions at its begin and end."""
    commanded = path.positions[:, axis].astype(np.float64)
    lag, omega, damping = model.response._numbers()
    mean, begin, end = _follow(commanded, path.wait, path.dwell, model.delay, lag, omega, damping)
    return mean, begin, end


@njit("UniTuple(f8, 2)(f8, f8, f8, f8, f8, f8)", nogil=True, cache=True)
def _decayed(off, speed, time, lag, omega, damping):  # type: ignore[no-untyped-def]
    """Distance from the held command, and speed, ``time`` s after they were ``off`` and ``speed``."""
    if time <= 0.0:
        return off, speed
    if omega == 0.0:
        return (off * np.exp(-time / lag) if lag > 0.0 else 0.0), 0.0
    rate = damping * omega
    square = (damping * damping - 1.0) * omega * omega
    if square < 0.0:
        beta = np.sqrt(-square)
        fade = np.exp(-rate * time)
        even, odd = fade * np.cos(beta * time), fade * np.sin(beta * time) / beta
    else:
        beta = np.sqrt(square)
        slow = np.exp(-(rate - beta) * time)
        fast = np.exp(-(rate + beta) * time)
        even = 0.5 * (slow + fast)
        odd = -slow * np.expm1(-2.0 * beta * time) / (2.0 * beta) if beta * time > 1e-9 else slow * time
    return off * even + (speed + rate * off) * odd, speed * even - (omega * omega * off + rate * speed) * odd


@njit(
    "UniTuple(f8[::1], 3)(f8[::1], Array(f8, 1, 'A', readonly=True), Array(f8, 1, 'A', readonly=True), "
    "f8, f8, f8, f8)",
    nogil=True,
    cache=True,
)
def _follow(commanded, wait, dwell, delay, lag, omega, damping):  # type: ignore[no-untyped-def]
    """(n,) mean position during each exposure, the position at its begin, and at its end.

    x'' = w^2 (u - x) - 2 z w x' gives the integral of x without one of its own: that of u, less
    (2 z / w) (x - x0) + x' / w^2; for the first order, less the lag times (x - x0).
    """
    n = len(commanded)
    places, mean = np.empty((2, n)), np.empty(n)
    by_place, by_speed = (lag, 0.0) if omega == 0.0 else (2.0 * damping / omega, 1.0 / (omega * omega))
    first, k, begun, summed, off, speed = commanded[0], 0, 0.0, 0.0, 0.0, 0.0
    ends = 0.0
    for i in range(n):
        ends += wait[i] + dwell[i]
        integral = 0.0
        for edge in range(2):
            time = ends - delay - (dwell[i] if edge == 0 else 0.0)
            while k < n - 1 and time >= begun + wait[k] + dwell[k]:
                hold = wait[k] + dwell[k]
                off, speed = _decayed(off, speed, hold, lag, omega, damping)
                off += commanded[k] - commanded[k + 1]
                summed += (commanded[k] - first) * hold
                begun += hold
                k += 1
            now, moving = _decayed(off, speed, time - begun, lag, omega, damping)
            x = now + commanded[k] - first
            integral = (
                summed + (commanded[k] - first) * (time - begun) - by_place * x - by_speed * moving - integral
            )
            places[edge, i] = x + first
        mean[i] = integral / dwell[i] + first
    return mean, places[0], places[1]
