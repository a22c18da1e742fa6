"""``livem live``: a detector's stream becomes live pictures and results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from . import options as opt

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..session import SessionOptions
    from .viewing import ViewerPlan

SENDER_ONLY = ("rate", "batch", "repeat", "fault")


@click.command()
@click.argument("source", required=False)
@click.option("-p", "--pipeline", "pipeline_file", type=opt.FILE, help="Pipeline file (TOML).")
@opt.record
@opt.arm
@opt.headless
@opt.serve
@click.option("--series", type=opt.WHOLE, metavar="N", help="End after N series.")
@click.option("--duration", type=opt.SECONDS, metavar="S", help="End after S seconds.")
@click.option("--out", type=opt.DIRECTORY, help="Write results, summaries and pictures there.")
@opt.as_json
@click.option("--wait", type=opt.SECONDS, metavar="S", help="Wait S seconds for the first series.")
@click.option("--control", metavar="ADDRESS", help="Where viewers attach; default: a free local port.")
@opt.karabo_out
@opt.insecure_bind
@click.option("--scan", type=opt.ScanSize(), help="Scan, where the stream does not say.")
@opt.rate
@opt.batch
@click.option("--repeat", type=opt.WHOLE, metavar="N", help="Rounds of a simulator or file in a series.")
@opt.fault
def command(source: str | None, pipeline_file: Path | None, **given: Any) -> int:
    """Show and compute while a detector sends.

    SOURCE is dectris://HOST[:PORT], merlin://HOST[:PORT], karabo://HOST:PORT, tcp://HOST:PORT, ipc://PATH,
    bind+tcp://HOST:PORT (the sender connects), sub+tcp://..., sim:4dstem, sim:sparse, sim:insitu, or a file.
    Left out, [source] url of the pipeline file holds.

    --rate, --batch, --repeat and --fault are for simulators and files, which livem sends itself.

    \b
    Examples:
      livem live dectris://10.42.41.10 --scan 256x256
      livem live merlin://10.42.41.20 --record recordings --arm numframestoacquire=65536
      livem live tcp://10.42.41.10:9999 -p haadf.toml --headless --out results --series 1
      livem live "sim:4dstem?scan=64x64&fps=1000"
    """
    pipeline = pipeline_of(pipeline_file, given)
    url = source or pipeline.source.url
    if not url:
        raise UsageError(
            "no SOURCE: name one (livem live tcp://HOST:PORT), or set url in [source] of the pipeline file"
        )
    from .progress import Progress
    from .running import report, run_session
    from .viewing import plan_viewer

    out = given["out"]
    viewer = plan_viewer(headless=given["headless"] or given["serve"], snapshot=out and out / "snapshot.png")
    session_options = _session_options(url, pipeline, viewer, given)
    progress = Progress()
    if viewer.note:
        progress.say(viewer.note)
    outcome = run_session(pipeline, session_options, progress)
    return report(outcome, as_json=given["as_json"])


def pipeline_of(file: Path | None, given: Mapping[str, Any]) -> Pipeline:
    """The pipeline file with what the command line says on top."""
    from dataclasses import replace

    from ..pipeline import Pipeline, load
    from ..stream.series import Scan

    pipeline = Pipeline() if file is None else load(file)
    if given.get("scan") is not None:
        pipeline = replace(pipeline, scan=Scan(given["scan"]))
    if given.get("wait") is not None:
        pipeline = replace(pipeline, source=replace(pipeline.source, wait=given["wait"]))
    return pipeline


def _session_options(
    url: str, pipeline: Pipeline, viewer: ViewerPlan, given: Mapping[str, Any]
) -> SessionOptions:
    from ..session import SessionOptions

    control = {} if given["control"] is None else {"control": given["control"]}
    return SessionOptions(
        url,
        series=given["series"],
        duration=given["duration"],
        out=given["out"],
        record=given["record"],
        arm=given["arm"],
        karabo_out=given["karabo_out"],
        insecure_bind=given["insecure_bind"] or pipeline.source.insecure_bind,
        must_begin=not (viewer.window or given["serve"]),
        sender=sender_fields(url, given),
        end_with_source=not (viewer.window or given["serve"]),
        headless=not viewer.window,
        viewer=viewer.make,
        **control,
    )


def sender_fields(url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of SenderOptions; UsageError where somebody else is the sender."""
    fields = {name: given[name] for name in SENDER_ONLY if given.get(name)}
    if is_own_sender(url):
        if "fault" in fields:
            from ..stream.simulate.fault_spec import FaultSpec

            FaultSpec.parse(fields["fault"])  # a wrong one ends here, before anything starts
        return fields | ({"series_count": given["series"]} if given["series"] else {})
    if fields:
        raise UsageError(
            f"--{next(iter(fields))} is for simulators and files; the detector at {url} sets it itself: "
            "leave it out"
        )
    return {}


def is_own_sender(url: str) -> bool:
    """Whether livem itself sends what this SOURCE names: a simulator or a file."""
    return "://" not in url
