"""Bytes of pictures: areas, never picked pixels; every odd image has a defined picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels import reference_tones
from livem.kernels import tones as module
from livem.kernels.tones import AREAS, BLIND, DTYPES, FIRST, PLACES, STEPS, coloured, tones

LINE = np.asarray(np.linspace(0, STEPS - 1, PLACES) + (FIRST + 0.5), np.uint8)
SIDES = st.integers(1, 30)
FACTORS = st.integers(1, 9)


def made_image(shape: tuple[int, int], dtype: str, seed: int, bad: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    image = (rng.random(shape) * 200).astype(dtype)
    if image.dtype.kind == "f":
        image[rng.random(shape) < bad] = rng.choice([np.nan, np.inf, -np.inf])
    return image


def agree(made: Any, wanted: Any) -> bool:
    """To a byte: sums of floats are rounded in another order."""
    return bool((np.abs(made.astype(int) - wanted.astype(int)) <= 1).all())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    shape=st.tuples(SIDES, SIDES),
    factor=st.tuples(FACTORS, FACTORS),
    dtype=st.sampled_from((*DTYPES, "bool", "int8", "int64", "uint64", "float16")),
    areas=st.sampled_from(AREAS),
    masked=st.sampled_from([None, 0.1, 0.6, 1.0]),
    bad=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_pictures_agree_with_the_reference(
    shape: Any, factor: Any, dtype: Any, areas: Any, masked: Any, bad: Any, seed: Any
) -> None:
    image = made_image(shape, dtype, seed, bad)
    valid = None if masked is None else np.random.default_rng(seed).random(shape) >= masked
    more = {"factor": factor, "areas": areas, "valid": valid, "is_masked": seed % 2 == 0, "cell": 2}
    image.flags.writeable = False
    made = tones(image, (10.0, 150.0), LINE, **more)
    wanted = reference_tones.tones(image, (10.0, 150.0), LINE, **more)
    assert made.shape == wanted.shape
    assert ((made < FIRST) == (wanted < FIRST)).all()
    assert agree(made, wanted)


def made_mask(shape: tuple[int, int], rows: list[int], columns: list[int], pixels: list[int]) -> Any:
    """Gaps between modules, and dead pixels: most rows are as those before."""
    valid = np.ones(shape, bool)
    valid[[row % shape[0] for row in rows]] = False
    valid[:, [column % shape[1] for column in columns]] = False
    valid.ravel()[[pixel % valid.size for pixel in pixels]] = False
    return valid


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 60), SIDES),
    factor=st.tuples(FACTORS, FACTORS),
    dtype=st.sampled_from(("uint16", "float32")),
    gaps=st.tuples(*[st.lists(st.integers(0, 3600), max_size=3)] * 3),
    bad=st.sampled_from([0.0, 0.01]),
    seed=st.integers(0, 2**31),
)
def test_masks_of_detectors_agree_with_the_reference(
    shape: Any, factor: Any, dtype: Any, gaps: Any, bad: Any, seed: Any
) -> None:
    image, valid = made_image(shape, dtype, seed, bad), made_mask(shape, *gaps)
    more = {"factor": factor, "valid": valid, "is_masked": True, "cell": 1}
    made = tones(image, (10.0, 150.0), LINE, **more)
    wanted = reference_tones.tones(image, (10.0, 150.0), LINE, **more)
    assert ((made < FIRST) == (wanted < FIRST)).all()
    assert (made[wanted < FIRST] == wanted[wanted < FIRST]).all()
    assert agree(made, wanted)


@pytest.mark.parametrize("areas", AREAS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bad", [0.0, 1e-4])
def test_two_threads_make_the_same_bytes(
    areas: Any, masked: bool, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever rows each of them makes; also where the first of them finds that there are holes."""
    monkeypatch.setattr(module, "BAND", 600)
    image = made_image((203, 150), "float32", 5, bad)
    valid = made_mask(image.shape, [70, 71], [40], [9000, 9001, 20000]) if masked else None
    more = {"part": (6, 3, 201, 150), "factor": (3, 3), "areas": areas, "valid": valid, "is_masked": True}
    alone = tones(image, (0.0, 200.0), LINE, **more)
    with ThreadPoolExecutor(1) as helper:
        for _ in range(20):
            np.testing.assert_array_equal(tones(image, (0.0, 200.0), LINE, helper=helper, **more), alone)


def test_a_hot_pixel_is_seen_under_its_tents_only() -> None:
    """The sum of a neighbouring cell with a count of 10^9 in it, less that count, is not what is left."""
    image = np.full((60, 60), 0.5, np.float32)
    image[32, 31] = 1e9
    for factor in (1, 3, 5, 7, 9):
        made = tones(image, (0.0, 1.0), LINE, factor=(factor, factor))
        middles = np.arange(made.shape[0]) * factor + (factor - 1) / 2
        under = np.outer(*(np.abs(middles - at) < factor for at in (32, 31)))
        assert (made[under] == 255).all()
        assert set(made[~under].tolist()) == {int(LINE[PLACES // 2])}


def test_a_mask_that_leaves_nothing_is_a_picture_too() -> None:
    for factor in (1, 2, 5, 7):
        more = {"factor": (factor, factor), "valid": np.zeros((40, 40), bool), "is_masked": True}
        assert (tones(np.ones((40, 40), np.uint16), (0.0, 1.0), LINE, **more) == BLIND).all()


def test_bytes_get_their_colours() -> None:
    rng = np.random.default_rng(4)
    pixels, words = rng.integers(0, 256, (9, 31), np.uint8), rng.integers(0, 1 << 32, 256, np.uint32)
    np.testing.assert_array_equal(coloured(pixels, words), words[pixels])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    factor=st.tuples(FACTORS, FACTORS),
    dtype=st.sampled_from(DTYPES),
    areas=st.sampled_from(AREAS),
    begin=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.tuples(st.integers(0, 25), st.integers(0, 25)),
    masked=st.booleans(),
)
def test_a_part_is_cut_from_the_whole_picture(
    factor: Any, dtype: Any, areas: Any, begin: Any, size: Any, masked: Any
) -> None:
    image = made_image((50, 60), dtype, 7, 0.5)
    valid = np.random.default_rng(8).random(image.shape) < 0.3 if masked else None
    top, left = (at * step for at, step in zip(begin, factor, strict=True))
    part = (top, left, min(50, top + size[0]), min(60, left + size[1]))
    more = {"factor": factor, "areas": areas, "valid": valid}
    whole = tones(image, (0.0, 200.0), LINE, **more)
    made = tones(image, (0.0, 200.0), LINE, part=part, **more)
    inner = (size[0] // factor[0], size[1] // factor[1])
    wanted = whole[begin[0] : begin[0] + inner[0], begin[1] : begin[1] + inner[1]]
    sides = zip(part[:2], part[2:], factor, strict=True)
    assert made.shape == tuple(-(-(end - at) // step) for at, end, step in sides)
    np.testing.assert_array_equal(made[: wanted.shape[0], : wanted.shape[1]], wanted)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float64"])
@pytest.mark.parametrize("factor", [3, 4, 7, 256])
def test_sums_of_the_largest_counts_fit(dtype: str, factor: int) -> None:
    largest = 1e300 if dtype == "float64" else float(np.iinfo(dtype).max)
    image = np.full((256, 512), largest, dtype)
    assert (tones(image, (0.0, largest), LINE, factor=(factor, factor)) == 255).all()
    assert (tones(image, (0.0, 2 * largest), LINE, factor=(factor, factor)) == FIRST + STEPS // 2).all()


@pytest.mark.parametrize("areas", AREAS)
def test_values_beyond_all_floats_are_the_ends(areas: Any) -> None:
    image = np.array([[-1.7e308, -1.7e308, 1.7e308, 1.7e308, 1.7e308, -1.7e308]])
    made = tones(image, (-1.0, 1.0), LINE, factor=(1, 2), areas=areas)
    assert made[0, :2].tolist() == [FIRST, 255]
    assert made[0, 2] >= FIRST
    tiny = tones(np.array([[0.0, 5e-324, 1.0]]), (0.0, 5e-324), LINE)
    assert tiny[0, [0, 2]].tolist() == [FIRST, 255]


def test_events_survive_and_a_lattice_makes_no_fringes() -> None:
    rng = np.random.default_rng(3)
    events = np.zeros((1024, 1024), np.uint16)
    places = rng.integers(0, 256, (500, 2)) * 4 + rng.integers(0, 4, (500, 2))
    events[places[:, 0], places[:, 1]] = 1
    made = tones(events, (0.0, 1.0), LINE, factor=(4, 4), areas="max")
    assert (made[places[:, 0] // 4, places[:, 1] // 4] == 255).all()
    assert np.count_nonzero(made == 255) == len({tuple(place // 4) for place in places})
    y, x = np.mgrid[0:1024, 0:1024]
    lattice = (1000 + 500 * np.cos(2 * np.pi * x / 4.2) + 500 * np.cos(2 * np.pi * y / 4.2)).astype(np.uint16)
    shown = tones(lattice, (0.0, 2000.0), LINE, factor=(4, 4)).astype(float)
    picked = tones(lattice[::4, ::4], (0.0, 2000.0), LINE).astype(float)
    assert np.ptp(picked) > 200
    assert np.ptp(shown[1:-1, 1:-1]) < 0.05 * np.ptp(picked)


@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (100_000, 1), (0, 5), (0, 0)])
def test_pictures_of_odd_shapes(shape: tuple[int, int]) -> None:
    image = np.zeros(shape, np.uint16)
    image[-1:, -1:] = 9
    factor = (max(1, -(-shape[0] // 500)), max(1, -(-shape[1] // 500)))
    made = tones(image, (0.0, 9.0), LINE, factor=factor, areas="max")
    assert made.shape == (-(-shape[0] // factor[0]), -(-shape[1] // factor[1]))
    assert np.count_nonzero(made == 255) == min(1, image.size)
    assert np.count_nonzero(made == FIRST) == made.size - min(1, image.size)


def test_nothing_is_the_checker_and_blind_areas_are_their_own() -> None:
    image, valid = np.full((8, 8), np.nan), np.ones((8, 8), bool)
    valid[4:] = False
    made = tones(image, (0.0, 1.0), LINE, factor=(2, 2), valid=valid, is_masked=True, cell=1)
    assert made.tolist() == [[0, 1, 0, 1], [1, 0, 1, 0], [BLIND] * 4, [BLIND] * 4]
    later = tones(image, (0.0, 1.0), LINE, part=(2, 2, 8, 8), factor=(2, 2), cell=1)
    assert later.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"levels": (1.0, 1.0)}, "low < high"),
        ({"levels": (0.0, np.inf)}, "low < high"),
        ({"image": np.zeros((2, 2), complex)}, "complex128"),
        ({"image": np.zeros((2, 2, 2))}, r"\(2, 2, 2\)"),
        ({"valid": np.ones((2, 3), bool)}, r"\(2, 3\)"),
        ({"curve": np.zeros(256, np.uint8)}, r"\(256,\)"),
        ({"part": (0, 0, 3, 2)}, r"\(0, 0, 3, 2\)"),
        ({"factor": (0, 1)}, r"at least \(1, 1\)"),
        ({"areas": "median"}, "mean, max"),
    ],
)
def test_wrong_arguments_are_named(wrong: Any, said: str) -> None:
    right = {"image": np.zeros((2, 2)), "levels": (0.0, 1.0), "curve": LINE}
    with pytest.raises(ValueError, match=said):
        tones(**{**right, **wrong})
