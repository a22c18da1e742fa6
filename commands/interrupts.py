"""Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

Knows no session: only what to call.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType, TracebackType
from typing import Any, Self

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupts:
    """While entered, the first signal calls ``stop``, the second raises KeyboardInterrupt.

    Later ones are ignored, so that nothing can interrupt the tidying up.
    """

    def __init__(self, stop: Callable[[str], None]) -> None:
        self._stop = stop
        self.count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in NAMES:
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            self._stop(NAMES[signal.Signals(number)])
        elif self.count == 2:
            raise KeyboardInterrupt


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
