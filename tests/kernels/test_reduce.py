"""Sums and centres of mass against the array-API reference and against plain integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels import lanes, reduce, reference, runs
from livem.kernels.masks import disk, frame_center, radial_bins
from livem.kernels.reduce import DTYPES, Region, center_of_mass, compile_regions, detector_sums, reduce_block

INTEGERS = [name for name in DTYPES if not name.startswith("float")]


def random_block(rng, dtype, shape, special=0.0):
    """Full range of the type, some pixels saturated, zero or (floats) not finite."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        block = (rng.normal(size=shape) * 1000).astype(kind)
        values = [np.nan, np.inf, -np.inf, 0.0]
    else:
        info = np.iinfo(kind)
        block = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        values = [info.min, info.max, 0]
    return np.where(rng.random(shape) < special, rng.choice(np.array(values, kind), shape), block)


@st.composite
def cases(draw, dtypes=DTYPES):
    shape = tuple(draw(st.tuples(st.integers(0, 4), st.integers(1, 19), st.integers(1, 19))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    block = random_block(rng, draw(st.sampled_from(dtypes)), shape, draw(st.sampled_from([0.0, 0.3, 1.0])))
    masks = [rng.random(shape[1:]) < share for share in (0.0, 0.5, 1.0)]
    center = (float(rng.normal() * 5), float(rng.normal() * 5))
    return block, masks, center


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases())
def test_fault_07_kernels_agree_with_the_reference(case):
    block, masks, center = case
    regions = compile_regions(block.shape[1:], [Region(mask, center) for mask in masks])
    result = reduce_block(block, regions)
    exact = block.dtype.kind != "f"
    for d, mask in enumerate(masks):
        expected = reference.detector_sum(block, mask)
        np.testing.assert_array_equal(result.excluded[:, d], reference.excluded(block, mask))
        com = reference.center_of_mass(block, mask, center)
        if exact:
            np.testing.assert_array_equal(result.sums[:, d].astype(np.int64), expected)
            np.testing.assert_allclose(result.com[:, d], com, rtol=1e-9, atol=1e-9)
            continue
        scale = np.abs(np.where(np.isfinite(block), block, 0)).sum(axis=(1, 2), dtype=float)
        np.testing.assert_allclose(result.sums[:, d], expected, atol=1e-12 * scale.max(initial=0))
        conditioned = np.abs(expected) > 1e-3 * scale
        np.testing.assert_allclose(result.com[conditioned, d], com[conditioned], rtol=1e-8, atol=1e-8)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([0.02, 0.3, 1.0]), st.integers(0, 2**32))
def test_what_dead_pixels_hold_changes_no_bit(case, dead, seed):
    block, masks, center = case
    live = np.random.default_rng(seed).random(block.shape[1:]) >= dead
    regions = compile_regions(block.shape[1:], [Region(mask & live, center) for mask in masks])
    worst = np.nan if block.dtype.kind == "f" else np.iinfo(block.dtype).max
    result = reduce_block(block, regions)
    other = reduce_block(np.where(live, block, np.array(worst, block.dtype)), regions)
    for name in ("sums", "com", "excluded"):
        np.testing.assert_array_equal(getattr(result, name), getattr(other, name))
    for d, mask in enumerate(masks):
        expected = reference.detector_sum(block, mask & live)
        assert (result.excluded[:, d] == reference.excluded(block, mask & live)).all()
        if block.dtype.kind != "f":
            np.testing.assert_array_equal(result.sums[:, d].astype(np.int64), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fault_07_empty_frames_have_no_centre_of_mass(dtype):
    com, total = center_of_mass(np.zeros((3, 5, 7), dtype))
    assert np.isnan(com).all()
    np.testing.assert_array_equal(total, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fault_07_pixels_that_are_not_finite_are_left_out_and_counted(dtype):
    block = np.ones((2, 4, 4), dtype)
    block[0, 1, 1], block[0, 2, 2] = np.nan, np.inf
    block[1] = np.nan
    result = reduce_block(block, compile_regions((4, 4), [Region(np.ones((4, 4), bool), (1.5, 1.5))]))
    assert result.sums[0, 0] == 14
    assert np.isnan(result.sums[1, 0])
    np.testing.assert_array_equal(result.excluded[:, 0], [2, 16])
    np.testing.assert_allclose(result.com[0, 0], 0, atol=1e-12)
    assert np.isnan(result.com[1]).all()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_fault_07_saturated_frames_are_summed_exactly(dtype):
    top = np.iinfo(dtype).max
    block = np.full((2, 33, 65), top, dtype)
    com, total = center_of_mass(block)
    assert [int(value) for value in total] == [33 * 65 * int(top)] * 2
    np.testing.assert_allclose(com, 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 65_536), (65_536, 2)])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_longest_rows_and_columns_of_extreme_values_do_not_overflow(dtype, shape):
    for extreme in {np.iinfo(dtype).max, np.iinfo(dtype).min} - {0}:
        com, total = center_of_mass(np.full((1, *shape), extreme, dtype))
        assert int(total[0]) == 2 * 65_536 * int(extreme)
        assert (
            int(detector_sums(np.full((1, *shape), extreme, dtype), [np.ones(shape, bool)])[0, 0]) == total[0]
        )
        np.testing.assert_allclose(com, 0, atol=1e-9)


def test_longer_frames_are_refused():
    with pytest.raises(ValueError, match="65537"):
        compile_regions((1, 65_537), [])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(("uint8", "uint16", "int16")))
def test_small_integers_give_bit_exact_centres(case):
    block, masks, center = case
    y, x = np.arange(block.shape[1]), np.arange(block.shape[2])
    values = np.where(masks[1], block, 0).astype(np.int64)
    total = values.sum(axis=(1, 2))
    with np.errstate(all="ignore"):
        expected = np.stack(
            [
                (values * y[:, None]).sum(axis=(1, 2)) / total - center[0],
                (values * x).sum(axis=(1, 2)) / total - center[1],
            ],
            axis=1,
        )
    expected[total == 0] = np.nan
    np.testing.assert_array_equal(center_of_mass(block, center, masks[1])[0], expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_answer_does_not_depend_on_how_frames_are_split(dtype):
    block = random_block(np.random.default_rng(3), dtype, (9, 17, 23), 0.1)
    regions = compile_regions((17, 23), [Region(disk((17, 23), 6), (8, 11)), Region(disk((17, 23), 20))])
    whole = reduce_block(block, regions)
    pieces = [reduce_block(block[i : i + 1], regions) for i in range(9)]
    np.testing.assert_array_equal(whole.sums, np.concatenate([piece.sums for piece in pieces]))
    np.testing.assert_array_equal(whole.com, np.concatenate([piece.com for piece in pieces]))


def compiled_kernels():
    kernels = {name: kernel for module in (runs, lanes) for name, kernel in vars(module).items()}
    return {
        name: list(kernel.signatures) for name, kernel in kernels.items() if hasattr(kernel, "signatures")
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_compiles_once_warm(dtype):
    reduce.warm_up(dtype)
    known = compiled_kernels()
    shape = (20, 30)
    whole, weights = np.ones(shape, bool), np.arange(600).reshape(shape)
    plain = [Region(whole), Region(whole, frame_center(shape)), Region(weights % 2 == 0)]
    weighted = [Region(whole, weights=weights * factor) for factor in (1, 2000, 0.5)]
    writable = np.ones((20, *shape), dtype)
    frozen = writable.copy()
    frozen.flags.writeable = False
    for block in (writable, frozen, frozen[:1], frozen[:0], frozen.astype(np.dtype(dtype).newbyteorder("<"))):
        for regions in ([], plain, plain + weighted):
            for profile in (None, radial_bins(shape)):
                reduce_block(block, compile_regions(shape, regions, profile))
    assert compiled_kernels() == known


def test_shared_memory_views_of_bytes_are_taken():
    payload = np.arange(2 * 3 * 4, dtype="<u2").view(np.uint8)
    payload.flags.writeable = False
    block = payload.view("<u2").reshape(2, 3, 4)
    np.testing.assert_array_equal(detector_sums(block, [np.ones((3, 4), bool)])[:, 0], [66, 210])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((4, 4), np.uint8), "shape"),
        (np.zeros((1, 4, 5), np.uint8), "shape"),
        (np.zeros((1, 4, 4), np.int64), "int64|i8"),
        (np.zeros((1, 4, 4), ">u2"), ">u2"),
        (np.zeros((1, 4, 8), np.uint8)[:, :, ::2], "contiguous"),
        (np.zeros(33, np.uint8)[1:].view(np.uint16).reshape(1, 4, 4), "aligned"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(block, message):
    regions = compile_regions((4, 4), [Region(np.ones((4, 4), bool))])
    with pytest.raises(ValueError, match=message):
        reduce_block(block, regions)


def test_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(4, 4\)"):
        compile_regions((4, 4), [Region(np.ones((3, 3), bool))])


def test_no_regions_and_no_frames():
    assert reduce_block(np.zeros((3, 4, 4), np.uint8), compile_regions((4, 4), [])).sums.shape == (3, 0)
