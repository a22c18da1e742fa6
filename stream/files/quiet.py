"""Readers of others log what they also raise, some of them on stdout: livem says it once, in own words."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Silence:
    """Who needs silence now: readers of several threads take turns in no order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = self._before = 0

    def begin(self) -> None:
        with self._lock:
            if not self._holders:
                self._before = logging.root.manager.disable
                logging.disable(logging.CRITICAL)
            self._holders += 1

    def end(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                logging.disable(self._before)


_SILENCE = _Silence()


@contextmanager
def logs_off() -> Iterator[None]:
    """No log message of any package while this lasts; errors are raised as ever."""
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()
