"""Frames of any readable file into another format, block by block, nothing changed and nothing invented.

A frame that is not there is written as zeros, and said to be missing by an array ``valid`` beside the frames.
Knows acquisitions and file formats; no stream and no command line.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import SessionError, SourceError, UsageError
from ..files.acquisition import Acquisition, Array
from ..series import Scan
from .export_formats import BLOCK_BYTES, Plan, Writer, writer_of
from .export_target import Target

COMPRESSED = (".h5", ".hdf5", ".zarr")
"""How much room they take is known at the end only."""
SPARE_BYTES = 64 << 20
"""Free space beyond the frames: tables, and what others write meanwhile."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    shape: tuple[int, ...]
    dtype: str
    missing: int
    """Frames that are zeros because they were not there."""
    beside: tuple[Path, ...]
    """Further files: which frames are valid, positions."""
    bytes: int


Said = Callable[[int, int], None]


def export(
    acquisition: Acquisition,
    target: Path,
    *,
    frames: tuple[int | None, int | None] = (None, None),
    replace: bool = False,
    on_progress: Said = lambda done, count: None,
    block_bytes: int = BLOCK_BYTES,
) -> Exported:
    """Write frames to ``target``; its suffix chooses the format (see export_formats.WRITERS).

    Parameters
    ----------
    acquisition : Acquisition
        With an end.
    frames : (first, stop), optional
        Half-open; None = from the first, to the last.
    replace : bool
        Whether an existing target, and what lies beside it, may be replaced; it is, once the new one is
        complete.
    on_progress : callable
        Called with (frames done, frames in all).

    Raises
    ------
    UsageError
        An unknown suffix, a range without frames, an existing target, one that the frames are read from.
    SessionError
        When the disk refuses or has too little room.
    """
    plan = _plan(acquisition, *frames)
    make = writer_of(target, plan)
    place = Target(target, acquisition.files, replace)
    _check_room(target, plan)
    try:
        writer = make(place.part, plan)
        try:
            valid = _copy(acquisition, plan, writer, on_progress, block_bytes)
            rest = writer.finish(_tables(acquisition, plan, valid))
        finally:
            writer.close()
        beside = place.put(rest)
    except OSError as error:
        raise SessionError(
            f"{target} cannot be written: {error}; check the free space and the rights"
        ) from error
    finally:
        place.tidy()
    missing = int(plan.count - valid.sum())
    return Exported(target, plan.shape, plan.dtype.name, missing, tuple(beside), place.nbytes())


def _plan(acquisition: Acquisition, first: int | None, stop: int | None) -> Plan:
    count = acquisition.count
    if count is None:
        raise UsageError(f"{acquisition.name} has no end: it cannot be exported")
    begin, end = (0 if first is None else first), (count if stop is None else stop)
    if not 0 <= begin < end <= count:
        raise UsageError(
            f"frames {begin}:{end} are none of {acquisition.name}: it has {count}, 0:{count} at most"
        )
    whole = (begin, end) == (0, count)
    grid = _grid(acquisition.scan, count) if whole else None
    shape = (*(grid or (end - begin,)), *acquisition.shape)
    dtype = np.dtype(acquisition.dtype).newbyteorder("<")
    scan = acquisition.scan
    if scan is not None and not whole and scan.order != "positions":
        scan = None
    return Plan(shape, dtype, end - begin, scan, dict(acquisition.meta), begin)


def _grid(scan: Scan | None, count: int) -> tuple[int, int] | None:
    """(ny, nx) where frame i simply is pixel i."""
    if scan is None or scan.order != "raster" or scan.skip or scan.frame_count != count or scan.repeats != 1:
        return None
    return scan.shape


def _check_room(target: Path, plan: Plan) -> None:
    free = shutil.disk_usage(target.parent).free
    if target.suffix not in COMPRESSED and plan.nbytes + SPARE_BYTES > free:
        raise SessionError(
            f"{target} would take {plan.nbytes / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free; "
            "choose another disk, or fewer frames (--frames A:B)"
        )


def _copy(
    acquisition: Acquisition, plan: Plan, writer: Writer, on_progress: Said, block_bytes: int
) -> npt.NDArray[np.bool_]:
    """All frames; returns (count,) which of them were there."""
    valid = np.ones(plan.count, np.bool_)
    for at, n in _blocks(plan, block_bytes):
        frames, there = _read(acquisition, plan, at, n)
        if there is not None and not there.all():
            valid[at : at + n] = there
            frames = np.where(there[:, None, None], frames, np.zeros((), plan.dtype))
        writer.write(at, frames)
        on_progress(at + n, plan.count)
    return valid


def _read(
    acquisition: Acquisition, plan: Plan, at: int, n: int
) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    first = plan.first + at
    try:
        there = acquisition.present(first, n)
        return np.asarray(acquisition.frames(first, n), plan.dtype), there
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise SourceError(
            f"{acquisition.name}: frames {first} to {first + n - 1} cannot be read: {error}; export those "
            "before and behind (--frames A:B)"
        ) from error


def frames_per_block(plan: Plan, block_bytes: int) -> int:
    """How many frames are written at once: a multiple of 4, and whole lines of a grid, where they fit."""
    most = max(1, block_bytes * plan.count // max(plan.nbytes, 1))
    line = plan.shape[1] if len(plan.shape) == 4 else 4
    return most - most % line if most >= line else most


def _blocks(plan: Plan, block_bytes: int) -> Iterator[tuple[int, int]]:
    """(at, n) one after another."""
    most = frames_per_block(plan, block_bytes)
    for at in range(0, plan.count, most):
        yield at, min(most, plan.count - at)


def _tables(acquisition: Acquisition, plan: Plan, valid: npt.NDArray[np.bool_]) -> dict[str, Array]:
    """What belongs to the frames: ``valid`` where some are missing, ``positions``, ``timestamps``."""
    tables: dict[str, Array] = {}
    if not valid.all():
        tables["valid"] = valid.reshape(plan.shape[:-2])
    if (positions := acquisition.positions(plan.first, plan.count)) is not None:
        tables["positions"] = np.asarray(positions, np.float32)
    if (times := acquisition.times(plan.first, plan.count)) is not None and times.any():
        tables["timestamps"] = np.asarray(times, np.int64)
    return tables | {name: np.asarray(table) for name, table in acquisition.tables().items()}
