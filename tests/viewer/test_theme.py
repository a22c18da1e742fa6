"""Dark and light: the same window, readable in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.errors import UsageError
from livem.viewer import qt, theme


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2), 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(theme.VARIABLE, "light")
    yield
    theme.use("dark")


@pytest.mark.parametrize("name", theme.THEMES)
def test_words_and_lines_stand_out_from_their_ground(name: str) -> None:
    colours = theme.THEMES[name]
    for ground in (colours.window, colours.panel):
        assert contrast(colours.text, ground) > 7
        assert contrast(colours.muted, ground) > 4.5
    assert min(contrast(curve, colours.panel) for curve in colours.curves) > 3
    assert len(set(colours.curves)) == len(theme.TRACK_COLOURS)


def test_the_environment_chooses(light: None, window: Any, show: Any, make: Any) -> None:
    assert theme.THEMES["light"].panel == theme.PANEL
    show(make.frame(np.full((64, 64), 7, np.uint16)), make.curve("a.b", np.arange(9), np.arange(9)))
    grounds = {window.status: (3, 20), window.frame.pane: (4, 40), window.curves.panes["a.b"].plot: (3, 3)}
    for widget, place in grounds.items():
        assert widget.grab().toImage().pixelColor(*place).name() == theme.PANEL


def test_a_theme_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(theme.VARIABLE, "pink")
    with pytest.raises(UsageError, match="'pink'; it must be one of dark, light"):
        qt.application(headless=True)
    with pytest.raises(AttributeError):
        _ = theme.GREENISH


@pytest.fixture
def run(qapp: Any, feed: Any, make: Any, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """The window as the program starts it, with a folder for what the user chooses."""
    from livem.viewer.snapshot import paint
    from livem.viewer.window import ViewerWindow

    qt.application(headless=True)
    windows = []

    def start() -> Any:
        window = ViewerWindow(feed, folder=tmp_path)
        windows.append(window)
        window.resize(900, 600)
        window.show()
        feed.give(
            make.frame(np.tile(np.arange(64, dtype=np.uint8), (64, 1))), make.scan("a.b", np.ones((9, 9)))
        )
        paint(window)
        return window

    yield start
    for window in windows:
        window.close()
    qt.finish_deletions()
    theme.use("dark")
    assert qapp.topLevelWidgets() == []


def ground(window: Any) -> str:
    picture = window.grab().toImage()
    return str(picture.pixelColor(3, picture.height() // 2).name())


def test_the_theme_is_switched_in_the_window_and_remembered(
    run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from livem.viewer.snapshot import paint

    window = run()
    assert ground(window) == theme.THEMES["dark"].window
    window.frame.pane.view.box.scaleBy((0.5, 0.5))
    window.frame.pane.view.box.sigRangeChangedManually.emit([True, True])
    window.inspector.toggle_spectrum()
    window.toggle_contrast_lock()
    window.toggle_panel("images")
    playhead = window.playhead
    paint(window)
    part = window.frame.pane.view.part
    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    qt.finish_deletions()
    paint(window)
    assert ground(window) == theme.THEMES["light"].window
    assert window.frame.pane.grab().toImage().pixelColor(4, 40).name() == theme.THEMES["light"].panel
    assert window.frame.pane.view.part == pytest.approx(part, rel=0.05)
    assert window.frame.pane.contrast.locked
    assert window.timeline.playhead is playhead
    assert window.inspector.spectrum.isVisible()
    assert not window.docks.dock("images").isVisible()
    assert window.frame.pane.picture is not None
    QTest.keyClick(window, Qt.Key.Key_G)
    assert window.frame.pane.transfer == "sqrt"
    theme.use("dark")
    assert ground(run()) == theme.THEMES["light"].window
    monkeypatch.setenv(theme.VARIABLE, "dark")
    assert ground(run()) == theme.THEMES["dark"].window


def test_a_theme_that_cannot_be_kept_is_used_all_the_same(run: Callable[[], Any], tmp_path: Path) -> None:
    window = run()
    (tmp_path / ".viewer.json.part").mkdir()
    window.actions_by_name["theme"]()
    window.tick()
    assert theme.name_in_use() == "light"
    assert "cannot be kept" in window.status.message.text()
