"""Keeps series as files: opens, writes, flushes and closes one after another, and says how that goes.

Whatever a disk does, nothing is raised from here: recording stops, says why, leaves a valid file, and may
begin again with the next series. Knows no ring and no supervisor.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..files.superblock import BrokenSuperblockError, put_right
from ..series import Block, Series
from .disk import LOW_BYTES, Reserve, expected_frames, free_bytes, probe, seconds_left
from .recorder import RecorderOptions
from .recording_file import RecordingFile

FLUSH_BYTES = 16 << 20
"""Flush after so many bytes however few frames they are: until then their blocks stay in use in the ring."""
RATE_S = 2.0
NAME_BYTES = 120
"""Of a title in a file's name; file systems allow 255 for all of it."""


class Keeper:
    """At most one open recording."""

    def __init__(
        self,
        options: RecorderOptions,
        flush_bytes: int = FLUSH_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options, self._flush_bytes, self._clock = options, flush_bytes, clock
        self._folder = Path(options.folder)
        self.enabled = options.continuous
        """Whether series are to be kept."""
        self.file: RecordingFile | None = None
        self.error: str | None = None
        """Why recording stopped; None once it has begun again."""
        self.unsafe: str | None = None
        """What a finished file may lack after a power failure, because the disk refused the last of it."""
        self.saved = True
        """Whether what was written before the last flush, end or failure is in a file for good."""
        self._reserve: Reserve | None = None
        self._bytes_per_frame: float | None = None
        self._flush_at = self._flush_many_at = self._sync_at = 0.0
        self._disk = ThreadPoolExecutor(1, "fsync")
        self._sync: Future[None] | None = None
        self._last_syncs: list[tuple[Path, Future[None]]] = []
        """Of files that are closed."""
        self._mark, self._rate, self._begun = (clock(), 0), 0.0, clock()

    @property
    def state(self) -> str:
        if self.file is not None:
            return "recording"
        return "failed" if self.error else "idle"

    def prepare(self) -> bool:
        """Before any series: whether the folder takes files; when not, ``error`` says why."""
        return self._try(lambda: probe(self._folder))

    @property
    def trouble(self) -> str | None:
        """Whatever went wrong with the open file, or with finished ones."""
        self._heed_syncs()
        return self.error or self.unsafe

    def begin(self, series: Series, suffix: str = "") -> bool:
        """Open a file for a series; False, and ``error`` says why, when that is not possible."""
        self.error = None
        return self._try(lambda: self._open(series, suffix))

    def _open(self, series: Series, suffix: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._reserve = Reserve(self._folder)
        path = free_path(self._folder, series, suffix)
        self.file = RecordingFile(path, series, compress=self._options.compression == "bslz4")
        now = self._clock()
        self._sync = None
        self._flush_at, self._sync_at = now + self._options.flush_s, now + self._options.fsync_s
        self._flush_many_at = now
        self._mark, self._rate, self._begun = (now, 0), 0.0, now

    def write(self, block: Block) -> bool:
        """Append a block; it is in the file for good after the next ``flush``."""
        file = self.file
        if file is None:
            return False
        return self._try(
            lambda: file.append(
                block.first, block.count, block.payload, block.sizes, block.positions, block.time_ns
            )
        )

    def forget(self) -> None:
        """Take back the last block: it did not stay whole while it was written."""
        if self.file is not None:
            self.file.forget()

    def flush_due(self) -> bool:
        """Whether so many frames or bytes wait, or they have waited so long, that they should be flushed."""
        file = self.file
        if file is None or not file.waiting:
            return False
        return file.waiting_bytes >= self._flush_bytes or self._clock() >= self._due_at(file)

    def _due_at(self, file: RecordingFile) -> float:
        many = file.waiting >= self._options.flush_frames
        return min(self._flush_at, self._flush_many_at) if many else self._flush_at

    def due_in(self) -> float | None:
        """Seconds until what waits is to be flushed; None when nothing does."""
        if self.file is None or not self.file.waiting:
            return None
        return max(0.0, self._due_at(self.file) - self._clock())

    def flush(self) -> bool:
        """Everything that was written is in the file for good; False when the disk refuses it."""
        file = self.file
        if file is None or not self._try(file.flush):
            return False
        self.saved = True
        now = self._clock()
        self._flush_at, self._flush_many_at = now + self._options.flush_s, now + self._options.flush_pause_s
        return self._try(lambda: self._sync_if_due(file))

    def _sync_if_due(self, file: RecordingFile) -> None:
        """Beside the writing: a disk may take a second for it. One that is still at it is not asked again.

        Raises what the last one raised: a disk that could not take what it was given.
        """
        now = self._clock()
        if now < self._sync_at or (self._sync is not None and not self._sync.done()):
            return
        if self._sync is not None:
            self._sync.result()
        self._sync_at = now + self._options.fsync_s
        self._sync = self._disk.submit(file.sync)

    def end(self, accounts: Mapping[str, Any]) -> None:
        """The series is over: enter its accounts and close its file."""
        file = self.file
        if file is None:
            return
        if self._try(lambda: self._close(file, accounts)):
            self.file, self.saved = None, True
            self._give_up_reserve()
            if self._sync is not None:
                self._last_syncs.append((file.path, self._sync))
                self._sync = None
            self._last_syncs.append((file.path, self._disk.submit(file.sync)))

    def _heed_syncs(self) -> None:
        """Look at those that are over."""
        over = [(path, sync) for path, sync in self._last_syncs if sync.done()]
        self._last_syncs = [(path, sync) for path, sync in self._last_syncs if not sync.done()]
        for path, sync in over:
            if (error := sync.exception()) is not None:
                self.unsafe = (
                    f"{path} may lack its last frames after a power failure: the disk did not take them: "
                    f"{_why(error)}"
                )

    def _close(self, file: RecordingFile, accounts: Mapping[str, Any]) -> None:
        if file.frames:
            self._bytes_per_frame = file.bytes / file.frames
        file.write_accounts({**accounts, **_counts(file)})
        file.close()

    def shut(self) -> None:
        """No more recordings: wait until the disk has the last one."""
        self._disk.shutdown(wait=True)
        self._heed_syncs()

    def _try(self, do: Callable[[], object]) -> bool:
        """Do something with the disk; False, and everything closed, when it fails."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - HDF5 raises many kinds, and none may stop the live path
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        file, self.file = self.file, None
        self.error, self.saved = _words(error, self._folder if file is None else file.path), False
        self._give_up_reserve()
        if file is None:
            return
        try:
            file.write_accounts({"state": "failed", "reason": self.error, **_counts(file)})
        except Exception as again:  # noqa: BLE001 - as above: what was flushed before is safe
            self.error += f" (nor could its accounts be written: {again})"
        try:
            file.close()
            self.saved = True
        except Exception as again:  # noqa: BLE001 - as above
            self.error += f" (nor could it be closed: {again})"
        try:
            put_right(file.path)  # HDF5 says it is as long as it would have become
        except (OSError, BrokenSuperblockError) as again:
            self.error += f" (it may open with `livem repair` only: {again})"

    def _give_up_reserve(self) -> None:
        if self._reserve is not None:
            self._reserve.release()
            self._reserve = None

    def status(self) -> dict[str, Any]:
        """How it goes: the fields of the report ``recording`` (recorder.py)."""
        file, free = self.file, free_bytes(self._existing())
        rate = self._measure(file)
        return {
            "state": self.state,
            "enabled": self.enabled,
            "file": None if file is None else str(file.path),
            "frames": 0 if file is None else file.flushed,
            "bytes": 0 if file is None else file.bytes,
            "seconds": 0.0 if file is None else round(self._clock() - self._begun, 1),
            "bytes_per_s": round(rate, 1),
            "free_bytes": free,
            "seconds_left": seconds_left(free, rate),
            "error": self.trouble,
            "warning": self._warning(free),
        }

    def _existing(self) -> Path:
        """The folder, or its nearest parent that is there."""
        return next((p for p in (self._folder, *self._folder.absolute().parents) if p.is_dir()), Path())

    def _measure(self, file: RecordingFile | None) -> float:
        """Bytes a second, over RATE_S at least."""
        if file is None:
            return 0.0
        now, (then, before) = self._clock(), self._mark
        if now - then >= RATE_S:
            self._rate = (file.bytes - before) / (now - then)
            self._mark = now, file.bytes
        elif not self._rate and now > then:
            return (file.bytes - before) / (now - then)
        return self._rate

    def _warning(self, free: int | None) -> str | None:
        """Whether there is too little room: one text a file, whatever the figures do."""
        file = self.file
        if free is None:
            return None
        if file is None or (frames := expected_frames(file.series)) is None:
            low = free < LOW_BYTES
            return f"{self._folder} has less than 1 GiB left: free some space" if low else None
        each = self._each(file)
        needed = 0.0 if each is None else (frames - file.frames) * each
        if needed <= free:
            return None
        return (
            f"series {file.series.key.number} needs more room than there is: recording {file.path} will stop "
            "when its disk is full; free some space"
        )

    def _each(self, file: RecordingFile) -> float | None:
        """Bytes a frame takes: measured, or as raw, or like the last series; None = unknown."""
        if file.frames:
            return file.bytes / file.frames
        return file.series.frame_bytes if file.encoding == "raw" else self._bytes_per_frame


def _counts(file: RecordingFile) -> dict[str, int]:
    return {"recorded": file.frames, "recorded_bytes": file.bytes}


def _words(error: Exception, path: Path) -> str:
    return f"{path} cannot be written: {_why(error)}; recording has stopped, the live path goes on"


def _why(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    # HDF5 puts its own stack into the text; the system's words are enough where there are any.
    return os.strerror(number) if number else (str(error).splitlines() or [type(error).__name__])[0]


def free_path(folder: Path, series: Series, suffix: str = "") -> Path:
    """Where a series goes: title, number and epoch make the name; one that is taken gets a number."""
    words = re.sub(r"[^\w.-]+", "_", str(series.meta.get("title", ""))).strip("._")
    title = words.encode()[:NAME_BYTES].decode(errors="ignore") or "series"
    stem = f"{title}_{series.key.number}_{series.key.epoch.hex()[:8]}{suffix}"
    path, number = folder / f"{stem}.h5", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}_{number}.h5"
    return path
