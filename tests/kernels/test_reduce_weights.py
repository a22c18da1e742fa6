"""Weights, radial profiles and the ways that the kernels take, against the array-API reference."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, uint16

from livem.kernels import lanes, reference, runs
from livem.kernels.masks import MAX_BINS, RadialBins, annulus, disk, radial_bins
from livem.kernels.reduce import (
    DTYPES,
    Region,
    compile_regions,
    reduce_block,
    relative_centers,
    warm_up,
)

INTEGERS = [name for name in DTYPES if not name.startswith("float")]


def random_block(rng, dtype, shape, special=0.3):
    """Full range of the type, some pixels saturated, zero or (floats) not finite."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        block, values = (rng.normal(size=shape) * 1000).astype(kind), [np.nan, np.inf, -np.inf, 0.0]
    else:
        info = np.iinfo(kind)
        block, values = rng.integers(info.min, info.max, shape, kind, endpoint=True), [info.min, info.max, 0]
    return np.where(rng.random(shape) < special, rng.choice(np.array(values, kind), shape), block)


@st.composite
def cases(draw, dtypes=DTYPES):
    """Frames with more pixels than a step has, smooth and ragged masks, and dead pixels."""
    shape = draw(st.tuples(st.sampled_from([0, 1, 3, 5, 17, 33]), st.integers(1, 12), st.integers(1, 300)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    block = random_block(rng, draw(st.sampled_from(dtypes)), shape, draw(st.sampled_from([0.0, 0.3, 1.0])))
    live = rng.random(shape[1:]) >= draw(st.sampled_from([0.0, 0.02, 0.3]))
    radii = [tuple(sorted(rng.random(2) * max(shape[1:]))) for _ in range(draw(st.integers(0, 3)))]
    masks = [annulus(shape[1:], *pair) & live for pair in radii]
    masks += [rng.random(shape[1:]) < 0.5 for _ in range(draw(st.sampled_from([0, 1, 10])))]
    return rng, block, masks, live


def assert_agrees(block, sums, expected):
    """Integers exactly, floats to what their rounding allows."""
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(sums.astype(np.int64), expected)
        return
    scale = np.abs(np.where(np.isfinite(block), block, 0)).sum(dtype=float) if block.size else 0.0
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12 * scale)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_fault_07_many_regions_and_a_profile_agree_with_the_reference(case):
    rng, block, masks, live = case
    center = (float(rng.normal() * 5), float(rng.normal() * 5))
    bins = radial_bins(block.shape[1:], center, 2.5, live)
    regions = [Region(mask, center if i % 3 == 0 else None) for i, mask in enumerate(masks)]
    result = reduce_block(block, compile_regions(block.shape[1:], regions, bins))
    assert_agrees(block, result.profile, reference.radial_profile(block, bins.index, bins.count))
    for d, region in enumerate(regions):
        expected = reference.detector_sum(block, region.mask)
        assert_agrees(block, result.sums[:, d], expected)
        np.testing.assert_array_equal(result.empty[:, d], (result.sums[:, d] == 0) | np.isnan(expected))
        if region.center is None:
            assert np.isnan(result.com[:, d]).all()
        elif block.dtype.kind != "f":
            com = reference.center_of_mass(block, region.mask, center)
            np.testing.assert_allclose(result.com[:, d], com, rtol=1e-9, atol=1e-9)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([1, 100, 4095, 4096, 300_000]))
def test_integer_weights_are_exact(case, most):
    rng, block, masks, live = case
    shape = block.shape[1:]
    weights = rng.integers(-most, most, shape, endpoint=True)
    regions = [Region(live, weights=weights), *[Region(mask, weights=np.abs(weights)) for mask in masks[:2]]]
    result = reduce_block(block, compile_regions(shape, [*regions, Region(live)]))
    assert result.sums.dtype == (np.float64 if block.dtype.kind == "f" else np.int64)
    for d, region in enumerate(regions):
        expected = reference.weighted_sum(block, region.mask, region.weights)
        assert_agrees(block * float(most), result.sums[:, d], expected)
    assert_agrees(block, result.sums[:, -1], reference.detector_sum(block, live))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases())
def test_float_weights_and_what_they_leave_out(case):
    rng, block, masks, live = case
    shape = block.shape[1:]
    regions = [Region(mask, weights=rng.normal(size=shape)) for mask in [live, *masks[:2]]]
    result = reduce_block(block, compile_regions(shape, regions))
    assert result.sums.dtype == np.float64
    for d, region in enumerate(regions):
        expected = reference.weighted_sum(block, region.mask, region.weights)
        assert_agrees(block * 10.0, result.sums[:, d], expected)
        np.testing.assert_array_equal(result.excluded[:, d], reference.excluded(block, region.mask))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_other_region_and_no_block_changes_a_float_sum(dtype):
    rng = np.random.default_rng(5)
    block = random_block(rng, dtype, (18, 9, 70), 0.1)
    regions = [Region(disk((9, 70), 6), (4, 30)), Region(rng.random((9, 70)) < 0.7)]
    regions += [Region(regions[1].mask, weights=rng.normal(size=(9, 70)))]
    profile = radial_bins((9, 70))
    whole = reduce_block(block, compile_regions((9, 70), regions, profile))
    for d, region in enumerate(regions):
        alone = compile_regions((9, 70), [region], profile)
        single = [reduce_block(block[i : i + 1], alone) for i in range(18)]
        for name in ("sums", "com", "excluded"):
            found = np.concatenate([getattr(one, name) for one in single])
            np.testing.assert_array_equal(found[:, 0], getattr(whole, name)[:, d])
        np.testing.assert_array_equal(np.concatenate([one.profile for one in single]), whole.profile)


@pytest.mark.parametrize("frames", [1, 4, 16, 17])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_ragged_masks_of_saturated_frames_are_summed_exactly(dtype, frames):
    """More pixels than a lane of 32 bits holds sums of."""
    shape = (260, 300)
    masks = [np.random.default_rng(seed).random(shape) < 0.9 for seed in range(9)]
    whole = RadialBins(np.zeros(shape, np.int32), 1)
    compiled = compile_regions(shape, [Region(mask) for mask in masks], whole)
    for extreme in {np.iinfo(dtype).min, np.iinfo(dtype).max}:
        result = reduce_block(np.full((frames, *shape), extreme, dtype), compiled)
        expected = [int(extreme) * np.count_nonzero(mask) for mask in masks]
        assert result.sums.tolist() == [expected] * frames
        assert result.profile.tolist() == [[int(extreme) * 260 * 300]] * frames


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32"])
def test_extremes_of_a_large_frame(dtype):
    """All pixels of 4096 x 4096 saturated: sums, moments and weights as integers of any size have them."""
    side = 4096
    extreme = np.iinfo(dtype).min if dtype == "int16" else np.iinfo(dtype).max
    whole = np.ones((side, side), bool)
    regions = [Region(whole, (0.0, 0.0)), Region(whole, weights=np.full((side, side), -127, np.int8))]
    result = reduce_block(np.full((1, side, side), extreme, dtype), compile_regions((side, side), regions))
    total = int(extreme) * side * side
    assert int(result.sums[0, 0]) == total
    assert int(result.sums[0, 1]) == -127 * total
    np.testing.assert_array_equal(result.com[0, 0], [(side - 1) / 2] * 2)


def test_moments_from_elsewhere_give_the_same_centres():
    block = random_block(np.random.default_rng(1), "uint16", (3, 20, 40))
    y, x = np.mgrid[:20, :40]
    moments = np.stack([(block * axis.astype(np.int64)).sum(axis=(1, 2)) for axis in (y, x)], axis=1)
    compiled = compile_regions((20, 40), [Region(np.ones((20, 40), bool), (3.0, 4.0))])
    result = reduce_block(block, compiled)
    found = relative_centers(moments[:, None], result.sums, compiled.centers)
    np.testing.assert_array_equal(found, result.com)


def test_rings_are_what_the_radius_says():
    bins = radial_bins((9, 12), (4.0, 5.5), 1.5)
    y, x = np.mgrid[:9, :12]
    np.testing.assert_array_equal(bins.index, np.floor(np.hypot(y - 4.0, x - 5.5) / 1.5))
    np.testing.assert_array_equal(bins.pixels, np.bincount(bins.index.ravel()))
    live = (y + x) % 3 > 0
    np.testing.assert_array_equal(radial_bins((9, 12), live=live).index == -1, ~live)
    assert radial_bins((4, 4), width=1e-9).count <= MAX_BINS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: radial_bins((4, 4), width=0), "0 px"),
        (lambda: RadialBins(np.zeros((4, 4)), 1), "float64"),
        (lambda: RadialBins(np.full((4, 4), 3, np.int32), 3), "3 of 3"),
        (lambda: RadialBins(np.full((4, 4), -2, np.int32), 3), "-2"),
        (lambda: compile_regions((5, 4), [], radial_bins((4, 4))), r"profile of shape \(4, 4\)"),
    ],
)
def test_profiles_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("weights", "center", "message"),
    [
        (np.ones((3, 4)), None, r"region 0: weights float64 of shape \(3, 4\)"),
        (np.ones((4, 4), bool), None, "weights bool"),
        (np.ones((4, 4)), (0.0, 0.0), "weights and a centre"),
        (np.full((4, 4), 1 << 27), None, "2.14748e\\+09"),
        (np.full((4, 4), np.nan), None, "finite"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, center, message):
    with pytest.raises(ValueError, match=message):
        compile_regions((4, 4), [Region(np.ones((4, 4), bool), center, weights)])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="counts x86 instructions")
@pytest.mark.parametrize(
    ("kernel", "instructions"),
    [
        (runs.integer_regions, r"\s(?:vpmaddwd|vpdpwssd|pmaddwd)\s"),
        (runs.weighted_integers, r"\s(?:vpmaddwd|vpdpwssd|pmaddwd)\s"),
        (runs.weighted_floats, r"\s(?:vmulpd|vfmadd\w+pd|mulpd)\s"),
        (lanes.scatter_lanes, r"\sv?paddd\s.*[xyz]mm"),
    ],
)
def test_kernels_are_vectorised(kernel, instructions):
    warm_up("uint16")
    fresh = njit(nogil=True)(kernel.py_func)  # one from the cache has no assembly to look at
    fresh.compile(next(found for found in kernel.signatures if found[0].dtype == uint16))
    assert len(re.findall(instructions, "\n".join(fresh.inspect_asm().values()))) >= 4
