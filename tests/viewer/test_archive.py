"""Series that are over: what is kept of them, how long, and how they are browsed. No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.viewer.models.archive import Archive, Browser, past_text
from livem.viewer.models.status import Status

IMAGE = np.zeros((4, 4))
NBYTES = IMAGE.nbytes


def key(number: int, epoch: bytes = b"\x01" * 8) -> SeriesKey:
    return SeriesKey(epoch, number)


def last(number: int, topic: str = "vd.bf", image: np.ndarray = IMAGE) -> Result:
    return Result(topic, "image", key(number), (0, 16), number, {"image": image}, final=True)


def numbers(archive: Archive) -> list[int]:
    return [past.key.number for past in archive.series]


def ended(number: int, state: str = "complete", reason: str = "") -> Status:
    return Status(series=number, epoch=key(number).epoch.hex(), series_state=state, incomplete=reason)


def test_the_newest_are_kept_and_the_rest_is_counted() -> None:
    archive = Archive(limit=3 * NBYTES)
    archive.keep(last(number) for number in range(5))
    assert (numbers(archive), archive.forgotten, archive.nbytes) == ([2, 3, 4], 2, 3 * NBYTES)


def test_the_newest_is_kept_however_large_it_is() -> None:
    archive = Archive(limit=1)
    archive.keep([last(1), last(2), last(2, "vd.haadf")])
    assert (numbers(archive), archive.nbytes) == ([2], 2 * NBYTES)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 8)), max_size=60))
def test_bytes_are_counted_right_whatever_comes(came: list[tuple[int, int, int]]) -> None:
    archive = Archive(limit=20 * 8)
    for number, topic, size in came:
        archive.keep([last(number, f"vd.d{topic}", np.zeros((1, size)))])
        assert archive.nbytes == sum(past.nbytes for past in archive.series)
        assert archive.nbytes <= archive.limit or len(archive.series) == 1


def test_a_detector_that_changed_after_the_end_replaces_its_image_only() -> None:
    archive = Archive()
    archive.keep([last(1), last(1, "vd.haadf"), last(2)])
    new = last(1, "vd.bf", IMAGE + 1)
    archive.keep([new])
    first = archive.series[0]
    assert (numbers(archive), first.results["vd.bf"]) == ([1, 2], new)
    assert set(first.results) == {"vd.bf", "vd.haadf"}
    assert archive.nbytes == 3 * NBYTES


def test_how_it_ended_is_known_whichever_came_first() -> None:
    archive = Archive(now=lambda: 0.0)
    archive.note(ended(1, "incomplete", "the sender fell silent"))
    archive.keep([last(1), last(2), last(3)])
    archive.note(ended(2))
    archive.note(Status(series=3, epoch=key(3).epoch.hex(), series_state="open"))
    states = [past.verdict.state for past in archive.series]
    assert states == ["incomplete", "complete", ""]
    assert archive.series[0].verdict.reason == "the sender fell silent"
    assert [past_text(past).split("   ")[2] for past in archive.series] == [
        "incomplete",
        "complete",
        "all pixels measured",
    ]


def test_the_same_number_of_another_sender_is_another_series() -> None:
    archive = Archive()
    archive.keep([last(1), replace(last(1), series=key(1, b"\x02" * 8))])
    archive.note(ended(1))
    assert [past.verdict.state for past in archive.series] == ["complete", ""]


@pytest.fixture
def browser() -> Browser:
    """Series 1 to 4, the newest of which is 4."""
    archive = Archive()
    archive.keep(last(number) for number in range(1, 5))
    return Browser(archive, lambda: key(4))


def shown(browser: Browser) -> int | None:
    return None if browser.shown is None else browser.shown.key.number


def test_back_and_on(browser: Browser) -> None:
    seen = [shown(browser)]
    for step in (browser.older, browser.older, browser.older, browser.older, browser.newer, browser.newer):
        step()
        seen.append(shown(browser))
    assert seen == [None, 3, 2, 1, 1, 2, 3]
    browser.newer()
    assert shown(browser) is None
    browser.newer()
    assert shown(browser) is None


def test_one_step_back_to_live(browser: Browser) -> None:
    browser.older()
    browser.older()
    assert browser.place == 1
    browser.live()
    assert (shown(browser), browser.place) == (None, None)


def test_what_is_shown_stays_while_others_end_and_is_let_go_when_it_leaves() -> None:
    archive, newest = Archive(limit=3 * NBYTES), [key(2)]
    browser = Browser(archive, lambda: newest[0])
    archive.keep([last(1), last(2)])
    browser.older()
    archive.keep([last(3)])
    assert shown(browser) == 1
    archive.keep([last(4)])
    assert shown(browser) is None
    newest[0] = key(4)
    browser.older()
    assert shown(browser) == 3


def test_nothing_to_go_back_to() -> None:
    browser = Browser(Archive(), lambda: None)
    browser.older()
    browser.newer()
    assert (shown(browser), browser.past) == (None, ())


def test_a_status_of_anything_is_no_verdict(make: Any) -> None:
    archive = Archive()
    archive.note(Status())
    archive.note(Status(series=1, series_state="strange"))
    archive.keep([last(1)])
    assert archive.series[0].verdict.state == ""
