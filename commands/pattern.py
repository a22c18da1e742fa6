"""``livem pattern``: plan the path of a probe, look at it, and write it for a scan generator."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as opt

if TYPE_CHECKING:
    from ..kernels.scan_path import PathFigures, ScanPath
    from ..scan_files import Scale


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A number above 0 with a unit; what it gives is in the first of the units, which are powers of ten."""

    def __init__(self, units: dict[str, int], example: str) -> None:
        self.units, self.example = units, example
        self.name = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9.eE+-]+?)\s*([a-zA-Zµ]*)", str(value))
        number = math.nan
        if match and match[2] in self.units:
            power = self.units[match[2]]
            with suppress(ValueError):  # dividing is exact where 1e-9 as a factor is not
                number = float(match[1]) * 10**power if power > 0 else float(match[1]) / 10**-power
        if number > 0 and math.isfinite(number):
            return number
        units = ", ".join(filter(None, self.units))
        self.fail(f"{value!r} must be a number above 0 in {units}, as in {self.example}", param, ctx)


TIME = Quantity({"s": 0, "": 0, "ms": -3, "us": -6, "µs": -6, "ns": -9}, "1us")
LENGTH = Quantity({"nm": 0, "": 0, "A": -1, "pm": -3, "um": 3, "µm": 3}, "100nm")
VOLTS = Quantity({"V": 0, "": 0, "mV": -3}, "5V")
FREQUENCY = Quantity({"Hz": 0, "": 0, "kHz": 3, "MHz": 6}, "2kHz")
NUMBER = opt.PositiveNumber("px")
OPTIONS = ("lines", "turns", "reach", "jitter", "jump")
"""Of some patterns only."""


@click.command()
@click.argument("what")
@click.option("--shape", type=opt.ScanSize(), metavar="NYxNX", help="Scan pixels of the field.  [512x512]")
@click.option("--fraction", type=opt.PositiveNumber("samples per pixel"), help="Samples per pixel.  [0.25]")
@click.option("--samples", type=opt.WHOLE, metavar="N", help="Samples, instead of a fraction.")
@click.option("--dwell", type=TIME, metavar="TIME", help="Exposure of a sample.  [1us]")
@click.option("--settle", type=TIME, metavar="TIME", help="Wait behind every flyback or jump.")
@click.option("--seed", type=click.IntRange(min=0), help="Of what is random.  [0]")
@click.option("--lines", type=opt.WHOLE, help="Lines (raster, serpentine, jittered, line_hop, lissajous).")
@click.option("--turns", type=opt.PositiveNumber("turns"), help="Turns of a spiral from centre to rim.")
@click.option("--reach", help="How far a spiral goes: corners (the default), or edges.")
@click.option("--jitter", type=click.FloatRange(0, 1), help="Share of its cell that a sample may use.")
@click.option("--jump", type=NUMBER, metavar="PX", help="Longest step of a random walk.")
@click.option("--back", is_flag=True, help="There and back: what a calibration of the coils needs.")
@click.option("--fov", type=LENGTH, metavar="LENGTH", help="Width of the field: .csv gets columns in nm.")
@click.option(
    "--volts",
    type=VOLTS,
    metavar="V",
    help="Deflection, to either side, of the longer side: .csv gets columns in V.",
)
@click.option("--limit", type=FREQUENCY, metavar="F", help="What the coils can follow; more is a warning.")
@click.option("--out", type=opt.FILE, multiple=True, metavar="FILE", help=".csv, .npy or .npz; repeatable.")
@click.option("--coverage", type=opt.FILE, metavar="FILE", help="Visits of each pixel: .png or .npy.")
@opt.as_json
def command(
    what: str,
    out: tuple[Path, ...],
    coverage: Path | None,
    limit: float | None,
    fov: float | None,
    volts: float | None,
    as_json: bool,
    **planned: Any,
) -> None:
    """Plan a path, or look at one in a file; WHAT is a pattern or a .csv, .npy or .npz file.

    \b
    Patterns:
      raster serpentine jittered line_hop     lines
      spiral spiral_angular lissajous         smooth curves: constant linear speed,
                                              constant angular speed, two sines
      random random_walk                      anywhere; steps of a limited length

    Shown are the share of the pixels that is visited, the largest gap, the time, and what it asks of the
    coils. Positions are y, x in px from the middle of the first pixel, in the order of their visit.

    \b
    Examples:
      livem pattern spiral --shape 512x512 --fraction 0.25 --dwell 1us --out spiral.csv
      livem pattern random_walk --jump 12 --fov 100nm --out walk.csv --coverage walk.png
      livem pattern spiral.csv --limit 2kHz
    """
    from ..kernels.scan_path import path_figures
    from ..scan_files import write_path

    path = _path(what, planned)
    scale = _scale(path, fov, volts)
    figures = path_figures(path, limit)
    for file in out:
        write_path(file, path, scale)
    if coverage is not None:
        _write_coverage(coverage, path)
    if as_json:
        from .exits import print_json

        print_json(_facts(path, figures))
        return
    for line in _lines(path, figures):
        click.echo(line)
    for file in (*out, *filter(None, [coverage])):
        click.echo(f"  written   {file}")
    if figures.too_fast:
        click.echo(f"livem: {_warning(figures)}", err=True)


def _path(what: str, planned: dict[str, Any]) -> ScanPath:
    """A pattern by its name, or the path in a file."""
    from ..errors import UsageError
    from ..kernels.scan_patterns import PATTERNS

    try:
        path = _planned(what, planned) if what in PATTERNS else _read(what, planned)
        return path.there_and_back() if planned["back"] else path
    except ValueError as error:
        raise UsageError(f"{error}") from error


def _planned(pattern: str, planned: dict[str, Any]) -> ScanPath:
    from ..kernels.scan_path import samples_of
    from ..kernels.scan_patterns import plan

    if planned["samples"] is not None and planned["fraction"] is not None:
        raise ValueError("--samples and --fraction both say how many; give one of them")
    shape = planned["shape"] or (512, 512)
    n = planned["samples"] or samples_of(shape, planned["fraction"] or 0.25)
    options = {name: planned[name] for name in OPTIONS}
    settle, seed = planned["settle"] or 0.0, planned["seed"] or 0
    return plan(pattern, shape, n, planned["dwell"] or 1e-6, seed=seed, settle=settle, **options)


def _read(what: str, planned: dict[str, Any]) -> ScanPath:
    from ..kernels.scan_patterns import PATTERNS
    from ..scan_files import SUFFIXES, read_path

    file = Path(what)
    if file.suffix.lower() not in SUFFIXES:
        from difflib import get_close_matches

        near = get_close_matches(what, PATTERNS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(PATTERNS)}"
        raise ValueError(f"{what!r} is no pattern and no file of a path; {hint}")
    path = read_path(file, planned["shape"], planned["dwell"])
    useless = [name for name in ("fraction", "samples", "seed", *OPTIONS) if planned[name] is not None]
    if useless:
        raise ValueError(f"--{useless[0]} changes a pattern, not the path in a file; leave it out")
    _check_told(file.name, path, planned)
    return path.settled(planned["settle"]) if planned["settle"] else path


def _check_told(name: str, path: ScanPath, planned: dict[str, Any]) -> None:
    """Raise ValueError for a shape or dwell time that a file contradicts."""
    import numpy as np

    (ny, nx), shape, dwell = path.shape, planned["shape"], planned["dwell"]
    if shape is not None and tuple(shape) != path.shape:
        raise ValueError(f"--shape {shape[0]}x{shape[1]}: the field in {name} has {ny}x{nx} px; leave it out")
    if dwell is not None and not np.allclose(path.dwell, dwell, rtol=1e-6, atol=0):
        first = _time(float(path.dwell[0]))
        raise ValueError(
            f"--dwell {_time(dwell)}: {name} says itself how long, at first {first}; leave it out"
        )


def _scale(path: ScanPath, fov: float | None, volts: float | None) -> Scale | None:
    from ..errors import UsageError
    from ..scan_files import Scale

    if fov is not None and volts is not None:
        raise UsageError("--fov and --volts: a file has columns in nm or in V; give one of them")
    if fov is not None:
        return Scale("nm", fov / path.shape[1])
    return None if volts is None else Scale("V", 2 * volts / max(path.shape))


def _write_coverage(file: Path, path: ScanPath) -> None:
    """The map as it is, or as a picture in which pixels that were never visited are blue."""
    import numpy as np

    from ..errors import SessionError, UsageError
    from ..outputs import write_png
    from ..stream.results import Result

    visits = path.visits()
    if file.suffix.lower() not in (".npy", ".png"):
        raise UsageError(f"{file.name}: a map is written as .npy or .png; choose one of these")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() == ".npy":
            np.save(file, visits)
        else:
            arrays = {"image": np.where(visits, visits, np.nan), "valid": visits > 0}
            write_png(file, Result("coverage", "image", None, (0, len(path)), 0, arrays))
    except OSError as error:
        raise SessionError(f"the map cannot be written to {str(file)!r}: {error}") from error


def _facts(path: ScanPath, figures: PathFigures) -> dict[str, Any]:
    told = {"pattern": path.pattern, "shape": list(path.shape), **asdict(figures)}
    return told | {"warning": _warning(figures) if figures.too_fast else None}


def _lines(path: ScanPath, figures: PathFigures) -> Iterator[str]:
    ny, nx = path.shape
    yield f"{path.pattern}: {len(path):,} samples over {ny} x {nx} px"
    yield f"  visited   {figures.visited:.1%} of the pixels; the largest gap is {figures.largest_gap:.1f} px"
    wait = float(path.wait.sum())
    waits = f", {_time(wait)} of it waiting" if wait else ""
    yield f"  time      {_time(figures.seconds)}{waits}"
    yield f"  steps     {figures.step_mean:.2f} px on average, {figures.step_max:.1f} px the longest"
    beyond = f"; beyond the limit {figures.beyond_limit:.0%} of the time" if figures.limit else ""
    yield f"  coils     to and fro {figures.frequency:,.1f} times a second{beyond}"


def _warning(figures: PathFigures) -> str:
    return (
        f"this path asks {figures.frequency:,.0f} Hz of the coils, whose limit is {figures.limit:,.0f} Hz; "
        "use a longer dwell time, fewer samples, or a spiral of constant angular speed"
    )


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"
