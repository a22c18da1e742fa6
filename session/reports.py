"""What a session's processes report: the newest of what is shown, alarms, and errors that end the run.

Knows words and kinds of reports; touches no process and no socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import errors
from ..errors import LivemError, PipelineError, SessionError
from ..stream.series import SeriesKey
from .status import refusal_text

Report = Mapping[str, Any]
REFUSED_KEPT = 64
"""Series of which the refusals are remembered in words, 4 kB each: more than the ring's table of 32."""


class Reports:
    """Takes reports by kind.

    Parameters
    ----------
    alarm : callable
        Told what the user should know.
    fail : callable
        Told of an error that ends the session.
    promise : callable
        ``Settling.promise``.
    is_starting : callable
        Whether a process has never been ready, and nothing was armed yet: its death is then the session's.
    is_first : callable
        Whether a series that an analysis cannot take ends the run: the first one, without a window.
    command : callable
        Sends a process a command, with the files that hold frames of the open series.
    stage : callable
        Told how an analysis stands.
    """

    def __init__(
        self,
        alarm: Callable[[str], None],
        fail: Callable[[LivemError], None],
        promise: Callable[..., None],
        is_starting: Callable[[str], bool],
        is_first: Callable[[], bool],
        command: Callable[[str, dict[str, Any]], object] = lambda name, command: None,
        stage: Callable[[str, Report], None] = lambda name, report: None,
    ) -> None:
        self._alarm, self._fail, self._promise = alarm, fail, promise
        self._is_starting, self._is_first, self._command = is_starting, is_first, command
        self.source: Report = {}
        """What ingest last said of its source."""
        self.heard_at = 0.0
        """time.monotonic() of the last report that told of new messages."""
        self.recording: Report = {}
        """What the recorder last said."""
        self.unrecorded: LivemError | None = None
        """Why a recording failed: fails the run at its end, not the live path."""
        self._refused: dict[SeriesKey | None, dict[str, str]] = {}
        self._take: Mapping[object, Callable[[str, Report], None]] = {
            "source": self._take_source,
            "recording": self._take_recording,
            "fatal": self._take_fatal,
            "refused": self._take_refused,
            "alarm": lambda name, report: alarm(str(report.get("text"))),
            "misfit": self._take_misfit,
            "series_done": self._take_series_done,
            "stage": stage,
            "consumer_error": self._take_consumer_error,
            "restarted": self._take_restarted,
        }

    def passed(self, names: Iterable[str]) -> None:
        """Processes that hang, and without which the stream goes on: a recorder whose disk hangs."""
        for name in names:
            text = f"{name} hangs, its disk answers no more: the stream goes on, frames are not recorded"
            self._alarm(text)
            self.unrecorded = self.unrecorded or SessionError(text)

    def take(self, name: str, report: Report) -> None:
        """One report of the process ``name``; a kind that is not known here is passed over."""
        take = self._take.get(report.get("kind"))
        if take is not None:
            take(name, report)

    def quiet_for(self, seconds: float) -> bool:
        """Whether no sender is there and nothing has come for so long."""
        return not self.source.get("peers") and time.monotonic() - self.heard_at > seconds

    def _take_source(self, _name: str, report: Report) -> None:
        if report.get("messages") != self.source.get("messages"):
            self.heard_at = time.monotonic()
        self.source = report

    def _take_recording(self, _name: str, report: Report) -> None:
        self.recording = {key: value for key, value in report.items() if key not in ("type", "kind")}
        kept = report.get("kept") or {}
        for text in (report.get("error"), report.get("warning"), kept.get("error")):
            if text:
                self._alarm(f"recording: {text}")
        error = report.get("error") or kept.get("error")
        if error and self.unrecorded is None:
            self.unrecorded = SessionError(f"recording failed: {error}")

    def _take_fatal(self, name: str, report: Report) -> None:
        text = f"{name}: {report.get('error')}"
        if not self._is_starting(name):
            return self._alarm(text)
        word, _, what = str(report.get("error")).partition(": ")
        kind = getattr(errors, word, SessionError)
        return self._fail(kind(what) if issubclass(kind, LivemError) else SessionError(text))

    def _take_misfit(self, name: str, report: Report) -> None:
        if self._is_first():
            self._fail(PipelineError(str(report.get("error"))))
        else:
            self._alarm(f"{name} cannot take series {report.get('series')}: {report.get('error')}")

    def _take_refused(self, _name: str, report: Report) -> None:
        """Said once for each series and reason, though ingest may die and tell it again."""
        number = report.get("series")
        key = None if number is None else SeriesKey(bytes.fromhex(str(report.get("epoch"))), int(number))
        text = refusal_text(report)
        known = self._refused.setdefault(key, {})
        if str(report.get("reason")) not in known:
            known[str(report.get("reason"))] = text
            self._alarm(f"{'refused' if number is None else f'series {number}: frames refused'}: {text}")
        if len(self._refused) > REFUSED_KEPT:
            del self._refused[next(key for key in self._refused if key is not None)]

    def refused_in(self, series: SeriesKey | None) -> Mapping[str, str]:
        """The first refusal of each reason in words: in this series, or (None) of what belongs to none."""
        return dict(self._refused.get(series, {}))

    def _take_series_done(self, name: str, report: Report) -> None:
        serial = int(report.get("serial", -1))
        self._promise(name, serial, list(report.get("topics", [])), list(report.get("files", [])))

    def _take_restarted(self, name: str, report: Report) -> None:
        """A consumer has changed itself: it has to see all frames of the series again."""
        self._command(name, {"do": "see_again", "serial": int(report.get("serial", -1))})

    def _take_consumer_error(self, name: str, report: Report) -> None:
        last = str(report.get("traceback", "")).strip().splitlines()[-1:]
        times = report.get("times")
        so_far = "" if times == 1 else f" {times} times so far"
        self._alarm(f"{name} raised{so_far}: {''.join(last)}")
