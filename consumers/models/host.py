"""A model's process as its consumer sees it: started, asked, and ended when it fails or takes too long.

Whatever a model does, it does to its own process: loops, crashes and memory cost nobody else anything.
Imports no torch, and no other runtime.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import BufferTooShort
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from ...errors import ModelError
from ...stream.processes import be_quiet
from .engine import WARM_UP_CALLS, Manner
from .guest import run_guest

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

    def __init__(
        self,
        where: str,
        archive: bytes,
        suffix: str,
        limits: Limits,
        manner: Manner | None = None,
        weights: bytes = b"",
    ) -> None:
        """``archive`` was scanned; ``where`` is for messages; packed ``weights`` replace its own."""
        self._where, self._archive, self._suffix, self.limits = where, archive, suffix, limits
        self._weights = weights
        self.manner = manner or Manner()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._shape: tuple[int, ...] = ()
        self.seconds = 0.0
        """Processor time of the last call, in the model's own process."""
        self.runs_on = ""
        """Device, precision and how, once it is prepared."""
        self.notes: list[str] = []
        """What is not as it was wanted, in words."""

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def prepare(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        """Load and warm up for inputs (1, c, h, w); nothing where that was done for this shape.

        Raises
        ------
        ModelError
            No torch, a model that cannot be loaded or run, or whose output has not the ``expected`` shape.
        """
        if self.runs and shape == self._shape:
            return
        if not self.runs:
            self._start()
        batches = sorted({1, self.manner.batch})
        patience = WARM_UP_S + 4 * WARM_UP_CALLS * sum(batches) * self.limits.seconds
        answer = self._ask(patience, do="shape", shape=list(shape[1:]), batches=batches)
        self._check_shape(answer, expected)
        self._shape, self.runs_on, self.notes = shape, answer["runs_on"], answer["notes"]

    def run(self, tiles: Values, expected: tuple[int, ...], frames: int = 1) -> Values:
        """Outputs of tiles (n, c, h, w), `Manner.batch` in a call where there are as many.

        Parameters
        ----------
        expected : shape (1, ...) of the output of one.
        frames : that the tiles are of: each adds its time to the limit.

        Returns
        -------
        (n, ...) float32, all finite.
        """
        deadline = time.monotonic() + frames * self.limits.seconds
        self.seconds = 0.0
        output = np.empty((len(tiles), *expected[1:]), np.float32)
        for part in _batches(len(tiles), self.manner.batch):
            self._call(tiles[part], output[part], deadline)
        if not np.isfinite(output).all():
            bad = int(np.count_nonzero(~np.isfinite(output)))
            raise self._failed(f"returns {bad} of {output.size} values that are not finite")
        return output

    def _call(self, tiles: Values, output: Values, deadline: float) -> None:
        answer = self._ask(deadline - time.monotonic(), tiles, do="run", count=len(tiles))
        self._check_shape(answer, output.shape)
        self._heard(deadline - time.monotonic(), self.limits.seconds, into=output)
        self.seconds += answer["ns"] / 1e9

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
        arguments = (theirs, self._suffix, self.limits.cores, self.limits.memory, self.manner)
        self._process = context.Process(target=run_guest, args=arguments, name="livem-model", daemon=True)
        self._process.start()
        theirs.close()
        self._understood(self._heard(START_S))
        self._ask(START_S, np.frombuffer(self._archive, np.uint8), do="load", weights=self._weights)

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

    def _heard(self, seconds: float, limit: float = 0.0, into: Values | None = None) -> bytes:
        """The next message; one that goes ``into`` an array fills it."""
        assert self._pipe is not None
        try:
            if not self._pipe.poll(max(0.0, seconds)):
                raise self._failed(f"takes longer than {limit or seconds:g} s")
            if into is None:
                return self._pipe.recv_bytes()
            if self._pipe.recv_bytes_into(into.reshape(-1)) != into.nbytes:
                raise self._failed("returns less than it said")
            return b""
        except (EOFError, OSError, BufferTooShort) as error:
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


def _batches(tiles: int, batch: int) -> Iterator[slice]:
    """As many whole batches as there are, and the rest one by one: inputs of two shapes only."""
    whole = tiles - tiles % batch
    yield from (slice(at, at + batch) for at in range(0, whole, batch))
    yield from (slice(at, at + 1) for at in range(whole, tiles))
