from __future__ import annotations

from typing import Any

import numpy as np

from livem.stream.series import SeriesKey
from livem.viewer.colour import CHECKER

HOLES = {tuple(int(c) for c in tone[:3]) for tone in CHECKER}


def filled(lines: int, n: int = 64) -> np.ndarray:
    image = np.full((n, n), np.nan)
    image[:lines] = np.linspace(0, 100, n)
    return image


def test_an_image_fills_up_line_by_line(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    for lines in (8, 32, 64):
        show(make.scan("vd.haadf", filled(lines)))
        view = window.images.panes["vd.haadf"].view
        assert colour_at(view, lines - 1, 63)[0] > 250
        assert colour_at(view, lines - 1, 0) == (0, 0, 0)
        if lines < 64:
            assert colour_at(view, lines, 63) in HOLES


def test_a_hole_is_neither_black_nor_grey(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.tile(np.linspace(0, 100, 64), (64, 1))
    valid = np.ones((64, 64), bool)
    valid[30, 20] = False
    show(make.scan("vd.bf", image, valid))
    view = window.images.panes["vd.bf"].view
    assert colour_at(view, 30, 20) in HOLES
    for y, x in ((29, 20), (31, 20), (30, 19), (30, 21)):
        r, g, b = colour_at(view, y, x)
        assert r == g == b


def test_a_sparse_scan_shows_exactly_its_pixels(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.full((16, 16), np.nan)
    places = [(1, 2), (7, 7), (0, 15), (9, 14)]
    for y, x in places:
        image[y, x] = 50 + y
    show(make.scan("vd.value", image))
    view = window.images.panes["vd.value"].view
    drawn = {(y, x) for y in range(13) for x in range(16) if colour_at(view, y, x) not in HOLES}
    assert drawn == set(places)


def test_directions_have_their_colours(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    field = np.zeros((32, 32, 2))
    field[:16, :, 1] = 1.0
    field[16:, :, 1] = -1.0
    field[0, 0] = np.nan
    show(make.scan("vd.com", field))
    pane = window.images.panes["vd.com"]
    right, left = colour_at(pane.view, 8, 16), colour_at(pane.view, 24, 16)
    assert max(abs(a - b) for a, b in zip(right, left, strict=True)) > 80
    assert colour_at(pane.view, 0, 0) in HOLES
    assert pane.bar.is_wheel


def test_panes_come_and_go(window: Any, show: Any, make: Any) -> None:
    show(make.scan("vd.bf", filled(8)), make.scan("vd.haadf", filled(8)))
    assert list(window.images.panes) == ["vd.bf", "vd.haadf"]
    show(make.curve("vd.bf", np.arange(4), np.arange(4)))
    assert list(window.images.panes) == ["vd.haadf"]
    assert list(window.curves.panes) == ["vd.bf"]
    assert window.curves.isVisible()


def test_an_image_of_a_past_series_is_veiled(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    show(make.scan("vd.bf", filled(64)))
    view = window.images.panes["vd.bf"].view
    assert colour_at(view, 10, 63)[0] > 250
    show(make.scan("vd.haadf", filled(8), series=SeriesKey(b"\x01" * 8, 4)))
    assert colour_at(view, 10, 63)[0] < 180
    assert "series 3" in window.images.panes["vd.bf"].reading.text()
    assert not window.images.panes["vd.haadf"].view.veiled


def test_the_title_wears_the_colour_of_its_detector(window: Any, show: Any, make: Any) -> None:
    show(make.disk(filled(8), (1, 1), 1), make.scan("x.y", filled(8)))
    assert "border-left" in window.images.panes["vd.bf"].title.styleSheet()
    assert window.images.panes["x.y"].title.styleSheet() == ""


def test_only_what_changed_is_drawn(window: Any, show: Any, make: Any, feed: Any, clock: Any) -> None:
    show(make.scan("vd.bf", filled(8)), make.scan("vd.haadf", filled(8)))
    clock.forward(1.0)
    window.tick()
    window.tick()
    before = {topic: pane.drawn for topic, pane in window.images.panes.items()}
    feed.give(make.scan("vd.bf", filled(9)))
    window.tick()
    window.tick()
    after = {topic: pane.drawn - before[topic] for topic, pane in window.images.panes.items()}
    assert after == {"vd.bf": 1, "vd.haadf": 0}


def test_ten_images_and_a_narrow_window(window: Any, show: Any, make: Any) -> None:
    window.resize(500, 400)
    show(*[make.scan(f"vd.d{i}", filled(8)) for i in range(10)])
    assert len(window.images.panes) == 10
    assert all(pane.isVisible() for pane in window.images.panes.values())
