"""Who looks at a session while it is measured: a script that polls 60 times a second, or the real window.

Both are processes of their own, attached to the session's control address, and say afterwards what they saw.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from threading import Event
from typing import TYPE_CHECKING

from ..stream.bus import Subscriber

if TYPE_CHECKING:
    from ..viewer.window import ViewerWindow

POLL_S = 1 / 60
SAMPLE_MS = 100
SETTLED_S = 1.0
"""The window lays its panes out in its first second: that is not its rate."""


@dataclass(slots=True)
class Sight:
    """What was seen; times are time.monotonic_ns()."""

    updates: dict[str, list[int]] = field(default_factory=dict)
    """When each topic was found changed."""

    @property
    def first_ns(self) -> int | None:
        """When the first picture was there."""
        return min((times[0] for times in self.updates.values()), default=None)

    def updates_per_second(self) -> float | None:
        """Of the topic that changed least often; None when nothing was seen twice."""
        rates = [1e9 * (len(t) - 1) / (t[-1] - t[0]) for t in self.updates.values() if len(t) > 1]
        return min(rates, default=None)


def watch(pipe: Connection, address: str) -> None:
    """Body of the script's process: note every change until asked for what was seen."""
    updates: dict[str, list[int]] = defaultdict(list)
    pause = Event()
    with Subscriber(address, ("preview.", "vd.")) as subscriber:
        pipe.send("ready")
        due = time.monotonic()
        while not pipe.poll():
            now = time.monotonic_ns()
            for topic in subscriber.poll():
                updates[topic].append(now)
            due = max(due + POLL_S, time.monotonic())
            pause.wait(due - time.monotonic())
    pipe.send(Sight(dict(updates)))


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the window did while it was settled."""

    per_second: float
    """Live frames drawn."""
    cpu_ms: float
    """Processor time of the whole viewer process for each of them: what a loaded machine stretches."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Drawn | None:
        """From first to last growth of the count; None where nothing was drawn after the first second."""
        growing = [now for before, now in pairwise(samples) if now.shown > before.shown]
        growing = [sample for sample in growing if sample.at > samples[0].at + SETTLED_S]
        if len(growing) < 2:
            return None
        begin, end = growing[0], growing[-1]
        shown = end.shown - begin.shown
        return cls(shown / (end.at - begin.at), 1000 * (end.cpu - begin.cpu) / shown)


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the window."""

    at: float
    """Seconds."""
    shown: int
    """Live frames drawn so far."""
    cpu: float
    """Seconds of processor time so far."""


def show(pipe: Connection, address: str) -> None:
    """Body of the window's process, drawn offscreen until asked: answers with Drawn or None."""
    from ..viewer import qt

    qt.application(headless=True)
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from ..viewer.connection import connect
    from ..viewer.window import ViewerWindow

    window = ViewerWindow(*connect(address))
    samples: list[Sample] = []
    timer = QTimer(window)
    timer.timeout.connect(lambda: _look(pipe, window, samples))
    window.show()
    window.start()
    timer.start(SAMPLE_MS)
    pipe.send("ready")
    QApplication.exec()
    qt.finish_deletions()
    pipe.send(Drawn.of(samples))


def _look(pipe: Connection, window: ViewerWindow, samples: list[Sample]) -> None:
    """Note how many frames have been drawn; end when asked."""
    if shown := window.pacing.shown:
        samples.append(Sample(time.monotonic(), shown, time.process_time()))
    if pipe.poll():
        window.close()
