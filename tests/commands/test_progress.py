"""What a running session says, in place on a terminal and by changes elsewhere; its accounts in words."""

from __future__ import annotations

import io
from typing import Any

from livem.commands.accounts_text import series_lines, summary_lines, total
from livem.commands.progress import Progress, status_line

EDGE = {"policy": "lossless", "processed": 90, "dropped": {}, "in_flight": 2, "restarts": 0}


def a_series(**changes: Any) -> dict[str, Any]:
    return {
        "series": 3,
        "epoch": "00ff",
        "state": "open",
        "reason": None,
        "announced": 16384,
        "sent": None,
        "received": 92,
        "lost": 5,
        "duplicate": 1,
        "late": 0,
        "rejected": {"bad_payload": 3},
        "edges": {"vd": EDGE, "preview": {**EDGE, "policy": "latest", "dropped": {"skipped": 7}}},
        "latency_ms": {"p50": 1.25, "p99": 3.5},
        "first_result_ms": 12.0,
        "frames_per_second": 2000.0,
        "results": {"vd.bf": "out/3/vd.bf.npy"},
        **changes,
    }


def a_status(**changes: Any) -> dict[str, Any]:
    series = a_series()
    return {
        "state": "running",
        "message": "series 3 is being received",
        "source": {"url": "tcp://h:1", "peers": 1, "detail": "connected to h:1"},
        "series": series,
        "edges": series["edges"],
        "rates": {"frames_per_second": 1999.6, "bytes_per_second": 1e8},
        "latency_ms": series["latency_ms"],
        "ring": {"waiting_for": None, "waited_s": 0.0},
        "alarms": [],
        **changes,
    }


def test_status_line_says_all_that_matters() -> None:
    assert status_line(a_status()) == (
        "running: series 3  92 of 16,384 frames  2,000 frames/s  p50 1.2 ms  lost 5  dropped preview 7  "
        "rejected 3"
    )


def test_back_pressure_is_in_the_line() -> None:
    message = "the detector is made to wait for 'vd' (lossless)"
    line = status_line(a_status(message=message, ring={"waiting_for": "vd"}))
    assert line.endswith(message)


def test_a_silent_sender_is_in_the_line() -> None:
    message = "series 3 has had no frames for 1.4 s"
    assert status_line(a_status(message=message, series=a_series() | {"silent_s": 1.4})).endswith(message)


def test_a_terminal_gets_one_line_that_is_rewritten_and_taken_away() -> None:
    stream = io.StringIO()
    progress = Progress(stream, in_place=True)
    for _ in range(3):
        progress.update(a_status())
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().count("\rrunning: series 3") == 3
    progress.clear()
    assert stream.getvalue().endswith(" \r")


def test_a_file_gets_a_line_when_something_changes() -> None:
    stream = io.StringIO()
    progress = Progress(stream, in_place=False)
    for received in range(5):
        progress.update(a_status(series=a_series(received=received)))
    done = a_series(state="complete")
    progress.update(a_status(state="waiting", message="series 3 is complete", series=done))
    progress.update(a_status(state="ended", message="enough", series=done))
    assert stream.getvalue().splitlines() == [
        "livem: running: series 3 is being received",
        "livem: waiting: series 3 is complete",
    ]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def a_stall(seconds: float) -> dict[str, Any]:
    series = a_series(silent_s=seconds)
    return a_status(message=f"series 3 has had no frames for {seconds:.1f} s", series=series)


def test_a_file_is_told_of_a_silent_sender_and_of_its_return() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, in_place=False, clock=clock)
    for status in (a_status(), a_stall(1.2), a_stall(1.4), a_stall(9.0), a_status(), a_status()):
        progress.update(status)
        clock.now += 0.2
    assert stream.getvalue().splitlines() == [
        "livem: running: series 3 is being received",
        "livem: running: series 3 has had no frames for 1.2 s",
        "livem: running: series 3: frames come again",
    ]


def test_a_detector_that_is_braked_many_times_a_second_fills_no_file() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, in_place=False, clock=clock)
    waiting = a_status(message="the detector is made to wait for 'vd' (lossless)", ring={"waiting_for": "vd"})
    for _ in range(20):
        for status in (a_status(), waiting):
            progress.update(status)
            clock.now += 0.2
    lines = stream.getvalue().splitlines()
    assert sum("made to wait" in line for line in lines) == 2, "in 8 s, at most every 5"
    assert sum("come again" in line for line in lines) <= 2


def test_frames_come_again_though_their_series_is_gone() -> None:
    """A live session's ring may be held up when its newest series is no longer known."""
    out = io.StringIO()
    progress = Progress(out, in_place=False)
    none: dict[str, Any] = {"series": None, "source": {"detail": "connected"}}
    progress.update(a_status(**none))
    progress.update(a_status(**none, ring={"waiting_for": "vd", "waited_s": 1.0}))
    progress.update(a_status(**none))
    assert out.getvalue().splitlines()[-1] == "livem: running: frames come again"


def test_what_is_refused_before_a_series_is_one_line_however_much_it_grows() -> None:
    stream = io.StringIO()
    progress = Progress(stream, in_place=False)
    for count in (0, 1, 408, 900):
        refused = {"count": count, "reason": "bad_header", "text": "no msgpack"} if count else None
        source = {"detail": "connected to h:1", "refused": refused}
        message = f"waiting for tcp://h:1: {count} refused"
        progress.update(a_status(state="waiting", message=message, series=None, source=source))
    assert len(stream.getvalue().splitlines()) == 2


def test_each_alarm_is_said_once_though_old_ones_fall_out() -> None:
    stream = io.StringIO()
    progress = Progress(stream, in_place=False)
    for alarms in (["a", "b"], ["a", "b"], ["b", "c"], ["c", "c"], []):
        progress.alarms(alarms)
    assert stream.getvalue().splitlines() == [f"livem: alarm: {alarm}" for alarm in "abcc"]


def test_accounts_add_up_in_words() -> None:
    series = a_series(state="incomplete", reason="the sender is gone")
    assert total(series) == 100
    lines = list(series_lines(series))
    assert lines[0] == "series 3: incomplete: the sender is gone"
    assert lines[1] == (
        "  100 of 16384 announced frames sent = 92 received + 5 lost + 3 rejected (bad_payload 3)"
        ", 1 duplicate"
    )
    assert lines[2] == (
        "  vd       lossless  100 sent = 90 processed + 0 dropped + 5 lost + 3 rejected + 2 in flight"
    )
    assert "7 dropped (skipped 7)" in lines[3]
    assert lines[-1] == "  results: out/3/vd.bf.npy"


def test_a_session_without_a_series() -> None:
    summary = {"series": [], "unascribed": {"bad_header": 2}, "ring": {"waited_s": 1.5}}
    lines = list(summary_lines(summary))
    assert lines[0] == "no series was received"
    assert lines[1] == "rejected, of no series: bad_header 2"
    assert "made to wait for 1.5 s" in lines[2]


def test_why_frames_were_refused_is_said_with_value_and_limit() -> None:
    why = "a raw frame of 4 x 4 uint16 is 32 bytes, received 30 (payload_size)"
    series = a_series(rejected={"payload_size": 3}, refused={"payload_size": why})
    assert list(series_lines(series))[2] == f"  rejected, the first: {why}"
    summary = {"series": [], "unascribed": {"bad_header": 2}, "refused": {"bad_header": "no msgpack"}}
    lines = list(summary_lines({**summary, "ring": {"waited_s": 0.0}}))
    assert lines[1:] == ["rejected, of no series: bad_header 2", "  the first: no msgpack"]
