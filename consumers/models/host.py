"""A model's process as its consumer sees it: started, asked, and ended when it fails or takes too long.

Whatever a model does, it does to its own process: loops, crashes and memory cost nobody else anything.
Imports no torch.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from ...errors import ModelError
from ...stream.processes import be_quiet
from .guest import WARM_UP_CALLS, run_guest

Values = npt.NDArray[np.float32]
START_S = 60.0
"""For importing torch: 2 s on a quiet machine."""
WARM_UP_S = 20.0
"""For compiling, beside the time of a few frames."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model may take."""

    seconds: float = 5.0
    """For one frame."""
    memory: int = 4 << 30
    """Bytes beside what torch itself takes; not held on Windows."""
    cores: int = 1


class ModelHost:
    """One model in one process. Every error is a ModelError, and the process is gone then."""

    def __init__(self, where: str, archive: bytes, suffix: str, limits: Limits, weights: bytes = b"") -> None:
        """``archive`` was scanned; ``where`` is for messages; packed ``weights`` replace its own."""
        self._where, self._archive, self._suffix, self.limits = where, archive, suffix, limits
        self._weights = weights
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._shape: tuple[int, ...] = ()
        self.seconds = 0.0
        """Processor time of the last call, in the model's own process."""

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def prepare(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        """Load and warm up for inputs (n, c, h, w); nothing where that was done for this shape.

        Raises
        ------
        ModelError
            No torch, a model that cannot be loaded or run, or whose output has not the ``expected`` shape.
        """
        if self.runs and shape == self._shape:
            return
        if not self.runs:
            self._start()
        patience = WARM_UP_S + WARM_UP_CALLS * self.limits.seconds
        answer = self._ask(patience, do="shape", shape=list(shape))
        self._check_shape(answer, expected)
        self._shape = shape

    def run(self, tiles: Values, expected: tuple[int, ...]) -> Values:
        """Outputs of tiles (n, c, h, w) one after the other, together within the limit of time.

        Returns float32 (n, ...), each of the ``expected`` shape (1, ...), all finite.
        """
        deadline = time.monotonic() + self.limits.seconds
        self.seconds = 0.0
        output = np.empty((len(tiles), *expected[1:]), np.float32)
        for tile, place in zip(tiles, output, strict=True):
            answer = self._ask(deadline - time.monotonic(), tile, do="run")
            self._check_shape(answer, expected)
            found = np.frombuffer(self._heard(deadline - time.monotonic(), self.limits.seconds), np.float32)
            place[...] = found.reshape(expected[1:])
            self.seconds += answer["ns"] / 1e9
        if not np.isfinite(output).all():
            bad = int(np.count_nonzero(~np.isfinite(output)))
            raise self._failed(f"returns {bad} of {output.size} values that are not finite")
        return output

    def stop(self) -> None:
        """End the process; it can be started again by `prepare`."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(3.0)
        self._process, self._pipe, self._shape = None, None, ()

    def _start(self) -> None:
        be_quiet()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self.limits.cores, self.limits.memory)
        self._process = context.Process(target=run_guest, args=arguments, name="livem-model", daemon=True)
        self._process.start()
        theirs.close()
        self._understood(self._heard(START_S))
        archive = np.frombuffer(self._archive, np.uint8)
        self._ask(START_S, archive, do="load", suffix=self._suffix, weights=self._weights)

    def _ask(self, seconds: float, data: npt.NDArray[Any] | None = None, **request: Any) -> dict[str, Any]:
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(msgpack.packb(request))
            if data is not None:
                self._pipe.send_bytes(data.reshape(-1).view(np.uint8).data)
        except OSError:
            pass  # it has died: said by what is heard of it
        limit = self.limits.seconds if "run" in request.values() else seconds
        return self._understood(self._heard(seconds, limit))

    def _heard(self, seconds: float, limit: float = 0.0) -> bytes:
        assert self._pipe is not None
        try:
            if not self._pipe.poll(max(0.0, seconds)):
                raise self._failed(f"takes longer than {limit or seconds:g} s")
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._failed(self._how_it_ended()) from error

    def _understood(self, answer: bytes) -> dict[str, Any]:
        told: dict[str, Any] = msgpack.unpackb(answer)
        if "error" in told:
            raise self._failed(f"fails: {told['error']}")
        return told

    def _check_shape(self, answer: dict[str, Any], expected: tuple[int, ...]) -> None:
        if tuple(answer["shape"]) != expected:
            raise self._failed(
                f"returns {tuple(answer['shape'])} where its manifest says {expected}; mend [output] there"
            )

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "was ended"
        self._process.join(1.0)
        code = self._process.exitcode
        return f"ended its process (signal {-code})" if code and code < 0 else f"ended its process ({code})"

    def _failed(self, what: str) -> ModelError:
        self.stop()
        return ModelError(f"{self._where} {what}")
