"""Layouts as files, and as the real window takes them up: kept, named, damaged, of another time or screen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QInputDialog, QMenu

from livem.viewer import qt
from livem.viewer.layouts import screen_size
from livem.viewer.models.layouts import Layout, LayoutError, LayoutFiles, parse_layout
from livem.viewer.models.settings import Settings

SCREEN = (800, 800)
LAYOUT = Layout(b"\x01docks", b"window\xff", SCREEN, "in-situ", True, {"curves": False})
words = st.text('livem{}[]":,0 ', max_size=20)
texts = st.dictionaries(
    words, st.none() | st.integers() | words | st.lists(st.integers(), max_size=3), max_size=3
)


def test_a_layout_comes_back_from_its_text() -> None:
    assert parse_layout(LAYOUT.as_json()) == LAYOUT


@given(words | texts.map(json.dumps))
def test_no_text_does_harm(text: str) -> None:
    with pytest.raises(LayoutError):
        parse_layout(text)


@given(st.sampled_from(sorted(json.loads(LAYOUT.as_json()))), st.none() | st.integers() | words | texts)
def test_no_changed_part_does_harm(key: str, value: Any) -> None:
    content = json.loads(LAYOUT.as_json())
    content[key] = value
    try:
        read = parse_layout(json.dumps(content))
    except LayoutError:
        return
    assert (read.docks, read.window) == (LAYOUT.docks, LAYOUT.window)


def test_layouts_have_names(tmp_path: Path) -> None:
    assert LayoutFiles(tmp_path / "new").names == ()
    files = LayoutFiles(tmp_path / "new")
    assert files.last(SCREEN) is None
    files.keep("two screens", LAYOUT)
    files.keep("a-1", LAYOUT)
    files.keep_last(LAYOUT)
    assert list(files.names) == ["a-1", "two screens"]
    assert files.named("two screens", SCREEN) == files.last(SCREEN) == LAYOUT
    files.remove("a-1")
    assert list(files.names) == ["two screens"]
    with pytest.raises(LayoutError, match="cannot be read"):
        files.named("a-1", SCREEN)


@pytest.mark.parametrize("name", ["", " ", "../up", "a/b", "a.b", "x" * 41, " a", "nul\0"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LayoutError, match="is no name"):
        LayoutFiles(tmp_path).keep(name, LAYOUT)


def test_a_window_without_a_folder_keeps_nothing() -> None:
    files = LayoutFiles(None)
    files.keep_last(LAYOUT)
    assert (files.names, files.last(SCREEN)) == ((), None)
    with pytest.raises(LayoutError, match="not kept here"):
        files.keep("a", LAYOUT)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no layout of livem"),
        (LAYOUT.as_json().replace('"version": 1', '"version": 7'), "version 7, this livem knows version 1"),
        (LAYOUT.as_json().replace("AWRvY2tz", "AWRvY2t0"), "bytes were changed"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", "can't decode"),
        ("x" * (1 << 21), "more than 1 MiB"),
    ],
)
def test_what_cannot_be_used_is_set_aside(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "last-layout.json").write_text(text, encoding="latin-1")
    files = LayoutFiles(tmp_path)
    with pytest.raises(LayoutError, match=why):
        files.last(SCREEN)
    assert [path.name for path in tmp_path.iterdir()] == ["last-layout.json.set-aside"]
    assert files.last(SCREEN) is None


def test_a_layout_for_a_larger_screen_stays_in_its_file(tmp_path: Path) -> None:
    files = LayoutFiles(tmp_path)
    files.keep("lab", LAYOUT)
    with pytest.raises(LayoutError, match="made for a screen of 800 x 800 px, and here are 800 x 600"):
        files.named("lab", (800, 600))
    assert files.named("lab", (900, 800)) == LAYOUT


def test_choices_are_kept(tmp_path: Path) -> None:
    assert Settings(tmp_path).get("theme") == ""
    Settings(tmp_path).keep("theme", "light")
    assert Settings(tmp_path).get("theme") == "light"
    path = tmp_path / "viewer.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    later = Settings(tmp_path)
    assert later.get("theme") == ""
    assert "another version" in later.problem
    assert (tmp_path / "viewer.json.set-aside").exists()


@pytest.fixture
def run(qapp: Any, feed: Any, make: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start the window as the program does, with its files in a folder; closed by the test or after it."""
    from livem.viewer.snapshot import paint
    from livem.viewer.window import ViewerWindow

    qt.application(headless=True)
    windows = []

    def start() -> Any:
        window = ViewerWindow(feed, folder=tmp_path)
        if not windows:
            window.resize(700, 500)
        windows.append(window)
        window.show()
        paint(window)
        frame = make.frame(np.tile(np.arange(64, dtype=np.uint8), (64, 1)))
        feed.give(frame, make.disk(np.ones((32, 32)), (30, 30), 9.0), make.curve("a.b", *np.ones((2, 9))))
        paint(window)
        return window

    yield start
    for window in windows:
        with_it = [each for each in qapp.topLevelWidgets() if each is window]
        for each in with_it:
            each.close()
    qt.finish_deletions()


def end(window: Any) -> None:
    window.close()
    qt.finish_deletions()


def places(window: Any) -> dict[str, tuple[int, ...]]:
    """Of the panels that can be seen; one behind another has none."""
    docks = {panel.name: window.docks.dock(panel.name) for panel in window.panels}
    seen = {name: dock for name, dock in docks.items() if not dock.visibleRegion().isEmpty()}
    return {name: dock.geometry().getRect() for name, dock in seen.items()}


def test_the_window_comes_back_as_it_was_left(run: Callable[..., Any], tmp_path: Path) -> None:
    window = run()
    window.docks.tabifyDockWidget(window.docks.dock("images"), window.docks.dock("curves"))
    window.docks.dock("images").raise_()
    window.docks.resizeDocks([window.docks.dock("frame")], [180], Qt.Orientation.Horizontal)
    window.tick()
    qt.finish_deletions()
    before = places(window)
    assert window.workspace.is_moved
    end(window)
    again = run()
    assert again.workspace.is_moved
    assert again.docks.dock("curves") in again.docks.tabifiedDockWidgets(again.docks.dock("images"))
    assert places(again).keys() == before.keys()
    for name, place in before.items():
        assert places(again)[name] == pytest.approx(place, abs=4)
    end(again)


def test_what_was_closed_and_chosen_stays_so(run: Callable[..., Any]) -> None:
    window = run()
    window.choose_mode(window.workspace.mode)
    window.toggle_panel("curves")
    window.tick()
    end(window)
    again = run()
    assert not again.docks.dock("curves").isVisible()
    assert again.workspace.is_chosen
    again.choose_mode(None)
    again.tick()
    assert again.docks.dock("curves").isVisible()
    end(again)


def test_layouts_are_kept_used_and_removed_by_menu(run: Callable[..., Any]) -> None:
    window = run()
    dialog = window.layouts.ask_name()
    assert isinstance(dialog, QInputDialog)
    dialog.setTextValue("lab 1")
    dialog.accept()
    assert "kept" in window._notice[0]
    window.toggle_panel("curves")
    window.tick()
    assert not window.docks.dock("curves").isVisible()
    menu = QMenu(window)
    window.layouts.fill(menu)
    menu.actions()[0].trigger()
    window.tick()
    assert window.docks.dock("curves").isVisible()
    window.layouts.remove("lab 1")
    window.layouts.use("lab 1")
    assert "cannot be read" in window._notice[0]
    end(window)


def test_a_damaged_layout_is_said_and_the_window_is_as_it_comes(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "last-layout.json").write_text("{", encoding="utf-8")
    window = run()
    assert "the last layout is not used" in window.status.message.text()
    assert set(places(window)) == {"frame", "images", "curves"}
    end(window)


def test_bytes_that_qt_cannot_read_move_nothing(run: Callable[..., Any], tmp_path: Path) -> None:
    LayoutFiles(tmp_path).keep("odd", replace(LAYOUT, screen=screen_size(), docks=b"\x00" * 40))
    window = run()
    before = places(window)
    window.layouts.use("odd")
    window.tick()
    QApplication.processEvents()
    assert "not used" in window._notice[0]
    assert places(window) == before
    end(window)


def test_no_window_is_off_the_screens(run: Callable[..., Any]) -> None:
    window = run()
    images = window.docks.dock("images")
    images.setFloating(True)
    window.move(QPoint(30_000, 30_000))
    images.move(QPoint(-20_000, 50))
    window.tick()
    end(window)
    again = run()
    screen = QGuiApplication.primaryScreen().availableGeometry()
    assert again.docks.dock("images").isFloating()
    for each in (again, again.docks.dock("images")):
        assert screen.intersects(each.frameGeometry())
    end(again)
