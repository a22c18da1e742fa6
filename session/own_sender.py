"""A session's own source, simulated or a file: a process that says when it is ready and waits for its word.

Knows one process and one pair of sockets; nothing of frames.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from ..stream.processes import Processes, ProcessSpec
from ..stream.sources.plan import SourcePlan


class OwnSender:
    """The sender process of a plan that has one; it begins to send at ``go``."""

    def __init__(self, plan: SourcePlan, options: Mapping[str, Any], processes: Processes) -> None:
        from ..stream.simulate.sender import SenderOptions, run_sender

        assert plan.spec is not None
        chosen = SenderOptions(spec=plan.spec, endpoint=plan.sender_endpoint, **options)
        self.ready = self.ended = False
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        processes.start(ProcessSpec("sender", run_sender, (chosen, theirs), restart=False))
        theirs.close()

    def hear(self) -> str | None:
        """Take what it says; returns why it cannot send, if it cannot."""
        if self.ready:
            return None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            word = self._line.recv(4096)
            self.ready = word[:1] == b"R"
            if word[:1] == b"E":
                return word[1:].decode()
        return None

    def go(self) -> None:
        """Let it send; one that has just died is reported by its death."""
        with contextlib.suppress(OSError):
            self._line.send(b"G")

    def close(self) -> None:
        self._line.close()
