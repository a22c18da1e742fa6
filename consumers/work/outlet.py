"""Publishes what a consumer has to show, by time: how often, and how old the frames in it were.

Knows the bus and the reader that keeps the latencies; no consumer and no supervisor.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import SessionError
from ...stream.bus import Publisher
from ...stream.results import Result, removed
from ...stream.ring_reader import RingReader
from ...stream.series import IndexArray, Series
from ..base import Output

PUBLISH_NS = 5_000_000
"""Shortest time between two publications of a consumer: latency must not wait for the display's 33 ms."""
BUSY_PUBLISH_NS = 33_000_000
"""The same while the worker is at work more than half of its time: a display shows no more, and at 40,000
frames/s of 256 x 256 it saves the session 2 us of 37 us a frame, most of it the supervisor's."""
PUBLISH_SHARE = 5
"""After a publication that takes t the next begins 5 t after its start: at most 20 % of the CPU."""

HELD = 4096
"""Blocks whose latency is still open: of more than so many between two outputs, the oldest are not timed."""


class Outlet:
    """Publishes a consumer's outputs by time, and notes how old the frames in them were.

    An output that the bus cannot carry is left out; ``on_error`` gets its exception. ``attrs`` go with every
    result.
    """

    def __init__(
        self,
        name: str,
        reader: RingReader,
        publisher: Publisher,
        on_error: Callable[[Exception], None],
        attrs: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._name, self._reader, self._publisher = name, reader, publisher
        self._on_error, self._attrs = on_error, attrs
        self._due_ns = 0
        self._shown: set[str] = set()
        """Names of outputs that were published; in former series too."""
        self._gone: set[str] = set()
        """Names that were published, and of which the bus does not know yet that they are no more."""
        self.reset()

    def reset(self) -> None:
        """A new series: nothing to say yet, and the first result goes out at once."""
        self._outputs: Sequence[Output] = ()
        self._arrivals: list[tuple[int, int, int]] = []
        self._held: deque[tuple[int, int, int]] = deque(maxlen=HELD)
        self._next_ns: dict[str, int] = {}
        self._span = (0, 0)
        self._due_ns = self._rested_ns = 0
        self._published_ns = time.monotonic_ns()

    def rested(self, ns: int) -> None:
        """The worker had nothing to do for so long."""
        self._rested_ns += ns

    def take(
        self, outputs: Sequence[Output], lease_serial: int, indices: IndexArray, arrival_ns: int
    ) -> None:
        """New outputs, which now cover these frames too."""
        self._outputs = outputs
        if len(indices):
            self._cover(indices)
            self._arrivals.append((lease_serial, len(indices), arrival_ns))

    def hold(self, lease_serial: int, indices: IndexArray, arrival_ns: int) -> None:
        """Frames that the next outputs will cover: there is nothing to publish of them yet."""
        if len(indices):
            self._cover(indices)
            self._held.append((lease_serial, len(indices), arrival_ns))

    def replace(self, outputs: Sequence[Output]) -> None:
        """Outputs that changed though no live frame came (history was read again), or some time after."""
        self._outputs = outputs
        self._arrivals += [*self._held, (-1, 0, 0)]
        self._held.clear()

    def show(self, outputs: Sequence[Output]) -> None:
        """Outputs of a consumer that paces itself: they wait for no pause."""
        self.replace(outputs)
        self._due_ns = 0

    def _cover(self, indices: IndexArray) -> None:
        first, stop = int(indices[0]), int(indices[-1]) + 1
        low, high = self._span
        self._span = (min(low, first), max(high, stop)) if high else (first, stop)

    def renew(self, outputs: Sequence[Output]) -> None:
        """All outputs after a change, though no frame came; topics that are not among them are no more."""
        self.replace(outputs)
        names = {output.name for output in outputs}
        self._gone = (self._gone | self._shown) - names
        self._shown &= names

    def due_in(self, now_ns: int) -> float | None:
        """Seconds until there is something to publish; None when nothing changed."""
        return max(0.0, (self._due_ns - now_ns) / 1e9) if self._arrivals else None

    def publish(self, series: Series, *, final: bool = False) -> list[str]:
        """Send what there is now; returns the topics that were sent or wait in the backlog."""
        started = time.monotonic_ns()
        self._remove(series)
        due = [output for output in self._outputs if final or self._is_due(output, started)]
        topics = [topic for output in due if (topic := self._send(output, series, final))]
        done = time.monotonic_ns()
        if topics:
            for serial, frames, arrival_ns in self._arrivals:
                if frames:
                    self._reader.observe(serial, frames, arrival_ns, done)
        self._arrivals.clear()
        pause = BUSY_PUBLISH_NS if self._is_busy(started) else PUBLISH_NS
        self._due_ns = started + max(pause, PUBLISH_SHARE * (done - started))
        self._published_ns, self._rested_ns = done, 0
        return topics

    def _remove(self, series: Series) -> None:
        """Say of topics that they are no more, until the bus has taken it."""
        for name in sorted(self._gone):
            if self._publisher.publish(removed(f"{self._name}.{name}", series.key)):
                self._gone.discard(name)

    def _is_due(self, output: Output, now_ns: int) -> bool:
        if output.hz == math.inf:
            return True
        if now_ns < self._next_ns.get(output.name, 0):
            return False
        self._next_ns[output.name] = now_ns + int(1e9 / output.hz)
        return True

    def _is_busy(self, now_ns: int) -> bool:
        """Whether the worker was at work for more than half of the time since the last publication."""
        return 2 * self._rested_ns < now_ns - self._published_ns

    def _send(self, output: Output, series: Series, final: bool) -> str:
        """Hand one output to the bus; returns its topic, or nothing when the bus cannot carry it."""
        try:
            result = Result(
                topic=f"{self._name}.{output.name}",
                kind=output.kind,
                series=series.key,
                frames=self._span,
                t_ns=time.monotonic_ns(),
                arrays=output.arrays,
                units=output.units,
                attrs={**output.attrs, **self._attrs()},
                final=final,
            )
            self._publisher.publish(result)
            self._shown.add(output.name)
        except SessionError:  # nobody takes results any more: that is no fault of the consumer
            raise
        except Exception as error:  # noqa: BLE001 - a consumer's error must not take the worker down
            self._on_error(error)
            return ""
        return result.topic
