"""The process that runs a model, and the only one that imports torch.

It gets bytes that were scanned (`scan`) and looks at the graph that torch made of them before its first call;
from then on it can open no file and no socket where the system knows such limits (POSIX). Knows no frames:
tiles in, outputs out, over one pipe. Its parent ends it.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
import psutil

from .operators import NODE_KINDS
from .weights import Weights

WARM_UP_CALLS = 3
"""TorchScript compiles in the first two calls of a shape."""
DESCRIPTORS = 32
"""All of these are in use from before the first call on: another cannot be opened."""


def run_guest(pipe: Connection, cores: int, memory: int) -> None:
    """Body of the process: answers its parent until the pipe is closed.

    Parameters
    ----------
    pipe : messages are msgpack tables, tiles and outputs bytes behind them.
    cores : threads of one call.
    memory : bytes beside what torch itself takes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # TorchScript is deprecated, and what users have
    try:
        guest: Any = _Guest(pipe, cores, memory)
    except Exception as error:  # noqa: BLE001 - whatever keeps torch from being imported
        _say(pipe, error=f'torch cannot be used ({error}); pip install "livem[torch]"')
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
            _say(pipe, error=f"{type(error).__name__}: {_first_line(error)}")


def end_with_parent() -> None:
    """Body of a thread: the process does not outlive its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Guest:
    def __init__(self, pipe: Connection, cores: int, memory: int) -> None:
        self._pipe = pipe
        self._torch: Any = import_module("torch")
        self._torch.set_num_threads(cores)
        look_at_processor(self._torch)
        self._memory = memory
        self._model: Any = None
        self._random = np.random.default_rng(0)
        self._inbox = np.empty(0, np.float32)

    def load(self, suffix: str, weights: bytes = b"") -> None:
        """The model whose archive follows; with other weights, where they are given."""
        torch, archive = self._torch, self._pipe.recv_bytes()
        if suffix == ".pt":
            model = scripted(torch, archive)
        else:
            model = torch.export.load(io.BytesIO(archive)).module()
        if weights:
            put(torch, model, Weights.unpacked(weights))
        close_doors(self._memory)
        with torch.inference_mode():
            model = model.to(memory_format=torch.channels_last)
            self._model = torch.jit.freeze(model) if suffix == ".pt" else model
        _say(self._pipe)

    def shape(self, shape: list[int]) -> None:
        """Warm up for inputs of this shape (n, c, h, w); says what comes out."""
        self._inbox = self._random.random(shape, np.float32)
        for _ in range(WARM_UP_CALLS):
            output = self._call()
        _say(self._pipe, shape=list(output.shape))

    def run(self) -> None:
        """The tiles that follow."""
        self._pipe.recv_bytes_into(self._inbox.reshape(-1))
        began = time.thread_time_ns()
        output = self._call()
        _say(self._pipe, shape=list(output.shape), ns=time.thread_time_ns() - began)
        self._pipe.send_bytes(output.reshape(-1).view(np.uint8).data)

    def _call(self) -> npt.NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            tiles = torch.from_numpy(self._inbox).contiguous(memory_format=torch.channels_last)
            output = self._model(tiles)
            if not isinstance(output, torch.Tensor):
                raise TypeError(f"the model returns a {type(output).__name__}; it must return one tensor")
            if output.dtype.is_complex:
                raise TypeError(f"the model returns {output.dtype}; it must return real numbers")
            return np.ascontiguousarray(output.to(torch.float32).numpy())


def look_at_processor(torch: Any) -> None:
    """Its libraries do that in files, once: before no file can be opened."""
    torch.nn.functional.conv2d(torch.zeros(1, 8, 32, 32), torch.zeros(8, 8, 3, 3))


def scripted(torch: Any, archive: bytes) -> Any:
    """A TorchScript model whose graph was looked at; raises ValueError for an operator that is refused."""
    model = torch.jit.load(io.BytesIO(archive), map_location="cpu").eval()
    _check_graph(model)
    return model


def put(torch: Any, model: Any, weights: Weights) -> None:
    """Other weights into a model; raises where names or shapes are not its own."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.tensors().items()}
    model.load_state_dict(tensors, strict=True)


def close_doors(memory: int) -> None:
    """No new file, socket or process, and ``memory`` bytes at most from now on; no-op on Windows."""
    try:
        import resource
    except ImportError:
        return
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


def _check_graph(model: Any) -> None:
    """What torch made of the code, its calls in line: the last word on what would run."""
    for kind in {node.kind() for node in _nodes(model.inlined_graph)} - NODE_KINDS:
        raise ValueError(f"the operator {kind} is refused")


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _say(pipe: Connection, **answer: Any) -> None:
    pipe.send_bytes(msgpack.packb(answer))


def _first_line(error: Exception) -> str:
    """Of what torch says: the last line of a TorchScript traceback is what was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "no message"
    told = lines[-1] if "Traceback of TorchScript" in str(error) else lines[0]
    return told[:300]
