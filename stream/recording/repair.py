"""Mends recordings: one whose writer was killed opens everywhere, one that is damaged keeps what is sound.

A file's structure is there before its first frame and stays sound through a kill (recording_file.py), so
nothing is copied or moved: its first 48 bytes are put right in one write, rows of frames that do not match
their checksum are marked as absent, and the accounts say what became of it. A repair that is killed is simply
done again. Nothing is written before all of the file was looked through; one whose index is damaged is not
written at all: its frames are found without it, for a new file (salvage.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import SourceError
from ..files.recording_layout import ACCOUNTS, FRAMES
from ..files.recordings import Recording, open_as_closed, open_recording
from ..files.superblock import OPEN_FOR_SWMR, SIZE, BrokenSuperblockError, Superblock, overwrite
from .nexus import LIBRARY
from .salvage import Salvaged, salvage

BATCH = 256
PIECE = 1 << 20
ROOT = 48
"""Where the root group of every recording lies: right behind the superblock."""
NOWHERE = (1 << 64) - 1
FEW = 0.5
"""Less than this share of the frames sound is more than damage costs as a rule: something else is wrong."""


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
    salvaged: Path | None = None
    """Its index was damaged: the file is as it was, and this new one has the frames that were found again."""

    @property
    def sound(self) -> int:
        """Frames that are there, exactly as they were received."""
        return self.recorded - self.damaged

    @property
    def changed(self) -> bool:
        """Whether anything had to be mended."""
        found = self.left_open or self.header_lost or self.cut_off or self.damaged or self.closed_accounts
        return bool(found and self.salvaged is None)


def repair(path: str | PathLike[str], *, force: bool = False) -> RepairReport:
    """Mend a recording in place, or write what can be found of it to a new one where its index is damaged.

    Parameters
    ----------
    path : path
    force : bool, optional
        Mark damaged frames as absent even where these are more than half of all.

    Returns
    -------
    RepairReport

    Raises
    ------
    SourceError
        When it is no recording, is being written at this moment, is damaged where nothing can be read
        without it, has few sound frames, cannot be read as a whole at this moment, or cannot be written. The
        file is as it was then.
    """
    where = Path(path)
    try:
        return _repair(where, force)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{where} cannot be repaired: {error}") from error


def _repair(path: Path, force: bool) -> RepairReport:
    size = path.stat().st_size
    header, lost = _header(path, size)
    if header.flags & OPEN_FOR_SWMR:
        _refuse_if_written(path)
    cut_off = max(0, header.base + header.end - size)
    mended = None if header.clean and not lost and not cut_off else header
    look = _look_through(path, mended)
    if look.damaged or look.fault:  # for good, or had the disk or the network a bad moment?
        read_through(path)
        look = _look_through(path, mended)
    recorded, damaged, is_open = look.recorded, len(look.damaged), look.is_open
    salvaged = None
    if look.fault:
        salvaged = _salvaged(path, mended)
        recorded, damaged = max(recorded, salvaged.frames), max(0, recorded - salvaged.frames)
    else:
        _refuse_if_few(path, look, force)
        _mend(path, header if mended else None, look)
    new_file = salvaged.path if salvaged else None
    return RepairReport(path, not header.clean, lost, cut_off, recorded, damaged, is_open, new_file)


def _open(path: Path, mended: Superblock | None) -> Recording:
    return open_recording(path) if mended is None else open_as_closed(path, mended)


def _salvaged(path: Path, mended: Superblock | None) -> Salvaged:
    recording = _open(path, mended)
    try:
        return salvage(recording)
    finally:
        recording.close()


def _refuse_if_few(path: Path, look: Look, force: bool) -> None:
    sound = look.recorded - len(look.damaged)
    if look.damaged and sound < FEW * look.recorded and not force:
        raise SourceError(
            f"only {sound:,} of the {look.recorded:,} frames of {path} match their checksums: nothing was "
            "changed; look for a copy, or mark the others as absent with --force"
        )


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


@dataclass(frozen=True, slots=True)
class Look:
    """What was found by reading all of a file."""

    recorded: int
    damaged: list[int]
    rows: int
    accounts: dict[str, Any]
    fault: str | None

    @property
    def is_open(self) -> bool:
        return bool(self.accounts.get("state", "open") == "open")


def _look_through(path: Path, mended: Superblock | None) -> Look:
    recording = _open(path, mended)
    try:
        return Look(*_verify(recording), recording.rows, recording.accounts, recording.index_fault)
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


def _mend(path: Path, header: Superblock | None, look: Look) -> None:
    """Overwrite in place: nothing in the file moves. Behind ``rows`` a flush was interrupted."""
    if header is not None:
        overwrite(path, header.closed(path.stat().st_size).pack())
    if not look.damaged and not look.is_open:
        return
    sound = look.recorded - len(look.damaged)
    accounts = _closed_accounts(look.accounts, sound) if look.is_open else look.accounts
    with h5py.File(path, "r+", libver=LIBRARY, locking=False) as file:
        valid = file[FRAMES]["valid"]
        for index in look.damaged:
            valid[index] = 0
        valid[look.rows :] = 0
        file[ACCOUNTS][()] = json.dumps(accounts).encode()
