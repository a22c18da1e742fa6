"""``livem process``: the pipeline of a live session over a file, without the session."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as opt

if TYPE_CHECKING:
    from ..consumers.base import Consumer
    from ..consumers.work.offline import Processed
    from ..pipeline import ConsumerConfig, Pipeline
    from ..stream.files.acquisition import Acquisition
    from ..stream.series import Series


@click.command()
@click.argument("file")
@click.option("-p", "--pipeline", "pipeline_file", type=opt.FILE, help="Pipeline file (TOML).")
@click.option("-o", "--out", type=opt.DIRECTORY, required=True, help="Write results and summary there.")
@click.option("--scan", type=opt.ScanSize(), help="Scan, where the file does not say.")
@click.option("--threads", type=opt.WHOLE, metavar="N", help="Default: all cores.")
@opt.as_json
def command(file: str, pipeline_file: Path | None, out: Path, as_json: bool, **given: Any) -> int:
    """Compute a live session's results from a file.

    The numbers are those of `livem live` with the same pipeline, to the bit. FILE is a recording of livem,
    any file that livem reads, or a simulator. Every consumer gets every frame (an every_nth policy holds);
    results go to OUT/<series>/, a summary beside them.

    \b
    Examples:
      livem process recordings/series_3.h5 -o results
      livem process scan.mib -p haadf.toml --scan 256x256 -o results --json
    """
    from ..stream.processes import be_quiet

    be_quiet()
    from ..consumers.work.offline import account_of, fails
    from ..outputs import write_results, write_summary
    from .accounts_text import summary_lines
    from .exits import print_json, say_error
    from .live import pipeline_of
    from .progress import Progress
    from .running import prepare_directory

    pipeline = pipeline_of(pipeline_file, given)
    prepare_directory(out)
    processed, sent = _process(file, pipeline, given["threads"] or os.cpu_count() or 1)
    account = account_of(processed, sent, _policies(pipeline))
    directory = out / str(account["series"])
    account["results"] = write_results(directory, processed.results)
    write_summary(directory, account)
    error = fails(processed)
    summary = _summary(account, processed)
    if error is not None:
        summary |= {"error": str(error), "exit_code": error.exit_code}
    write_summary(out, summary)
    progress = Progress()
    for name, device in processed.devices.items():
        progress.say(f"{name} was computed on: {device}")
    for alarm in processed.alarms:
        progress.say(f"alarm: {alarm}")
    if as_json:
        print_json(summary)
    else:
        for line in summary_lines(summary):
            click.echo(line)
    if error is not None:
        return say_error(str(error), error.exit_code, as_json=False)
    return 0


def _process(file: str, pipeline: Pipeline, threads: int) -> tuple[Processed, int]:
    """What came of the file, and how many frames it should have."""
    from ..consumers.pool import Pool
    from ..consumers.work.offline import process
    from ..kernel_cache import lock_saves
    from ..stream.simulate.catalogue import open_acquisition
    from .progress import progress_bar

    lock_saves()
    acquisition = open_acquisition(file)
    pool = Pool(threads)
    try:
        with tempfile.TemporaryDirectory(prefix="livem-") as tables, progress_bar(file) as said:
            series, count = _series_of(acquisition, pipeline, Path(tables))
            devices = {config.name: config.device for config in pipeline.consumers}
            consumers = _consumers(pipeline)
            off = _switched_off(pipeline, consumers)
            done = process(acquisition, series, count, consumers, pool, said, devices, off)
            return done, count
    finally:
        pool.close()


def _series_of(acquisition: Acquisition, pipeline: Pipeline, tables: Path) -> tuple[Series, int]:
    """As a live session would see it: the pipeline's scan where the file has none, tables as files."""
    from dataclasses import replace

    from ..stream.sources.replay.recorded_series import recorded_series
    from ..stream.tables import keep_tables

    series, count = recorded_series(acquisition, secrets.token_bytes(8))
    kept = keep_tables(tables, acquisition.tables())
    return replace(series, tables=kept, scan=series.scan or pipeline.scan), count


def _consumers(pipeline: Pipeline) -> Mapping[str, tuple[Consumer[Any], int]]:
    from ..consumers.registry import create, importable_from

    folder = None if pipeline.folder is None else str(pipeline.folder)
    with importable_from(folder):
        return {
            config.name: (create(config.type, config.name, dict(config.params)), _every(config))
            for config in pipeline.consumers
        }


def _switched_off(pipeline: Pipeline, consumers: Mapping[str, tuple[Consumer[Any], int]]) -> Collection[str]:
    """Whose stage begins off; a consumer with a switch of its own looks at that itself."""
    from ..consumers.parameters import SWITCH
    from ..consumers.registry import begins_on

    return [
        config.name
        for config in pipeline.consumers
        if not begins_on(config.params) and SWITCH.name not in consumers[config.name][0].parameters()
    ]


def _every(config: ConsumerConfig) -> int:
    """N of an every_nth edge: what a policy drops because it cannot keep up is computed here."""
    return 1 if config.policy is None else config.policy.n


def _policies(pipeline: Pipeline) -> Mapping[str, str]:
    every = {config.name: _every(config) for config in pipeline.consumers}
    return {name: "lossless" if n == 1 else f"every_nth:{n}" for name, n in every.items()}


def _summary(account: Mapping[str, Any], processed: Processed) -> dict[str, Any]:
    from .. import __version__

    return {
        "series": [account],
        "unascribed": {},
        "ring": {"waited_s": 0},
        "ended": "the file has ended",
        "alarms": list(processed.alarms),
        "devices": dict(processed.devices),
        "version": __version__,
    }
