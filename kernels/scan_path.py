"""The path of a probe over a field: positions in the order of their visit, times, coverage, figures.

Numpy alone, but for the distances behind `largest_gap`. Knows no pattern (scan_patterns.py), no coil
(scan_coils.py), no specimen and no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.float32]
"""(n, 2) (y, x) in scan pixels; (0, 0) is the centre of the first pixel."""
Seconds = npt.NDArray[np.float64]
Shape = tuple[int, int]
CoverageMap = npt.NDArray[np.float32]
"""(ny, nx)."""

MAX_SIDE = 65_536
MAX_PIXELS = 1 << 28
"""A field of so many takes 3 GB while its visits are counted."""
MAX_SAMPLES = 1 << 26
"""A path of so many samples is 1.6 GB with its times."""
LONG_STEP = 3.0
"""A step of more than so many median steps is a jump: a flyback, or a hop to another place."""


@dataclass(frozen=True, eq=False)
class ScanPath:
    """Where the probe is sent, when, and for how long.

    Raises ValueError when shapes, positions or times contradict each other.
    """

    shape: Shape
    """(ny, nx) scan pixels of the field."""
    positions: Positions
    """(n, 2) (y, x), in the order of their visit; each rounds to a pixel of the field."""
    dwell: Seconds
    """(n,) s that a sample is exposed; a read-only view of one number where all are equal."""
    wait: Seconds
    """(n,) s before the exposure that the probe is sent there already and nothing is recorded."""
    pattern: str = "path"

    def __post_init__(self) -> None:
        check_field(self.shape, len(self.positions))
        if self.positions.dtype != np.float32 or self.positions.shape != (len(self.positions), 2):
            raise ValueError(
                f"positions are {self.positions.dtype} {self.positions.shape}; they must be float32 (n, 2)"
            )
        outside = np.flatnonzero(~_is_inside(self.positions, self.shape))
        if len(outside):
            raise ValueError(
                f"position {outside[0]} is {self.positions[outside[0]].tolist()} px; the field of "
                f"{self.shape[0]} x {self.shape[1]} px ends half a pixel from the centres of its last pixels"
            )
        for name, least in (("dwell", np.finfo(np.float64).tiny), ("wait", 0.0)):
            _check_times(name, getattr(self, name), len(self.positions), least)

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def seconds(self) -> float:
        """Duration of the whole path, waits included."""
        return float(self.dwell.sum() + self.wait.sum())

    def pixels(self) -> npt.NDArray[np.int64]:
        """(n,) flat index ``y * nx + x`` of the pixel that each sample falls into."""
        y, x = np.floor(self.positions.astype(np.float64) + 0.5).astype(np.int64).T
        flat: npt.NDArray[np.int64] = y * self.shape[1] + x
        return flat

    def visits(self) -> CoverageMap:
        """(ny, nx) float32: how many samples fall into each pixel."""
        return self._map(None)

    def beam_seconds(self) -> CoverageMap:
        """(ny, nx) float32: seconds that the recorded samples expose each pixel; waits do not count."""
        return self._map(self.dwell)

    def steps(self) -> npt.NDArray[np.float64]:
        """(n - 1,) distances in px from one sample to the next."""
        dy, dx = np.diff(self.positions.astype(np.float64), axis=0).T
        lengths: npt.NDArray[np.float64] = np.hypot(dy, dx)
        return lengths

    def settled(self, seconds: float) -> ScanPath:
        """The same path that waits so long before the first sample and behind every jump (LONG_STEP)."""
        steps = self.steps()
        jumps = np.ones(len(self), bool)
        jumps[1:] = steps > LONG_STEP * np.median(steps) if len(steps) else False
        return replace(self, wait=np.where(jumps, seconds, 0.0))

    def there_and_back(self) -> ScanPath:
        """The path, and then the same one backwards: with it the delay of the coils can be found on any path,
        on a spiral too, whose neighbouring turns run the same way. Back it waits behind the same jumps."""
        positions = np.concatenate([self.positions, self.positions[::-1]])
        dwell = np.concatenate([self.dwell, self.dwell[::-1]])
        wait = np.concatenate([self.wait, [0.0], self.wait[:0:-1]])  # it stands at the last sample already
        return ScanPath(self.shape, positions, dwell, wait, f"{self.pattern}, there and back")

    def _map(self, weights: Seconds | None) -> CoverageMap:
        ny, nx = self.shape
        counted = np.asarray(np.bincount(self.pixels(), weights, ny * nx), np.float64)
        return counted.reshape(ny, nx).astype(np.float32)


def make_path(
    shape: Shape,
    positions: Positions,
    dwell: float | Seconds,
    wait: float | Seconds = 0.0,
    name: str = "path",
) -> ScanPath:
    """A path from positions and times, of which one number stands for all samples."""
    held, waited = (_for_each(len(positions), np.asarray(value, np.float64)) for value in (dwell, wait))
    return ScanPath(shape, positions, held, waited, name)


def _for_each(n: int, value: Seconds) -> Seconds:
    return value if value.ndim else np.broadcast_to(value, (n,))


def samples_of(shape: Shape, fraction: float) -> int:
    """How many samples a fraction of the pixels is; at least one. Raises ValueError."""
    if not fraction > 0:
        raise ValueError(f"a sampling fraction of {fraction:g}; it must be above 0 (1 is a sample a pixel)")
    n = shape[0] * shape[1] * fraction
    return check_field(shape, max(1, round(min(n, 1e18))))


def check_field(shape: Shape, n: int) -> int:
    """n, if a path of n samples over a field of this shape can be made. Raises ValueError."""
    ny, nx = shape
    if not (1 <= ny <= MAX_SIDE and 1 <= nx <= MAX_SIDE):
        raise ValueError(f"a field of {ny} x {nx} px; each side must be 1 to {MAX_SIDE}")
    if ny * nx > MAX_PIXELS:
        raise ValueError(f"a field of {ny} x {nx} px; it may have {MAX_PIXELS} in all: make a side shorter")
    if not 1 <= n <= MAX_SAMPLES:
        raise ValueError(f"a path of {n} samples; it must have 1 to {MAX_SAMPLES}: change the fraction")
    return n


def held_inside(positions: npt.NDArray[np.floating], shape: Shape) -> Positions:
    """As float32, with what lies on the border or beyond moved to the last place inside."""
    high = (np.array(shape) - 0.5) * (1 - 2.0**-22)  # 4 float32 below the border, at any side
    return np.asarray(np.clip(positions, -0.5, high), np.float32)


def _is_inside(positions: Positions, shape: Shape) -> npt.NDArray[np.bool_]:
    pixel = np.floor(positions.astype(np.float64) + 0.5)
    inside: npt.NDArray[np.bool_] = np.all((pixel >= 0) & (pixel < np.array(shape)), axis=1)
    return inside


def _check_times(name: str, times: Seconds, n: int, least: float) -> None:
    if times.shape != (n,):
        raise ValueError(f"{name} has the shape {times.shape}; there are {n} positions")
    wrong = np.flatnonzero(~((times >= least) & np.isfinite(times)))
    if len(wrong):
        bound = "above 0" if least else "0 or more"
        raise ValueError(f"{name} of sample {wrong[0]} is {times[wrong[0]]} s; it must be finite and {bound}")


# -- figures -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathFigures:
    """What one wants to know of a path before it is sent to a microscope."""

    samples: int
    pixels: int
    """Pixels of the field."""
    visited: float
    """Share of the pixels that at least one sample falls into."""
    largest_gap: float
    """px from the pixel that is farthest from any visited one to that one."""
    seconds: float
    """Total time, waits included."""
    step_mean: float
    """px from a sample to the next."""
    step_max: float
    """px; the longest flyback or jump."""
    frequency: float
    """Hz, mean, of the faster axis: half its reversals a second. Lines a second for a raster, half of that
    for a serpentine, turns a second for a spiral."""
    beyond_limit: float
    """Share of the time that an axis goes to and fro faster than the limit; 0 without a limit."""
    limit: float | None
    """Hz that the coils can follow, as it was given."""

    @property
    def too_fast(self) -> bool:
        """Whether the path as a whole asks more of the coils than their limit."""
        return self.limit is not None and self.frequency > self.limit


def path_figures(path: ScanPath, limit: float | None = None) -> PathFigures:
    """Figures of a path; ``limit`` in Hz is what the coils can follow."""
    steps = path.steps()
    visited = path.visits() > 0
    sweeps = [_sweeps(path, axis) for axis in (0, 1)]
    return PathFigures(
        samples=len(path),
        pixels=visited.size,
        visited=float(visited.mean()),
        largest_gap=largest_gap(visited),
        seconds=path.seconds,
        step_mean=float(steps.mean()) if len(steps) else 0.0,
        step_max=float(steps.max(initial=0.0)),
        frequency=max(map(len, sweeps)) / 2 / path.seconds,
        beyond_limit=0.0 if limit is None else max(_share_beyond(one, limit) for one in sweeps),
        limit=limit,
    )


def _sweeps(path: ScanPath, axis: int) -> Seconds:
    """Durations of the pieces in which one axis moves one way; a pause belongs to the sweep before it."""
    moves = np.sign(np.diff(path.positions[:, axis]))
    moving = np.flatnonzero(moves)
    if not len(moving):
        return np.empty(0)
    turns = moving[1:][np.diff(moves[moving]) != 0]
    ends = np.cumsum(path.dwell + path.wait)
    return np.diff(ends[np.concatenate([turns, [len(path) - 1]])], prepend=0.0)


def _share_beyond(sweeps: Seconds, limit: float) -> float:
    """Share of the time in periods, a sweep and the next, that are shorter than the limit's."""
    if len(sweeps) < 2:
        return 0.0
    periods = sweeps[:-1] + sweeps[1:]
    periods = np.append(periods, periods[-1])
    return float(sweeps[limit * periods < 1].sum() / sweeps.sum())


def largest_gap(visited: npt.NDArray[np.bool_]) -> float:
    """Euclidean distance in px of the pixel that is farthest from any visited one; inf where none is.

    Linear in the pixels, however few are visited: `inpaint.support.distance_to`, loaded only here, so that
    paths need no compiled code.
    """
    from .inpaint.support import distance_to

    return float(distance_to(visited).max())
