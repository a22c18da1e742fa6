"""Numba's simulator with threads that take turns: each runs up to its next barrier, then the next one does.

The simulator lets all threads of a block run at once and polls them, which costs more than what they do. Here
it depends on no timing what they see of each other, and every second turn goes backwards: where a barrier
is missing, those that come first miss what the others write, whichever those are. Imported before anything is
launched.
"""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba.cuda.simulator import kernelapi
from numba.cuda.simulator.kernel import BlockManager, BlockThread

running: Any = None
"""The thread whose turn it is."""


def run_block(block: Any, place: tuple[int, ...], *args: Any) -> None:
    """All threads of a block."""

    def body() -> None:
        block._f(*args)

    threads = [BlockThread(body, block, place, own, block._debug) for own in np.ndindex(*block._block_dim)]
    if len(threads) > 1:
        in_turns(threads)
    else:
        alone(threads[0])


def alone(thread: Any) -> None:
    """In the thread that launches the kernel: there is nobody to wait for."""
    global running
    running, thread.syncthreads = thread, lambda: None
    thread.run()
    raise_fault(thread)


def in_turns(threads: list[Any]) -> None:
    """Until all have ended."""
    global running
    for thread in threads:
        thread.turn, thread.rest, thread.has_ended = threading.Semaphore(0), threading.Semaphore(0), False
        thread.start()
    forwards = True
    while threads:
        for thread in threads if forwards else threads[::-1]:
            running = thread
            thread.turn.release()
            thread.rest.acquire()
            if thread.exception:
                give_up(threads)
                raise_fault(thread)
        threads, forwards = [thread for thread in threads if not thread.has_ended], not forwards


def give_up(threads: list[Any]) -> None:
    """Have those end that wait for the one with a fault."""
    for thread in threads:
        thread.abort = True
        thread.turn.release()


def raise_fault(thread: Any) -> None:
    if thread.exception:
        raise thread.exception[0].with_traceback(thread.exception[1])


def run_thread(thread: Any) -> None:
    """A thread's whole life."""
    takes_turns = hasattr(thread, "turn")
    if takes_turns:
        thread.turn.acquire()
    if not thread.abort:
        numbas_run(thread)
    if takes_turns:
        thread.has_ended = True
        thread.rest.release()


def rest(thread: Any) -> None:
    """A barrier: the others first."""
    thread.rest.release()
    thread.turn.acquire()
    if thread.abort:
        raise RuntimeError("another thread of the block has failed")


def shared_array(memory: Any, shape: Any, dtype: Any, alignment: Any = None) -> Any:
    """That of the line it is asked for in, as numba's, which reads the whole stack for it."""
    caller = sys._getframe(1)
    known = memory.__dict__.setdefault("by_line", {})
    line = caller.f_code.co_filename, caller.f_lineno
    if line not in known or shape == 0:
        memory._allocations.clear()  # in which this line would be taken for the one before
        known[line] = numbas_array(memory, shape, dtype, alignment)
    return known[line]


numbas_run, numbas_array = BlockThread.run, kernelapi.FakeCUDAShared.array
BlockManager.run, BlockThread.run, BlockThread.syncthreads = run_block, run_thread, rest
kernelapi.FakeCUDAShared.array = shared_array
kernelapi.threading = SimpleNamespace(current_thread=lambda: running, Lock=threading.Lock)
