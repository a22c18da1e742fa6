"""Whatever a consumer publishes has a defined picture: judged by what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from livem.kernels.tones import BLIND, FIRST
from livem.stream.results import Result
from livem.viewer import qt
from livem.viewer.colour import CHECKER
from livem.viewer.models.picture import Picture, scan_picture
from livem.viewer.models.session import drawable

SIDE = 300
Bytes = np.ndarray


@pytest.fixture(scope="module")
def pane(qapp: Any) -> Iterator[Any]:
    from livem.viewer.panels.image_pane import ImagePane

    qt.application(headless=True)
    made = ImagePane()
    made.view.setFixedSize(SIDE + 80, SIDE)
    made.show()
    qapp.processEvents()
    yield made
    made.close()
    made.deleteLater()
    qt.finish_deletions()


@pytest.fixture
def drawn(pane: Any) -> Callable[..., Bytes]:
    """The bytes that are drawn of an image."""

    def draw(image: np.ndarray, valid: np.ndarray | None = None, **more: Any) -> Bytes:
        pane.contrast.restart()
        pane.show_picture(Picture(image, valid, "", "", **more), 0.0)
        pane.settle()
        assert pane.view.grab().toImage().width() > 0
        shown: Bytes = pane.view.image.shown
        return shown

    return draw


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64", "float16", "float64"])
def test_every_type_of_number_is_drawn_from_dark_to_bright(drawn: Any, dtype: str) -> None:
    image = np.zeros((8, 8), dtype)
    image[:, 4:] = 1 if dtype in ("bool", "int8", "float16") else np.array(60_000, dtype)
    made = drawn(image.view(np.uint8) if dtype == "bool" else image)
    assert (made[:, :4] == FIRST).all()
    assert (made[:, 4:] == 255).all()


def test_64_bit_integers_beyond_all_exact_floats(drawn: Any) -> None:
    image = np.array([[0, 2**62], [2**63 - 1, -(2**63)]])
    made = drawn(image)
    assert made[1, 1] == FIRST
    assert made[1, 0] == 255
    assert FIRST < made[0, 0] < made[0, 1] < 255


def test_what_is_not_finite_is_a_hole_beside_values(drawn: Any) -> None:
    image = np.tile(np.linspace(0.0, 9.0, 16), (16, 1))
    image[2, 3], image[4, 5], image[6, 7] = np.nan, np.inf, -np.inf
    for valid in (None, np.ones(image.shape, bool)):
        made = drawn(image, valid)
        holes = ~np.isfinite(image)
        assert (made[holes] < BLIND).all()
        assert (made[~holes] >= FIRST).all()


def test_nothing_but_nan_is_the_checker_in_its_colours(pane: Any, drawn: Any, colour_at: Any) -> None:
    assert set(np.unique(drawn(np.full((64, 64), np.nan)))) == {0, 1}
    tones = {tuple(int(c) for c in tone[:3]) for tone in CHECKER}
    assert {colour_at(pane.view, y, 20) for y in range(15, 30)} == tones


@pytest.mark.parametrize("value", [0, 7.5, -3, 1e300, -1e300])
def test_all_equal_pixels_are_one_tone(drawn: Any, value: float) -> None:
    made = drawn(np.full((5, 5), value))
    assert len(np.unique(made)) == 1
    assert made[0, 0] >= FIRST


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1)])
def test_a_line_fills_the_pane_and_keeps_its_single_event(drawn: Any, pane: Any, shape: Any) -> None:
    image = np.zeros(shape, np.uint16)
    image[shape[0] // 2, shape[1] // 2] = 5
    made = drawn(image)
    assert max(made.shape) <= SIDE
    assert np.count_nonzero(made == 255) == 1
    assert pane.view.is_stretched
    area, view = pane.view.picture_area(), pane.view
    height = view.to_screen(area.bottom(), 0).y() - view.to_screen(area.top(), 0).y()
    width = view.to_screen(0, area.right()).x() - view.to_screen(0, area.left()).x()
    assert (height, width) == pytest.approx((SIDE, SIDE), abs=2)


def test_one_pixel(drawn: Any) -> None:
    assert drawn(np.array([[42.0]])).tolist() == [[FIRST]]


def result_of(image: np.ndarray) -> Result:
    return Result("a.b", "image", None, (0, 1), 1, {"image": image})


def test_of_complex_numbers_the_amplitude_is_drawn(drawn: Any) -> None:
    wave = np.array([[3 + 4j, 0], [5j, complex(np.nan, 0)]])
    assert drawable(result_of(wave))
    picture = scan_picture(result_of(wave), past=False)
    made = drawn(picture.image, picture.valid)
    assert made[0].tolist() == [255, FIRST]
    assert made[1, 0] == 255
    assert made[1, 1] < BLIND


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (7, 0), (3,), (2, 2, 2, 2)])
def test_what_has_no_pixels_is_no_picture(shape: tuple[int, ...]) -> None:
    assert not drawable(result_of(np.zeros(shape)))


def test_a_part_is_drawn_where_it_is_and_no_more_than_that(drawn: Any, pane: Any, colour_at: Any) -> None:
    from PySide6.QtCore import QRectF

    image = np.zeros((1000, 1000), np.uint16)
    image[:, 500:] = 100
    drawn(image)
    pane.view.look_at(QRectF(450, 450, 126, 100))
    pane.settle()
    assert pane.view.image.shown.size < 0.2 * image.size
    assert max(colour_at(pane.view, 480, 498)) < 5
    assert min(colour_at(pane.view, 480, 501)) > 250
    pane.view.fit()


def test_a_large_picture_is_judged_by_all_its_pixels_in_the_end(pane: Any) -> None:
    rng = np.random.default_rng(4)
    image = rng.poisson(50, (700, 700)).astype(np.uint16)
    pane.contrast.restart()
    pane.show_picture(Picture(image, None, "", ""), 0.0)
    pane.settle()
    levels = pane.contrast.levels
    assert (levels.low, levels.high) == tuple(np.percentile(image, (0.5, 99.5)))


def test_the_value_of_a_reduced_picture_says_so() -> None:
    picture = Picture(np.full((4, 4), 2.5), None, "", "", "counts", factor=8)
    assert picture.reading(9, 17) == "y 8  x 16   2.5 counts   mean of 8 x 8"
    assert Picture(np.full((4, 4), 2.5), None, "", "", "counts").reading(1, 2) == "y 1  x 2   2.5 counts"
