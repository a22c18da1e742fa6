"""A series whose sender says nothing: seen after a second, told, not closed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from session_tools import TINY, a_pipeline, identity_holds, step_until

from livem.session import Session, SessionOptions
from livem.session.status import SILENT_FRAMES, SILENT_S, Rates, describe, stream_status
from livem.stream.series import Series, SeriesKey


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class OneSeries:
    """Accounts of one series, as far as the status asks."""

    def __init__(self, frame_time: float | None = None, rate: float | None = None) -> None:
        meta = {} if frame_time is None else {"frame_time": frame_time}
        self._series = Series(SeriesKey(bytes(8), 4), (2, 2), "uint8", meta=meta)
        self.rate, self.state, self.frames = rate, "open", 1
        self.waiting_for: str | None = None

    def series_count(self) -> int:
        return 1

    def series(self, serial: int) -> Series:
        return self._series

    def of(self, serial: int) -> dict[str, Any]:
        return {
            "series": 4,
            "state": self.state,
            "reason": None,
            "edges": {},
            "latency_ms": {},
            "frames_per_second": self.rate,
        }

    def entered(self) -> tuple[int, int]:
        return self.frames, self.frames * 4

    def ring(self) -> dict[str, Any]:
        return {"waiting_for": self.waiting_for}

    def unascribed(self) -> dict[str, int]:
        return {}


def silence_after(seconds: float, accounts: OneSeries) -> float | None:
    """What the status says of a series of which nothing came for so long."""
    clock = Clock()
    rates = Rates(clock)
    stream_status(accounts, rates)  # type: ignore[arg-type]
    clock.now += seconds
    silent: float | None = stream_status(accounts, rates)["series"]["silent_s"]  # type: ignore[arg-type]
    return silent


@pytest.mark.parametrize(
    ("frame_time", "rate", "usual"),
    [
        (None, None, SILENT_S),
        (None, 1000.0, SILENT_S),
        (None, 4.0, SILENT_FRAMES / 4),
        (0.5, None, SILENT_FRAMES * 0.5),
        (0.0001, 4.0, SILENT_S),
    ],
)
def test_silence_is_measured_by_the_series_own_rhythm(
    frame_time: float | None, rate: float | None, usual: float
) -> None:
    assert silence_after(usual, OneSeries(frame_time, rate)) is None
    assert silence_after(usual + 0.2, OneSeries(frame_time, rate)) == pytest.approx(usual + 0.2)


def test_a_series_that_is_over_is_not_silent() -> None:
    accounts = OneSeries()
    accounts.state = "complete"
    assert silence_after(60.0, accounts) is None


def test_a_sender_that_is_made_to_wait_is_not_silent() -> None:
    accounts = OneSeries()
    accounts.waiting_for = "vd"
    assert silence_after(60.0, accounts) is None


def test_a_frame_or_another_series_ends_the_silence() -> None:
    clock = Clock()
    rates = Rates(clock)
    for serial, frames, silent in [(0, 0, 0.0), (0, 0, 2.0), (0, 1, 0.0), (0, 1, 2.0), (1, 1, 0.0)]:
        rates.take(serial, frames, 0)
        assert rates.silent_s == silent
        clock.now += 2.0


def test_the_status_line_says_how_long() -> None:
    current = {"series": 4, "state": "open", "reason": None}
    assert describe("running", "tcp://x", {}, {**current, "silent_s": 1.44}) == (
        "series 4 has had no frames for 1.4 s"
    )
    assert describe("running", "tcp://x", {}, {**current, "silent_s": None}) == "series 4 is being received"
    paused = {"replay": {"paused": True}}
    assert describe("running", "f.h5", paused, {**current, "silent_s": 9.0}) == "series 4 is paused"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be frozen here")
def test_fault_01_a_frozen_sender_is_told_and_its_series_goes_on(tmp_path: Path) -> None:
    """Its connection lives, so only the missing frames tell; nothing is lost when it thaws."""
    options = SessionOptions(f"{TINY}&fps=64&repeats=1", out=tmp_path, series=1)
    with Session(a_pipeline(), options) as session:
        session.start()

        def current() -> dict[str, Any]:
            return session.status()["series"] or {}

        step_until(session, lambda: current().get("received", 0) >= 16)
        sender = session.processes.pids()["sender"]
        os.kill(sender, signal.SIGSTOP)
        try:
            step_until(session, lambda: "has had no frames for" in session.status()["message"])
            assert current()["state"] == "open"
            assert current()["silent_s"] >= SILENT_S
        finally:
            os.kill(sender, signal.SIGCONT)
        step_until(session, lambda: session.settling.series == 1)
        session.finish()
        (account,) = session.summary()["series"]
    assert account["state"] == "complete"
    assert account["received"] == 256
    assert identity_holds(account)


def test_a_series_that_is_over_has_its_own_rate_not_that_of_the_last_seconds() -> None:
    accounts, clock = OneSeries(rate=475.3), Clock()
    rates = Rates(clock)
    stream_status(accounts, rates)  # type: ignore[arg-type]
    clock.now += 1.0
    accounts.frames, accounts.state = 93, "complete"
    told = stream_status(accounts, rates)["rates"]  # type: ignore[arg-type]
    assert told == {"frames_per_second": 475.3, "bytes_per_second": 1901.2}
