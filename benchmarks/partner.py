"""Another process of a benchmark: does what it is asked over a pipe, and answers.

Started by spawn, ends with the process that started it. Knows nothing of what is measured.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from ..errors import SessionError

PATIENCE_S = 120.0
"""How long an answer may take: on a cold numba cache the first one waits for the compiler."""
END_S = 5.0
STOP = "stop"


class Partner:
    """A process that runs ``body(pipe, *args)``.

    Parameters
    ----------
    body : callable
        A module's function: it sends one object when it is ready, then answers requests until STOP.
    args : picklable
    has_children : bool
        Whether it starts processes itself.
    """

    def __init__(self, body: Callable[..., None], *args: Any, has_children: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=body, args=(theirs, *args), daemon=not has_children)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def tell(self, request: Any) -> None:
        """Send a request; ``hear`` gives the answer."""
        self._pipe.send(request)

    def hear(self, timeout: float = PATIENCE_S) -> Any:
        """The next thing that it says; SessionError when it is silent for ``timeout`` seconds or dead."""
        try:
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(END_S)
            raise SessionError(
                f"{self._process.name} of the benchmark ended with code {self._process.exitcode}; "
                "its error is above"
            ) from error
        raise SessionError(f"{self._process.name} of the benchmark did not answer within {timeout:g} s")

    def has_spoken(self, seconds: float) -> bool:
        """Whether ``hear`` would answer at once; waits so long for it."""
        return self._pipe.poll(seconds)

    def ask(self, request: Any, timeout: float = PATIENCE_S) -> Any:
        self.tell(request)
        return self.hear(timeout)

    def close(self) -> None:
        """Ask it to end; insist where it does not."""
        if self._process.is_alive():
            try:
                self.tell(STOP)
            except OSError:
                self._process.join(END_S)
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def requests(pipe: Connection) -> Iterator[Any]:
    """What a partner is asked, one after another, until STOP or its owner's end."""
    try:
        while (request := pipe.recv()) != STOP:
            yield request
    except EOFError:
        return
