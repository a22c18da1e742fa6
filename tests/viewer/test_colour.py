from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livem.kernels.tones import BLIND, FIRST, PLACES, tones
from livem.viewer.colour import (
    BLIND_COLOUR,
    CHECKER,
    GAMMAS,
    GREY,
    Transfer,
    about_median,
    area_mean,
    checker,
    colour_wheel,
    curve,
    palette,
    place_of,
)
from livem.viewer.theme import colour_map

ALL: tuple[Transfer, ...] = (*GAMMAS, "log")


def test_levels_are_the_ends_of_the_map() -> None:
    image = np.array([[-5.0, 0.0, 50.0, 100.0, 1e30]])
    assert tones(image, (0.0, 100.0), curve("linear")).tolist() == [[3, 3, 129, 255, 255]]


@pytest.mark.parametrize("transfer", ALL)
def test_curves_rise_and_keep_the_ends(transfer: Transfer) -> None:
    bytes_of = curve(transfer).astype(int)
    assert (bytes_of[0], bytes_of[-1], len(bytes_of)) == (FIRST, 255, PLACES)
    assert (np.diff(bytes_of) >= 0).all()


@pytest.mark.parametrize("transfer", ALL)
@pytest.mark.parametrize("tone", [0.0, 0.25, 0.5, 1.0])
def test_the_bar_says_the_value_that_a_tone_is_drawn_for(transfer: Transfer, tone: float) -> None:
    place = place_of(tone, transfer)
    drawn = curve(transfer)[round(place * (PLACES - 1))]
    assert abs(int(drawn) - (FIRST + tone * (255 - FIRST))) <= 1


@given(hnp.arrays(np.float64, (7, 9)), st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_no_value_looks_like_a_hole_and_none_fails(image: np.ndarray, low: float, span: float) -> None:
    for transfer in ALL:
        drawn = tones(image, (low, low + span), curve(transfer))
        assert ((drawn >= FIRST) == np.isfinite(image)).all()


def test_no_colour_map_has_the_colour_of_blind_pixels() -> None:
    for name in ("grey", "inferno", "viridis"):
        away = np.abs(colour_map(name)[:, :3].astype(int) - BLIND_COLOUR[:3]).max(axis=1)
        assert away.min() > 30, name
    assert np.abs(CHECKER[:, :3].astype(int) - BLIND_COLOUR[:3]).max(axis=1).min() > 30


def test_the_palette_keeps_the_checker_apart() -> None:
    table = palette(GREY)
    assert table.shape == (256, 4)
    assert (table[:BLIND] == CHECKER).all()
    assert (table[BLIND] == BLIND_COLOUR).all()
    assert table[FIRST, :3].tolist() == [0, 0, 0]
    assert table[255, :3].tolist() == [255, 255, 255]


def test_the_checker_of_a_thin_picture() -> None:
    assert checker((1, 3)).tolist() == [[0, 1, 0]]


def test_the_wheel_turns_with_direction_and_dims_with_length() -> None:
    hues = np.zeros((4, 3), np.uint8)
    hues[:, 0] = [100, 110, 120, 130]
    vectors = np.array([[[0.0, 2.0], [2.0, 0.0], [0.0, -2.0], [0.0, 1.0], [np.nan, np.nan]]])
    valid = np.array([[True, True, True, True, False]])
    rgb = colour_wheel(vectors, valid, 2.0, hues)
    assert rgb[0, :4, 0].tolist() == [100, 110, 120, 50]
    assert rgb[0, 4].tolist() in CHECKER[:, :3].tolist()


def test_a_field_about_its_median() -> None:
    field = np.full((3, 3, 2), (0.5, -1.0))
    field[0, 0] = np.nan
    valid = np.isfinite(field[..., 0])
    away, middle = about_median(field, valid)
    assert middle.tolist() == [0.5, -1.0]
    assert (away[valid] == 0).all()
    assert about_median(field, np.zeros((3, 3), bool))[1].tolist() == [0, 0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**31))
def test_area_mean_is_the_mean_of_the_valid_vectors(h: int, w: int, factor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(h, w, 2))
    valid = rng.random((h, w)) < 0.7
    field[~valid] = np.nan
    mean, present = area_mean(field, valid, factor)
    assert mean.shape[:2] == present.shape == (-(-h // factor), -(-w // factor))
    row, column = rng.integers(mean.shape[0]), rng.integers(mean.shape[1])
    block = (slice(row * factor, (row + 1) * factor), slice(column * factor, (column + 1) * factor))
    assert present[row, column] == valid[block].any()
    if present[row, column]:
        assert mean[row, column] == pytest.approx(field[block][valid[block]].mean(axis=0))
