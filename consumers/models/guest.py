"""The process that runs a model, and the only one that imports torch or another runtime.

It gets bytes that were scanned (`scan`); the engine looks at the graph that the runtime made of them before
its first call; from then on it can open no file and no socket where the system knows such limits (POSIX).
Knows no frames: tiles in, outputs out, over one pipe. Its parent ends it.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import time
import warnings
from multiprocessing.connection import Connection, wait
from typing import Any

import msgpack
import numpy as np
import psutil

from ...stream.heap import keep_large_blocks
from .engine import Call, Engine, Manner, first_line

DESCRIPTORS = 32
"""All of these are in use from before the first call on: another cannot be opened."""


def run_guest(pipe: Connection, suffix: str, cores: int, memory: int, manner: Manner) -> None:
    """Body of the process: answers its parent until the pipe is closed.

    Parameters
    ----------
    pipe : messages are msgpack tables, tiles and outputs bytes behind them.
    suffix : of the model's file.
    cores : threads of one call.
    memory : bytes beside what the runtime itself takes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # TorchScript is deprecated, and what users have
    keep_large_blocks()
    try:
        guest: Any = _Guest(pipe, _engine(suffix, cores, manner), memory)
    except ImportError as error:
        extra = "onnx" if suffix == ".onnx" else "torch"
        _say(pipe, error=f'{extra} cannot be used ({error}); pip install "livem[{extra}]"')
        return
    except Exception as error:  # noqa: BLE001 - whatever keeps a runtime from being ready
        _say(pipe, error=first_line(error))
        return
    _say(pipe)
    while True:
        try:
            request = msgpack.unpackb(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            getattr(guest, request.pop("do"))(**request)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            _say(pipe, error=f"{type(error).__name__}: {first_line(error)}")


def _engine(suffix: str, cores: int, manner: Manner) -> Engine:
    if suffix == ".onnx":
        from .onnx_engine import OnnxEngine

        return OnnxEngine(suffix, cores, manner)
    from .torch_engine import TorchEngine

    return TorchEngine(suffix, cores, manner)


def end_with_parent() -> None:
    """Body of a thread: the process does not outlive its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Guest:
    def __init__(self, pipe: Connection, engine: Engine, memory: int) -> None:
        self._pipe, self._engine, self._memory = pipe, engine, memory
        self._calls: dict[int, Call] = {}
        """By the number of tiles."""

    def load(self, weights: bytes = b"") -> None:
        """The model whose archive follows; with other weights, where they are given."""
        self._engine.load(self._pipe.recv_bytes(), weights)
        close_doors(self._memory if self._engine.limits_memory else None)
        self._engine.settle()
        _say(self._pipe)

    def shape(self, shape: list[int], batches: list[int]) -> None:
        """Warm up for so many inputs of this shape (c, h, w) at once; says what comes out of one."""
        self._calls.clear()
        for n in batches:
            self._calls[n] = self._engine.ready((n, *shape))
        outputs = {n: call().shape for n, call in self._calls.items()}
        if any(found != (n, *outputs[batches[0]][1:]) for n, found in outputs.items() if n > 1):
            raise TypeError(f"of batches of inputs the model makes {list(outputs.values())}; say batch = 1")
        gc.collect()
        gc.freeze()  # what is there stays: collections in the middle of a frame do not look at it
        call = self._calls[batches[-1]]
        notes = [note for each in self._calls.values() for note in each.notes]
        _say(
            self._pipe,
            shape=list(outputs[batches[0]]),
            notes=list(dict.fromkeys(notes)),
            runs_on=call.runs_on,
        )

    def run(self, count: int) -> None:
        """The tiles that follow, as many as were said before."""
        call = self._calls[count]
        self._pipe.recv_bytes_into(call.inbox.reshape(-1))
        began = time.thread_time_ns()
        output = call()
        _say(self._pipe, shape=list(output.shape), ns=time.thread_time_ns() - began)
        self._pipe.send_bytes(output.reshape(-1).view(np.uint8).data)


def close_doors(memory: int | None) -> None:
    """No new file, socket or process, and ``memory`` bytes at most from now on; no-op on Windows."""
    try:
        import resource
    except ImportError:
        return
    if memory is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = psutil.Process().memory_info().vms + memory
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        pass  # all taken, as intended


def _say(pipe: Connection, **answer: Any) -> None:
    pipe.send_bytes(msgpack.packb(answer))
