"""``livem bench``: run the benchmarks of livem.benchmarks and show what they measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from . import options as opt

Measured = Mapping[str, Any]
"""What a benchmark gives: "title", "rows" (tables of one kind), "gates" (name, value, limit, ok), and "parts"
where there are tables of other kinds: each with its "title" and "rows"."""
Benchmark = Callable[..., Any]
"""Takes ``quick`` and gives Measured; one that draws takes a folder and gives files."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Shorter and less exact: does everything run?")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="How long a benchmark that watches memory over time does so.",
)
@click.option("--list", "only_list", is_flag=True, help="Name the benchmarks and end.")
@click.option("--out", type=opt.FILE, help="Also write to this file: .json, else Markdown.")
@click.option(
    "--pictures",
    type=opt.DIRECTORY,
    help="Draw the pictures that a benchmark is about into this folder, and measure nothing.",
)
@opt.as_json
def command(
    names: tuple[str, ...],
    quick: bool,
    minutes: float | None,
    only_list: bool,
    out: Path | None,
    pictures: Path | None,
    as_json: bool,
) -> int:
    """Measure this machine; exit code 1 where a promised figure is missed.

    \b
    Examples:
      livem bench --list
      livem bench ring ingest --out figures.md
      livem bench denoise --quick --minutes 2
      livem bench inpaint --pictures sparse
    """
    suite = load_suite()
    if only_list:
        click.echo("\n".join(suite))
        return 0
    if pictures is not None:
        return _draw(names, pictures)
    chosen = [_lasting(name, _benchmark(name, suite), minutes) for name in names or suite]
    results = []
    for name, benchmark in zip(names or suite, chosen, strict=True):
        click.echo(f"livem: {name} ...", err=True)
        results.append({"name": name, **benchmark(quick)})
        if not as_json:
            click.echo("\n".join(markdown(results[-1])))
    _give(results, quick, out, as_json)
    return 0 if all(gate["ok"] for result in results for gate in result["gates"]) else 1


def load_suite() -> Mapping[str, str]:
    """Benchmarks by name, as "module:function". Raises UsageError where they are not installed."""
    try:
        suite: Mapping[str, str] = import_module("livem.benchmarks").SUITE
    except (ImportError, AttributeError) as error:
        raise UsageError(
            "the benchmarks are not part of this installation of livem; take the source tree and "
            "`pip install -e .` there"
        ) from error
    return suite


def _benchmark(name: str, suite: Mapping[str, str]) -> Benchmark:
    if name not in suite:
        near = get_close_matches(name, list(suite), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(suite)}"
        raise UsageError(f"no benchmark {name!r}; {hint}")
    module, _, function = suite[name].partition(":")
    try:
        found: Benchmark = getattr(import_module(module), function)
    except ImportError as error:
        raise UsageError(
            f"benchmark {name!r} needs what is not installed: {error}; "
            'peers come with: pip install "livem[bench]"'
        ) from error
    return found


def _lasting(name: str, benchmark: Benchmark, minutes: float | None) -> Benchmark:
    """A benchmark that takes so many minutes, where they were given."""
    if minutes is None:
        return benchmark
    if "minutes" not in signature(benchmark).parameters:
        raise UsageError(f"benchmark {name!r} watches nothing over minutes: leave --minutes out")
    return partial(benchmark, minutes=minutes)


def _draw(names: Sequence[str], directory: Path) -> int:
    drawing: Mapping[str, str] = import_module("livem.benchmarks").PICTURES
    for name in names or drawing:
        if name not in drawing:
            raise UsageError(f"benchmark {name!r} draws no pictures; those that do: {', '.join(drawing)}")
        draw: Callable[[Path], Sequence[Path]] = _benchmark(name, drawing)
        try:
            click.echo("\n".join(map(str, draw(directory))))
        except OSError as error:
            raise UsageError(
                f"--pictures {str(directory)!r} cannot be written: {error}; choose another folder"
            ) from error
    return 0


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_name() -> str:
    """What the processor calls itself; /proc/cpuinfo knows more than platform does on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _give(results: Sequence[Measured], quick: bool, out: Path | None, as_json: bool) -> None:
    import json

    whole = {"machine": machine(), "quick": quick, "benchmarks": results}
    if as_json:
        click.echo(json.dumps(whole))
    else:
        click.echo(_machine_line(whole["machine"]))
    if out is None:
        return
    text = json.dumps(whole, indent=1) if out.suffix == ".json" else "\n".join(_document(whole))
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {str(out)!r} cannot be written: {error}; choose another file") from error


def _document(whole: Mapping[str, Any]) -> Iterator[str]:
    yield "# livem bench"
    yield ""
    yield _machine_line(whole["machine"]) + (" Quick run." if whole["quick"] else "")
    for result in whole["benchmarks"]:
        yield ""
        yield from markdown(result)


def _machine_line(facts: Any) -> str:
    where = f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, {facts['system']}"
    return f"{where}, {facts['date']}."


def markdown(result: Measured) -> Iterator[str]:
    """One benchmark: title, table, and the figures that were promised."""
    yield f"## {result['title']}"
    yield ""
    yield from table(result["rows"])
    for part in result.get("parts", ()):
        yield from ("", f"### {part['title']}", "")
        yield from table(part["rows"])
    if result["gates"]:
        yield ""
    for gate in result["gates"]:
        verdict = "ok" if gate["ok"] else "MISSED"
        yield f"- {verdict}: {gate['name']}: {_cell(gate['value'])} (limit {_cell(gate['limit'])})"


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Rows of equal keys as a Markdown table, aligned for the eye."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([_cell(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    yield lines[0]
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield from lines[1:]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
