"""The worker process: runs one consumer on one edge of the ring.

Blocks in, results out, commands in between. The consumer knows none of this; this knows no analysis.
Raised errors are counted and reported, never fatal.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import zmq

from ...errors import DeviceFaultError, LivemError, PipelineError
from ...stream.bus import Publisher
from ...stream.child import Child
from ...stream.ring import ReaderPort
from ...stream.ring_layout import SERIES_KEPT
from ...stream.ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from ...stream.series import IndexArray, Series
from ..base import Consumer, Output
from ..pool import Pool, default_threads
from ..registry import begins_on, create
from .analysis import Analysis, Part
from .errands import Errands
from .hardware import Hardware
from .lookback import Lookback, recordings_in
from .outlet import Outlet
from .stage import Stage
from .telling import Telling, hole_text, unseen_text
from .worker import WorkerOptions

PATIENCE_S = 0.2
LAST_WORK_S = 2.0
"""How long a worker that is told to stop goes on with what is in the ring, before it gives what it has."""
LOOKBACK_S = 2.0
"""How long the end of a series waits for frames that a changed consumer has to see again: the next series
gathers in the ring meanwhile."""
PIECES = 2
"""Of work at the end of a series: until one gives the picture of its last frames."""
RETRY_S = 0.01
"""Between two attempts to hand over last results that the supervisor was too busy to take."""


class Worker:
    """One consumer, one reader, one publisher, one line to the supervisor."""

    def __init__(self, options: WorkerOptions, port: ReaderPort, child: Child) -> None:
        self._child, self._options = child, options
        self._consumer: Consumer[Any] = create(options.type, options.name, dict(options.params))
        self._consumer.want_device(options.device)
        self._pool = Pool(options.threads or default_threads())
        self._warm_up()
        self._reader = RingReader(port)
        self._hardware = Hardware(options.device, self._consumer, self._reader.faults)
        self._hardware.lock(self._reader.memory)
        self._hardware.warm_up(options.expected)
        self._telling = Telling(child.link.report, self._reader.count_error)
        on = begins_on(options.params)
        self._stage = Stage(self._consumer, child.link.report, self._telling.error, begins_on=on)
        self._publisher = Publisher(options.results_address)
        self._outlet = Outlet(options.name, self._reader, self._publisher, self._error, self._hardware.attrs)
        self._lookback = Lookback()
        self._errands = Errands(self._consumer, options.control_address, self._stage.took)
        self._errands.rests = not self._stage.enabled
        self._asked = False
        """Whether the session was asked for the series' recordings and has not answered."""
        self._seen = False
        """Whether the consumer has got any frame of the open series."""
        self._hole_said = -1
        """First serial of the series whose hole was told."""
        self._series: Series | None = None
        self._serial = self._first_serial = -1
        """Of the open series: a sender that was lost and comes back goes on under a new one."""
        self._ended = True
        self._deadline = math.inf
        """When a stopped worker leaves what is still in the ring."""
        self._fit = False
        """Whether the consumer accepted the open series."""
        self._live_next = True

    def _warm_up(self) -> None:
        """Compile and load what the expected series need, before the session says ready."""
        for series in self._options.expected:
            # An error here is of frames that are not the real ones: it is said again when those come.
            with contextlib.suppress(Exception):
                self._consumer.open(series)

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._reader.wake, zmq.POLLIN)
        poller.register(self._child.link.pollable, zmq.POLLIN)
        self._child.link.ready({"parameters": self._stage.parameters(), "device": str(self._hardware)})
        try:
            while not self._child.stopping():
                if not self._step():
                    self._sleep(poller)
                self._obey()
                self._stage.tell()
            self._finish()
        except DeviceFaultError:
            self._reader.note_fault()  # the next process sees the same blocks, on the CPU in the end
            raise

    def _finish(self) -> None:
        """Work off what is still in the ring, for a while: a stopped session ends with what it had."""
        self._deadline = time.monotonic() + LAST_WORK_S
        while self._time_left() and (event := self._reader.next()) is not None:
            self._handle(event)
        if self._series is not None and not self._ended:
            self._report_done(self._serial, self._last_word(self._series))
        self._reader.close()
        self._errands.close()
        self._publisher.flush(2.0)
        self._publisher.close()
        self._pool.close()

    def _time_left(self) -> bool:
        return time.monotonic() < self._deadline

    def _step(self) -> bool:
        """Do one piece of work; False when there is none."""
        event = self._reader.next() if self._live_next or not self._lookback else None
        self._live_next = not self._live_next or not self._lookback
        if event is not None:
            self._handle(event)
        if not ((found := event is not None or self._look_back()) or self._due(0.0)):
            return False
        self._run_errands(blocks_wait=found)
        self._publish_if_due()
        return True

    def _due(self, within: float) -> bool:
        """Whether the consumer wants to work by itself."""
        due = self._errands.due_in()
        return due is not None and due <= within

    def _run_errands(self, at_once: bool = False, blocks_wait: bool = False) -> bool:
        """What the consumer does between blocks; one that raises there has had its turn for this series.

        Whether there is something new to show.
        """
        try:
            outputs = self._errands.run(at_once, blocks_wait)
        except Exception as error:  # noqa: BLE001 - a consumer's error must not take the session down
            self._errands.end()
            self._error(error)
            return False
        self._telling.alarms_of(self._consumer)
        if outputs:
            self._outlet.show(outputs)
        return bool(outputs)

    def _sleep(self, poller: zmq.Poller) -> None:
        self._publish_if_due()
        due = self._outlet.due_in(time.monotonic_ns())
        patience = PATIENCE_S if due is None else min(due, PATIENCE_S)
        if (wanted := self._errands.due_in()) is not None:
            patience = min(patience, wanted)
        if not self._publisher.flush(0.0):
            patience = min(patience, RETRY_S)
        patience = self._reader.prepare_wait(patience)
        lay_down = time.monotonic_ns()
        poller.poll(int(patience * 1000 + 0.999))
        self._outlet.rested(time.monotonic_ns() - lay_down)
        self._reader.woken()
        self._publish_if_due()

    def _publish_if_due(self) -> None:
        if self._series is not None and self._outlet.due_in(time.monotonic_ns()) == 0:
            self._outlet.publish(self._series)

    def _handle(self, event: SeriesStart | SeriesEnd | Lease) -> None:
        if isinstance(event, Lease):
            self._process(event)
        elif isinstance(event, SeriesStart):
            self._open(event)
        else:
            self._close(event)

    def _open(self, start: SeriesStart) -> None:
        self._serial, self._ended = start.serial, False
        if self._series is not None and self._series.key == start.series.key and self._fit:
            self._errands.go_on(start.series)
            return  # a sender that was lost goes on with the series: so does the picture
        self._series, self._first_serial = start.series, start.serial
        self._analysis = self._recorded_as = self._analysis_of(start.series)
        self._outlet.reset()
        self._lookback.clear()
        self._asked = self._seen = False
        if self._accept(start.series):
            self._catch_up(start)

    def _accept(self, series: Series) -> bool:
        """Begin a series with the consumer; False when that cannot take it."""
        self._fit, misfit = False, ""
        self._errands.end()
        self._telling.begin()
        try:
            self._consumer.open(series)
            self._fit = True
            self._errands.begin(series)
            self._telling.alarms_of(self._consumer)
        except PipelineError as error:
            misfit = str(error)
            self._child.link.report("misfit", error=misfit, series=series.key.number)
        except Exception as error:  # noqa: BLE001 - a consumer's error must not take the session down
            misfit = f"{type(error).__name__}: {error}"
            self._error(error)
        self._stage.opened(misfit)
        return self._fit

    @contextlib.contextmanager
    def _caught(self) -> Iterator[None]:
        """What the consumer raises is told: it must not take the session down."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as above
            self._error(error)

    def _error(self, error: Exception) -> None:
        """The consumer has raised: that is counted, told, and shown for a while."""
        self._stage.failed(error)
        self._telling.error(error)

    def _analysis_of(self, series: Series) -> Analysis:
        analysis = self._hardware.analysis(self._consumer, series, self._pool, self._reader.policy.n)
        if self._hardware.alarm:
            self._child.link.report("alarm", text=self._hardware.alarm)
            self._hardware.alarm = ""
        return analysis

    def _catch_up(self, start: SeriesStart) -> None:
        """A worker that was restarted in mid-series has missed what the former one saw.

        A lossless edge gives that again by itself; one that wants only the newest does not want it.
        """
        if self._reader.policy.kind == "every_nth" and not self._consumer.needs_order:
            numbers = self._reader.history_of(start.serial, self._reader.position - 1)
            self._lookback.begin(numbers, start.series)

    def _close(self, end: SeriesEnd) -> None:
        topics = self._last_word(end.series)
        self._publisher.flush(0.0)
        self._reader.finalised(end)
        self._report_done(end.serial, topics)

    def _last_word(self, series: Series) -> list[str]:
        """Publish the last results of a series; returns their topics."""
        self._ended = True
        self._tell_end()
        patience = time.monotonic() + LOOKBACK_S
        while self._time_left() and time.monotonic() < patience:
            if not (self._look_back() or self._hear_recordings(patience)):
                break
        if self._lookback:
            self._child.link.report("alarm", text=unseen_text(self._options.name, series))
        if not self._fit or not (self._stage.enabled or self._seen):
            return []
        self._show_last_frames(series)
        last: Sequence[Output] = ()  # of one that raises, what it had before is the last word
        with self._caught():
            self._take_last_inputs(series)
            last = tuple(self._consumer.close())
        self._telling.alarms_of(self._consumer)
        self._errands.end()
        if last:
            self._outlet.replace(last)
        return self._outlet.publish(series, final=True)

    def _tell_end(self) -> None:
        """A consumer that changes itself when all frames have come sees them again, before its last word."""
        with self._caught():
            if self._fit and self._consumer.at_end():
                self._begin_anew()

    def _show_last_frames(self, series: Series) -> None:
        """A consumer that works may take long over its last word: what it has by then goes out before.

        As the last word, where the session ends and may not wait for another.
        """
        if not self._consumer.works:
            return
        for _ in range(PIECES):
            if self._due(math.inf) and self._run_errands(at_once=True):
                break
        self._outlet.publish(series, final=math.isfinite(self._deadline))

    def _take_last_inputs(self, series: Series) -> None:
        left = self._deadline - time.monotonic()
        if lack := self._errands.last_inputs(series, max(0.0, left)):
            self._child.link.report("alarm", text=lack)

    def _report_done(self, serial: int, topics: Iterable[str]) -> None:
        self._child.link.report(
            "series_done", serial=serial, topics=list(topics), decode_errors=dict(self._analysis.rejected)
        )

    def _process(self, lease: Lease) -> None:
        block, serial = lease.block, lease.serial
        if not self._fit:
            lease.release()
            return self._reader.count(serial, consumer_error=block.count)
        if not self._stage.enabled:
            lease.release()
            return self._reader.count(serial, switched_off=block.count)
        if block.late and self._consumer.needs_order:
            lease.release()
            return self._reader.count(serial, late=block.count)
        began = time.monotonic()
        part = self._analysis.run(block)
        arrival_ns, count = block.arrival_ns, block.count
        if not lease.release():
            self._analysis.undo(part)
            return self._reader.count(serial, torn=1, lapped=count)
        self._tell(self._analysis, part)
        done = sum(self._merge(indices, partial, serial, arrival_ns) for indices, partial in part.pieces)
        raised = sum(len(indices) for indices, _ in part.pieces) - done
        self._seen |= done > 0
        if not self._consumer.works:
            self._stage.took(time.monotonic() - began)
        return self._reader.count(
            serial,
            processed=done,
            undecodable=part.undecodable,
            consumer_error=part.failed + raised,
            policy=part.passed_over,
        )

    def _tell(self, analysis: Analysis, part: Part) -> None:
        """What went wrong in a block that stayed whole."""
        for error in part.errors:
            self._error(error)
        if analysis.alarm:
            self._child.link.report("alarm", text=analysis.alarm)
            analysis.alarm = ""

    def _merge(self, indices: IndexArray, partial: Any, serial: int, arrival_ns: int) -> int:
        """Frames that reached the consumer's state: all of them, or none if it raised."""
        try:
            outputs = tuple(self._consumer.merge(partial))
            again = self._consumer.restarted()
        except Exception as error:  # noqa: BLE001 - as above
            self._error(error)
            return 0
        if again:
            self._begin_anew()
        if self._consumer.works:
            if serial >= 0:
                self._outlet.hold(serial, indices, arrival_ns)
        elif serial < 0:
            self._outlet.replace(outputs)
        else:
            self._outlet.take(outputs, serial, indices, arrival_ns)
        return len(indices)

    def _begin_anew(self) -> None:
        """The consumer has changed itself, and forgotten what it saw."""
        self._stage.changed()
        self._telling.alarms_of(self._consumer)
        self._see_again()
        self._ask_for_recordings()

    def _look_back(self) -> bool:
        """Feed the consumer some frames once more; False when there are none to be seen again."""
        if not (self._fit and self._stage.enabled):
            return False
        lease = self._lookback.lease(self._reader)
        if lease is None:
            return self._look_into_files()
        block = lease.block
        part = self._analysis.run(block)
        if lease.release():
            self._merge_again(self._analysis, part)
        else:  # the writer took it meanwhile
            self._analysis.undo(part)
            self._lookback.miss(block)
        return True

    def _look_into_files(self) -> bool:
        block = self._lookback.block()
        if self._lookback.alarm:
            self._child.link.report("alarm", text=self._lookback.alarm)
            self._lookback.alarm = ""
        if block is None:
            self._tell_hole()
            return False
        if block.series.encoding != self._recorded_as.series.encoding:
            self._recorded_as = self._analysis_of(block.series)
        self._merge_again(self._recorded_as, self._recorded_as.run(block))
        return True

    def _tell_hole(self) -> None:
        """Frames that are gone for good, once a series."""
        if self._series is None or self._asked or self._hole_said == self._first_serial:
            return
        lacking, first = self._lookback.lacking()
        if lacking:
            self._hole_said = self._first_serial
            text = hole_text(self._options.name, self._series, lacking, first)
            self._child.link.report("alarm", text=text)

    def _hear_recordings(self, until: float) -> bool:
        """Wait for the session to name the files with what the ring has lost; False: no need to."""
        if not (self._asked and self._lookback.lost):
            return False
        self._child.link.pollable.poll(int(1000 * max(0.0, until - time.monotonic())))
        self._obey()
        return True

    def _merge_again(self, analysis: Analysis, part: Part) -> None:
        analysis.uncount(part)  # these frames were counted when they came
        self._tell(analysis, part)
        for indices, partial in part.pieces:
            self._merge(indices, partial, -1, 0)

    def _obey(self) -> None:
        while (command := self._child.link.receive()) is not None:
            if command.get("do") == "stop":
                self._child.stop()
                self._child.link.reply(command)
            elif command.get("do") == "set":
                self._set(command)
            elif command.get("do") == "see_again":
                self._take_recordings(command)
            elif command.get("do") == "parameters":
                self._child.link.reply(command, **self._stage.answer())
            else:
                self._child.link.reply(command, ok=False, error=f"unknown command {command.get('do')!r}")

    def _set(self, command: Mapping[str, Any]) -> None:
        name, fitted = str(command.get("name")), self._fit
        try:
            if self._stage.is_switch(name):
                return self._turn(command)
            again = self._consumer.set(name, command.get("value"))
        except LivemError as error:
            return self._child.link.reply(command, ok=False, error=str(error), code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - as above
            self._error(error)
            text = f"{name!r} could not be set: {type(error).__name__}: {error}"
            return self._child.link.reply(command, ok=False, error=text)
        self._stage.changed()
        self._telling.alarms_of(self._consumer)
        fits = self._fit or self._series is None or self._accept(self._series)
        if fits and (again or not fitted):
            self._asked = False
            self._see_again(recordings_in(command))
        self._child.link.reply(command, parameters=self._stage.parameters())
        if fits and self._series is not None and self._stage.enabled:
            self._show()
        return None

    def _turn(self, command: Mapping[str, Any]) -> None:
        """Off: results are taken away. On again: it sees what the ring and recordings still hold."""
        changed = self._stage.turn(command.get("value"))
        self._errands.rests = not self._stage.enabled
        self._child.link.reply(command, parameters=self._stage.parameters())
        if not changed:
            return
        self._stage.changed()
        if self._stage.enabled:
            self._see_again(recordings_in(command))
            if self._fit:
                self._show()
        else:
            self._lookback.clear()
            self._outlet.renew(())

    def _show(self) -> None:
        """What a change has made of the results, without a frame that has to come or be read again for it."""
        with self._caught():
            if (outputs := self._consumer.outputs()) is not None:
                self._telling.alarms_of(self._consumer)
                self._outlet.renew(tuple(outputs))

    def _see_again(self, recordings: Sequence[str] = ()) -> None:
        """The consumer has forgotten the series: it gets what the ring and recordings still hold."""
        if self._series is not None and self._fit and not self._consumer.needs_order:
            self._lookback.begin(self._history(), self._series, recordings)

    def _ask_for_recordings(self) -> None:
        self._asked = not self._consumer.needs_order
        if self._asked:
            self._child.link.report("restarted", serial=self._first_serial)

    def _take_recordings(self, command: Mapping[str, Any]) -> None:
        """The session's answer to "restarted"."""
        if self._asked and command.get("serial") == self._first_serial:
            self._asked = False
            self._lookback.add_files(recordings_in(command))

    def _history(self) -> range:
        """Blocks that may hold frames of the open series, of its parts before an interruption too."""
        first = max(self._first_serial, self._serial - SERIES_KEPT + 1)
        return self._reader.history_of(first, self._reader.position)
