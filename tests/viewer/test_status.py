from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.viewer.models.chips import chips, lost_warning, state_chip
from livem.viewer.models.feed import FeedState
from livem.viewer.models.status import Status, parse_status

LIVE = FeedState("live", "live: demo")
RUNNING: dict[str, Any] = {
    "state": "running",
    "message": "",
    "source": {"url": "tcp://detector:5000", "peers": 1, "detail": ""},
    "series": {
        "series": 3,
        "state": "open",
        "announced": 16384,
        "sent": None,
        "received": 9216,
        "lost": 10,
        "duplicate": 2,
        "rejected": {"bad_shape": 3, "bad_header": 1},
    },
    "edges": {
        "vd": {"policy": "lossless", "processed": 9000, "dropped": {"late": 7}, "in_flight": 6},
        "track": {"policy": "lossless", "processed": 8500, "dropped": {}, "in_flight": 6},
        "preview": {"policy": "sample_hz:30", "processed": 140, "dropped": {"policy": 9076}},
    },
    "rates": {"frames_per_second": 2000.3, "bytes_per_second": 262.1e6},
    "latency_ms": {"p50": 3.14, "p95": 39.0, "p99": 48.2},
    "ring": {"bytes": 3.2e9, "seconds": 12.4},
    "alarms": ["disk nearly full"],
}


def texts(status: Status, feed: FeedState = LIVE, shown: int = 321) -> dict[str, str]:
    return {chip.name: f"{chip.label} {chip.text}".strip() for chip in chips(feed, status, shown)}


def test_everything_is_said() -> None:
    assert texts(parse_status(RUNNING)) == {
        "state": "LIVE",
        "series": "series 3",
        "in": "in 9,216 / 16,384 at 2,000/s",
        "analysed": "analysed 8,500",
        "shown": "shown 321",
        "latency": "p50 / p95 3.1 / 39 ms",
        "lost": "lost at source 10",
        "dropped": "by us 7",
        "rejected": "rejected 4",
        "duplicate": "twice 2",
        "ring": "buffer 3.2 GB = 12 s",
    }


def test_what_is_missing_is_red_and_explained() -> None:
    said = {chip.name: chip for chip in chips(LIVE, parse_status(RUNNING), 0)}
    assert [said[name].tone for name in ("lost", "dropped", "rejected")] == ["bad"] * 3
    assert said["rejected"].tip == "bad_shape: 3, bad_header: 1"
    assert "preview (sample_hz:30): 140 frames, not seen: 9,076 policy" in said["dropped"].tip


def test_nothing_missing_is_plain() -> None:
    said = {chip.name: chip for chip in chips(LIVE, Status(), 0)}
    assert [said[name].tone for name in ("lost", "dropped", "rejected")] == ["plain"] * 3


@pytest.mark.parametrize(
    ("feed", "state", "text", "tone"),
    [
        (LIVE, "running", "LIVE", "good"),
        (LIVE, "waiting", "WAITING", "muted"),
        (LIVE, "ended", "ENDED", "muted"),
        (LIVE, "failed", "FAILED", "bad"),
        (LIVE, "rewinding", "REWINDING", "plain"),
        (LIVE, "", "CONNECTED", "muted"),
        (FeedState("connecting", ""), "", "CONNECTING", "warn"),
        (FeedState("lost", "gone for 3 s"), "running", "LOST", "warn"),
    ],
)
def test_the_state_is_one_word(feed: FeedState, state: str, text: str, tone: str) -> None:
    chip = state_chip(feed, Status(state=state))
    assert (chip.text, chip.tone) == (text, tone)


def test_a_lost_session_is_said_above_the_pictures() -> None:
    assert lost_warning(LIVE) == ()
    (warning,) = lost_warning(FeedState("lost", "the session at tcp://a:1 is gone for 3 s"))
    assert "gone for 3 s" in warning


def test_an_incomplete_series_is_said_with_its_reason() -> None:
    series = RUNNING["series"] | {"state": "incomplete", "reason": "the sender fell silent"}
    status = parse_status(RUNNING | {"series": series})
    assert texts(status)["series"] == "series 3 incomplete"
    assert {c.name: c.tip for c in chips(LIVE, status, 0)}["series"] == "the sender fell silent"


def test_what_belonged_to_no_series_is_rejected_too() -> None:
    status = parse_status(RUNNING | {"unascribed": {"bad_header": 4, "no_series": 5, "other": 0}})
    assert status.rejected == {"bad_shape": 3, "bad_header": 5, "no_series": 5}


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(RUNNING)), junk), st.data())
def test_any_status_is_read(attrs: dict[str, Any], data: st.DataObject) -> None:
    for name in ("series", "edges", "rates", "latency_ms", "ring"):
        if data.draw(st.booleans()):
            known = RUNNING[name]
            attrs[name] = data.draw(st.dictionaries(st.sampled_from(sorted(known)), junk))
    assert "state" in texts(parse_status(attrs))


@pytest.mark.parametrize(
    ("recording", "text", "tone"),
    [
        ({"state": "recording", "frames": 1200, "seconds_left": 7300.0}, "REC 1,200, room for 2.0 h", "good"),
        ({"state": "recording", "frames": 5, "seconds_left": 90.0}, "REC 5, room for 90 s", "warn"),
        ({"state": "recording", "frames": 5}, "REC 5", "good"),
        ({"state": "idle", "free_bytes": 1e9}, "REC ready", "muted"),
        ({"state": "failed", "error": "no space left"}, "REC failed", "bad"),
    ],
)
def test_what_is_kept_and_how_long_there_is_room(recording: dict[str, Any], text: str, tone: str) -> None:
    status = parse_status(RUNNING | {"recording": recording})
    (chip,) = [chip for chip in chips(LIVE, status, 0) if chip.name == "recording"]
    assert (f"{chip.label} {chip.text}", chip.tone) == (text, tone)
    assert "recording" not in texts(parse_status(RUNNING))


@pytest.mark.parametrize(("file", "tip"), [("", "3.2 GB free"), ("a.h5", "a.h5\n3.2 GB free")])
def test_the_free_space_is_told_beside_the_file(file: str, tip: str) -> None:
    status = parse_status(RUNNING | {"recording": {"state": "recording", "file": file, "free_bytes": 3.2e9}})
    assert {chip.name: chip.tip for chip in chips(LIVE, status, 0)}["recording"] == tip
