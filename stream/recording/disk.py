"""Room on the disk: how much there is, how long it lasts, and a reserve for ending a file on a full one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from ..series import Series

RESERVE_BYTES = 256 << 10
"""What HDF5 may still have to write of tables and index when the disk is full; measured below 100 KiB."""
LOW_BYTES = 1 << 30
"""Less than this is worth a word before a series begins: a second or two of a fast detector."""
MAX_SECONDS = 10 * 365 * 86_400.0


def probe(folder: Path) -> None:
    """Make the folder and write to its disk, as a recording will; nothing stays but the folder.

    Raises OSError when that is not possible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(RESERVE_BYTES))
        file.flush()
        os.fsync(file.fileno())  # a network drive says only now that it is full


def free_bytes(folder: Path) -> int | None:
    """What this user may still write there; None when the system does not say."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def seconds_left(free: int | None, bytes_per_s: float) -> float | None:
    """How long a recording can go on at its present rate; None when unknown."""
    if free is None or bytes_per_s <= 0:
        return None
    return min(free / bytes_per_s, MAX_SECONDS)


def expected_frames(series: Series) -> int | None:
    """Frames that a series will have, as announced; None = open-ended."""
    if series.count is not None:
        return series.count
    return series.scan.frame_count if series.scan is not None else None


class Reserve:
    """A nameless file of nothing beside the recordings, given up when the disk is full, to make room.

    It is gone with its process, however that ends. A disk that is full already gives none.
    """

    def __init__(self, folder: Path, nbytes: int = RESERVE_BYTES) -> None:
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is kept
            self._file.write(bytes(nbytes))  # written, not only declared: a hole is no room
            self._file.flush()

    def release(self) -> None:
        """Give the room back. May be called again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
