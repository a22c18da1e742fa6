"""Finds the frames of a recording again whose index of chunks is damaged, and writes them to a new recording.

One flipped bit in HDF5's index hides every chunk behind it, and a repair that took that for damaged frames
would throw them all away. The frames' sizes and checksums stand in tables of their own, so that payloads are
found by their bytes. The file itself is never written.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..files.recordings import Recording
from ..series import IndexArray
from ..tables import keep_tables
from .payload_search import find_payloads
from .recording_file import RecordingFile

BATCH = 256
SUFFIX = ".salvaged"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was found again."""

    path: Path
    """The new recording."""
    frames: int
    """In it, each matching its checksum."""


def salvage(recording: Recording) -> Salvaged:
    """Write all frames that can be found, by the index or without it, to NAME.salvaged.h5 beside the file.

    Frames that an earlier repair marked as absent come back, too, if their bytes match.

    Raises
    ------
    SourceError
        When there is such a file already, or no frame is found.
    OSError
        When it cannot be written.
    """
    target = recording.path.with_name(f"{recording.path.stem}{SUFFIX}{recording.path.suffix}")
    if target.exists():
        raise SourceError(f"{target} is there already: move it away, or look whether it has the frames")
    sizes, sums = recording.fingerprints(0, recording.rows)
    with recording.path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    offsets = find_payloads(data, recording.series, sizes, sums)
    try:
        with tempfile.TemporaryDirectory() as folder:
            series = replace(recording.series, tables=keep_tables(Path(folder), recording.tables()))
            frames = _write(RecordingFile(target, series), recording, data, offsets)
        if not frames:
            raise SourceError(
                f"{recording.path} cannot be repaired: its index is damaged, and no frame is found without "
                "it; nothing was changed"
            )
    except BaseException:
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
        raise
    return Salvaged(target, frames)


def _write(file: RecordingFile, recording: Recording, data: mmap.mmap, offsets: IndexArray) -> int:
    """All frames that are found, one by one: their times are their own. Closes the file."""
    raw = recording.encoding == "raw"
    try:
        for first in range(0, recording.rows, BATCH):
            n = min(BATCH, recording.rows - first)
            times, positions = recording.times(first, n), recording.sure_positions(first, n)
            for i, payload in enumerate(_found(recording, data, offsets, first, n)):
                if payload:
                    time_ns = None if times is None or not times[i] else int(times[i])
                    place = None if positions is None else positions[i : i + 1]
                    stored = np.frombuffer(payload, np.uint8)
                    sizes = None if raw else np.array([stored.size])
                    file.append(first + i, 1, stored, sizes, place, time_ns)
            file.flush()
        file.write_accounts(_accounts(recording, file.frames))
        return file.frames
    finally:
        file.close()


def _found(
    recording: Recording, data: mmap.mmap, offsets: IndexArray, first: int, n: int
) -> Iterator[bytes | memoryview]:
    """n payloads, by the index or by where they were found; empty where neither has one."""
    sizes, _ = recording.fingerprints(first, n)
    places = offsets[first : first + n].tolist()
    for payload, at, size in zip(recording.payloads(first, n), places, sizes.tolist(), strict=True):
        yield payload if payload or at < 0 else data[at : at + size]


def _accounts(recording: Recording, frames: int) -> Mapping[str, Any]:
    known = recording.accounts
    state = known.get("state", "open")
    reason = known.get("reason") or f"found again in {recording.path.name}, whose index is damaged"
    return {
        **known,
        "state": "incomplete" if state == "open" else state,
        "reason": reason,
        "recorded": frames,
        "salvaged_from": recording.path.name,
    }
