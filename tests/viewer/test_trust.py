"""What the window says so that its pictures can be trusted: alarms that are noted, the dose, rates. No Qt."""

from __future__ import annotations

from typing import Any

import pytest

from livem.stream.series import SeriesKey
from livem.viewer.models.alarms import FORGET_S, Alarm, AlarmBook, alarms_of_frame, saturated_share
from livem.viewer.models.chips import chips
from livem.viewer.models.dose import DoseMeter
from livem.viewer.models.feed import FeedState
from livem.viewer.models.rates import Pace, Rate
from livem.viewer.models.status import parse_status

LIVE = FeedState("live", "live: demo")
FIRST, SECOND = SeriesKey(b"\x01" * 8, 1), SeriesKey(b"\x01" * 8, 2)


def texts(book: AlarmBook) -> list[str]:
    return [alarm.text for alarm in book.shown]


def test_a_noted_alarm_comes_back_only_when_it_changes() -> None:
    book = AlarmBook()
    book.see([Alarm("disk", "disk full"), Alarm("a", "a")], 0.0)
    book.note(0.0)
    assert (texts(book), len(book.noted)) == ([], 2)
    book.see([Alarm("disk", "disk full"), Alarm("b", "b")], 1.0)
    assert texts(book) == ["b"]
    book.see([], 2.0)
    book.see([Alarm("disk", "disk full")], FORGET_S)
    assert texts(book) == [], "it was away for a moment"
    book.see([], FORGET_S + 1)
    book.see([], 3 * FORGET_S)
    book.see([Alarm("disk", "disk full")], 3 * FORGET_S)
    assert texts(book) == ["disk full"], "it was away for long: another one"


def frame(share: float, **more: Any) -> dict[str, Any]:
    return {"saturated_pixels": round(share * 1e6), "live_pixels": 1_000_000, "saturation": 4095, **more}


def test_saturation_is_a_share_of_the_frame_and_said_again_when_it_doubles() -> None:
    assert list(alarms_of_frame(frame(0.00005))) == []
    (alarm,) = alarms_of_frame(frame(0.02))
    assert alarm.text.startswith("2 % of the pixels are at the detector's limit (4,095 counts)")
    book = AlarmBook()
    book.see([alarm], 0.0)
    book.note(0.0)
    for share, told in ((0.021, 0), (0.019, 0), (0.05, 1)):
        book.see(alarms_of_frame(frame(share)), 1.0)
        assert len(book.shown) == told, share
    assert saturated_share({"saturated_pixels": 3}) is None


def test_pixels_that_do_not_behave_are_named() -> None:
    attrs = {"dead_suspects": 6, "dead_places": [[y, 2] for y in range(6)], "hot_suspects": 1}
    dead, hot = alarms_of_frame(attrs | {"hot_places": [[7, 8]]})
    assert dead.text.startswith("6 px never change while")
    assert "(y 0 x 2, y 1 x 2, y 2 x 2, y 3 x 2 and 2 more)" in dead.text
    assert hot.text.startswith("1 px always leads its neighbours")
    assert "(y 7 x 8)" in hot.text
    assert list(alarms_of_frame({"dead_suspects": "many", "hot_suspects": 0})) == []


def test_the_dose_is_added_up_over_frames_that_were_not_seen_and_over_series() -> None:
    meter = DoseMeter()
    image = {"live_pixels": 100, "counts_per_electron": 2.0, "pixel_size": 0.5, "pixel_unit": "nm"}
    meter.take(FIRST, image | {"mean_counts": 50.0, "index": 9})
    assert meter.each == "1 e/Å²", "50 counts are 25 electrons on 25 square angstroms"
    assert (meter.total, meter.frames) == ("10 e/Å²", 10)
    meter.take(FIRST, image | {"mean_counts": 50.0, "index": 9})
    meter.take(FIRST, image | {"mean_counts": 100.0, "index": 14})
    assert (meter.each, meter.total) == ("2 e/Å²", "20 e/Å²")
    meter.take(SECOND, image | {"mean_counts": 50.0, "index": 4})
    assert (meter.total, meter.frames) == ("25 e/Å²", 20)
    meter.reset()
    assert meter.frames == 0
    meter.take(SECOND, image | {"mean_counts": 50.0, "index": 6})
    assert (meter.total, meter.frames) == ("2 e/Å²", 2)


@pytest.mark.parametrize(
    ("attrs", "each"),
    [
        ({}, "50 counts/px"),
        ({"offset": 10.0}, "40 counts/px"),
        ({"counts_per_electron": 5.0}, "10 e/px"),
        ({"counts_per_electron": 5.0, "pixel_size": 0.2, "pixel_unit": "mrad"}, "10 e/px"),
        ({"counts_per_electron": 5.0, "scan_step": 0.1, "scan_unit": "nm"}, "1,000 e/Å²"),
        ({"pixel_size": 1.0, "pixel_unit": "nm"}, "50 counts/px"),
    ],
)
def test_the_dose_is_in_what_is_known(attrs: dict[str, Any], each: str) -> None:
    meter = DoseMeter()
    meter.take(FIRST, {"mean_counts": 50.0, "live_pixels": 100, "index": 0, **attrs})
    assert (meter.each, meter.total) == (each, each)


@pytest.mark.parametrize("attrs", [{}, {"mean_counts": "x", "index": 0}, {"mean_counts": float("nan")}])
def test_a_frame_that_does_not_say_its_counts_adds_nothing(attrs: dict[str, Any]) -> None:
    meter = DoseMeter()
    meter.take(FIRST, attrs)
    assert (meter.each, meter.total, meter.frames) == ("", "", 0)


def test_rates_are_those_of_the_last_two_seconds() -> None:
    rate = Rate()
    assert rate.see(None, 0.0) is None
    assert rate.see(100, 0.0) is None
    assert rate.see(200, 1.0) == 100
    assert rate.see(400, 2.0) == 150
    assert rate.see(400, 4.0) == 0
    assert rate.see(10, 4.1) is None, "another series"


def test_the_bar_says_rates_times_the_slowest_the_dose_and_the_device() -> None:
    stages = [
        {"name": "vd", "is_there": True, "device": "CPU (no card)"},
        {"name": "net", "is_there": True, "runs_on": "NVIDIA H200"},
    ]
    edges = {
        "vd": {"policy": "lossless", "processed": 90, "latency_ms": {"p50": 1.0, "p95": 4.0}},
        "net": {"policy": "latest", "processed": 9, "latency_ms": {"p50": 8.0, "p95": 38.0}},
    }
    status = parse_status(
        {
            "state": "running",
            "series": {"series": 1, "received": 100},
            "stages": stages,
            "edges": edges,
            "latency_ms": {"p50": 3.14, "p95": 38.0, "p99": 48.2},
            "rates": {"frames_per_second": 2000.3, "bytes_per_second": 262e6},
        }
    )
    meter = DoseMeter()
    meter.take(FIRST, {"mean_counts": 5.0, "live_pixels": 100, "index": 9, "counts_per_electron": 1.0})
    said = {chip.name: chip for chip in chips(LIVE, status, 31, Pace(1990.0, 29.6), meter)}
    assert said["in"].text == "100 at 2,000/s"
    assert "262 MB/s" in said["in"].tip
    assert (said["analysed"].text, said["shown"].text) == ("90 at 1,990/s", "31 at 29.6/s")
    assert (said["latency"].label, said["latency"].text) == ("p50 / p95", "3.1 / 38 ms")
    assert said["slowest"].text == "net 38 ms"
    assert (said["dose"].text, said["device"].text) == ("5 e/px, sum 50 e/px", "CUDA + CPU")
    assert "net: NVIDIA H200" in said["device"].tip
