"""Samples beside the centres of their pixels: known to the first order, and nothing else is touched."""

import numpy as np
import pytest

from livem.kernels.inpaint.centring import centred, centred_by_sums, solve_centred
from livem.kernels.inpaint.pyramid import PushPull
from livem.kernels.inpaint.samples import SampleField
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.thin_plate import ThinPlate

FINE = Budget(tolerance=1e-4)


def lattice(y, x, spacing=14.0):
    along = 2 * np.pi / spacing
    return np.cos(along * (0.94 * y + 0.34 * x)) + np.cos(along * (-0.3 * y + 0.95 * x))


def spiral(n, turn=3.0, step=1.0):
    """(samples, 2) along an Archimedean spiral, ``step`` px apart, as far as the field's edges."""
    angle = np.sqrt(4 * np.pi * step / turn * np.arange(int(np.pi * (n / 2) ** 2 / turn / step)))
    radius = turn * angle / (2 * np.pi)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1) + (n - 1) / 2


def spiral_scan(n=128):
    positions = spiral(n)
    field = SampleField((n, n))
    field.add(positions, lattice(*positions.T))
    y, x = np.mgrid[:n, :n]
    within = np.hypot(y - (n - 1) / 2, x - (n - 1) / 2) < n / 2 - 3
    return field, lattice(y, x), within


def rms(image, truth, within):
    return float(np.sqrt(np.mean((image - truth)[within] ** 2)))


@pytest.mark.parametrize("strength", [0.0, 0.01])
def test_offsets_taken_out_lower_the_error_of_a_spiral_to_a_third(strength):
    field, truth, within = spiral_scan()
    data, weight = field.mean()
    plain = ThinPlate().solve(data, weight, strength=strength, budget=FINE).image[0]
    found = solve_centred(ThinPlate(), data, weight, field.offsets(), strength=strength, budget=FINE).image[0]
    assert rms(found, truth, within) < rms(plain, truth, within) / 3


def test_one_correction_a_solve_gets_there_when_each_starts_from_the_one_before():
    field, _, _ = spiral_scan()
    data, weight = field.mean()
    at_once = solve_centred(ThinPlate(), data, weight, field.offsets(), budget=FINE, rounds=6).image
    image = ThinPlate().solve(data, weight, budget=FINE).image
    for _ in range(6):
        image = (
            ThinPlate().solve(centred(data, weight, field.offsets(), image), weight, image, budget=FINE).image
        )
    np.testing.assert_allclose(image, at_once, atol=1e-3)


@pytest.mark.parametrize("solver", [ThinPlate(), PushPull()])
def test_without_offsets_it_is_one_plain_solve_to_the_bit(solver):
    field, _, _ = spiral_scan(64)
    data, weight = field.mean()
    plain = solver.solve(data, weight).image
    for offsets in (None, np.zeros((2, 64, 64), np.float32)):
        np.testing.assert_array_equal(solve_centred(solver, data, weight, offsets).image, plain)
        moved = centred(data, weight, offsets, plain)
        np.testing.assert_array_equal(moved, data)


def test_a_ramp_is_put_right_exactly_edges_included():
    y, x = np.mgrid[:6, :7].astype(np.float32)
    offsets = np.stack([np.full((6, 7), 0.25), np.full((6, 7), -0.5)]).astype(np.float32)
    ramp = 2 * y - 4 * x
    shown = (ramp + 2 * 0.25 - 4 * -0.5)[None]
    weight = np.ones((6, 7), np.float32)
    np.testing.assert_array_equal(centred(shown, weight, offsets, ramp[None])[0], ramp)


def test_a_single_row_has_no_slope_across():
    offsets = np.full((2, 1, 5), 0.5, np.float32)
    line = np.arange(5, dtype=np.float32)[None, None]
    moved = centred(line + 0.5, np.ones((1, 5), np.float32), offsets, line)
    np.testing.assert_array_equal(moved, line)


def test_what_is_unknown_stays_unknown():
    data = np.full((1, 4, 4), np.nan, np.float32)
    offsets = np.full((2, 4, 4), 0.25, np.float32)
    moved = centred(data, np.zeros((4, 4), np.float32), offsets, np.zeros((1, 4, 4), np.float32))
    assert np.isnan(moved).all()


@pytest.mark.parametrize("shape", [(9, 12), (1, 7), (6, 1), (1, 1)])
def test_sums_of_offsets_centre_as_their_means_do(shape):
    """To the bit, several visits a pixel, single lines too."""
    rng, field = np.random.default_rng(5), SampleField(shape, 2)
    field.add(rng.uniform(-0.5, np.array(shape) - 0.51, (60, 2)), rng.normal(0, 1, (60, 2)))
    data, weight = field.mean()
    estimate = rng.normal(0, 1, data.shape).astype(np.float32)
    sums, offsets = field.offset_sums, field.offsets()
    assert sums is not None
    expected = centred(data, weight, offsets, estimate)
    np.testing.assert_array_equal(centred_by_sums(data, weight, sums, estimate), expected)
    slopes = [
        np.gradient(one.astype(float), axis=axis) if shape[axis] > 1 else 0 * one
        for one in estimate
        for axis in (0, 1)
    ]
    moved = [
        plane - offsets[0] * slopes[2 * c] - offsets[1] * slopes[2 * c + 1] for c, plane in enumerate(data)
    ]
    np.testing.assert_allclose(expected, moved, atol=1e-5)
