"""A recording in words: what became of its series, which frames are there, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .acquisition_text import describe, description_lines

if TYPE_CHECKING:
    from ..stream.files.recordings import Recording

LOOK = 1 << 16
"""Rows that are read at once."""
GAPS_SHOWN = 5
Gap = tuple[int, int]
"""First and last missing frame."""


def describe_recording(recording: Recording) -> dict[str, Any]:
    """Plain values for JSON: those of any file, and what only a recording knows under "recording"."""
    there = _columns(recording)
    times = recording.times(0, recording.rows) if recording.rows else None
    sent = recording.accounts.get("sent")
    expected = max(recording.rows, sent if isinstance(sent, int) else 0)
    gaps = _gaps(np.concatenate([there, np.zeros(expected - recording.rows, np.bool_)]))
    recorded, stored = int(there.sum()), recording.path.stat().st_size
    general = describe(recording)
    seconds, rate = _pace(times)
    facts = {
        "series": recording.announced.key.number,
        "epoch": recording.announced.key.epoch.hex(),
        "state": recording.state,
        "reason": recording.accounts.get("reason") or None,
        "being_written": recording.writer_alive,
        "left_open": recording.state == "open" and not recording.writer_alive,
        "announced": recording.announced.count,
        "sent": sent,
        "recorded": recorded,
        "missing": None if recording.index_fault else expected - recorded,
        "index_fault": recording.index_fault,
        "gaps": [list(gap) for gap in gaps[:GAPS_SHOWN]],
        "gap_count": len(gaps),
        "rejected": recording.accounts.get("rejected") or {},
        "encoding": recording.encoding,
        "file_bytes": stored,
        "ratio": round(recorded * general["frame_bytes"] / stored, 2),
        "tables": {name: list(table.shape) for name, table in recording.tables().items()},
        "seconds": seconds,
        "frames_per_second": rate,
    }
    return {**general, "recording": facts}


def _columns(recording: Recording) -> npt.NDArray[np.bool_]:
    """(rows,) which frames were written."""
    parts = [
        recording.recorded(first, min(LOOK, recording.rows - first))
        for first in range(0, recording.rows, LOOK)
    ]
    return np.concatenate([np.zeros(0, np.bool_), *parts])


def _gaps(there: npt.NDArray[np.bool_]) -> list[Gap]:
    edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(np.int8)))
    return [(int(first), int(stop) - 1) for first, stop in edges.reshape(-1, 2)]


def _pace(times: npt.NDArray[np.int64] | None) -> tuple[float | None, float | None]:
    """Seconds from the first to the last frame of known time, and frames per second between them."""
    known = np.zeros(0, np.int64) if times is None else np.flatnonzero(times > 0)
    if times is None or len(known) < 2:
        return None, None
    span = (int(times[known[-1]]) - int(times[known[0]])) / 1e9
    if span <= 0:
        return None, None
    return round(span, 6), round(int(known[-1] - known[0]) / span, 3)


def recording_lines(what: Mapping[str, Any]) -> Iterator[str]:
    """``describe_recording`` for people."""
    first, *rest = description_lines(what)
    facts = what["recording"]
    yield first
    reason = f": {facts['reason']}" if facts["reason"] else ""
    yield f"  series    {facts['series']}, {_state(facts)}{reason}"
    yield f"  recorded  {facts['recorded']:,} frames, {_missing(facts)}"
    if rejected := facts["rejected"]:
        yield f"  rejected  {', '.join(f'{why} {n}' for why, n in sorted(rejected.items()))}"
    yield (
        f"  stored    {facts['encoding']}, {facts['file_bytes'] / 2**20:,.1f} MiB, "
        f"{facts['ratio']:g} times smaller than its frames"
    )
    if facts["seconds"] is not None:
        yield f"  took      {facts['seconds']:,.3g} s, {facts['frames_per_second']:,.6g} frames/s"
    for name, shape in facts["tables"].items():
        yield f"  {name:<9} {' x '.join(map(str, shape))}"
    yield from rest
    if facts["index_fault"]:
        yield f"  `livem repair {what['name']}` looks for its frames by their checksums"
    if facts["left_open"]:
        yield f"  its writer did not close it: `livem repair {what['name']}` makes it open everywhere"


def _missing(facts: Mapping[str, Any]) -> str:
    if facts["missing"] is None:
        return f"but where they lie cannot be read: its index is damaged ({facts['index_fault']})"
    return f"{facts['missing']:,} missing{_gaps_text(facts)}"


def _state(facts: Mapping[str, Any]) -> str:
    if facts["being_written"]:
        return "being recorded now"
    return "left open" if facts["left_open"] else str(facts["state"])


def _gaps_text(facts: Mapping[str, Any]) -> str:
    gaps: Sequence[Sequence[int]] = facts["gaps"]
    if not gaps:
        return ""
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in gaps)
    more = facts["gap_count"] - len(gaps)
    return f": {shown}{f' and {more} more gaps' if more else ''}"
