"""Colour maps and tones: chosen in the real window by menu and key, undone, kept, and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from livem.viewer import qt, theme
from livem.viewer.colour import BLIND_COLOUR, GAMMAS
from livem.viewer.models.drawing import CYCLIC, MAPS, MEANINGS, TRANSFERS_OFFERED, Drawing, after, names_of
from livem.viewer.models.keys import KEYS

STEPS = np.tile(np.repeat(np.arange(4, dtype=np.float64), 16), (64, 1))
"""0, 1, 2, 3 from left to right."""
ALL_MAPS = sorted({name for meaning in MEANINGS for name in names_of(meaning)})


def menus(window: Any) -> list[QMenu]:
    return [menu for menu in window.findChildren(QMenu) if menu.isVisible()]


def right_click(window: Any, view: Any, y: float, x: float) -> QMenu:
    """The menu that a right click there opens."""
    for menu in menus(window):
        menu.close()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.RightButton, pos=view.to_screen(y, x).toPoint())
    (menu,) = menus(window)
    return menu


def choose(menu: QMenu, *words: str) -> None:
    """Go through submenus to an action, as `words` have their beginnings, and trigger it."""
    *ways, last = words
    for word in ways:
        (found,) = [a.menu() for a in menu.actions() if a.menu() is not None and a.text().startswith(word)]
        assert isinstance(found, QMenu)
        menu = found
    (action,) = [action for action in menu.actions() if action.text().startswith(last)]
    action.trigger()


@pytest.fixture
def steps(window: Any, show: Any, make: Any) -> Any:
    """Two scan images of four steps beside a frame of four steps."""
    show(make.frame(STEPS.astype(np.uint8)), make.scan("a.one", STEPS), make.scan("b.two", STEPS.copy()))
    return window


def close_to(colour: tuple[int, int, int], wanted: Any) -> bool:
    return bool(np.abs(np.array(colour) - np.asarray(wanted)[:3].astype(int)).max() <= 3)


def test_a_colour_map_is_chosen_by_right_click_for_that_picture_alone(
    steps: Any, show: Any, colour_at: Any
) -> None:
    one, two = (steps.images.panes[topic] for topic in ("a.one", "b.two"))
    choose(right_click(steps, one.view, 20, 20), "Colours", "Viridis")
    show()
    viridis = theme.colour_map("viridis")
    for x, row in ((8, 0), (56, -1)):
        assert close_to(colour_at(one.view, 20, x), viridis[row])
    for x, grey in ((8, 0), (56, 255)):
        assert close_to(colour_at(two.view, 20, x), (grey, grey, grey))
    strip = one.bar.grab().toImage()
    assert strip.pixelColor(12, one.bar.height() // 2).saturation() > 100


def test_dark_on_white_and_tones_by_menu(steps: Any, show: Any, colour_at: Any) -> None:
    view = steps.frame.pane.view
    choose(right_click(steps, view, 20, 20), "Colours", "Grey, dark on white")
    choose(right_click(steps, view, 20, 20), "Tones", "Gamma 0.3")
    show()
    for x, place in ((8, 0.0), (24, 1 / 3), (40, 2 / 3), (56, 1.0)):
        grey = 255 * (1 - place**0.3)
        assert close_to(colour_at(view, 20, x), (grey, grey, grey))
    assert steps.frame.pane.transfer == "gamma 0.3"


def test_keys_are_for_the_picture_that_was_clicked(steps: Any, show: Any) -> None:
    frame, one = steps.frame.pane, steps.images.panes["a.one"]
    QTest.keyClick(steps, Qt.Key.Key_G)
    assert (frame.transfer, one.transfer) == ("sqrt", "linear")
    QTest.mouseClick(one.view.viewport(), Qt.MouseButton.LeftButton, pos=one.view.rect().center())
    QTest.keyClick(steps, Qt.Key.Key_G)
    QTest.keyClick(steps, Qt.Key.Key_C)
    assert (frame.transfer, one.transfer) == ("sqrt", "sqrt")
    assert one.colours("values") == after("grey", "values") == "grey reversed"
    assert frame.colours("values") == "grey"
    show()
    assert one.title.property("here") is True
    assert frame.title.property("here") is not True


def test_undo_takes_colours_back(steps: Any, clock: Any, colour_at: Any) -> None:
    view = steps.frame.pane.view
    for key in (Qt.Key.Key_C, Qt.Key.Key_G):
        clock.forward(1.0)
        steps.tick()
        QTest.keyClick(steps, key)
    clock.forward(1.0)
    steps.tick()
    assert close_to(colour_at(view, 20, 8), (255, 255, 255))
    QTest.keyClick(steps, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert steps.frame.pane.drawing == Drawing(values="grey reversed")
    QTest.keyClick(steps, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    steps.tick()
    assert steps.frame.pane.drawing == Drawing()
    assert close_to(colour_at(view, 20, 8), (0, 0, 0))


def test_a_key_and_the_menu_bar_have_the_same(steps: Any) -> None:
    QTest.keyClick(steps, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    (popped,) = menus(steps)
    steps.pictures.fill(steps.pictures.menu, steps.pictures.name)
    words = [action.text() for action in popped.actions()]
    assert words == [action.text() for action in steps.pictures.menu.actions()]
    assert words[0] == "Live frame"
    choose(popped, "The same for all")


def test_the_same_for_all_and_as_it_comes(steps: Any, show: Any, colour_at: Any) -> None:
    view = steps.frame.pane.view
    choose(right_click(steps, view, 20, 20), "Colours", "Cividis")
    choose(right_click(steps, view, 20, 20), "The same for all")
    show()
    last = theme.colour_map("cividis")[-1]
    panes = {"": steps.frame.pane, **steps.images.panes}
    assert all(close_to(colour_at(pane.view, 20, 56), last) for pane in panes.values())
    choose(right_click(steps, view, 20, 20), "As it comes")
    show()
    assert close_to(colour_at(view, 20, 56), (255, 255, 255))
    assert close_to(colour_at(panes["a.one"].view, 20, 56), last)


def test_directions_have_other_wheels_and_signs_other_colours(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    field = np.zeros((32, 32, 2))
    field[:, :16, 1], field[:, 16:, 1] = 1.0, -1.0
    signed = np.tile(np.repeat([-1.0, 1.0], 16), (32, 1))
    show(make.scan("vd.com", field, kind="com"), make.scan("vd.dcom", signed, kind="dcom"))
    wheel, signs = window.images.panes["vd.com"], window.images.panes["vd.dcom"]
    choose(right_click(window, wheel.view, 5, 5), "Picture", "Colours", "Safe for red-green")
    choose(right_click(window, signs.view, 5, 5), "Picture", "Colours", "Green, white")
    show()
    hues = theme.colour_map("CET-CBC1")
    for x, row in ((5, 0), (28, 128)):
        drawn, hue = np.array(colour_at(wheel.view, 16, x)), hues[row, :3].astype(float)
        np.testing.assert_allclose(drawn / drawn.max(), hue / hue.max(), atol=0.03)
    assert wheel.bar.is_wheel
    about = theme.colour_map("CET-D2")
    assert close_to(colour_at(signs.view, 16, 5), about[0])
    assert close_to(colour_at(signs.view, 16, 28), about[-1])


def test_a_picture_that_becomes_a_difference_keeps_its_own_choice(window: Any, show: Any, make: Any) -> None:
    pane = window.frame.pane
    show(make.frame(STEPS.astype(np.uint8)))
    pane.choose(Drawing(values="viridis"))
    pane._set_signed(True)
    assert pane._colours == "CET-D1A"
    pane._set_signed(False)
    assert pane._colours == "viridis"


def test_choices_are_there_at_the_next_start_and_in_layouts(
    qapp: Any, feed: Any, make: Any, colour_at: Any, tmp_path: Path
) -> None:
    from livem.viewer.snapshot import paint
    from livem.viewer.window import ViewerWindow

    qt.application(headless=True)

    def start() -> Any:
        window = ViewerWindow(feed, folder=tmp_path)
        window.resize(900, 600)
        window.show()
        feed.give(make.frame(STEPS.astype(np.uint8)), make.scan("a.one", STEPS))
        paint(window)
        return window

    window = start()
    window.layouts.keep("plain")
    window.pictures.choose("a.one", Drawing(values="magma", transfer="log"))
    window.layouts.keep("warm")
    window.close()
    qt.finish_deletions()
    again = start()
    pane = again.images.panes["a.one"]
    assert (pane.colours("values"), pane.transfer) == ("magma", "log")
    assert close_to(colour_at(pane.view, 20, 56), theme.colour_map("magma")[-1])
    again.layouts.use("plain")
    paint(again)
    assert close_to(colour_at(again.images.panes["a.one"].view, 20, 56), (255, 255, 255))
    again.layouts.use("warm")
    paint(again)
    assert again.images.panes["a.one"].transfer == "log"
    again.close()
    qt.finish_deletions()


def test_another_theme_changes_no_choice(steps: Any, show: Any, colour_at: Any) -> None:
    choose(right_click(steps, steps.frame.pane.view, 20, 20), "Colours", "Plasma")
    before = theme.name_in_use()
    try:
        steps.actions_by_name["theme"]()
        show()
        assert close_to(colour_at(steps.frame.pane.view, 20, 56), theme.colour_map("plasma")[-1])
    finally:
        theme.use(before)


@pytest.mark.parametrize("name", ALL_MAPS)
def test_maps_are_there_and_none_has_the_colour_of_blind_pixels(qapp: Any, name: str) -> None:
    colours = theme.colour_map(name)[:, :3].astype(int)
    assert len(colours) == 256
    assert np.abs(colours - BLIND_COLOUR[:3]).max(axis=1).min() > 8


def lightness(name: str) -> np.ndarray:
    """CIE L* of a map's colours."""
    linear = (theme.colour_map(name)[:, :3] / 255.0) ** 2.2
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


@pytest.mark.parametrize("name", MAPS["values"]["Even in lightness"])
def test_the_maps_of_values_rise_evenly(qapp: Any, name: str) -> None:
    steps = np.diff(lightness(name)[::16])
    steps = steps if steps.sum() > 0 else -steps
    assert steps.min() > 0
    assert steps.max() < 2.5 * steps.mean()


@pytest.mark.parametrize("name", [*CYCLIC, "CET-C5"])
def test_the_ends_of_cyclic_maps_meet(qapp: Any, name: str) -> None:
    colours = theme.colour_map(name)[:, :3].astype(int)
    around = np.abs(np.diff(colours, axis=0, append=colours[:1])).max(axis=1)
    assert around[-1] <= around[:-1].max() + 1


def test_every_tone_that_is_offered_is_one() -> None:
    assert set(TRANSFERS_OFFERED) == {*GAMMAS, "log"}
    assert {"next_transfer", "next_map", "picture_menu"} <= {key.action for key in KEYS["View"]}


plain = st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(ALL_MAPS)


@given(st.dictionaries(st.sampled_from(["values", "signed", "directions", "transfer", "x"]), plain) | plain)
def test_no_file_makes_a_drawing_that_cannot_be_drawn(part: Any) -> None:
    drawing = Drawing.parse(part)
    assert all(drawing.map_of(each) in ("", *names_of(each)) for each in MEANINGS)
    assert drawing.transfer in ("", *TRANSFERS_OFFERED)
    assert Drawing.parse(json.loads(json.dumps(drawing.as_plain()))) == drawing


@pytest.fixture(autouse=True)
def no_menu_stays(qapp: Any) -> Iterator[None]:
    yield
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, QMenu):
            widget.close()
    QApplication.processEvents()
