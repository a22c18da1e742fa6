"""Original pixels of a frame whose picture has fewer: under the mouse, and of what is looked at closely."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.kernels.cutouts import Cutout
from livem.session import Session, SessionOptions
from livem.stream.simulate.catalogue import open_acquisition
from livem.viewer import qt
from livem.viewer.models.commands import Outcome, Question
from livem.viewer.models.finer import FRESH_S, REFUSED_S, REST_S, Finer
from livem.viewer.models.held import HELD, moment_of
from livem.viewer.models.session import Session as Known

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from microscope import Microscope
from session_tools import TINY, a_pipeline

FULL = np.random.default_rng(5).integers(0, 1000, (256, 256)).astype(np.uint16)
POINT = (100.0, 60.0)
CLOSE = Cutout(64, 0, 192, 128, 1)
LIVE_PREVIEW = [{"name": "preview", "type": "preview", "max_size": 16}]


class Desk:
    """The model, and a session that answers when told to."""

    def __init__(self, commands: Any, clock: Any, make: Any) -> None:
        self.commands, self.clock, self.make = commands, clock, make
        self.known = Known()
        self.finer = Finer(self.known, commands, clock)

    def take(self, index: int, **attrs: Any) -> None:
        small = FULL.reshape(32, 8, 32, 8).mean(axis=(1, 3)).astype(np.float32)
        frame = self.make.frame(small, factor=8, shape=(256, 256), index=index, **attrs)
        self.known.take({frame.topic: frame})

    def tick(self) -> list[dict[str, Any]]:
        """Questions that are asked now."""
        self.finer.tick(True)
        asked, self.commands.posed = [dict(each.fields) for each in self.commands.posed], []
        return asked

    def answer(self, fields: dict[str, Any], **said: Any) -> None:
        top, left, bottom, right, _ = fields["part"]
        cut = {"corner": [top, left], "factor": 1, "shape": [256, 256]}
        image = FULL[top:bottom, left:right]
        part = self.make.frame(image, shape=(256, 256), index=fields["index"], factor=1, cut=cut)
        said = said or {"found": True, "result": part}
        assert self.finer.answered(Outcome(Question("pixels", fields), None, said))

    def point(self) -> list[dict[str, Any]]:
        """The mouse rests at POINT."""
        self.finer.look(None, POINT)
        self.clock.forward(2 * REST_S)
        return self.tick()


@pytest.fixture
def desk(commands: Any, clock: Any, make: Any) -> Desk:
    desk = Desk(commands, clock, make)
    desk.take(41)
    return desk


def test_a_mouse_that_passes_asks_nobody(desk: Desk) -> None:
    for x in range(20):
        desk.finer.look(None, (100.0, float(x)))
        desk.clock.forward(REST_S / 2)
        assert desk.tick() == []


def test_where_it_rests_the_pixels_about_it_are_asked_for_once(desk: Desk) -> None:
    (asked,) = desk.point()
    assert (asked["index"], asked["part"], asked["consumer"]) == (41, [84, 44, 116, 76, 1], "preview")
    desk.clock.forward(1.0)
    assert desk.tick() == []  # one question under way
    assert desk.finer.under(POINT) is None
    desk.answer(asked)
    part = desk.finer.under(POINT)
    assert part is not None
    assert part.arrays["image"][16, 16] == FULL[100, 60]
    desk.clock.forward(1.0)
    assert desk.tick() == []  # no other frame has come
    assert desk.finer.under(POINT) is part
    desk.take(42)
    (asked,) = desk.tick()
    assert asked["index"] == 42


def test_what_is_too_old_for_a_live_frame_is_not_read(desk: Desk) -> None:
    desk.answer(*desk.point())
    desk.take(42)
    assert desk.finer.under(POINT) is not None
    desk.clock.forward(1.1 * FRESH_S)
    assert desk.finer.under(POINT) is None
    assert desk.finer.under((10.0, 10.0)) is None


def test_beside_a_held_frame_only_its_own_pixels_are_read(desk: Desk) -> None:
    desk.answer(*desk.point())
    desk.take(42, **{HELD: True})
    assert desk.finer.under(POINT) is None
    desk.clock.forward(1.0)
    (asked,) = desk.tick()
    assert asked["index"] == 42


def test_another_series_shows_nothing_of_the_last(desk: Desk) -> None:
    desk.answer(*desk.point())
    frame = desk.known.frame
    assert frame is not None
    assert frame.series is not None
    other = replace(frame, series=replace(frame.series, number=frame.series.number + 1), t_ns=10**6)
    desk.known.take({frame.topic: other})
    assert desk.finer.under(POINT) is None


def test_a_frame_that_is_gone_is_not_asked_for_again(desk: Desk) -> None:
    (asked,) = desk.point()
    desk.answer(asked, found=False, why="overwritten")
    desk.clock.forward(1.0)
    assert desk.tick() == []
    desk.take(42)
    assert desk.tick()[0]["index"] == 42


def test_a_session_that_does_not_know_the_question_is_left_alone(desk: Desk) -> None:
    (asked,) = desk.point()
    assert desk.finer.answered(Outcome(Question("pixels", asked), "unknown request", {}))
    for index in range(50, 60):
        desk.take(index)
        desk.clock.forward(REFUSED_S / 20)
        assert desk.tick() == []
    desk.clock.forward(REFUSED_S)
    assert len(desk.tick()) == 1


def test_while_the_process_begins_it_is_asked_again(desk: Desk) -> None:
    (asked,) = desk.point()
    desk.answer(asked, starting=True)
    assert desk.tick() == []
    desk.clock.forward(1.0)
    assert desk.tick() == [asked]


def test_what_is_looked_at_closely_comes_with_its_own_pixels(desk: Desk) -> None:
    desk.finer.look(CLOSE, None)
    (asked,) = desk.tick()
    assert asked["part"] == CLOSE.plain()
    assert desk.finer.shown() is None
    desk.answer(asked)
    shown = desk.finer.shown()
    assert shown is not None
    np.testing.assert_array_equal(shown.arrays["image"], FULL[64:192, :128])
    desk.finer.look(replace(CLOSE, top=0), None)
    assert desk.finer.shown() is None  # of another part
    desk.finer.look(None, None)
    assert desk.finer.shown() is None


def test_where_parts_come_by_themselves_only_held_frames_are_asked_for(desk: Desk) -> None:
    desk.finer.is_served = True
    desk.finer.look(CLOSE, None)
    assert desk.tick() == []
    desk.take(42, **{HELD: True})
    assert desk.tick()[0]["part"] == CLOSE.plain()


def test_a_picture_of_all_pixels_is_enough(desk: Desk, make: Any) -> None:
    frame = make.frame(FULL, index=43)
    desk.known.take({frame.topic: frame})
    desk.finer.look(CLOSE, POINT)
    desk.clock.forward(1.0)
    assert desk.tick() == []
    assert moment_of(frame) is not None


# -- a real session ----------------------------------------------------------------------------------


@pytest.fixture(params=["here", "elsewhere"])
def scope(request: Any, qapp: Any, tmp_path: Path) -> Iterator[Microscope]:
    """32 x 32 px of which the preview gives 16 x 16, in a window here or elsewhere."""
    qt.application(headless=True)
    options = SessionOptions(f"{TINY}&fps=150&repeats=0", out=tmp_path)
    budget = 1e8 if request.param == "elsewhere" else None
    scope = Microscope(Session(a_pipeline(consumers=LIVE_PREVIEW), options), qapp, budget)
    yield scope
    scope.close()


@pytest.mark.timeout(300)
def test_the_original_value_is_read_and_a_close_look_has_original_pixels(scope: Microscope) -> None:
    window, sent = scope.window, open_acquisition(TINY)
    pane, view = window.frame.pane, window.frame.pane.view
    window.resize(1000, 700)
    if window._look is None:
        scope.until(lambda: pane.picture is not None and pane.picture.factor == 2)
    else:
        scope.until(lambda: pane.picture is not None and pane.picture.factor == 1)
    QTest.mouseMove(view.viewport(), view.to_screen(15.0, 17.0).toPoint())

    def reading() -> str:
        text = pane.reading.text()
        return text if text.startswith("y 15  x 17") else ""

    if window._look is None:
        text = scope.until(lambda: reading() if "frame" in reading() else "")
        words = text.split()
        value, index = float(words[4]), int(words[-1].replace(",", ""))
        assert value == sent.frames(index % 256, 1)[0, 15, 17]
        assert "mean" not in text

    QTest.keyClick(window, Qt.Key.Key_Space)
    scope.until(lambda: window.timeline.badge.text == "FROZEN" and not window.playhead.is_waiting)
    frozen = sent.frames(scope.index % 256, 1)[0]
    view.show_part((8.0, 8.0, 8.0, 8.0))
    scope.until(lambda: pane.picture.factor == 1)
    top, left = pane.picture.corner
    h, w = pane.picture.image.shape
    np.testing.assert_array_equal(pane.picture.image, frozen[top : top + h, left : left + w])
    assert (top <= 8, left <= 8, top + h >= 16, left + w >= 16) == (True, True, True, True)
    assert pane.title.text() == "Earlier frame"
    assert f"frame {scope.index:,}" in pane.picture.caption

    QTest.keyClick(window, Qt.Key.Key_L)
    shown = window.pacing.shown
    scope.until(lambda: window.pacing.shown > shown + 5 and pane.picture.factor == 1)
    assert pane.title.text() == "Live frame"
