from __future__ import annotations

from typing import Any

import numpy as np


def test_a_curve_is_drawn_within_its_own_range(window: Any, show: Any, make: Any) -> None:
    show(make.curve("vd.bf", np.arange(100.0), np.linspace(5, 9, 100)))
    pane = window.curves.panes["vd.bf"]
    (x0, x1), (y0, y1) = pane.plot.viewRange()
    assert (x0, x1) == (0, 99)
    assert 4 < y0 < 5 < 9 < y1 < 10
    assert pane.title.text() == "vd.bf   9 counts"
    assert not pane.plot.getPlotItem().ctrlMenu.isVisible()


def test_the_line_is_on_the_screen(window: Any, show: Any, make: Any) -> None:
    show(make.curve("vd.bf", np.arange(100.0), np.sin(np.arange(100.0))))
    picture = window.curves.panes["vd.bf"].plot.grab().toImage()
    blue = sum(
        picture.pixelColor(x, y).blue() > picture.pixelColor(x, y).red() + 60
        for x in range(picture.width())
        for y in range(0, picture.height(), 2)
    )
    assert blue > 200


def test_channels_come_and_go(window: Any, show: Any, make: Any) -> None:
    x = np.arange(10.0)
    show(make.curve("a.b", x, np.stack([x, x + 1, x + 2], axis=1)))
    assert len(window.curves.panes["a.b"].lines) == 3
    show(make.curve("a.b", x, x))
    assert len(window.curves.panes["a.b"].lines) == 1


def test_empty_constant_and_broken_curves(window: Any, show: Any, make: Any) -> None:
    show(
        make.curve("empty", np.zeros(0), np.zeros(0)),
        make.curve("one", np.zeros(1), np.ones(1)),
        make.curve("nan", np.arange(5.0), np.full(5, np.nan)),
        make.curve("gap", np.arange(5.0), np.array([1, np.nan, 3, np.inf, 5])),
        make.curve("ragged", np.arange(5.0), np.arange(4.0)),
    )
    assert set(window.curves.panes) == {"empty", "one", "nan", "gap"}
