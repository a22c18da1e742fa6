"""A session's answers about its past: what the ring still has, its frames, clips of them.

What there is it reads from the ring's table; frames come from a process of their own, which is started when
somebody looks back for the first time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..consumers.parameters import SWITCH
from ..consumers.work.rewind import REWIND, RewindOptions, run_rewind
from ..pipeline import Pipeline
from ..stream.desk import Deferred, Reply
from ..stream.hub import Hub
from ..stream.processes import Processes, ProcessSpec
from ..stream.ring import Ring
from ..stream.ring_history import stretches
from ..stream.sources.plan import SourcePlan
from .diary import Diary
from .options import SessionOptions

PREVIEW = "preview"
MARGIN_NS = 1_000_000_000
"""A series begins before its first frame."""


class LookingBack:
    """Answers ``requests``.

    Parameters
    ----------
    pipeline : Pipeline
        Whose previews say how frames are shown, until they are told otherwise.
    options : SessionOptions
        Clips go where recordings go, or else results, or else the working directory.
    plan : SourcePlan
        Says which FILE the session plays, where it does.
    ring, hub, processes
        Of the session.
    """

    requests = ("history", "rewind", "pixels", "clip")

    def __init__(
        self,
        pipeline: Pipeline,
        options: SessionOptions,
        plan: SourcePlan,
        ring: Ring,
        hub: Hub,
        processes: Processes,
    ) -> None:
        self._ring, self._hub, self._processes = ring, hub, processes
        folder = (options.record or options.out or Path()).absolute()
        self._options = RewindOptions(
            children_address=hub.addresses.children, folder=str(folder), recording=plan.recording
        )
        self._looks: dict[str, Mapping[str, Any]] = {
            config.name: _look(config.params) for config in pipeline.consumers if config.type == PREVIEW
        }
        """Parameters of the previews."""
        self.diary = Diary()
        self._ready: int | None = None
        """Number of the process that has said so; its successor has another."""

    def heard(self, name: str, message: Mapping[str, Any]) -> None:
        """A process is ready."""
        if name == REWIND:
            self._ready = self._processes.pid(REWIND)
        self._learn(name, message)

    def learn(self, name: str, answer: Deferred) -> Deferred:
        """Take note of the parameters that a consumer answers with."""
        answer.then(lambda reply: self._learn(name, reply))
        return answer

    def _learn(self, name: str, said: Mapping[str, Any]) -> None:
        if name in self._looks and isinstance(known := said.get("parameters"), Mapping):
            self._looks[name] = _look(known)

    def answer(self, request: Mapping[str, Any]) -> Reply | Deferred:
        """To one of ``requests``."""
        if request["do"] == "history":
            return self._history()
        if REWIND not in self._processes:
            arguments = self._options, self._ring.history_port()
            self._processes.start(ProcessSpec(REWIND, run_rewind, arguments))
        if self._ready is None or self._ready != self._processes.pid(REWIND):
            return {"ok": True, "found": False, "starting": True, "why": "one moment: looking back begins"}
        command = {key: value for key, value in request.items() if key != "id"}
        if request["do"] in ("rewind", "pixels"):
            consumer = str(request.get("consumer", ""))
            if consumer not in self._looks:
                consumer = next(iter(self._looks), "")
            command |= {"consumer": consumer or PREVIEW, "look": dict(self._looks.get(consumer, {}))}
        return self._hub.forward(REWIND, command)

    def _history(self) -> Reply:
        there = stretches(self._ring.views)
        since = min((int(stretch.knots[0, 0]) for stretch in there), default=0) - MARGIN_NS
        return {
            "ok": True,
            "now_ns": time.monotonic_ns(),
            "stretches": [stretch.as_plain() for stretch in there],
            "marks": [[mark.t_ns, mark.kind, mark.text] for mark in self.diary.since(since)],
            "folder": self._options.folder,
        }


def _look(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a preview shows frames, whether it is on or not."""
    return {key: value for key, value in parameters.items() if key != SWITCH.name}
