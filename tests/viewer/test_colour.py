from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livem.viewer.colour import (
    BLIND,
    BLIND_COLOUR,
    CHECKER,
    FIRST,
    GREY,
    TRANSFERS,
    Transfer,
    about_median,
    area_blind,
    area_mean,
    checker,
    colour_wheel,
    palette,
    to_indices,
)
from livem.viewer.models.contrast import Levels
from livem.viewer.theme import colour_map

LEVELS = Levels(0.0, 100.0)


def test_levels_are_the_ends_of_the_map() -> None:
    image = np.array([[-5.0, 0.0, 50.0, 100.0, 1e30]])
    assert to_indices(image, None, LEVELS).tolist() == [[3, 3, 129, 255, 255]]


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_transfers_rise_and_keep_the_ends(transfer: Transfer) -> None:
    ramp = np.linspace(0, 100, 50)[None, :]
    indices = to_indices(ramp, None, LEVELS, transfer)[0].astype(int)
    assert (indices[0], indices[-1]) == (FIRST, 255)
    assert (np.diff(indices) >= 0).all()


@given(hnp.arrays(np.float64, (7, 9)), st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_no_value_looks_like_a_hole_and_none_fails(image: np.ndarray, low: float, span: float) -> None:
    for transfer in TRANSFERS:
        assert to_indices(image, None, Levels(low, low + span), transfer).min() >= FIRST


def test_invalid_pixels_are_the_checker() -> None:
    valid = np.ones((32, 32), bool)
    valid[8:24] = False
    indices = to_indices(np.zeros((32, 32)), valid, LEVELS)
    assert set(np.unique(indices[~valid])) == {0, 1}
    assert (indices[valid] == FIRST).all()


def test_blind_pixels_have_a_colour_of_their_own_beside_holes() -> None:
    valid, blind = np.ones((32, 32), bool), np.zeros((32, 32), bool)
    blind[4:8] = True
    valid[4:24] = False
    indices = to_indices(np.full((32, 32), np.nan), valid, LEVELS, blind=blind)
    assert (indices[blind] == BLIND).all()
    assert set(np.unique(indices[~valid & ~blind])) == {0, 1}
    assert (indices[valid] == FIRST).all()


def test_no_colour_map_has_the_colour_of_blind_pixels() -> None:
    for name in ("grey", "inferno", "viridis"):
        away = np.abs(colour_map(name)[:, :3].astype(int) - BLIND_COLOUR[:3]).max(axis=1)
        assert away.min() > 30, name
    assert np.abs(CHECKER[:, :3].astype(int) - BLIND_COLOUR[:3]).max(axis=1).min() > 30


def test_an_area_is_blind_when_nothing_in_it_is_valid() -> None:
    blind = np.zeros((5, 6), bool)
    blind[:2, :2] = blind[0, 2] = blind[4, 4] = True
    valid = ~blind
    valid[4, 5] = False
    _, left = area_mean(np.ones((5, 6)), valid, 2)
    shown = area_blind(blind, left, 2)
    assert shown is not None
    assert shown.tolist() == [[True, False, False], [False] * 3, [False, False, True]]
    assert area_blind(None, left, 2) is None
    assert area_blind(blind, valid, 1) is blind


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
def test_area_mean_is_the_mean_of_the_valid_pixels(h: int, w: int, factor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(h, w))
    valid = rng.random((h, w)) < 0.7
    image[~valid] = np.nan
    mean, present = area_mean(image, valid, factor)
    assert present is not None
    assert mean.shape == present.shape == (-(-h // factor), -(-w // factor))
    row, column = rng.integers(mean.shape[0]), rng.integers(mean.shape[1])
    block = (slice(row * factor, (row + 1) * factor), slice(column * factor, (column + 1) * factor))
    assert present[row, column] == valid[block].any()
    if present[row, column]:
        assert mean[row, column] == pytest.approx(image[block][valid[block]].mean())


def test_single_events_survive_a_reduction() -> None:
    image = np.zeros((64, 64), np.uint16)
    image[17, 33] = 16
    mean, _ = area_mean(image, None, 4)
    assert mean[4, 8] == 1
    assert mean.sum() == 1
