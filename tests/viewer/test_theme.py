"""Dark and light: the same window, readable in both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

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
