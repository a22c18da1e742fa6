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
@click.option("--force", is_flag=True, help="Mark damaged frames as absent even where most of them are.")
@opt.as_json
def command(files: tuple[Any, ...], force: bool, as_json: bool) -> int:
    """Mend recordings in place, so that every program opens them.

    Frames that do not match their checksum are marked as absent; nothing else is touched, and a sound
    recording stays as it is. One whose index is damaged is not touched at all: its frames are looked for by
    their checksums, and NAME.salvaged.h5 has those that were found. The exit code is 2 when a file could not
    be mended; the others are.

    \b
    Examples:
      livem repair recordings/series_3_359cd20d.h5
      livem repair recordings/*.h5 --json
    """
    from ..stream.recording.repair import repair

    told: list[dict[str, Any]] = []
    code = 0
    for file in files:
        try:
            report = repair(file, force=force)
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
    salvaged = None if report.salvaged is None else str(report.salvaged)
    fields = {**asdict(report), "path": str(report.path), "salvaged": salvaged}
    return {**fields, "changed": report.changed, "sound": report.sound}


def report_lines(report: RepairReport) -> Iterator[str]:
    """What was found and done, for people."""
    if report.salvaged is not None:
        yield (
            f"{report.path}: its index is damaged, it is left as it is; {report.sound:,} of "
            f"{report.recorded:,} recorded frames were found by their checksums"
        )
        yield f"  {report.salvaged} has them"
        return
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
