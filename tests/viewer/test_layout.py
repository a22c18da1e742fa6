from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.viewer.models.layout import (
    UNCALIBRATED,
    Calibration,
    columns_for,
    scale_bar,
    shape_aspect,
)


@pytest.mark.parametrize(
    ("count", "width", "height", "columns"),
    [
        (0, 100, 100, 1),
        (1, 800, 600, 1),
        (2, 1000, 500, 2),
        (2, 500, 1000, 1),
        (4, 800, 800, 2),
        (3, 1200, 400, 3),
    ],
)
def test_columns_make_pictures_largest(count: int, width: float, height: float, columns: int) -> None:
    assert columns_for(count, width, height) == columns


def test_wide_scans_lie_below_each_other() -> None:
    assert columns_for(2, 800, 800, shape_aspect([(64, 256), (64, 256)])) == 1


def test_aspects_are_bounded() -> None:
    assert shape_aspect([(1, 100_000)]) == 4
    assert shape_aspect([(100_000, 1)]) == 0.25
    assert shape_aspect([]) == 1


@pytest.mark.parametrize(
    ("pixels", "calibration", "length", "text"),
    [
        (256, UNCALIBRATED, 50, "50 px"),
        (1, UNCALIBRATED, 0.2, "0.2 px"),
        (1024, Calibration(0.5, "nm"), 200, "100 nm"),
        (4096, Calibration(2.0, "nm"), 1000, "2 µm"),
        (256, Calibration(0.21, "mrad"), 10 / 0.21, "10 mrad"),
    ],
)
def test_scale_bars(pixels: float, calibration: Calibration, length: float, text: str) -> None:
    bar = scale_bar(pixels, calibration)
    assert bar.pixels == pytest.approx(length)
    assert bar.text == text


@given(st.floats(1e-3, 1e6), st.floats(1e-12, 1e6))
def test_a_scale_bar_fits_its_share_and_is_no_crumb(pixels: float, size: float) -> None:
    bar = scale_bar(pixels, Calibration(size, "m"))
    assert 0.09 * pixels <= bar.pixels <= 0.25 * pixels * (1 + 1e-9)
