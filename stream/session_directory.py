"""A session's private directory: its local sockets, and the file that says where it answers.

Named after its owner, so that the next start can remove what a killed session left.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .segment import PREFIX, Owner

CONTROL_FILE = "control"


def create() -> Path:
    """A new directory of this process."""
    me = Owner.me()
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{me.pid}-{me.started}-"))


def announce(directory: Path, control_address: str) -> None:
    """Write down where the session answers, for ``livem view`` without an address."""
    part = directory / f"{CONTROL_FILE}.part"
    part.write_text(control_address, encoding="utf-8")
    part.replace(directory / CONTROL_FILE)


def running() -> list[str]:
    """Control addresses of this machine's running sessions, the newest first."""
    found = []
    for path in _all():
        owner, file = _owner_of(path), path / CONTROL_FILE
        if owner is not None and owner.alive() and file.is_file():
            found.append((file.stat().st_mtime, file.read_text(encoding="utf-8")))
    return [address for _, address in sorted(found, reverse=True)]


def address_of(pid: int) -> str | None:
    """Control address of the session that a process runs; None while it has not said it."""
    for path in _all():
        owner, file = _owner_of(path), path / CONTROL_FILE
        if owner is not None and owner.pid == pid and owner.alive() and file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def reclaim() -> list[Path]:
    """Remove the directories of dead owners; returns them."""
    dead = []
    for path in _all():
        owner = _owner_of(path)
        if owner is not None and not owner.alive():
            shutil.rmtree(path, ignore_errors=True)
            dead.append(path)
    return dead


def _all() -> list[Path]:
    return [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*-*") if path.is_dir()]


def _owner_of(path: Path) -> Owner | None:
    pid, started, *_ = path.name.removeprefix(PREFIX).split("-")
    return Owner(int(pid), int(started)) if pid.isdigit() and started.isdigit() else None
