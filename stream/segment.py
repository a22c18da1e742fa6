"""A named piece of shared memory with an owner, and the reclaiming of what dead owners left.

Linux: a file in /dev/shm, sized by posix_fallocate (a full tmpfs is then a clear error and not a SIGBUS)
and mapped with its pages present. Elsewhere: multiprocessing.shared_memory, kept out of the resource
tracker in attachers (before Python 3.13 any attacher that exits would unlink the segment), with a small
registry file a session so that a later start can find what a killed one left.

Knows nothing of rings: only names, sizes, owners.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import sys
from dataclasses import dataclass
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from ..errors import RingError

PREFIX = "livem-"
PAGE = 4096
_SHM = Path("/dev/shm")
_ON_LINUX = sys.platform == "linux"
_NUMBERS = itertools.count()
"""Of this process' segments."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: int
    """Start time in hundredths of a second, since boot (Linux) or the Unix epoch."""

    @classmethod
    def me(cls) -> Owner:
        return cls(os.getpid(), _start_time(os.getpid()))

    def alive(self) -> bool:
        try:
            # psutil's start times of one process may differ by a clock tick between callers.
            running = abs(_start_time(self.pid) - self.started) <= 2
            return running and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def _start_time(pid: int) -> int:
    """When a process started, by a clock that nobody sets: on Linux in clock ticks since boot.

    psutil adds the boot time, which it reads anew from the wall clock: a step of that clock would make every
    living owner look like a dead one.
    """
    if not _ON_LINUX:
        return int(psutil.Process(pid).create_time() * 100)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    return int(stat.rpartition(")")[2].split()[19])


class Segment:
    """Shared memory of a fixed size; ``memory`` is the whole of it as bytes.

    The creator owns it: ``close`` of the owner removes the name. Attachers only unmap.
    """

    def __init__(self, name: str, memory: npt.NDArray[np.uint8], handle: Any, owned: bool) -> None:
        self.name = name
        self.memory = memory
        self._handle = handle
        self._owned = owned

    @classmethod
    def create(cls, nbytes: int) -> Segment:
        """Make a segment of this process; RingError when the memory is not to be had."""
        owner = Owner.me()
        name = f"{PREFIX}{owner.pid}-{owner.started}-{next(_NUMBERS):x}"  # macOS takes 30 characters
        nbytes = -(-nbytes // PAGE) * PAGE
        handle = _create_file(name, nbytes) if _ON_LINUX else _create_shared(name, nbytes, owner)
        return cls(name, _as_bytes(handle, nbytes), handle, owned=True)

    @classmethod
    def attach(cls, name: str, nbytes: int) -> Segment:
        """Map a segment that another process made; RingError when it is gone."""
        try:
            handle = _attach_file(name) if _ON_LINUX else _attach_shared(name)
        except FileNotFoundError as error:
            raise RingError(
                f"shared memory {name!r} is gone: its session has ended; start the session again"
            ) from error
        return cls(name, _as_bytes(handle, nbytes), handle, owned=False)

    def close(self) -> None:
        """Unmap; the owner also removes the name. Views that are still held keep their pages alive."""
        self.memory = np.empty(0, np.uint8)
        with contextlib.suppress(BufferError):  # a view outlives us: its pages go with the process
            self._handle.close()
        if self._owned:
            self._owned = False
            _unlink(self.name, self._handle)


def default_bytes() -> int:
    """Size of a ring where nobody says: 512 MiB where there is room.

    At most a quarter of the free shared memory and an eighth of all memory, at least 16 MiB.
    """
    limits = [512 << 20, int(psutil.virtual_memory().total) // 8]
    if _SHM.is_dir():
        limits.append(int(psutil.disk_usage(str(_SHM)).free) // 4)
    return max(16 << 20, min(limits) // PAGE * PAGE)


def _as_bytes(handle: Any, nbytes: int) -> npt.NDArray[np.uint8]:
    buffer = handle if isinstance(handle, mmap.mmap) else handle.buf
    return np.frombuffer(buffer, np.uint8, count=nbytes)


def _create_file(name: str, nbytes: int) -> mmap.mmap:
    path = _SHM / name
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(fd, 0, nbytes)
        return _map(fd, nbytes)
    except OSError as error:
        path.unlink(missing_ok=True)
        free = psutil.disk_usage(str(_SHM)).free
        raise RingError(
            f"no room for {nbytes / 2**20:.0f} MiB of shared memory in {_SHM} ({free / 2**20:.0f} MiB free): "
            f"make the ring smaller ([ring] bytes = ... in the pipeline file) or {_SHM} larger"
        ) from error
    finally:
        os.close(fd)


def _attach_file(name: str) -> mmap.mmap:
    fd = os.open(_SHM / name, os.O_RDWR)
    try:
        return _map(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _map(fd: int, nbytes: int) -> mmap.mmap:
    # MAP_POPULATE: a page fault on first touch costs 0.25 us a page, on the hot path of the first lap.
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    return mmap.mmap(fd, nbytes, flags=flags)


def _registry() -> Path:
    import platformdirs

    return Path(platformdirs.user_runtime_dir("livem", ensure_exists=True))


class _Shared(shared_memory.SharedMemory):
    """Memory that views of it may outlive: their pages then go with the process, without a word."""

    def __del__(self) -> None:
        try:
            self.close()
        except (BufferError, OSError):
            pass


def _create_shared(name: str, nbytes: int, owner: Owner) -> _Shared:
    try:
        handle = _Shared(name, create=True, size=nbytes)
    except OSError as error:
        raise RingError(
            f"no room for {nbytes / 2**20:.0f} MiB of shared memory: "
            "make the ring smaller ([ring] bytes = ... in the pipeline file)"
        ) from error
    record = {"name": name, "pid": owner.pid, "started": owner.started}
    (_registry() / f"{name}.json").write_text(json.dumps(record))
    return handle


def _attach_shared(name: str) -> _Shared:
    if sys.version_info >= (3, 13):
        return _Shared(name, track=False)
    handle = _Shared(name)
    if sys.platform != "win32":
        resource_tracker.unregister(handle._name, "shared_memory")  # type: ignore[attr-defined]
    return handle


def _unlink(name: str, handle: Any) -> None:
    if _ON_LINUX:
        (_SHM / name).unlink(missing_ok=True)
        return
    if sys.version_info < (3, 13) and sys.platform != "win32":
        # Our attachers share the tracker and took the name out of it: it would complain of a second time.
        resource_tracker.register(handle._name, "shared_memory")
    with contextlib.suppress(FileNotFoundError):
        handle.unlink()
    (_registry() / f"{name}.json").unlink(missing_ok=True)


def _owner_in(name: str) -> Owner | None:
    try:
        pid, started, *_ = name.removeprefix(PREFIX).split("-")
        return Owner(int(pid), int(started))
    except ValueError:
        return None


def reclaim() -> list[str]:
    """Remove the segments of owners that are dead; returns their names."""
    where = _SHM if _ON_LINUX else _registry()
    reclaimed = []
    for path in where.glob(f"{PREFIX}*"):
        name = path.name.removesuffix(".json")
        owner = _owner_in(name)
        if owner is None or owner.alive():
            continue
        if not _ON_LINUX:
            _unlink_stale(name)
        with contextlib.suppress(OSError):  # another user's: theirs to remove
            path.unlink(missing_ok=True)
            reclaimed.append(name)
    return reclaimed


def _unlink_stale(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        stale = _Shared(name)
        stale.close()
        stale.unlink()
