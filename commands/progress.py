"""What a running session says on stderr: a line in place on a terminal, one line per change elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import click

Status = Mapping[str, Any]
STALL_S = 5.0
"""Between two lines that say that frames have stopped coming."""


class Progress:
    """Shows the status of a session as it comes.

    Parameters
    ----------
    stream : text stream, optional
        stderr.
    in_place : bool, optional
        Whether to rewrite one line; by default when the stream is a terminal.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        in_place: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._stalled_at: float | None = None
        self._stalled = False
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty() if in_place is None else in_place
        self._alarms: Sequence[str] = []
        self._said: object = None
        self._open_line = False

    def update(self, status: Status) -> None:
        """Show a status (Session.status)."""
        self.alarms(status["alarms"])
        if self._in_place:
            self._rewrite(status_line(status))
        elif status["state"] != "ended" and (what := _landmark(status)) != self._said:
            self._said, self._stalled = what, False
            self.say(status_text(status))
        elif status["state"] == "running":
            self._tell_stall(status)

    def _tell_stall(self, status: Status) -> None:
        """That nothing comes, or that the detector is made to wait; and that frames come again.

        A stall is told at most every STALL_S: a detector that is braked stops and goes many times a second.
        """
        stalled, now = _is_stalled(status), self._clock()
        if stalled and not self._stalled:
            if self._stalled_at is None or now - self._stalled_at >= STALL_S:
                self._stalled, self._stalled_at = True, now
                self.say(status_text(status))
        elif self._stalled and not stalled:
            self._stalled = False
            series = status["series"]
            of = "" if series is None else f"series {series['series']}: "
            self.say(f"{status['state']}: {of}frames come again")

    def alarms(self, alarms: Sequence[str]) -> None:
        """Say those that are new."""
        for alarm in _new(self._alarms, alarms):
            self.say(f"alarm: {alarm}")
        self._alarms = list(alarms)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        self._stream.write(f"livem: {text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line in place away."""
        if self._open_line:
            self._stream.write("\r" + " " * (_width() - 1) + "\r")
            self._stream.flush()
            self._open_line = False

    def _rewrite(self, text: str) -> None:
        width = _width() - 1
        self._stream.write("\r" + text[:width].ljust(width))
        self._stream.flush()
        self._open_line = True


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, to be told (done, count); nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, count: None
        return
    bar: Any = click.progressbar(length=1, label=f"livem: {name}", file=sys.stderr)

    def say(done: int, count: int) -> None:
        bar.length = count
        bar.update(done - bar.pos)

    with bar:
        yield say


def status_line(status: Status) -> str:
    """State, frames, rate, latency, what is missing; who makes the detector wait, or that it is silent."""
    series = status["series"]
    if series is None or status["state"] in ("starting", "stopping", "ended"):
        return status_text(status)
    parts = [
        f"{status['state']}: series {series['series']}",
        f"{series['received']:,}{_of(series['announced'])} frames",
        f"{status['rates']['frames_per_second']:,.0f} frames/s",
    ]
    if (p50 := status["latency_ms"]["p50"]) is not None:
        parts.append(f"p50 {p50:.1f} ms")
    parts.append(f"lost {series['lost']:,}")
    parts += [
        f"dropped {name} {n:,}"
        for name, edge in status["edges"].items()
        if (n := sum(edge["dropped"].values()))
    ]
    parts.append(f"rejected {sum(series['rejected'].values()):,}")
    recording = status.get("recording") or {}
    if recording.get("state") == "recording":
        parts.append(f"kept {recording.get('frames', 0):,}")
    if _is_stalled(status):
        parts.append(str(status["message"]))
    return "  ".join(parts)


def status_text(status: Status) -> str:
    """State, and why where that says more."""
    state, message = str(status["state"]), str(status["message"])
    if not message:
        return state
    return message if message.startswith(state) else f"{state}: {message}"


def _of(announced: int | None) -> str:
    return "" if announced is None else f" of {announced:,}"


def _is_stalled(status: Status) -> bool:
    """Whether frames have stopped coming: from the sender's side, or because an analysis is behind."""
    silent = (status["series"] or {}).get("silent_s") is not None
    return bool(silent or status["ring"]["waiting_for"])


def _landmark(status: Status) -> tuple[Any, ...]:
    """What makes a new line where lines cannot be taken back: another state, another series, its end."""
    series, source = status["series"], status["source"]
    if status["state"] == "starting":
        return ("starting",)
    if series is None:  # not its whole text: that counts what is refused
        return status["state"], source.get("detail"), bool(source.get("refused"))
    return status["state"], series["epoch"], series["series"], series["state"]


def _new(known: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """Alarms that were not there before; the oldest fall out of the list."""
    for start in range(len(known) + 1):
        if now[: len(known) - start] == known[start:]:
            return now[len(known) - start :]
    return now


def _width() -> int:
    return max(20, shutil.get_terminal_size().columns)
