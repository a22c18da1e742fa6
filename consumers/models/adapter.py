"""The process in which a model adapts: last of all in priority, and behind the same walls as a model.

Frames in, decisions out, over one pipe: each clip is answered by what has been decided since the last one.
Its parent ends it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

import msgpack
import numpy as np
import psutil

from .adaptation import Adaptation, Decision
from .guest import close_doors, end_with_parent
from .torch_engine import look_at_processor, scripted
from .weights import Weights

NICEST = 19
WARM = 64
"""px of the frames that kernels are tried on before no file can be opened."""


def run_adapter(pipe: Connection, inputs: int, multiple: int, memory: int) -> None:
    """Body of the process: the first message is the model's archive, all others are clips.

    Parameters
    ----------
    pipe : a clip is a msgpack table and the bytes of its float32 frames behind it.
    inputs : frames that the model sees.
    multiple : px that its sides divide by.
    memory : bytes beside what torch itself takes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # TorchScript is deprecated
    _be_last()
    try:
        adaptation = _prepared(pipe.recv_bytes(), inputs, multiple, memory)
        pipe.send_bytes(msgpack.packb({}))
        while True:
            while not pipe.poll(0) and adaptation.learn():
                pass
            _hear(pipe, adaptation)
    except (EOFError, OSError):
        return
    except Exception as error:  # noqa: BLE001 - a model may raise anything; its parent says it
        with contextlib.suppress(OSError):
            pipe.send_bytes(msgpack.packb({"error": f"{type(error).__name__}: {error}"[:300]}))


def _prepared(archive: bytes, inputs: int, multiple: int, memory: int) -> Adaptation:
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    look_at_processor(torch)
    models = scripted(torch, archive), scripted(torch, archive)
    _try_out(Adaptation(torch, models, multiple), inputs, multiple)
    close_doors(memory)
    return Adaptation(torch, (scripted(torch, archive), scripted(torch, archive)), multiple)


def _try_out(adaptation: Adaptation, inputs: int, multiple: int) -> None:
    """Everything once: what is compiled or loaded late reads files."""
    side = -(-WARM // multiple) * multiple
    frames = np.random.default_rng(0).standard_normal((inputs + 1, side, side), np.float32)
    for count in range(adaptation.manner.hold_out):
        frames = np.roll(frames, 1, axis=1)
        adaptation.add(np.arange(inputs + 1) + count, frames)
        adaptation.learn()
    adaptation.saved(adaptation.used)


def _hear(pipe: Connection, adaptation: Adaptation) -> None:
    """Take the next clip, waiting for it, and answer."""
    request = msgpack.unpackb(pipe.recv_bytes())
    frames = np.frombuffer(pipe.recv_bytes(), np.float32).reshape(request["shape"])
    decision = adaptation.add(np.array(request["indices"], np.int64), frames)
    answer: dict[str, Any] = {"steps": adaptation.steps, "failures": adaptation.failures}
    if decision is not None:
        answer["decision"] = _told(adaptation, decision)
    pipe.send_bytes(msgpack.packb(answer))


def _told(adaptation: Adaptation, decision: Decision) -> dict[str, Any]:
    weights = archive = b""
    if decision.steps:
        weights = Weights.of({name: values.numpy() for name, values in decision.state.items()}).packed()
        archive = adaptation.saved(decision.state)
    gain = {"decibels": decision.gain.decibels, "error": decision.gain.error}
    return {"weights": weights, "archive": archive, "steps": decision.steps, **gain}


def _be_last() -> None:
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        process.nice(getattr(psutil, "IDLE_PRIORITY_CLASS", NICEST))
