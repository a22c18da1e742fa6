"""``livem info``: look at what a command line may name, without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from . import options as opt


@click.command()
@click.argument("what")
@opt.as_json
def command(what: str, as_json: bool) -> None:
    """Look at WHAT: a recording, any other file, a simulator, a pipeline, or a running session's address.

    \b
    Examples:
      livem info recordings/series_3_359cd20d.h5    what is missing, how it ended
      livem info movie.npz
      livem info "sim:4dstem?scan=256x256"
      livem info haadf.toml                checks it, too
      livem info tcp://127.0.0.1:40213     a running session
    """
    facts, lines = _look(what)
    if as_json:
        from .exits import print_json

        print_json(facts)
        return
    for line in lines:
        click.echo(line)


def _look(what: str) -> tuple[Mapping[str, Any], Iterable[str]]:
    if what.startswith(("tcp://", "ipc://")):
        return _session(what)
    if what.endswith(".toml"):
        return _pipeline(Path(what))
    return _simulator(what) if what.startswith("sim:") else _file(what)


def _simulator(what: str) -> tuple[Mapping[str, Any], Iterable[str]]:
    from ..stream.simulate.catalogue import open_acquisition
    from .acquisition_text import describe, description_lines

    facts = describe(open_acquisition(what))
    return facts, description_lines(facts)


def _file(what: str) -> tuple[Mapping[str, Any], Iterable[str]]:
    from ..stream.files.open_file import open_file
    from ..stream.files.recordings import Recording
    from .acquisition_text import describe, description_lines
    from .recording_text import describe_recording, recording_lines

    acquisition = open_file(what)
    if isinstance(acquisition, Recording):
        facts = describe_recording(acquisition)
        return facts, recording_lines(facts)
    facts = describe(acquisition)
    return facts, description_lines(facts)


def _session(address: str) -> tuple[Mapping[str, Any], Iterable[str]]:
    from ..stream.control import ControlClient
    from .accounts_text import series_lines
    from .progress import status_line

    with ControlClient(address) as client:
        status = client.request({"do": "status"})["status"]
    lines = [f"{address}: {status_line(status)}", f"source: {status['source']['url']}"]
    if status["series"] is not None:
        lines += series_lines({"results": {}, **status["series"]})
    lines += [f"alarm: {alarm}" for alarm in status["alarms"]]
    return status, lines


def _pipeline(path: Path) -> tuple[Mapping[str, Any], Iterable[str]]:
    from dataclasses import asdict

    from ..consumers.registry import consumer_class, create, importable_from
    from ..pipeline import load

    pipeline = load(path)
    policies = {}
    with importable_from(str(pipeline.folder)):  # classes of one's own lie beside the file
        for config in pipeline.consumers:
            create(config.type, config.name, config.params)  # a wrong parameter is found here
            policies[config.name] = str(config.policy or consumer_class(config.type).default_policy)
    facts = {
        "source": asdict(pipeline.source),
        "scan": None if pipeline.scan is None else asdict(pipeline.scan),
        "ring_bytes": pipeline.ring_bytes,
        "max_latency": pipeline.max_latency,
        "consumers": [
            {"name": c.name, "type": c.type, "policy": policies[c.name], "params": dict(c.params)}
            for c in pipeline.consumers
        ],
    }
    return facts, _pipeline_lines(path, facts)


def _pipeline_lines(path: Path, facts: Mapping[str, Any]) -> Iterable[str]:
    yield f"{path}: a pipeline without faults"
    source, scan = facts["source"], facts["scan"]
    yield f"  source    {source['url'] or 'given on the command line'}, waits {source['wait']:g} s"
    yield f"  scan      {_scan_text(scan) if scan else 'as the stream says'}"
    ring = facts["ring_bytes"]
    yield f"  ring      {f'{ring / 2**20:.0f} MiB' if ring else 'as large as the memory allows'}"
    for consumer in facts["consumers"]:
        yield f"  consumer  {consumer['name']}: {consumer['type']}, {consumer['policy']}"
        for name, value in consumer["params"].items():
            yield f"            {name} = {value}"


def _scan_text(scan: Mapping[str, Any]) -> str:
    ny, nx = scan["shape"]
    return f"{ny} x {nx}, {scan['order']}"
