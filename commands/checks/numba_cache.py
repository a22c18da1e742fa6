"""Whether compiled kernels are kept: without it every start compiles for half a minute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...kernel_cache import VARIABLE, is_own
from .finding import Finding

FIX = "set NUMBA_CACHE_DIR to a directory that you may write to"


def findings() -> Iterator[Finding]:
    yield cache()


def cache() -> Finding:
    """Compile a small function as livem's kernels are compiled, and look for its file."""
    import numba

    if numba.config.DISABLE_JIT:
        return Finding("numba cache", "note", "not looked at: NUMBA_DISABLE_JIT is set")
    given = os.environ.get(VARIABLE)
    if given and not _writable(Path(given)):
        return Finding("numba cache", "problem", f"NUMBA_CACHE_DIR {given} cannot be written", FIX)
    try:
        probe = numba.njit(cache=True)(_probe)
        probe(1)
    except (RuntimeError, OSError) as error:
        return Finding("numba cache", "problem", f"does not work: {error}", FIX)
    path = Path(probe.stats.cache_path)
    if any(path.glob("*_probe*.nbi")):
        return _works(given or str(path))
    return Finding("numba cache", "problem", f"nothing was written to {path}", FIX)


def _works(directory: str) -> Finding:
    if is_own(directory):
        return Finding("numba cache", "ok", f"works: {directory}")
    text = f"works: {directory}, which is not livem's own: after an update it may hold outdated kernels"
    return Finding("numba cache", "note", text, f"empty it after every update, or unset {VARIABLE}")


def _probe(x: int) -> int:
    return x + 1


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK)
