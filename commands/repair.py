"""``livem repair``: recordings whose writer was killed, or that are damaged, made whole as far as they go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..errors import LivemError
from . import options as opt

if TYPE_CHECKING:
    from ..stream.recording.repair import RepairReport


@click.command()
@click.argument("files", nargs=-1, required=True, type=opt.FILE, metavar="FILE...")
@opt.as_json
def command(files: tuple[Any, ...], as_json: bool) -> int:
    """Mend recordings in place, so that every program opens them.

    Frames that do not match their checksum are marked as absent; nothing else is touched, and a sound
    recording stays as it is. The exit code is 2 when a file could not be mended; the others are.

    \b
    Examples:
      livem repair recordings/series_3.h5
      livem repair recordings/*.h5 --json
    """
    from ..stream.recording.repair import repair

    told: list[dict[str, Any]] = []
    code = 0
    for file in files:
        try:
            report = repair(file)
        except LivemError as error:
            code = max(code, error.exit_code)
            told.append({"path": str(file), "error": str(error)})
            click.echo(f"livem: error: {error}", err=True)
            continue
        told.append(_as_json(report))
        if not as_json:
            for line in report_lines(report):
                click.echo(line)
    if as_json:
        from .exits import print_json

        print_json({"files": told})
    return code


def _as_json(report: RepairReport) -> dict[str, Any]:
    fields = {**asdict(report), "path": str(report.path)}
    return {**fields, "changed": report.changed, "sound": report.sound}


def report_lines(report: RepairReport) -> Iterator[str]:
    """What was found and done, for people."""
    verdict = "repaired" if report.changed else "nothing to repair"
    yield f"{report.path}: {verdict}; {report.sound:,} of {report.recorded:,} recorded frames are sound"
    if report.header_lost:
        yield "  its first bytes were damaged and are made anew"
    if report.left_open:
        yield "  its writer had not closed it: it opens in other programs now"
    if report.cut_off:
        yield f"  {report.cut_off:,} bytes are missing at its end"
    if report.damaged:
        yield f"  {report.damaged:,} damaged frames are marked as absent"
    if report.closed_accounts:
        yield "  its accounts were open; they say now that the recording was cut short"
