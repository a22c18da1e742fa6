"""``livem demo``: simulated microscopes over real ZeroMQ, through the whole program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as opt

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..session import Session
    from .progress import Progress
    from .running import Outcome

SOURCES: Mapping[str, str] = {
    "4dstem": "sim:4dstem?scan=96x96&fps=2000",
    "sparse": "sim:sparse?fps=4000",
    "insitu": "sim:insitu?frames=150&dose=5",
}
"""What is shown without a window: about 5 s each."""
WINDOW_SOURCES: Mapping[str, str] = {
    "4dstem": "sim:4dstem?scan=128x128&fps=2000&repeats=40",
    "sparse": "sim:sparse?fps=2000&repeats=40",
    "insitu": "sim:insitu?frames=9000&dose=5",
}
"""What is shown in a window: some five minutes, to be played with."""
DEMO_BUDGET_MS = 100.0
"""For a frame without its noise: three processes of the demo share the machine with it."""


@dataclass(frozen=True, slots=True)
class Demo:
    """One demonstration and where it leaves its files."""

    name: str
    url: str
    out: Path

    @property
    def snapshot(self) -> Path:
        return self.out / "snapshot.png"

    @property
    def truth(self) -> Path:
        return self.out / "truth"

    def pictures(self) -> list[str]:
        """The snapshot of the viewer first, then the result images."""
        results = sorted(str(path) for path in self.out.glob("*/*.png"))
        return ([str(self.snapshot)] if self.snapshot.is_file() else []) + results


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SOURCES)), metavar="[4dstem|sparse|insitu]...")
@click.option("--out", type=opt.DIRECTORY, default=Path("demo-output"), help="Default: ./demo-output.")
@opt.headless
@click.option("--duration", type=opt.SECONDS, metavar="S", help="End each one after S seconds.")
@opt.as_json
def command(names: tuple[str, ...], out: Path, headless: bool, duration: float | None, as_json: bool) -> int:
    """Simulated microscopes, from the detector to the pictures.

    With a display: a window on a 4D-STEM scan (or on those that are named, one after another); close it to
    end. Without: all three in turn, leaving pictures, results, the ground truth and a summary in --out.

    \b
    Examples:
      livem demo
      livem demo insitu sparse --headless --out /tmp/demo
    """
    from .progress import Progress
    from .viewing import why_no_window

    progress = Progress()
    note = "" if headless else why_no_window()
    if note:
        progress.say(note)
    window = not (headless or note)
    sources = WINDOW_SOURCES if window else SOURCES
    wanted = dict.fromkeys(names or (["4dstem"] if window else SOURCES))
    demos = [Demo(name, sources[name], out / name) for name in wanted]
    return _run_all(demos, window, duration, as_json, progress)


def _run_all(
    demos: list[Demo], window: bool, duration: float | None, as_json: bool, progress: Progress
) -> int:
    """One after another, until one fails or is interrupted; the exit code of the last."""
    done: list[tuple[Demo, Outcome]] = []
    for demo in demos:
        progress.say(f"demo {demo.name}: {demo.url}")
        outcome = _run(demo, window, duration, progress)
        done.append((demo, outcome))
        if not as_json:
            _tell(demo, outcome)
        if outcome.exit_code:
            break
    if as_json:
        from .exits import print_json

        print_json(_as_json(done))
    return done[-1][1].exit_code


def _run(demo: Demo, window: bool, duration: float | None, progress: Progress) -> Outcome:
    from ..session import SessionOptions
    from .running import prepare_directory, run_session
    from .viewing import plan_viewer

    prepare_directory(demo.out)
    demo.snapshot.unlink(missing_ok=True)  # an old picture must not pass for a new one
    viewer = plan_viewer(headless=not window, snapshot=demo.snapshot)
    options = SessionOptions(
        demo.url,
        duration=duration,
        out=demo.out,
        sender={"truth_dir": str(demo.truth)},
        end_with_source=not window,
        headless=not window,
        viewer=viewer.make,
    )
    return run_session(_pipeline(demo), options, progress, _stop_with_window if window else None)


def _pipeline(demo: Demo) -> Pipeline:
    """What a session without a file computes, and estimates beside the truth: of a sparse scan its picture,
    of a movie its frames without their noise, and its particles, followed."""
    from ..pipeline import ConsumerConfig, Pipeline

    more: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
        "sparse": {"inpaint": {"truth": str(demo.truth / "haadf.npy"), "memory": "auto"}},
        "insitu": {
            "denoise": {"truth": str(demo.truth / "movie.npy"), "budget_ms": DEMO_BUDGET_MS},
            "track": {"truth": str(demo.truth / "particles.csv")},
        },
    }
    added = more.get(demo.name, {}).items()
    pipeline = Pipeline()
    consumers = (ConsumerConfig(type_, type_, params=params) for type_, params in added)
    return replace(pipeline, consumers=(*pipeline.consumers, *consumers))


def _stop_with_window(session: Session, status: Mapping[str, Any]) -> None:
    """Nobody waits for the rest of a simulated series: the session ends with its window."""
    if status["state"] in ("waiting", "running") and "viewer" not in status["processes"]:
        session.stop("the window was closed")


def _tell(demo: Demo, outcome: Outcome) -> None:
    from .running import report

    click.echo(f"--- {demo.name} ---")
    report(outcome, as_json=False)
    for score in _scores(outcome):
        click.echo(f"  {score_line(score)}")
    if pictures := demo.pictures():
        click.echo(f"  pictures: {', '.join(pictures)}")
    click.echo(f"  ground truth: {demo.truth}")


def _scores(outcome: Outcome) -> list[dict[str, float]]:
    """How near the tracks of each series are to the truth; nothing where none are followed."""
    import csv

    paths = [series["results"].get("track.score") for series in outcome.summary["series"]]
    scores = []
    for path in filter(None, paths):
        with Path(path).open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(line for line in file if not line.startswith("#"))
        scores.append({name: float(value) for name, value in row.items()})
    return scores


def score_line(score: Mapping[str, float]) -> str:
    """A comparison with the truth in words."""
    return (
        f"beside the truth of {score['frames']:.0f} frames, without the rim of the field: "
        f"{score['matched']:.0f} of {score['particles']:.0f} particles followed, {score['false']:.0f} false, "
        f"{score['switches']:.0f} mixed up (F1 {score['f1']:.3f}, MOTA {score['mota']:.3f}), "
        f"{score['error']:.2f} px off"
    )


def _as_json(done: list[tuple[Demo, Outcome]]) -> dict[str, Any]:
    """The summary's format with the series of all demos in a row, and what belongs to each demo."""
    last = done[-1][1].as_json()
    series = [{**one, "demo": demo.name} for demo, outcome in done for one in outcome.summary["series"]]
    demos = {
        demo.name: {
            "source": demo.url,
            "pictures": demo.pictures(),
            "truth": str(demo.truth),
            "scores": _scores(outcome),
            "unascribed": outcome.summary["unascribed"],
            "ended": outcome.summary["ended"],
            "alarms": outcome.summary["alarms"],
        }
        for demo, outcome in done
    }
    faults: dict[str, Any] = {key: last[key] for key in ("error", "exit_code") if key in last}
    return {"series": series, "demos": demos, "version": last["version"], **faults}
