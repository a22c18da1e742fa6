"""A hub of results for tests to publish to and listen to."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from livem.stream.hub import Hub


class ServedHub:
    """A hub whose loop runs on a thread, as the supervisor runs it in its own process."""

    def __init__(self, **options: Any) -> None:
        # A short path: addresses of local sockets are limited to about 100 characters.
        self._directory = tempfile.TemporaryDirectory(prefix="lv")
        self.hub = Hub(Path(self._directory.name), "test", **options)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.hub.step(0.01)
        self.hub.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._directory.cleanup()
