"""Fakes at the viewer's seams, results as consumers publish them, and windows that leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

if not os.environ.get("DISPLAY"):
    os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtTest import QTest

from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.viewer import qt
from livem.viewer.models.commands import Change, Outcome, Question
from livem.viewer.models.feed import FeedState

SERIES = SeriesKey(b"\x01" * 8, 3)


class FakeFeed:
    """A feed that a test fills by hand."""

    def __init__(self) -> None:
        self.state = FeedState("live", "live: test")
        self.waiting: dict[str, Result] = {}
        self.happened: list[Result] = []
        self.ended: list[Result] = []
        self.closed = False

    def give(self, *results: Result) -> None:
        self.waiting.update({result.topic: result for result in results})

    def poll(self) -> Mapping[str, Result]:
        given, self.waiting = self.waiting, {}
        return given

    def events(self) -> Sequence[Result]:
        happened, self.happened = self.happened, []
        return happened

    def finals(self) -> Sequence[Result]:
        ended, self.ended = self.ended, []
        return ended

    def close(self) -> None:
        self.closed = True


class FakeCommands:
    """Keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Change] = []
        self.questions: list[str] = []
        self.answers: list[Outcome] = []
        self.posed: list[Question] = []
        self.closed = False

    def set(self, consumer: str, name: str, value: Any) -> None:
        self.asked.append(Change(consumer, name, value))

    def ask(self, consumer: str) -> None:
        self.questions.append(consumer)

    def pose(self, question: Question) -> None:
        self.posed.append(question)

    def outcomes(self) -> Sequence[Outcome]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        self.closed = True


class FakeClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Make:
    """Results as the consumers publish them."""

    def __init__(self) -> None:
        self._count = 0

    def _result(self, topic: str, kind: Any, **more: Any) -> Result:
        self._count += 1
        series = more.pop("series", SERIES)
        return Result(topic, kind, series, (0, self._count), self._count, **more)

    def frame(
        self, image: npt.NDArray[Any], factor: int = 1, shape: tuple[int, int] | None = None, **attrs: Any
    ) -> Result:
        full = shape or (image.shape[0] * factor, image.shape[1] * factor)
        attrs = {"index": 41, "factor": factor, "shape": list(full), "mode": "mean"} | attrs
        return self._result(
            "preview.frame", "image", arrays={"image": image}, units={"image": "counts"}, attrs=attrs
        )

    def scan(
        self,
        topic: str,
        image: npt.NDArray[Any],
        valid: npt.NDArray[np.bool_] | None = None,
        series: SeriesKey = SERIES,
        **attrs: Any,
    ) -> Result:
        arrays = {"image": image} | ({} if valid is None else {"valid": valid})
        return self._result(
            topic, "image", arrays=arrays, units={"image": "counts"}, attrs=attrs, series=series
        )

    def disk(self, image: npt.NDArray[Any], center: Sequence[float], radius: float) -> Result:
        return self.scan("vd.bf", image, kind="disk", center=list(center), radius=radius)

    def annulus(self, image: npt.NDArray[Any], center: Sequence[float], inner: float, outer: float) -> Result:
        return self.scan("vd.haadf", image, kind="annulus", center=list(center), inner=inner, outer=outer)

    def curve(self, topic: str, x: npt.NDArray[Any], y: npt.NDArray[Any], **attrs: Any) -> Result:
        return self._result(topic, "curve", arrays={"x": x, "y": y}, units={"y": "counts"}, attrs=attrs)

    def event(self, topic: str, message: str) -> Result:
        return self._result(topic, "event", attrs={"message": message})

    def status(self, **attrs: Any) -> Result:
        return self._result("status", "status", attrs=attrs, series=None)


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def feed() -> FakeFeed:
    return FakeFeed()


@pytest.fixture
def commands() -> FakeCommands:
    return FakeCommands()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def window(qapp: Any, feed: FakeFeed, commands: FakeCommands, clock: FakeClock) -> Iterator[Any]:
    """The real window on fakes, 1000 x 700, laid out; closed and deleted after the test."""
    from livem.viewer.window import ViewerWindow

    qt.application(headless=True)
    shown = ViewerWindow(feed, commands, clock)
    shown.resize(1000, 700)
    shown.show()
    if qapp.platformName() == "xcb":  # keys go to the active window, and no window manager makes it that
        shown.activateWindow()
        assert QTest.qWaitForWindowActive(shown)
    yield shown
    assert shown.guard.off == {}
    shown.close()
    qt.finish_deletions()
    qapp.processEvents()
    assert qapp.topLevelWidgets() == []


@pytest.fixture
def show(window: Any, feed: FakeFeed, qapp: Any) -> Callable[..., None]:
    """Give results to the window and let it draw them as they will stay."""

    def give(*results: Result) -> None:
        from livem.viewer.snapshot import paint

        feed.give(*results)
        paint(window)

    return give


@pytest.fixture
def colour_at() -> Callable[[Any, float, float], tuple[int, int, int]]:
    """The colour on the screen at the point (y, x) of a picture."""

    def look(view: Any, y: float, x: float) -> tuple[int, int, int]:
        where = view.to_screen(y, x).toPoint()
        colour = view.grab().toImage().pixelColor(where)
        return (colour.red(), colour.green(), colour.blue())

    return look
