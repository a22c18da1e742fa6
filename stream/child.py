"""What every process of a session shares: it ends when told to, or when its supervisor is gone.

Knows nothing of what the process does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

from ..kernel_cache import lock_saves
from ..numba_start import load_lightly
from .control import ChildLink

GRACE_S = 3.0
"""A child that has not ended so long after its supervisor's death ends itself."""
_BLAS = "scipy.linalg.cython_blas"


class Child:
    """A session's process: its line to the supervisor, and the flag that ends it."""

    def __init__(self, name: str, children_address: str) -> None:
        self.link = ChildLink(children_address, name)
        self._stop = threading.Event()
        # Ctrl-C goes to the whole terminal group; the supervisor alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        threading.Thread(target=self._watch_parent, name="lifeline", daemon=True).start()

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _watch_parent(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        wait([parent.sentinel])
        self._stop.set()
        threading.Event().wait(GRACE_S)
        os._exit(1)

    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self.link.close()


@contextmanager
def loading(ours: bool = True) -> Iterator[None]:
    """Load modules that stay, in 0.6 s of processor instead of 1.2 s for numba with the kernels of a worker.

    Parameters
    ----------
    ours : whether the process runs kernels of livem's alone, and no code of a user's.

    Notes
    -----
    They are not looked through for garbage meanwhile, nor ever after (0.2 s). And numba is not let look for
    SciPy (0.2 s where it is installed), of which no kernel of ours calls anything; one of a user's that does
    so finds it when it is compiled.
    """
    gc.disable()
    hidden = sys.modules.setdefault(_BLAS, None) is None  # type: ignore[arg-type]
    try:
        if ours:
            load_lightly()
        yield
    finally:
        if hidden:
            del sys.modules[_BLAS]
        gc.freeze()
        gc.enable()


def run_child(name: str, children_address: str, body: Callable[[Child], None]) -> None:
    """Run a process body; an error is reported to the supervisor before the process ends with 1."""
    lock_saves()
    child = Child(name, children_address)
    try:
        body(child)
    except Exception as error:  # the one place where a child's crash becomes a report
        kind = getattr(error, "exit_code", 1)
        child.link.report(
            "fatal", error=f"{type(error).__name__}: {error}", code=kind, traceback=traceback.format_exc()
        )
        child.close()
        raise SystemExit(1) from error
    child.close()
