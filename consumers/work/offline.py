"""A pipeline's consumers over a file, as fast as it can be read: the same numbers as live, without a session.

Runs in this process, on threads of its own. Knows consumers and frames; it knows no ring and no window.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import LivemError
from ...stream.files.acquisition import Acquisition
from ...stream.results import Result
from ...stream.series import Block, Series
from ...stream.sources.replay.frame_reader import READ_BYTES, Damage
from ..base import Consumer, Output
from ..pool import Pool
from .hardware import Hardware
from .recorded import blocks_of

ONE_FRAME = 1
"""Bytes of a reading where some consumer follows another: less than a frame is one."""


@dataclass(slots=True)
class Tally:
    """What became of the frames of one consumer; like an edge of a live account."""

    processed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    decode_errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class Processed:
    """A file's results."""

    series: Series
    frames: int
    """That were read whole."""
    damaged: int
    """Recorded frames that cannot be read."""
    tallies: Mapping[str, Tally]
    results: Mapping[str, Result]
    """By topic."""
    alarms: tuple[str, ...]
    seconds: float
    devices: Mapping[str, str] = field(default_factory=dict)
    """What each consumer was computed on, by name."""


class _Run:
    """One consumer on its way through a file."""

    def __init__(self, consumer: Consumer[Any], series: Series, pool: Pool, every: int, device: str) -> None:
        self.hardware = Hardware(device, consumer)
        consumer.want_device(device)
        consumer.open(series)
        self.consumer, self.tally = consumer, Tally()
        self.alarms: list[str] = list(consumer.alarms())
        self._analysis = self.hardware.analysis(consumer, series, pool, every)
        self.alarms += [self.hardware.alarm] if self.hardware.alarm else []
        self.again = 0
        """Frames before this one have to be seen once more: the consumer changed itself meanwhile."""
        self.shown: Sequence[Output] = ()
        """What there was to show after the last block."""

    def take(self, block: Block) -> None:
        part = self._analysis.run(block)
        merged = 0
        for indices, partial in part.pieces:
            try:
                self.shown = self.consumer.merge(partial)
            except Exception as error:  # noqa: BLE001 - as live: a consumer's error is counted, never fatal
                part.errors.append(error)
                part.failed += len(indices)
            else:
                merged += len(indices)
                if self.consumer.restarted():
                    self.again = block.first + block.count
                    self.alarms += self.consumer.alarms()
        self._count(merged, part.undecodable, part.failed, part.passed_over)
        self.tally.decode_errors += part.rejected
        if part.errors and not self.tally.first_error:
            self.tally.first_error = f"{type(part.errors[0]).__name__}: {part.errors[0]}"
        if self._analysis.alarm:
            self.alarms.append(self._analysis.alarm)
            self._analysis.alarm = ""

    def feed(self, result: Result) -> None:
        """A result of one of the inputs."""
        try:
            self.consumer.feed(result)
        except Exception as error:  # noqa: BLE001 - as above
            self.tally.dropped["consumer_error"] += 1
            self.tally.first_error = self.tally.first_error or f"{type(error).__name__}: {error}"

    def see_again(self, acquisition: Acquisition) -> None:
        """The frames that were forgotten; they were counted when they were seen first."""
        tally, self.tally = self.tally, Tally()
        stop, self.again = self.again, 0
        for block in blocks_of(acquisition, self._analysis.series, stop):
            if not isinstance(block, Damage):
                self.take(block)
        self.tally = tally

    def end(self, stop: int) -> None:
        """No frames come after ``stop``."""
        if self.consumer.at_end():
            self.again = stop
            self.alarms += self.consumer.alarms()

    def _count(self, merged: int, undecodable: int, failed: int, passed_over: int) -> None:
        self.tally.processed += merged
        found = {"undecodable": undecodable, "consumer_error": failed, "policy": passed_over}
        self.tally.dropped.update({reason: n for reason, n in found.items() if n})

    def outputs(self) -> Sequence[Output]:
        said, last = self.hardware.attrs(), self.consumer.close()
        self.alarms += [text for text in self.consumer.alarms() if text not in self.alarms]
        return [replace(output, attrs={**output.attrs, **said}) for output in last]


def process(
    acquisition: Acquisition,
    series: Series,
    count: int,
    consumers: Mapping[str, tuple[Consumer[Any], int]],
    pool: Pool,
    progress: Callable[[int, int], None] = lambda done, count: None,
    devices: Mapping[str, str] | None = None,
    off: Collection[str] = (),
) -> Processed:
    """Run consumers over all frames of a file.

    Parameters
    ----------
    acquisition, series, count : the file, how it announces itself and how many frames it has.
    consumers : by name: the consumer, and N of an every_nth edge (1 = all frames).
    progress : told after each reading how many of how many frames are done.
    devices : "auto", "cpu" or "cuda" by name; "auto", as in a session, for those that are not named.
    off : names of consumers that are switched off: frames are counted so, as live, and there are no results.

    Raises
    ------
    PipelineError
        When a consumer's parameters do not fit the series, or it has nothing for the GPU that it is to use.
    MissingDependencyError
        Where there is none.
    DeviceFaultError
        When the GPU fails in the middle.
    """
    started, wanted = time.monotonic(), devices or {}
    runs = {
        name: _Run(consumer, series, pool, every, wanted.get(name, "auto"))
        for name, (consumer, every) in consumers.items()
        if name not in off
    }
    frames = damaged = top = 0
    is_followed = any(run.consumer.follows for run in runs.values())
    for block in blocks_of(acquisition, series, count, ONE_FRAME if is_followed else READ_BYTES):
        if isinstance(block, Damage):
            damaged += block.count
            continue
        frames, top = frames + block.count, block.first + block.count
        for run in runs.values():
            run.take(block)
        if is_followed:
            _hand_on(runs, series, top)
        progress(top, count)
    for run in runs.values():
        run.end(top)
        run.see_again(acquisition)
    results = _results(runs, series, top)
    return Processed(
        series,
        frames,
        damaged,
        {name: runs[name].tally if name in runs else _passed_over(frames) for name in consumers},
        results,
        tuple(text for run in runs.values() for text in (*run.alarms, *_raised(run))),
        time.monotonic() - started,
        {name: str(run.hardware) for name, run in runs.items()},
    )


def _passed_over(frames: int) -> Tally:
    """Of a consumer that is switched off."""
    return Tally(dropped=Counter(switched_off=frames))


def _results(runs: Mapping[str, _Run], series: Series, top: int) -> dict[str, Result]:
    """By topic; a consumer that takes others' results gets those of the ones before it."""
    results: dict[str, Result] = {}
    for run in runs.values():
        for topic in run.consumer.inputs:
            if topic in results:
                run.feed(results[topic])
            else:
                run.alarms.append(f"{run.consumer.name} takes {topic}, and there is no such result")
        results |= {result.topic: result for result in _last_word(run, series, top)}
    return results


def _hand_on(runs: Mapping[str, _Run], series: Series, top: int) -> None:
    """What the last frame has made of the inputs of those that follow them."""
    shown: dict[str, Result] = {}
    for run in runs.values():
        if run.consumer.follows:
            for topic in run.consumer.inputs:
                if topic in shown:
                    run.feed(shown[topic])
        results = (_result(run, output, series, top, final=False) for output in run.shown)
        shown |= {result.topic: result for result in results}


def _last_word(run: _Run, series: Series, top: int) -> Iterator[Result]:
    for output in run.outputs():
        yield _result(run, output, series, top, final=True)


def _result(run: _Run, output: Output, series: Series, top: int, *, final: bool) -> Result:
    return Result(
        topic=f"{run.consumer.name}.{output.name}",
        kind=output.kind,
        series=series.key,
        frames=(0, top),
        t_ns=time.monotonic_ns(),
        arrays=output.arrays,
        units=output.units,
        attrs=output.attrs,
        final=final,
    )


def _raised(run: _Run) -> Iterator[str]:
    failed = run.tally.dropped["consumer_error"]
    if failed:
        yield f"{run.consumer.name} raised for {failed} frames, first {run.tally.first_error}"


def account_of(processed: Processed, sent: int, policies: Mapping[str, str]) -> dict[str, Any]:
    """The account of a file, with the fields that a live series has (DESIGN, section 5)."""
    series, received = processed.series, processed.frames
    rejected = {"damaged": processed.damaged} if processed.damaged else {}
    return {
        "series": series.key.number,
        "epoch": series.key.epoch.hex(),
        "state": "complete" if received == sent else "incomplete",
        "reason": None if received == sent else f"{sent - received} frames are not in the file",
        "announced": series.count,
        "sent": sent,
        "received": received,
        "lost": sent - received - processed.damaged,
        "duplicate": 0,
        "late": 0,
        "rejected": rejected,
        "edges": {name: _edge(tally, policies[name]) for name, tally in processed.tallies.items()},
        "latency_ms": {"p50": None, "p95": None, "p99": None},
        "first_result_ms": None,
        "last_result_ms": None,
        "frames_per_second": round(received / max(processed.seconds, 1e-9), 1),
        "results": {},
    }


def _edge(tally: Tally, policy: str) -> dict[str, Any]:
    return {
        "policy": policy,
        "processed": tally.processed,
        "dropped": dict(tally.dropped),
        "in_flight": 0,
        "decode_errors": dict(tally.decode_errors),
    }


def fails(processed: Processed) -> LivemError | None:
    """Why a run is a failure although it ended: no frame could be read, or a consumer took none."""
    from ...errors import SessionError, SourceError

    if not processed.frames:
        return SourceError("none of its frames can be read; `livem repair` tells what is in the file")
    for name, tally in processed.tallies.items():
        if not tally.processed and not tally.dropped["switched_off"]:
            return SessionError(f"consumer {name!r} could use none of the {processed.frames} frames")
    return None
