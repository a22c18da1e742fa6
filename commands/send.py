"""``livem send``: be a detector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as opt

if TYPE_CHECKING:
    from ..stream.simulate.sender import Sender, SendReport

ENCODINGS = ("raw", "bslz4", "lz4")
PROTOCOLS = "livem (default), dectris1, dectris2, merlin, karabo, karabo-push, karabo-pub"


@click.command()
@click.argument("what")
@click.option("--to", "endpoint", required=True, metavar="ENDPOINT", help="tcp://HOST:PORT or ipc://PATH.")
@click.option(
    "--protocol", default="livem", metavar="NAME[?KEY=VALUE&...]", help=f"How to speak: {PROTOCOLS}."
)
@opt.rate
@opt.batch
@click.option("--series", type=click.IntRange(min=0), default=1, metavar="N", help="Series; 0 = endless.")
@click.option(
    "--repeat", type=click.IntRange(min=0), default=1, metavar="N", help="Rounds in a series; 0 = endless."
)
@opt.fault
@click.option("--encoding", type=click.Choice(ENCODINGS), help="Default: as stored, else the protocol's own.")
@click.option("--wait", type=opt.SECONDS, default=30.0, metavar="S", help="Wait S seconds for a receiver.")
@opt.insecure_bind
@click.option("--truth", type=opt.DIRECTORY, help="Write a simulator's ground truth there.")
@opt.as_json
def command(what: str, endpoint: str, **given: Any) -> int:
    """Be a detector: send WHAT, a simulator or a file, faults included.

    WHAT is sim:4dstem, sim:sparse or sim:insitu (parameters: sim:4dstem?scan=64x64&fps=1000), or a file:
    .npy, .npz, .tif, .h5, .zarr, .mib, .mrc, .hspy, .zspy, .emd, .blo, .tvips, .dm4, DECTRIS master files,
    recordings of livem. ENDPOINT is bound when it is ours and free, else connected to; bind+ and
    connect+ in front say it outright. A Merlin's raw frames: merlin?pixels=raw&layout=2x2&raw24=rows.

    \b
    Examples:
      livem send movie.npz --to tcp://127.0.0.1:9999
      livem send "sim:4dstem?fps=5000" --to ipc:///tmp/detector.sock --fault drop=0.01,seed=7
    """
    from ..stream.simulate.sender import Sender, SenderOptions
    from .exits import INTERRUPTED, print_json
    from .interrupts import Interrupts

    truth: Path | None = given["truth"]
    sender = Sender(
        SenderOptions(
            spec=what,
            endpoint=endpoint,
            rate=given["rate"],
            batch=given["batch"],
            series_count=given["series"],
            repeat=given["repeat"],
            encoding=given["encoding"],
            protocol=given["protocol"],
            fault=given["fault"],
            truth_dir=None if truth is None else str(truth),
            wait_s=given["wait"],
            insecure_bind=given["insecure_bind"],
        )
    )
    with Interrupts(lambda reason: sender.stop()) as interrupts:
        address = sender.prepare()
        click.echo(f"livem: {_intention(sender, what, address)}", err=True)
        report = sender.run()
    if given["as_json"]:
        from .. import __version__

        print_json({**report.as_dict(), "version": __version__})
    else:
        for line in report_lines(report):
            click.echo(line)
    return INTERRUPTED if interrupts.count else 0


def _intention(sender: Sender, what: str, address: str) -> str:
    from .acquisition_text import acquisition_line

    return (
        f"sending {what} to {address}: {acquisition_line(sender.acquisition, sender.rate)}, "
        f"{sender.batch} frames a message; waiting up to {sender.options.wait_s:g} s for a receiver"
    )


def report_lines(report: SendReport) -> Iterator[str]:
    """What was sent, and what the injected faults did."""
    for sent in report.series:
        rate = sent.frames / sent.seconds if sent.seconds > 0 else 0.0
        state = "" if sent.complete else "  (not ended)"
        yield (
            f"series {sent.series}: {sent.frames} frames in {sent.messages} messages, "
            f"{sent.bytes / 2**20:.1f} MiB, {rate:,.0f} frames/s, "
            f"{1e3 * sent.behind_s:.1f} ms behind at worst{state}"
        )
    if not report.series:
        yield "nothing was sent"
    for entry in report.faults.as_dict():
        if entry["action"] != "delivered":
            yield (
                f"  {entry['action']}: {entry['frames']} frames in {entry['messages']} messages "
                f"of series {entry['series']}"
            )
