"""Adaptation as a consumer sees it: frames are offered, and another process of the model is ready one day.

Nothing here waits: frames go through a slot for one clip, which a thread empties; weights that the adapter
(`adapter`) has decided for are loaded and warmed up in a second process of the model, and only then take
over, between two frames. What fails leaves the model as it is, and a message.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from ...errors import ModelError
from ...stream.processes import be_quiet
from .adapter import run_adapter
from .host import ModelHost
from .weights import Weights

Values = npt.NDArray[np.float32]
Maker = Callable[[bytes], ModelHost]
"""Of a host with these weights (packed; none: the model's own), warmed up. Raises ModelError."""
PATIENCE_S = 600.0
"""For an answer: torch imported, or a step and three estimates of a frame, when all others go first. To begin
took a minute where seven waited for each core; nothing but the adapter waits for it."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """What is said of weights in use."""

    steps: int = 0
    """0: the model's own."""
    decibels: float = 0.0
    error: float = 0.0
    sha256: str = ""
    archive: bytes = field(default=b"", repr=False)
    """The model with them, as torch saves it; nobody has looked at it."""

    @property
    def text(self) -> str:
        """For a caption."""
        if not self.steps:
            return ""
        return f"adapted {self.steps:,} steps, {self.decibels:+.2f} ± {self.error:.2f} dB held-out"


@dataclass(frozen=True, slots=True, eq=False)
class Adoption:
    """A host that is ready, and what its weights are."""

    host: ModelHost
    adapted: Adapted


class Adapting:
    """One adapter, its thread, and what it has come to.

    Parameters
    ----------
    archive : of a TorchScript model; it was scanned.
    inputs, multiple : frames that it sees, px that their sides divide by.
    memory : bytes that its process may take beside torch itself.
    make : see `Maker`; called in the thread.
    """

    def __init__(self, archive: bytes, inputs: int, multiple: int, memory: int, make: Maker) -> None:
        self._archive, self._arguments, self._make = archive, (inputs, multiple, memory), make
        self._room = threading.Condition()
        self._clip: tuple[npt.NDArray[np.int64], Callable[[], Values]] | None = None
        self._adoption: Adoption | None = None
        self._ended = False
        self._process: SpawnProcess | None = None
        self.offered, self.skipped, self.steps = 0, 0, 0
        """Clips that were handed over, clips that found no room, steps that were learnt."""
        self.error = ""
        """Why it has ended."""
        self._thread = threading.Thread(target=self._run, name="livem-adapting", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the adapter's process."""
        return None if self._process is None else self._process.pid

    def offer(self, indices: npt.NDArray[np.int64], frames: Callable[[], Values]) -> None:
        """A clip (inputs + 1, h, w), stabilised, made in the thread if it is taken; waits for nobody."""
        with self._room:
            if self._clip is not None:
                self.skipped += 1
                return
            self._clip = indices, frames
            self.offered += 1
            self._room.notify_all()

    def adoption(self) -> Adoption | None:
        """A host that is to take over now, once."""
        with self._room:
            adoption, self._adoption = self._adoption, None
            return adoption

    def answered(self, seconds: float) -> bool:
        """Wait until the clip in the slot was learnt from, for a script that wants each one to be."""
        with self._room:
            return self._room.wait_for(lambda: self._clip is None or bool(self.error), seconds)

    def attrs(self) -> Mapping[str, Any]:
        """How it goes."""
        if self.error:
            return {"adapting": f"ended: {self.error}"}
        return {"adapting": f"{self.steps:,} steps, {self.offered:,} clips, {self.skipped:,} skipped"}

    def stop(self) -> None:
        """End the process; waits for the thread, which holds nothing up."""
        with self._room:
            self._ended = True
            self._room.notify_all()
        self._kill()
        self._thread.join(5.0)
        if (adoption := self.adoption()) is not None:
            adoption.host.stop()

    def _run(self) -> None:
        """Body of the thread: a clip, an answer, and what follows from it."""
        try:
            pipe = self._started()
            while (taken := self._taken()) is not None:
                indices, make = taken
                frames = make()
                request = {"indices": indices.tolist(), "shape": list(frames.shape)}
                pipe.send_bytes(msgpack.packb(request))
                pipe.send_bytes(np.ascontiguousarray(frames, np.float32).reshape(-1).view(np.uint8).data)
                self._heed(_heard(pipe, PATIENCE_S))
        except (EOFError, OSError):
            self._say(self._how_it_ended())
        except Exception as error:  # noqa: BLE001 - whatever it is, the model goes on as it was, and it is said
            self._say(str(error))
        finally:
            self._kill()

    def _say(self, why: str) -> None:
        with self._room:
            if not self._ended:
                self.error = why
            self._room.notify_all()

    def _started(self) -> Connection:
        be_quiet()
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        arguments = (theirs, *self._arguments)
        process = context.Process(target=run_adapter, args=arguments, name="livem-adapter", daemon=True)
        process.start()
        theirs.close()
        self._process = process
        if self._ended:
            self._kill()
        pipe.send_bytes(self._archive)
        _heard(pipe, PATIENCE_S)
        return pipe

    def _taken(self) -> tuple[npt.NDArray[np.int64], Callable[[], Values]] | None:
        """The clip in the slot, once there is one; None at the end. The slot stays taken until the answer."""
        with self._room:
            self._clip = None
            self._room.notify_all()
            self._room.wait_for(lambda: self._clip is not None or self._ended)
            return None if self._ended else self._clip

    def _heed(self, answer: Mapping[str, Any]) -> None:
        self.steps = int(answer["steps"])
        if (told := answer.get("decision")) is None:
            return
        weights = Weights.unpacked(told["weights"]) if told["steps"] else None
        host = self._make(told["weights"])
        adapted = Adapted()
        if weights is not None:
            found = told["decibels"], told["error"]
            adapted = Adapted(int(told["steps"]), *found, weights.sha256, told["archive"])
        with self._room:
            before = Adoption(host, adapted) if self._ended else self._adoption
            if not self._ended:
                self._adoption = Adoption(host, adapted)
        if before is not None:
            before.host.stop()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it was not started"
        self._process.join(1.0)
        return f"its process ended ({self._process.exitcode})"


def _heard(pipe: Connection, seconds: float) -> dict[str, Any]:
    if not pipe.poll(seconds):
        raise ModelError(f"no answer within {seconds:g} s")
    answer: dict[str, Any] = msgpack.unpackb(pipe.recv_bytes())
    if "error" in answer:
        raise ModelError(answer["error"])
    return answer
