"""Patterns in which a probe samples a field: raster, spirals, Lissajous, random ones.

Each function gives (n, 2) float32 positions (y, x) in scan pixels, n of them, all inside the field, in the
order of their visit, from a random generator whose state decides everything. ``plan`` makes a path with times
of them. Pure numpy; knows neither specimen nor detector nor coil.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from math import gcd, isfinite, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from .scan_path import Positions, ScanPath, Shape, check_field, held_inside, make_path

FloatArray = npt.NDArray[np.float64]
Pattern = Callable[..., Positions]
"""(shape, n, rng, and options by name) -> positions."""
Curve = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Numbers of samples -> their radius in px, and how many turns they are from the x axis."""

REACHES = ("corners", "edges")
MAX_WOUND = 64
"""Samples of a spiral, with those that are cut off, for each that is kept (and a CHUNK for nothing): a field
may be 80 times as long as it is wide."""
CHUNK = 1 << 20
MAX_WALK = 1 << 24
"""Steps of a walk: 4 us each, a minute."""
WALK_TRIES = 8


def plan(
    pattern: str, shape: Shape, n: int, dwell: float, *, seed: int = 0, settle: float = 0.0, **options: Any
) -> ScanPath:
    """A path over a field, with its times.

    Parameters
    ----------
    pattern : a key of PATTERNS.
    shape : (ny, nx) scan pixels.
    n : samples; ``samples_of`` turns a fraction into them. More than pixels is allowed.
    dwell : s, of every sample.
    seed : of what is random.
    settle : s to wait before the first sample and behind every jump, as a flyback.
    options : of the pattern, see its function; None counts as not given.

    Raises
    ------
    ValueError
        No such pattern or option, or a value that makes no sense, with what is possible.
    """
    if pattern not in PATTERNS:
        raise ValueError(f"there is no pattern {pattern!r}; there are: {', '.join(PATTERNS)}")
    given = {name: value for name, value in options.items() if value is not None}
    known = options_of(pattern)
    for name in given.keys() - set(known):
        raise ValueError(f"{pattern} has no option {name!r}; it has: {', '.join(known) or 'none'}")
    positions = PATTERNS[pattern](shape, check_field(shape, n), np.random.default_rng(seed), **given)
    path = make_path(shape, positions, dwell, 0.0, pattern)
    return path.settled(settle) if settle else path


def options_of(pattern: str) -> tuple[str, ...]:
    """Names of the options that a pattern takes."""
    parameters = inspect.signature(PATTERNS[pattern]).parameters.values()
    return tuple(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)


# -- lines -------------------------------------------------------------------------------------------------


def raster(shape: Shape, n: int, rng: np.random.Generator, *, lines: int | None = None) -> Positions:
    """Lines along x, all in the same direction; ny * nx samples are the pixel centres.

    Lines are as far apart as the samples along them, unless their number is given; samples are spread over
    the lines as evenly as n allows.
    """
    return held_inside(_grid(shape, n, lines)[1], shape)


def serpentine(shape: Shape, n: int, rng: np.random.Generator, *, lines: int | None = None) -> Positions:
    """A raster whose every second line runs backwards: no flyback."""
    line, centres = _grid(shape, n, lines)
    return held_inside(centres[_to_and_fro(line)], shape)


def jittered(
    shape: Shape, n: int, rng: np.random.Generator, *, jitter: float = 1.0, lines: int | None = None
) -> Positions:
    """A serpentine with every sample at random within its own cell, or within the share ``jitter`` of it."""
    if not 0 <= jitter <= 1:
        raise ValueError(f"a jitter of {jitter:g}; it is a share of the cell, 0 to 1")
    line, centres = _grid(shape, n, lines)
    counts = np.bincount(line)
    cell = np.stack([np.full(n, shape[0] / len(counts)), shape[1] / counts[line]], axis=1)
    moved = centres + jitter * (rng.random((n, 2)) - 0.5) * cell
    return held_inside(moved[_to_and_fro(line)], shape)


def line_hop(shape: Shape, n: int, rng: np.random.Generator, *, lines: int | None = None) -> Positions:
    """Lines along x, each hopping at random within its own band of rows (Kovarik et al., APL 109, 164102,
    2016)."""
    ny, nx = shape
    count = _check_lines(max(1, min(ny, round(n / nx))) if lines is None else lines, min(ny, n))
    along = np.linspace(0, nx - 1, -(-n // count), dtype=np.float64)
    edges = np.linspace(0, ny, count + 1)
    low, high = edges[:-1, None], edges[1:, None]
    row = np.floor(low + rng.random((count, len(along))) * (high - low)).clip(0, ny - 1)
    column = np.where(np.arange(count)[:, None] % 2 == 1, along[::-1], along)
    return np.stack([row, np.broadcast_to(column, row.shape)], axis=-1).reshape(-1, 2)[:n].astype(np.float32)


def _grid(shape: Shape, n: int, lines: int | None) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Line of each sample, and the centre (y, x) of its cell; line by line."""
    ny, nx = shape
    even = min(max(1, round(sqrt(n * ny / nx))), n)
    count = _check_lines(even if lines is None else lines, n)
    starts = np.arange(count + 1, dtype=np.int64) * n // count
    lengths = np.diff(starts)
    line = np.repeat(np.arange(count), lengths)
    column = np.arange(n) - starts[line]
    y = (line + 0.5) * (ny / count) - 0.5
    x = (column + 0.5) * (nx / lengths[line]) - 0.5
    return line, np.stack([y, x], axis=1)


def _check_lines(lines: int, most: int) -> int:
    if not 1 <= lines <= most:
        raise ValueError(f"{lines} lines; here there can be 1 to {most}")
    return lines


def _to_and_fro(line: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The order that turns every second line round."""
    starts = np.searchsorted(line, line, "left")
    ends = np.searchsorted(line, line, "right") - 1
    here = np.arange(len(line))
    return np.where(line % 2 == 1, starts + ends - here, here)


# -- curves ------------------------------------------------------------------------------------------------


def spiral(
    shape: Shape, n: int, rng: np.random.Generator, *, turns: float | None = None, reach: str = "corners"
) -> Positions:
    """Archimedean spiral at constant linear speed from the centre, begun at a random angle.

    Equal dwell is an equal dose everywhere; the frequency rises towards the centre.

    Parameters
    ----------
    turns : from the centre to the rim; default: as far apart as the samples along a turn.
    reach : "corners": up to the corners; where the spiral is outside the field, nothing is sampled, and the
        probe jumps. "edges": within the largest circle, without a jump.
    """
    rim, phase = _rim(shape, reach), rng.random()
    area = shape[0] * shape[1] if reach == "corners" else pi * rim**2
    pitch = sqrt(area / n) if turns is None else rim / _check_turns(turns)
    along = pitch if turns is None else area / n / pitch

    def curve(k: FloatArray) -> tuple[FloatArray, FloatArray]:
        radius = sqrt(pitch * along) * np.sqrt((k + 0.5) / np.pi)
        return radius, radius / pitch + phase

    while True:
        whole = int(np.ceil(pi * (rim / sqrt(pitch * along) + 1) ** 2))
        path = _part_inside(shape, n, whole, rim, curve)
        if len(path) >= n:
            return held_inside(path[:n], shape)
        # The edge of the field cuts some off. Not one step too far: what is left over would be a corner's.
        short = max(len(path) / n, 0.8) * 0.9999
        along *= short if turns is not None else sqrt(short)
        pitch = along if turns is None else pitch


def spiral_angular(
    shape: Shape, n: int, rng: np.random.Generator, *, turns: float | None = None, reach: str = "corners"
) -> Positions:
    """Archimedean spiral at constant angular speed: one frequency for the coils, and at equal dwell a dose
    that falls with the distance from the centre.

    Options as for ``spiral``; by default, turns are as far apart as the samples along the last one.
    """
    rim, phase = _rim(shape, reach), rng.random()
    wound = max(1.0, sqrt(n / (2 * pi))) if turns is None else _check_turns(turns)
    whole = n

    def curve(k: FloatArray) -> tuple[FloatArray, FloatArray]:
        out = (k + 0.5) / whole
        return rim * out, wound * out + phase

    while True:
        path = _part_inside(shape, n, whole, rim, curve)
        if len(path) >= n:
            return held_inside(path[:n], shape)
        share = max(len(path) / whole, 0.5 / MAX_WOUND)  # the edge of the field cuts some off
        whole += max(1, int(0.9 * (n - len(path)) / share))


def lissajous(shape: Shape, n: int, rng: np.random.Generator, *, lines: int | None = None) -> Positions:
    """Two sine drives of coprime frequencies, ``lines`` periods along y: by default, lines about as far apart
    as the samples along them. Smooth for the coils, densest at the border."""
    count = max(2, round(float(np.sqrt(n) / 2.2))) if lines is None else _check_lines(lines, n)
    other = next(k for k in range(count + 1, 2 * count + 2) if gcd(k, 2 * count) == 1)
    time = 2 * np.pi * (np.arange(n) + rng.random()) / n
    half = (np.array(shape) - 1) / 2
    path = np.stack([np.sin(count * time), np.sin(other * time + np.pi / 4)], axis=1)
    return (path * half + half).astype(np.float32)


def _rim(shape: Shape, reach: str) -> float:
    """Radius in px up to which a spiral goes."""
    if reach not in REACHES:
        raise ValueError(f"a reach of {reach!r}; a spiral reaches to the {' or '.join(REACHES)}")
    return 0.5 * float(np.hypot(*shape)) if reach == "corners" else 0.5 * min(shape)


def _check_turns(turns: float) -> float:
    if not (turns > 0 and isfinite(turns)):
        raise ValueError(f"{turns:g} turns; a spiral needs more than 0")
    return turns


def _part_inside(shape: Shape, n: int, whole: int, rim: float, curve: Curve) -> FloatArray:
    """Those of ``whole`` samples of a spiral that are inside the field and the rim."""
    if whole > MAX_WOUND * n + CHUNK:
        raise ValueError(
            f"a spiral over {shape[0]} x {shape[1]} px lies outside the field nearly everywhere; "
            "use reach='edges', or a pattern of lines"
        )
    centre = (np.array(shape) - 1) / 2
    found: list[FloatArray] = []
    for first in range(0, whole, CHUNK):
        radius, turn = curve(np.arange(first, min(first + CHUNK, whole), dtype=np.float64))
        angle = 2 * np.pi * turn
        path = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1) + centre
        found.append(path[_is_inside(path, shape) & (radius <= rim)])
    return np.concatenate(found)


def _is_inside(path: FloatArray, shape: Shape) -> npt.NDArray[np.bool_]:
    """Which positions round to a pixel of the field."""
    inside: npt.NDArray[np.bool_] = np.all((path >= -0.5) & (path < np.array(shape) - 0.5), axis=1)
    return inside


# -- random ------------------------------------------------------------------------------------------------


def random(shape: Shape, n: int, rng: np.random.Generator) -> Positions:
    """Pixel centres in random order, none twice as long as there are enough."""
    ny, nx = shape
    draws = -(-n // (ny * nx))
    flat = np.concatenate([rng.permutation(ny * nx) for _ in range(draws)])[:n]
    return np.stack(np.divmod(flat, nx), axis=1).astype(np.float32)


def random_walk(shape: Shape, n: int, rng: np.random.Generator, *, jump: float | None = None) -> Positions:
    """A walk whose steps are ``jump`` px at most, and which avoids where it has been.

    Of some random steps it takes the one to the cell that it visited least (after the true self-avoiding
    walk, Amit, Parisi and Peliti, Phys. Rev. B 27, 1635, 1983): a plain random walk leaves large holes. Steps
    are reflected at the border. The default of ``jump`` is four times the mean distance of the samples.
    """
    pitch = sqrt(shape[0] * shape[1] / n)
    longest = 4 * pitch if jump is None else jump
    if not (longest > 0 and isfinite(longest)):
        raise ValueError(f"jumps of at most {longest:g} px; they must be longer than 0")
    if n > MAX_WALK:
        raise ValueError(f"a walk of {n} steps; the limit is {MAX_WALK}: use the jittered pattern")
    rounding = 2 * float(np.spacing(np.float32(max(shape))))
    steps = _steps(n, max(longest - rounding, 0.5 * longest), rng)
    start = rng.random(2) * shape - 0.5
    return held_inside(np.array(_walk(shape, pitch, tuple(start.tolist()), steps)), shape)


def _steps(n: int, longest: float, rng: np.random.Generator) -> Iterator[list[list[float]]]:
    """For each step but the first its candidates (dy, dx), evenly over a disk."""
    for first in range(1, n, CHUNK >> 4):
        size = (min(CHUNK >> 4, n - first), WALK_TRIES)
        radius, angle = longest * np.sqrt(rng.random(size)), 2 * np.pi * rng.random(size)
        yield from np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1).tolist()


def _walk(
    shape: Shape, cell: float, start: tuple[float, float], steps: Iterator[list[list[float]]]
) -> list[tuple[float, float]]:
    """Plain numbers in plain lists: numpy would cost ten times as much for one step at a time."""
    ny, nx = shape
    columns = int(nx / cell) + 1
    visits = [0] * (columns * (int(ny / cell) + 1))
    y, x = start
    path = [start]
    visits[int((y + 0.5) / cell) * columns + int((x + 0.5) / cell)] += 1
    for candidates in steps:
        fewest, chosen = -1, (y, x, 0)
        for dy, dx in candidates:
            v, u = _folded(y + dy, ny), _folded(x + dx, nx)
            place = int((v + 0.5) / cell) * columns + int((u + 0.5) / cell)
            if fewest < 0 or visits[place] < fewest:
                fewest, chosen = visits[place], (v, u, place)
                if not fewest:
                    break
        y, x, place = chosen
        visits[place] += 1
        path.append((y, x))
    return path


def _folded(place: float, side: int) -> float:
    """Reflected at the borders as often as needed; no two places come out farther apart than they were."""
    inside = (place + 0.5) % (2 * side)
    return min(inside, 2 * side - inside) - 0.5


PATTERNS: Mapping[str, Pattern] = {
    "raster": raster,
    "serpentine": serpentine,
    "spiral": spiral,
    "spiral_angular": spiral_angular,
    "lissajous": lissajous,
    "random": random,
    "jittered": jittered,
    "line_hop": line_hop,
    "random_walk": random_walk,
}
