"""Shared memory for the ring, open files, and what dead sessions left behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from ...stream.segment import PREFIX, Owner, default_bytes
from .finding import Finding

SHM = Path("/dev/shm")
WANTED_RING = 512 << 20
WANTED_FILES = 1024


def findings() -> Iterator[Finding]:
    if SHM.is_dir():
        usage = psutil.disk_usage(str(SHM))
        yield shared_memory(usage.total, usage.free, default_bytes())
    yield from open_files()
    yield leftovers([SHM, Path(tempfile.gettempdir())])


def shared_memory(total: int, free: int, ring: int) -> Finding:
    """Sizes in bytes; ``ring`` is what a session would take."""
    text = f"{SHM}: {_mib(free)} free of {_mib(total)}; a session's ring takes {_mib(ring)}"
    remedy = (
        f"mount -o remount,size=2G {SHM} (docker run --shm-size=2g), or [ring] bytes in the pipeline file"
    )
    if ring > free:
        return Finding("shared memory", "problem", f"{text}: no session can start", remedy)
    if ring < WANTED_RING:
        return Finding("shared memory", "note", f"{text}: a short buffer for slow consumers", remedy)
    return Finding("shared memory", "ok", text)


def open_files() -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= WANTED_FILES:
        yield Finding("open files", "ok", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft}")
    else:
        yield Finding(
            "open files", "note", f"up to {soft}: few for many viewers", f"ulimit -n {WANTED_FILES}"
        )


def leftovers(places: list[Path]) -> Finding:
    """Segments and directories of sessions that were killed; the next start removes them."""
    dead = sorted(path.name for place in places for path in place.glob(f"{PREFIX}*-*-*") if _is_stale(path))
    if not dead:
        return Finding("dead sessions", "ok", "have left nothing behind")
    return Finding(
        "dead sessions",
        "note",
        f"left {len(dead)}: {', '.join(dead[:3])}",
        "the next session removes it; nothing to do",
    )


def _is_stale(path: Path) -> bool:
    pid, started, *_ = path.name.removeprefix(PREFIX).split("-")
    return pid.isdigit() and started.isdigit() and not Owner(int(pid), int(started)).alive()


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
