"""A simulator or file in words: what livem would send of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..stream.files.acquisition import Acquisition
    from ..stream.series import Scan


def describe(acquisition: Acquisition) -> dict[str, Any]:
    """Plain values for JSON; ``bytes`` and ``seconds`` are None where there is no end or no rate."""
    height, width = acquisition.shape
    frame_bytes = height * width * int(acquisition.bank.stock.dtype.itemsize)
    rate, count = own_rate(acquisition), acquisition.count
    return {
        "name": acquisition.name,
        "shape": [height, width],
        "dtype": acquisition.dtype,
        "count": count,
        "scan": _scan(acquisition.scan),
        "meta": dict(acquisition.meta),
        "frame_bytes": frame_bytes,
        "bytes": None if count is None else count * frame_bytes,
        "rate": rate,
        "seconds": None if rate is None or count is None else count / rate,
    }


def own_rate(acquisition: Acquisition) -> float | None:
    """Frames per second that its meta data say."""
    frame_time = acquisition.meta.get("frame_time")
    return 1.0 / float(frame_time) if frame_time else None


def acquisition_line(acquisition: Acquisition, rate: float) -> str:
    """On one line, at the rate at which it is sent."""
    height, width = acquisition.shape
    frames = "endless" if acquisition.count is None else f"{acquisition.count}"
    pace = "as fast as possible" if math.isinf(rate) else f"{rate:,.6g} frames/s"
    return f"{frames} frames of {height}x{width} {acquisition.dtype}, {pace}"


def description_lines(what: Mapping[str, Any]) -> Iterator[str]:
    """``describe`` for people."""
    height, width = what["shape"]
    yield f"{what['name']}: {what['count'] or 'endless'} frames of {height} x {width} {what['dtype']}"
    if scan := what["scan"]:
        ny, nx = scan["shape"]
        yield f"  scan      {ny} x {nx}, {scan['order']}{_extras(scan)}"
    else:
        yield "  scan      none: a movie"
    if what["bytes"] is not None:
        yield f"  size      {what['bytes'] / 2**20:,.1f} MiB ({what['frame_bytes']:,} bytes a frame)"
    yield f"  rate      {_pace(what)}"
    for key, value in what["meta"].items():
        yield f"  {key:<9} {value}"


def _pace(what: Mapping[str, Any]) -> str:
    if what["rate"] is None:
        return "not known: sent as fast as possible (--rate sets it)"
    length = "" if what["seconds"] is None else f", {what['seconds']:,.3g} s in all"
    return f"{what['rate']:,.6g} frames/s{length}"


def _scan(scan: Scan | None) -> dict[str, Any] | None:
    if scan is None:
        return None
    return {"shape": list(scan.shape), "order": scan.order, "skip": scan.skip, "repeats": scan.repeats}


def _extras(scan: Mapping[str, Any]) -> str:
    skip = f", {scan['skip']} flyback frames a line" if scan["skip"] else ""
    repeats = "" if scan["repeats"] == 1 else f", {scan['repeats'] or 'endless'} passes"
    return skip + repeats
