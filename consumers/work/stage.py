"""A consumer as its users see it while it runs: on or off, parameters, time, and what is wrong with it.

Knows the consumer and a line to the supervisor; no ring and no results.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..base import Consumer
from ..parameters import SWITCH, described

PIECES = 256
"""Of work that are remembered: at 30 pictures a second the last 8 s."""
TELL_S = 0.5
"""Between two reports; none where nothing has changed."""
FAULT_S = 2.0
"""How long an error is said after the last one like it: what fails now and then is not well in between."""
FAULT_LENGTH = 500


class Stage:
    """See the module.

    Parameters
    ----------
    consumer : whose stage it is.
    report : sends a message of a kind to the supervisor.
    on_error : told what the consumer raises when it is asked for its parameters.
    clock : monotonic seconds.
    begins_on : whether it is on at first; a consumer that has a switch of its own knows that itself.
    """

    def __init__(
        self,
        consumer: Consumer[Any],
        report: Callable[..., object],
        on_error: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
        begins_on: bool = True,
    ) -> None:
        self._consumer, self._report, self._on_error, self._clock = consumer, report, on_error, clock
        self.enabled = True
        self._pieces: deque[float] = deque(maxlen=PIECES)
        self._busy_s = 0.0
        self._fault, self._fault_until = "", 0.0
        self._misfit = ""
        self._switches = SWITCH.name not in self._own()
        self.enabled = begins_on or not self._switches
        self._file = self.parameters()
        self._revision = 0
        self._told: Mapping[str, Any] = {}
        self._told_at = clock()

    def is_switch(self, name: str) -> bool:
        """Whether this parameter turns the stage on and off, and the consumer does not do that itself."""
        return self._switches and name == SWITCH.name

    def turn(self, value: Any) -> bool:
        """On or off; whether that is a change. PipelineError for what is neither."""
        SWITCH.check(f"consumer {self._consumer.name!r}", value)
        was, self.enabled = self.enabled, value
        return was != self.enabled

    def parameters(self) -> dict[str, Any]:
        """Values of all parameters by name."""
        switch = {SWITCH.name: self.enabled} if self._switches else {}
        return switch | self._own()

    def answer(self) -> dict[str, Any]:
        """What a form needs: values, descriptions, and the values of the pipeline file where they differ."""
        values, file = self.parameters(), self._file
        known = [SWITCH, *self._consumer.described()] if self._switches else self._consumer.described()
        return {
            "parameters": values,
            "described": [one.as_map() for one in described(values, known)],
            "file": {name: file[name] for name, value in values.items() if file.get(name, value) != value},
            "revision": self._revision,
        }

    def changed(self) -> None:
        """A parameter was set, by whomever, or the consumer has changed itself."""
        self._revision += 1

    def took(self, seconds: float) -> None:
        """A piece of work was done: a block of frames, or a picture."""
        self._pieces.append(seconds)
        self._busy_s += seconds

    def failed(self, error: Exception) -> None:
        """The consumer raised."""
        self._fault = f"{type(error).__name__}: {error}"[:FAULT_LENGTH]
        self._fault_until = self._clock() + FAULT_S

    def opened(self, misfit: str = "") -> None:
        """A series has begun, and the consumer can take it; else why not."""
        self._misfit = misfit[:FAULT_LENGTH]
        self._file = self.parameters() | self._file
        self.changed()

    def tell(self) -> None:
        """Report how the stage stands, twice a second at most, and only what is new."""
        now = self._clock()
        if now - self._told_at < TELL_S:
            return
        busy = min(1.0, self._busy_s / (now - self._told_at))
        self._told_at, self._busy_s = now, 0.0
        said = self._said(now, round(busy, 2))
        if said != self._told:
            self._told = said
            self._report("stage", **said)

    def _said(self, now: float, busy: float) -> dict[str, Any]:
        fault = self._misfit or (self._fault if now < self._fault_until else "")
        return {
            "enabled": self.enabled if self._switches else self._own().get(SWITCH.name) is not False,
            "fault": fault,
            "ms": _percentiles(self._pieces),
            "busy": busy,
            "revision": self._revision,
            "runs_on": self._consumer.runs_on,
        }

    def _own(self) -> dict[str, Any]:
        try:
            return dict(self._consumer.parameters())
        except Exception as error:  # noqa: BLE001 - a consumer's error must not take the worker down
            self.failed(error)
            self._on_error(error)
            return {}


def _percentiles(pieces: deque[float]) -> dict[str, float | None]:
    """Of times in s: median and 95th percentile in ms."""
    if not pieces:
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(np.array(pieces), [50, 95]) * 1e3
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
