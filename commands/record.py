"""``livem record``: keep a detector's stream, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options as opt


@click.command()
@click.argument("source")
@click.argument("directory", type=opt.DIRECTORY)
@click.option("-p", "--pipeline", "pipeline_file", type=opt.FILE, help="Pipeline file (TOML).")
@opt.arm
@click.option("--series", type=opt.WHOLE, metavar="N", help="End after N series.")
@click.option("--duration", type=opt.SECONDS, metavar="S", help="End after S seconds.")
@opt.as_json
@click.option("--wait", type=opt.SECONDS, metavar="S", help="Wait S seconds for the first series.")
@opt.insecure_bind
@click.option("--scan", type=opt.ScanSize(), help="Scan, where the stream does not say.")
@opt.rate
def command(source: str, directory: Path, pipeline_file: Path | None, **given: Any) -> int:
    """Keep SOURCE's stream in DIRECTORY, one file a series, losslessly: without a window, without analyses.

    Compressed frames are written as the detector sent them. `livem live SOURCE --record DIRECTORY` does the
    same beside the live pictures; `livem view` looks in while this runs.

    \b
    Examples:
      livem record dectris://10.42.41.10 recordings --series 1
      livem record tcp://10.42.41.10:9999 recordings --duration 600 --json
    """
    from dataclasses import replace

    from ..pipeline import ConsumerConfig
    from ..session import SessionOptions
    from .live import pipeline_of, sender_fields
    from .progress import Progress
    from .running import report, run_session

    pipeline = replace(pipeline_of(pipeline_file, given), consumers=(ConsumerConfig("preview", "preview"),))
    options = SessionOptions(
        source,
        series=given["series"],
        duration=given["duration"],
        record=directory,
        arm=given["arm"],
        insecure_bind=given["insecure_bind"] or pipeline.source.insecure_bind,
        sender=sender_fields(source, given),
    )
    return report(run_session(pipeline, options, Progress()), as_json=given["as_json"])
