"""A session run by a command: from its options to an outcome that can be told and scripted.

The only place where a command line meets a Session.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from ..errors import LivemError, SessionError, UsageError
from ..outputs import write_summary
from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from ..stream.heap import return_large_blocks
from ..stream.processes import ctrl_c_held
from ..stream.recording.disk import probe
from .accounts_text import summary_lines
from .exits import INTERRUPTED, print_json
from .interrupts import Interrupts
from .progress import Progress

UNUSABLE = ("consumer_error", "undecodable")
"""Reasons for which a consumer drops frames that it was given."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended; what was measured is there in any case."""

    summary: Mapping[str, Any]
    error: LivemError | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return INTERRUPTED
        return 0 if self.error is None else self.error.exit_code

    def as_json(self) -> dict[str, Any]:
        """The summary, and what went wrong where something did."""
        if self.error is None:
            return dict(self.summary)
        return {**self.summary, "error": str(self.error), "exit_code": self.exit_code}


def run_session(
    pipeline: Pipeline,
    options: SessionOptions,
    progress: Progress,
    on_status: Callable[[Session, Mapping[str, Any]], None] | None = None,
) -> Outcome:
    """Run a session to its end, to Ctrl-C or to the error that ends it.

    Raises
    ------
    LivemError
        When it cannot even begin.
    """

    def show(status: Mapping[str, Any]) -> None:
        if session.error is None:
            progress.update(status)
        else:  # the error is told at the end, once
            progress.alarms(status["alarms"])
        if on_status is not None:
            on_status(session, status)

    if options.out is not None:
        prepare_directory(options.out)
    if options.record is not None:
        check_recordings(options.record)
    return_large_blocks()
    with contextlib.ExitStack() as stack:
        with ctrl_c_held():  # no gap in which a Ctrl-C would leave the session's memory behind
            session = Session(pipeline, options, show)
            interrupts = stack.enter_context(Interrupts(session.stop))
        progress.say(f"`livem view {session.hub.addresses.control}` shows this session")
        try:
            _play(session)
        except KeyboardInterrupt:
            progress.say("stopped at once: what had not been written by now is lost")
        finally:
            progress.clear()
    summary = session.summary()
    outcome = Outcome(summary, session.error or nothing_of_it(summary), interrupts.count > 0)
    if outcome.error is not None and options.out is not None:
        with contextlib.suppress(LivemError):  # that it cannot be written may be the very error
            write_summary(options.out, outcome.as_json())
    return outcome


def nothing_of_it(summary: Mapping[str, Any]) -> LivemError | None:
    """Why a run failed although it went to its end: frames came, and none of them led to a result."""
    for series in summary["series"]:
        received, name = series["received"], f"of series {series['series']}"
        if (rejected := sum(series["rejected"].values())) and not received:
            reasons = ", ".join(sorted(series["rejected"]))
            return SessionError(f"all {rejected:,} frames {name} were rejected ({reasons})")
        for consumer, edge in series["edges"].items():
            unusable = sum(edge["dropped"].get(reason, 0) for reason in UNUSABLE)
            if edge["policy"] == "lossless" and received and unusable == received:
                return SessionError(
                    f"consumer {consumer!r} could use none of the {received:,} frames of {name}"
                )
    return None


def prepare_directory(out: Path) -> None:
    """Make it now: that results cannot be written should not be found out at the end of a series."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(
            f"--out {str(out)!r} cannot be written: {error}; choose another directory"
        ) from error


def check_recordings(folder: Path) -> None:
    """Write to its disk now: no sample is to be exposed for a recording that cannot be made."""
    try:
        probe(folder)
    except OSError as error:
        raise UsageError(
            f"recordings cannot be written to {str(folder)!r}: {error}; choose another directory"
        ) from error


def _play(session: Session) -> None:
    with session:
        try:
            with ctrl_c_held():
                session.start()
            while not session.over():
                session.step()
            if session.state == "starting":  # nothing to lose, and who still imports hears no word
                _terminate(session)
            session.finish()
        except KeyboardInterrupt:
            _terminate(session)
            raise


def _terminate(session: Session) -> None:
    """Tell every process to end now, so that closing waits for none of them."""
    for pid in session.processes.pids().values():
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).terminate()


def report(outcome: Outcome, *, as_json: bool) -> int:
    """Tell the outcome on stdout, an error on stderr; returns the exit code."""
    if as_json:
        print_json(outcome.as_json())
    elif outcome.summary["series"] or outcome.error is None:
        for line in summary_lines(outcome.summary):
            click.echo(line)
    if outcome.error is not None:
        click.echo(f"livem: error: {outcome.error}", err=True)
    return outcome.exit_code
