"""Python, platform, cores, clock, and the environment variables that steer threads."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator

from ... import __version__
from ...stream.processes import QUIET_THREADS
from .finding import Finding

MIN_PYTHON = (3, 11)
COARSE_CLOCK_S = 1e-3


def findings() -> Iterator[Finding]:
    yield Finding("livem", "ok", __version__)
    yield python()
    yield Finding("system", "ok", platform.platform())
    yield cores(_usable_cores())
    yield clock()
    yield from threads()


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    text = ".".join(map(str, version))
    if version[:2] >= MIN_PYTHON:
        return Finding("Python", "ok", text)
    return Finding("Python", "problem", f"{text} is too old", "install Python 3.11 or newer")


def cores(count: int) -> Finding:
    text = f"{count} usable"
    if count >= 4:
        return Finding("CPU cores", "ok", text)
    return Finding(
        "CPU cores",
        "note",
        f"{text}; ingest, each consumer and the viewer want one each, so fast detectors are made to wait",
        "use fewer consumers, or a machine with 4 cores or more",
    )


def clock() -> Finding:
    info = time.get_clock_info("monotonic")
    text = f"monotonic, {info.resolution:.0e} s steps"
    if info.monotonic and info.resolution <= COARSE_CLOCK_S:
        return Finding("clock", "ok", text)
    return Finding("clock", "note", f"{text}: latencies are only known to {info.resolution:g} s")


def threads() -> Iterator[Finding]:
    """Variables that make waiting threads burn a core, or that switch compiling off."""
    for name, quiet in QUIET_THREADS.items():
        value = os.environ.get(name)
        if value is None or value.upper() == quiet:
            yield Finding(name, "ok", value or f"not set: livem sets {quiet} for its processes")
        else:
            yield Finding(
                name, "note", f"{value}: idle threads of a model burn cores that frames need", f"unset {name}"
            )
    if (number := os.environ.get("OMP_NUM_THREADS")) is not None:
        yield Finding("OMP_NUM_THREADS", "ok", number)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield Finding(
            "NUMBA_DISABLE_JIT",
            "problem",
            "kernels run as plain Python, hundreds of times slower",
            "unset NUMBA_DISABLE_JIT",
        )


def _usable_cores() -> int:
    """Cores that this process may use; a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
