"""Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

Knows no session: only what to call.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
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
