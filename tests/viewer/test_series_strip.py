"""Past series as small pictures: their pixels, what is said of them, a click, and the way further back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from livem.stream.series import SeriesKey
from livem.viewer import theme
from livem.viewer.colour import CHECKER, GREY
from livem.viewer.models.archive import PastSeries
from livem.viewer.models.thumbnails import SIDE, thumbnail_of


def series(number: int) -> SeriesKey:
    return SeriesKey(b"\x01" * 8, number)


@pytest.fixture
def run(feed: Any, make: Any, show: Any) -> Callable[..., None]:
    """One series: bright at the left where its number is odd, at the right where it is even."""

    def go(number: int, state: str = "complete") -> None:
        image = np.zeros((32, 32))
        image[:, :16] = number % 2
        image[:, 16:] = 1 - number % 2
        result = make.scan("vd.bf", image, series=series(number))
        feed.ended.append(replace(result, final=True))
        account = {"series": number, "epoch": series(number).epoch.hex(), "state": state, "reason": "cut"}
        show(make.status(state="running", series=account), result)

    return go


def past(make: Any, image: np.ndarray, **attrs: Any) -> PastSeries:
    one = PastSeries(series(1), 0.0)
    one.results["vd.bf"] = make.scan("vd.bf", image, **attrs)
    return one


def test_a_thumbnail_is_the_picture_made_smaller(make: Any) -> None:
    image = np.zeros((200, 100))
    image[:100] = 1.0
    small = thumbnail_of(past(make, image))
    assert small is not None
    assert max(small.shape[:2]) <= SIDE
    assert small.shape == (50, 25, 4)
    assert (small[:24, :, 0] > 250).all()
    assert (small[26:, :, 0] < 5).all()


def test_holes_vectors_and_series_without_pictures(make: Any) -> None:
    hole = np.full((8, 8), np.nan)
    nothing = thumbnail_of(past(make, hole))
    assert nothing is not None
    assert (nothing[..., :3] == CHECKER[0, :3]).all() or (nothing[..., :3] == CHECKER[1, :3]).all()
    field = np.zeros((8, 8, 2))
    field[0, 0] = 5.0
    drawn = thumbnail_of(past(make, field))
    assert drawn is not None
    assert drawn[0, 0, 0] > drawn[4, 4, 0]
    assert thumbnail_of(PastSeries(series(1), 0.0)) is None
    assert GREY.shape[0] == 256


def test_tiles_show_what_was_measured_and_a_click_goes_there(window: Any, run: Any, show: Any) -> None:
    run(1)
    run(2, "incomplete")
    run(3)
    strip = window.series.strip
    assert [one.key.number for one in strip.tiles] == [1, 2]
    drawn = strip.grab().toImage()

    def tone(one: PastSeries, x: float) -> int:
        place = strip.tile(one)
        return int(drawn.pixelColor(round(place.x() + 3 + x), round(place.center().y())).red())

    first, second = strip.tiles
    assert tone(first, 14) > 250
    assert tone(first, 42) < 5
    assert tone(second, 14) < 5
    assert tone(second, 42) > 250
    where = strip.tile(second).center().toPoint()
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=where)
    show()
    assert window.session.browser.shown.key == series(2)
    assert window.series.pill.text() == "PAST, NOT LIVE"
    edge = strip.grab().toImage().pixelColor(round(strip.tile(second).x()) + 1, 30)
    assert edge.name() == theme.WARN
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(strip.width() - 2, 30))
    assert window.session.browser.shown.key == series(2)  # nothing is there


def test_keys_bring_a_series_that_is_hidden_into_sight(window: Any, run: Any, show: Any) -> None:
    for number in range(1, 13):
        run(number)
    strip = window.series.strip
    assert strip.tiles[-1].key.number == 11
    assert len(strip.tiles) < 11
    for _ in range(11):
        window.session.browser.older()
    show()
    assert strip.tiles[0].key.number == 1
    window.session.browser.live()
    show()
    assert window.session.browser.shown is None
