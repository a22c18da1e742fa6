"""``livem export``: frames of any readable file in another format."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from . import options as opt


class FrameRange(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """``A:B``, ``A:`` or ``:B``, half-open as in Python, from 0."""

    name = "A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        match = re.fullmatch(r"(\d{0,12}):(\d{0,12})", str(value))
        if match is None:
            self.fail(f"{value!r} must be A:B, the first frame and the one behind the last", param, ctx)
        first, stop = (int(text) if text else None for text in match.groups())
        return first, stop


@click.command()
@click.argument("file")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--frames", type=FrameRange(), help="Only frames A to B-1.")
@click.option("--force", is_flag=True, help="Replace OUT, and what lies beside it.")
@opt.as_json
def command(
    file: str, out: Path, frames: tuple[int | None, int | None] | None, force: bool, as_json: bool
) -> None:
    """Write the frames of FILE to OUT, losslessly; OUT's suffix says how.

    \b
      .npy         numpy; a raster scan of one pass becomes (ny, nx, h, w)
      .h5          HDF5, one data set `data`, compressed (bitshuffle-LZ4)
      .zarr        Zarr v3 (needs the package zarr)
      .tif         ImageJ's TIFF, or OME-TIFF where that cannot hold it; with calibration

    Frames that are not there are zeros; `valid` says which: OUT.valid.npy, or an array inside .h5 and .zarr.
    So do positions, timestamps and the pixel mask, where there are any. With its positions an export is the
    same scan again for livem; .npy and .tif have them in files of their own, which must stay beside them.

    \b
    Examples:
      livem export recordings/series_3_359cd20d.h5 scan.npy
      livem export recordings/series_4_359cd20d.h5 part.tif --frames 1000:2000
    """
    from ..stream.files.open_file import open_file
    from ..stream.files.recordings import Recording
    from ..stream.recording.export import export
    from .progress import progress_bar

    acquisition = open_file(file)
    if isinstance(acquisition, Recording) and acquisition.index_fault:
        click.echo(f"livem: the index of {file} is damaged: `livem repair` finds its frames again", err=True)
    with progress_bar(out.name) as said:
        done = export(acquisition, out, frames=frames or (None, None), replace=force, on_progress=said)
    if done.missing:
        where = f"{out.stem}.valid.npy" if done.beside else f"`valid` inside {out.name}"
        click.echo(f"livem: {done.missing} frames are not there: they are zeros, see {where}", err=True)
    if as_json:
        from .exits import print_json

        print_json({**asdict(done), "path": str(done.path), "beside": [str(path) for path in done.beside]})
    else:
        click.echo(
            f"{done.path}: {' x '.join(map(str, done.shape))} {done.dtype}, {done.bytes / 2**20:,.1f} MiB"
        )
        for path in done.beside:
            click.echo(f"  {path}")
        if any(path.name == f"{out.stem}.positions.npy" for path in done.beside):
            click.echo(
                f"  {out.suffix} holds no positions: without the files above it is a movie, not a scan"
            )
