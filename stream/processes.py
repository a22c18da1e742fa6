"""The session's processes: started by spawn, watched, restarted, ended.

Knows bodies and names, nothing of frames. A crash is a fact to report, never an exception.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

MAX_FALSE_STARTS = 5
"""Deaths in a row before a process was ready: then it cannot live, and is given up."""
STOP_S = 3.0

# Set before anything imports torch or OpenBLAS (measured: 764 ms -> 46 ms median for one model).
# Small products on all cores wait for each other: 20 times slower beside other processes, on two cores.
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "OPENBLAS_NUM_THREADS": "1"}


def be_quiet() -> None:
    """Keep the threads of other libraries from waiting busily; before numpy is imported, or for children."""
    for name, value in QUIET_THREADS.items():
        os.environ.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the session."""

    name: str
    body: Callable[..., None]
    args: tuple[Any, ...]
    restart: bool = True
    """Whether it is started again when it ends unasked."""


@dataclass(slots=True)
class _Running:
    spec: ProcessSpec
    process: SpawnProcess
    false_starts: int = 1


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended unasked."""

    name: str
    exit_code: int
    restarted: bool


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Keep Ctrl-C waiting for what must not be left half done.

    Processes that are spawned meanwhile inherit the mask: Ctrl-C reaches the whole terminal group, and a
    child that is still importing would answer it with a traceback. No-op on Windows.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # by multiprocessing; its start would unblock Ctrl-C again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Processes:
    """All of them, by name."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[str, _Running] = {}

    def start(self, spec: ProcessSpec) -> None:
        """Start a process now."""
        self._running[spec.name] = _Running(spec, self._spawn(spec))

    def _spawn(self, spec: ProcessSpec) -> SpawnProcess:
        be_quiet()
        process = self._context.Process(target=live, args=(spec.body, *spec.args), name=f"livem-{spec.name}")
        with ctrl_c_held():
            process.start()
        return process

    def __iter__(self) -> Iterator[str]:
        return iter(self._running)

    def pid(self, name: str) -> int | None:
        """Process number; None when it is not running."""
        running = self._running.get(name)
        return None if running is None or not running.process.is_alive() else running.process.pid

    def pids(self) -> dict[str, int]:
        found = {name: self.pid(name) for name in self._running}
        return {name: pid for name, pid in found.items() if pid is not None}

    def check(self) -> list[Death]:
        """Find the processes that have ended since the last call; restart those that may be."""
        deaths = []
        for name, running in list(self._running.items()):
            code = running.process.exitcode
            if code is None:
                continue
            running.process.join()
            restart = running.spec.restart and running.false_starts <= MAX_FALSE_STARTS
            if restart:
                running.false_starts += 1
                running.process = self._spawn(running.spec)
            else:
                del self._running[name]
            deaths.append(Death(name, code, restart))
        return deaths

    def proved(self, name: str) -> None:
        """The process has become ready: if it dies now, that is not for want of a start."""
        if name in self._running:
            self._running[name].false_starts = 0

    def terminate(self, *names: str) -> None:
        """Ask processes to end by signal, without waiting for them."""
        for name in self._running.keys() & set(names):
            self._running[name].process.terminate()

    def stop(self, name: str, timeout: float = STOP_S) -> None:
        """Wait for a process that was told to end; then terminate it, then kill it."""
        running = self._running.pop(name, None)
        if running is None:
            return
        process = running.process
        for insist in (None, process.terminate, process.kill):
            if insist is not None:
                insist()
            process.join(timeout)
            if process.exitcode is not None:
                break
        if process.exitcode is not None:  # one that hangs in the kernel cannot even be killed
            process.close()


_slowly: list[bool] = []


def leave_slowly() -> None:
    """Let this process end in the interpreter's ordinary way."""
    _slowly.append(True)


def live(body: Callable[..., None], *args: Any) -> None:
    """Run a process's body to its end, then leave without taking the interpreter apart.

    With numba loaded that takes 0.15 s a process, which whoever ends a session would wait for. A body that
    raises ends in the ordinary way, and so does one with a user's own code in it (`leave_slowly`): that may
    hold files open which only the interpreter closes.
    """
    over = False

    def leave() -> None:
        if over and not _slowly:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    atexit.register(leave)  # before the body loads anything: what is registered first runs last
    body(*args)
    over = True
