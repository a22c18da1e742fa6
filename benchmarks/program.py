"""livem as a program of its own, started from its command line and watched from outside."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from ..errors import SessionError

ATTACH = re.compile(r"`livem view (\S+)`")
START_S = 60.0
END_S = 20.0


def command_line(*arguments: str) -> list[str]:
    """This very installation, whatever ``livem`` may mean to the shell."""
    return [sys.executable, "-m", "livem", *arguments]


class Program:
    """A running livem with a session in it."""

    def __init__(self, *arguments: str) -> None:
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command_line(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="stderr", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def address(self) -> str:
        """Where its session answers. Raises SessionError when it does not say so."""
        said: list[str] = []
        while self.age < START_S:
            try:
                line = self._lines.get(timeout=START_S)
            except queue.Empty:
                break
            if line is None:
                break
            said.append(line)
            if found := ATTACH.search(line):
                return found[1]
        raise SessionError(f"livem named no control address; it said: {''.join(said)!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask it to end, as the end of a terminal would; insist where it does not."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_S)
