"""The bright-field disk is found to a fraction of a pixel, at any dose, and not where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.calibrate import Disk, NoDisk, bright_field_disk
from livem.kernels.electrons import mrad_per_px, semi_convergence_mrad, wavelength
from livem.stream.simulate.four_d_stem import FourDStem

SHAPE = (256, 256)
DOSE = 64
"""Frames behind a mean pattern."""


def soft_disk(shape, center, radius, soft=0.5):
    y, x = np.indices(shape)
    r = np.hypot(y - center[0], x - center[1])
    return 1 / (1 + np.exp(np.clip((r - radius) / soft * 2, -50, 50)))


def pattern(center, radius, shape=SHAPE, counts=1.0, background=0.02, seed=0):
    """Mean of DOSE frames with ``counts`` per pixel in the disk."""
    mean = counts * (background + soft_disk(shape, center, radius))
    return np.random.default_rng(seed).poisson(DOSE * mean) / DOSE


def found(image, live=None):
    disk = bright_field_disk(image, live)
    assert isinstance(disk, Disk), disk
    return disk


def assert_disk(disk, center, radius, within):
    assert disk.center == pytest.approx(center, abs=within)
    assert disk.radius == pytest.approx(radius, abs=within)


@pytest.mark.parametrize("radius", [2, 3, 5, 10, 30, 46, 90])
@pytest.mark.parametrize(("counts", "within"), [(100, 0.08), (1, 0.15), (0.3, 0.3)])
def test_noisy_disks(radius, counts, within):
    center = (120.3, 137.8)
    assert_disk(found(pattern(center, radius, counts=counts, seed=radius)), center, radius, within)


@pytest.mark.parametrize("seed", range(5))
def test_a_twentieth_of_a_count_per_pixel_in_64_frames(seed):
    disk = found(pattern((120.3, 137.8), 46, counts=0.05, seed=seed))
    assert_disk(disk, (120.3, 137.8), 46, 0.5)
    assert disk.sigma < 0.2


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.sampled_from([32, 64, 100, 300]),
    st.floats(0.08, 0.3),
    st.floats(0.4, 0.6),
    st.floats(0.4, 0.6),
    st.floats(1e-3, 1e6),
)
def test_clean_disks_of_any_size_place_and_scale(side, share, down, right, counts):
    center, radius = (side * down, side * right), side * share
    assert_disk(found(counts * (0.01 + soft_disk((side, side), center, radius))), center, radius, 0.1)


@pytest.mark.parametrize("off", [0, 20, 40, 60])
def test_disks_partly_outside_the_frame(off):
    disk = found(pattern((off, 100.3), 60, counts=3))
    assert_disk(disk, (off, 100.3), 60, 0.2)
    assert 0.45 < disk.rim < 1
    assert disk.agreement > 0.9


def test_a_quarter_of_a_disk_in_the_corner():
    assert_disk(found(pattern((10, 10), 60, counts=3)), (10, 10), 60, 0.2)


@pytest.mark.parametrize("share", [0.1, 0.25])
@pytest.mark.parametrize("distance", [1.2, 1.6, 2.2])
def test_bragg_disks_that_overlap(share, distance):
    center, radius, turns = (125.2, 130.9), 30, 0.3 + np.arange(6) * math.pi / 3
    mean = 0.02 + soft_disk(SHAPE, center, radius)
    for sine, cosine in zip(np.sin(turns), np.cos(turns), strict=True):
        place = (center[0] + distance * radius * sine, center[1] + distance * radius * cosine)
        mean += share * soft_disk(SHAPE, place, radius)
    image = np.random.default_rng(1).poisson(3 * DOSE * mean) / DOSE
    assert_disk(found(image), center, radius, 0.25)


@pytest.mark.parametrize("value", [0, 1e5, np.nan, np.inf])
def test_bad_pixels_that_nobody_named(value):
    image = pattern((100.2, 140.7), 40)
    rng = np.random.default_rng(2)
    image[rng.integers(0, 256, 200), rng.integers(0, 256, 200)] = value
    assert_disk(found(image), (100.2, 140.7), 40, 0.1)


def test_hot_pixels_in_pairs_and_in_a_binned_pattern():
    image = soft_disk((1024, 1024), (400, 560), 180)
    image[500, 500:502] = image[7, 9] = 1e9
    assert_disk(found(image), (400, 560), 180, 0.3)


@pytest.mark.parametrize("width", [2, 12, 25])
def test_gaps_between_modules(width):
    live = np.ones(SHAPE, bool)
    live[90 : 90 + width] = live[:, 120 : 120 + width] = False
    disk = found(np.where(live, pattern((100.2, 140.7), 40), 0), live)
    assert_disk(disk, (100.2, 140.7), 40, 0.15)


def test_dead_pixels_hold_anything():
    live = np.random.default_rng(4).random(SHAPE) < 0.8
    image = pattern((100.2, 140.7), 40)
    assert_disk(found(np.where(live, image, 1e12), live), (100.2, 140.7), 40, 0.15)


@pytest.mark.parametrize("shape", [(514, 1028), (128, 300), (2048, 2048)])
def test_other_shapes_are_binned(shape):
    center, radius = (shape[0] * 0.55, shape[1] * 0.45), 0.2 * min(shape)
    disk = found(soft_disk(shape, center, radius))
    assert_disk(disk, center, radius, 0.05 * math.ceil(max(shape) / 256))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_scale_does_not_matter(scale):
    reference, scaled = found(pattern((100, 110), 30)), found(scale * pattern((100, 110), 30))
    assert scaled.radius == pytest.approx(reference.radius, rel=1e-6)
    assert 0 < scaled.confidence <= 1


def test_integers_and_background_below_zero():
    image = pattern((100, 110), 30, counts=20)
    assert_disk(found((image * DOSE).astype(np.uint16)), (100, 110), 30, 0.1)
    assert_disk(found(image - 0.4), (100, 110), 30, 0.1)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros(SHAPE), "empty"),
        (np.full(SHAPE, 7.0), "empty"),
        (np.full(SHAPE, np.nan), "empty"),
        (np.ones((1, 1)), "shape"),
        (np.ones((1, 500)), "shape"),
        (np.ones((0, 0)), "shape"),
        (np.ones((3, 30, 30)), "shape"),
        (np.indices(SHAPE)[0], ""),
        (np.eye(256)[:, [5]] * np.eye(256)[100] * 1e5, "empty"),
    ],
)
def test_no_disk_and_why(image, words):
    disk = bright_field_disk(image)
    assert isinstance(disk, NoDisk)
    assert disk.reason
    assert words in disk.reason


def test_nothing_live():
    assert isinstance(bright_field_disk(pattern((100, 100), 30), np.zeros(SHAPE, bool)), NoDisk)


@pytest.mark.parametrize("mean", [0.1, 1, 10, 1000])
@pytest.mark.parametrize("side", [64, 256])
def test_noise_alone_is_no_disk(mean, side):
    rng = np.random.default_rng(int(10 * mean) + side)
    for _ in range(5):
        assert isinstance(bright_field_disk(rng.poisson(mean * DOSE, (side, side)) / DOSE), NoDisk)


def test_the_simulated_microscope():
    sim = FourDStem.open("shape=128x128&scan=16x16&seed=3")
    frames = np.stack([sim.bank.stock[i] for i in range(len(sim.bank.stock))])
    disk = found(frames.mean(axis=0))
    assert_disk(disk, np.add(63.5, sim.truth()["field"].mean(axis=(0, 1))), 0.18 * 128, 0.4)


@pytest.mark.parametrize(("energy", "pm"), [(60, 4.8661), (100, 3.7014), (200, 2.5079), (300, 1.9687)])
def test_wavelengths_of_the_textbooks(energy, pm):
    assert wavelength(energy) * 1e12 == pytest.approx(pm, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "unit", "mrad"),
    [
        (0.5, "mrad", 0.5),
        (5e-4, "rad", 0.5),
        (0.1, "1/nm", 0.1 * 2.5079),
        (0.01, "1/A", 0.1 * 2.5079),
        (0.01, "A^-1", 0.1 * 2.5079),
        (0.01, " Å^-1 ", 0.1 * 2.5079),
        (0.01, "Å⁻¹", 0.1 * 2.5079),
        (0.1, "nm-1", 0.1 * 2.5079),
        (1e8, "1/m", 0.1 * 2.5079),
    ],
)
def test_pixels_are_angles(size, unit, mrad):
    assert mrad_per_px(size, unit, 200.0) == pytest.approx(mrad, rel=1e-4)
    assert semi_convergence_mrad(20, mrad_per_px(size, unit, 200.0)) == pytest.approx(20 * mrad, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((None, "mrad", 200.0), "pixel_size is missing"),
        ((0.1, None, 200.0), "pixel_unit is missing"),
        ((0.1, "1/nm", None), "beam_energy"),
        ((0.0, "mrad", None), "pixel_size = 0.0"),
        ((math.nan, "mrad", None), "pixel_size = nan"),
        ((0.1, "nm", 200.0), "'nm' is no angle"),
        ((0.1, "1/parsec", 200.0), "'1/parsec' is no angle"),
        ((0.1, "1/nm", -3.0), "beam_energy = -3.0"),
        ((0.1, "1/nm", math.inf), "beam_energy = inf"),
    ],
)
def test_what_is_missing_for_an_angle_is_named(values, words):
    with pytest.raises(ValueError, match=words):
        mrad_per_px(*values)
