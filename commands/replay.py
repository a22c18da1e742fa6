"""``livem replay``: a recording, or any file of frames, through the same pipeline as a detector's stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SourceError
from . import options as opt

if TYPE_CHECKING:
    from ..session import Session, SessionOptions
    from .viewing import ViewerPlan

MAX = "max"


class Speed(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A factor above 0, or ``max``."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from ..stream.sources.replay.pace import FASTEST, SLOWEST

        try:
            number = math.inf if value == MAX else float(value)
        except ValueError:
            number = math.nan
        if SLOWEST <= number <= FASTEST or number == math.inf:
            return number
        limits = f"above 0 (1 = as recorded, from {SLOWEST:g} to {FASTEST:g})"
        self.fail(f"{value!r} must be a number {limits}, or max", param, ctx)


@click.command()
@click.argument("file")
@click.option("-p", "--pipeline", "pipeline_file", type=opt.FILE, help="Pipeline file (TOML).")
@click.option("--speed", type=Speed(), default=1.0, metavar="X|max", help="1 = as recorded (default).")
@click.option("--loop", is_flag=True, help="Begin again at the end, as a new series.")
@click.option("--paused", is_flag=True, help="Show the first frame and wait.")
@opt.headless
@opt.serve
@click.option("--series", type=opt.WHOLE, metavar="N", help="End after N series.")
@click.option("--duration", type=opt.SECONDS, metavar="S", help="End after S seconds.")
@click.option("--out", type=opt.DIRECTORY, help="Write results, summaries and pictures there.")
@opt.as_json
@click.option("--control", metavar="ADDRESS", help="Where viewers attach; default: a free local port.")
@opt.karabo_out
@opt.insecure_bind
@click.option("--scan", type=opt.ScanSize(), help="Scan, where the file does not say.")
def command(file: str, pipeline_file: Path | None, **given: Any) -> int:
    """Play FILE back as if its detector sent it again: same frames, same numbers, same gaps, same pace.

    FILE is a recording of livem or any file that livem reads; FILE#NAME chooses one array of several. The
    window has play, pause, step and seek (space, arrow keys); each seek is a series of its own.

    \b
    Examples:
      livem replay recordings/series_3.h5
      livem replay movie.npz --speed 0.5 --loop
      livem replay scan.h5 -p haadf.toml --speed max --headless --out results
    """
    from .live import pipeline_of
    from .progress import Progress
    from .running import report, run_session
    from .viewing import plan_viewer

    _require_file(file)
    pipeline, out = pipeline_of(pipeline_file, given), given["out"]
    viewer = plan_viewer(headless=given["headless"] or given["serve"], snapshot=out and out / "snapshot.png")
    progress = Progress()
    if viewer.note:
        progress.say(viewer.note)
    options = _session_options(file, viewer, given)
    outcome = run_session(pipeline, options, progress, _stop_with_window if viewer.window else None)
    return report(outcome, as_json=given["as_json"])


def _require_file(spec: str) -> None:
    if not Path(spec).exists() and not Path(spec.rpartition("#")[0] or spec).exists():
        raise SourceError(
            f"{spec}: there is no such file; `livem replay` plays files, `livem live` takes detectors and "
            "simulators"
        )


def _session_options(file: str, viewer: ViewerPlan, given: Mapping[str, Any]) -> SessionOptions:
    from ..session import SessionOptions
    from ..stream.sources.replay.source import ReplayOptions, replay_plan

    control = {} if given["control"] is None else {"control": given["control"]}
    return SessionOptions(
        file,
        plan=replay_plan(ReplayOptions(file, given["speed"], given["loop"], given["paused"])),
        series=given["series"],
        duration=given["duration"],
        out=given["out"],
        karabo_out=given["karabo_out"],
        insecure_bind=given["insecure_bind"],
        must_begin=not (viewer.window or given["serve"]),
        end_with_source=not (viewer.window or given["serve"]),
        headless=not viewer.window,
        viewer=viewer.make,
        **control,
    )


def _stop_with_window(session: Session, status: Mapping[str, Any]) -> None:
    """Nobody waits for the rest of a recording: the session ends with its window."""
    if status["state"] in ("waiting", "running") and "viewer" not in status["processes"]:
        session.stop("the window was closed")
