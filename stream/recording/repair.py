"""Mends recordings: one whose writer was killed opens everywhere, one that is damaged keeps what is sound.

A file's structure is there before its first frame and stays sound through a kill (recording_file.py), so
nothing is copied or moved: its first 48 bytes are put right in one write, rows of frames that do not match
their checksum are marked as absent, and the accounts say what became of it. A repair that is killed is simply
done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import SourceError
from ..files.recording_layout import ACCOUNTS, FRAMES
from ..files.recordings import Recording, open_recording
from ..files.superblock import OPEN_FOR_SWMR, SIZE, BrokenSuperblockError, Superblock, overwrite
from .nexus import LIBRARY

BATCH = 256
PIECE = 1 << 20
ROOT = 48
"""Where the root group of every recording lies: right behind the superblock."""
NOWHERE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was found in a recording, and what was made good."""

    path: Path
    left_open: bool
    """Its writer was killed; other programs could not open it."""
    header_lost: bool
    """Its first bytes were damaged, and were made anew."""
    cut_off: int
    """Bytes that are missing at its end."""
    recorded: int
    """Frames that had been written."""
    damaged: int
    """Of these, frames whose bytes do not match their checksum or are gone; now marked as absent."""
    closed_accounts: bool
    """Its accounts were open, and say now that the recording was cut short."""

    @property
    def sound(self) -> int:
        """Frames that are there, exactly as they were received."""
        return self.recorded - self.damaged

    @property
    def changed(self) -> bool:
        """Whether anything had to be mended."""
        return bool(
            self.left_open or self.header_lost or self.cut_off or self.damaged or self.closed_accounts
        )


def repair(path: str | PathLike[str]) -> RepairReport:
    """Mend a recording in place.

    Returns
    -------
    RepairReport

    Raises
    ------
    SourceError
        When it is no recording, is being written at this moment, is damaged where nothing can be read
        without it, cannot be read as a whole at this moment, or cannot be written.
    """
    where = Path(path)
    try:
        return _repair(where)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{where} cannot be repaired: {error}") from error


def _repair(path: Path) -> RepairReport:
    size = path.stat().st_size
    header, lost = _header(path, size)
    if header.flags & OPEN_FOR_SWMR:
        _refuse_if_written(path)
    cut_off = max(0, header.base + header.end - size)
    with _mended_header(path, header, lost or cut_off or not header.clean):
        recording = open_recording(path)
    recorded, damaged, rows, accounts = _look_through(recording)
    if damaged:  # for good, or had the disk or the network a bad moment?
        read_through(path)
        recorded, damaged, rows, accounts = _look_through(open_recording(path))
    is_open = accounts.get("state", "open") == "open"
    if damaged or is_open:
        closed = _closed_accounts(accounts, recorded - len(damaged)) if is_open else accounts
        _write(path, damaged, rows, closed)
    return RepairReport(path, not header.clean, lost, cut_off, recorded, len(damaged), is_open)


def _header(path: Path, size: int) -> tuple[Superblock, bool]:
    """What stands at the beginning, and whether it had to be guessed: all recordings begin alike."""
    try:
        return Superblock.read(path), False
    except BrokenSuperblockError as error:
        with path.open("rb") as file:
            start = file.read(SIZE + 4)
        if start[ROOT : ROOT + 4] != b"OHDR":
            raise SourceError(f"{path} cannot be repaired: {error}") from error
        return Superblock(0, 0, NOWHERE, size, ROOT), True


def _refuse_if_written(path: Path) -> None:
    try:
        recording = open_recording(path)
    except SourceError:
        return  # so damaged that nobody can be writing it
    try:
        if recording.writer_alive:
            raise SourceError(f"{path} is being recorded at this moment; end the recording first")
    finally:
        recording.close()


@contextmanager
def _mended_header(path: Path, header: Superblock, needed: object) -> Iterator[None]:
    """The beginning of the file put right, and as it was again if the file cannot be opened even so."""
    if not needed:
        yield
        return
    with path.open("rb") as file:
        before = file.read(SIZE)
    overwrite(path, header.closed(path.stat().st_size).pack())
    try:
        yield
    except SourceError:
        overwrite(path, before)
        raise


def _look_through(recording: Recording) -> tuple[int, list[int], int, dict[str, Any]]:
    """Frames that were written, those that are not sound, all rows, the accounts; closes the recording."""
    try:
        return *_verify(recording), recording.rows, recording.accounts
    finally:
        recording.close()


def _verify(recording: Recording) -> tuple[int, list[int]]:
    """Frames that were written, and those of them that are not sound."""
    recorded, damaged = 0, []
    for first in range(0, recording.rows, BATCH):
        n = min(BATCH, recording.rows - first)
        written = recording.recorded(first, n)
        bad = written & ~recording.present(first, n)
        recorded += int(written.sum())
        damaged += (first + np.flatnonzero(bad)).tolist()
    return recorded, damaged


def read_through(path: Path) -> None:
    """Read a whole file as it lies. Raises OSError where the disk does not give it: that is no damage."""
    with path.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass


def _closed_accounts(accounts: dict[str, Any], sound: int) -> dict[str, Any]:
    killed = "the recorder was stopped before the series ended (a kill, a crash or a power failure)"
    reason = accounts.get("reason") or killed
    return {**accounts, "state": "incomplete", "reason": reason, "recorded": sound}


def _write(path: Path, damaged: list[int], rows: int, accounts: dict[str, Any]) -> None:
    """Overwrite in place: nothing in the file moves. Behind ``rows`` a flush was interrupted."""
    with h5py.File(path, "r+", libver=LIBRARY, locking=False) as file:
        valid = file[FRAMES]["valid"]
        for index in damaged:
            valid[index] = 0
        valid[rows:] = 0
        file[ACCOUNTS][()] = json.dumps(accounts).encode()
