"""Frames in, frames with less noise out: levels, what is claimed of them, and frames that are not nice."""

from itertools import pairwise

import numpy as np
import pytest

from livem.benchmarks.inpaint_scenes import grains, lattice, psnr
from livem.errors import MissingDependencyError
from livem.kernels.denoise import classical
from livem.kernels.denoise.frames import LEVELS, METHODS, FrameFilter, level_within
from livem.kernels.noise import NoiseModel

LEVEL_NAMES = list(LEVELS)


def counted(truth, dose, seed=0):
    """Counts of ``dose`` electrons a pixel on average, and counts of a truth of 1."""
    scale = dose / float(truth.mean())
    return np.random.default_rng(seed).poisson(scale * truth.astype(float)).astype(np.uint16), scale


def particles(n=128):
    y, x = np.mgrid[:n, :n]
    truth = 0.7 + 0.3 * np.cos(x / 60) * np.cos(y / 80)
    for cy, cx, radius in ((30, 40, 9), (80, 90, 12), (100, 30, 6), (40, 100, 8)):
        depth = np.sqrt(np.clip(radius**2 - (y - cy) ** 2 - (x - cx) ** 2, 0, None))
        truth = truth * np.exp(-depth / 11)
    return truth.astype(np.float32)


def gain(truth, dose, method):
    """dB by which the error is below that of the counts."""
    counts, scale = counted(truth, dose)
    found = FrameFilter(method=method)(counts)
    return psnr(found / np.float32(scale), truth) - psnr(counts / scale, truth)


@pytest.mark.parametrize(
    ("scene", "dose", "least"),
    [
        (lattice(128), 1, 9.0),
        (lattice(128), 20, 7.5),
        (grains(128), 5, 11.5),
        (particles(), 1, 14.0),
        (particles(), 20, 10.0),
    ],
)
def test_the_best_level_takes_the_noise_out(scene, dose, least):
    assert gain(scene, dose, "full") >= least


@pytest.mark.parametrize(("scene", "dose"), [(lattice(128), 5), (grains(128), 5), (particles(), 5)])
def test_a_better_level_is_better(scene, dose):
    gains = [gain(scene, dose, name) for name in LEVEL_NAMES]
    assert all(later > former - 0.3 for former, later in pairwise(gains))
    assert gains[-1] > gains[0] + 1


def test_neighbours_pay_on_particles_and_waves_on_crystals():
    assert gain(particles(), 20, "full") > gain(particles(), 20, "fine") + 0.5
    assert gain(lattice(128), 1, "lattice") > gain(lattice(128), 1, "quick") + 3


def test_the_mean_is_kept():
    """The inverse is unbiased: counts do not fade."""
    counts, _ = counted(grains(128), 2)
    assert FrameFilter()(counts).mean() == pytest.approx(counts.mean(), rel=0.02)


def test_gain_offset_and_read_noise_are_taken_into_account():
    counts, scale = counted(grains(128), 20)
    rng = np.random.default_rng(1)
    values = 40 * (counts + 0.5 * rng.standard_normal(counts.shape)) + 100
    found = FrameFilter(NoiseModel(40.0, 100.0, 20.0))(values)
    assert psnr((found - 100) / np.float32(40 * scale), grains(128)) > psnr(counts / scale, grains(128)) + 8


@pytest.mark.parametrize("method", LEVEL_NAMES)
@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (65, 8), (33, 100)])
def test_any_shape_from_8_pixels_on(method, shape):
    """Counts without noise come back up to a quarter of an electron brighter: the inverse expects noise."""
    found = FrameFilter(method=method)(np.full(shape, 9, np.uint8))
    assert found.shape == shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 9, atol=0.3)


@pytest.mark.parametrize("method", LEVEL_NAMES)
@pytest.mark.parametrize("value", [0, 1, 65535, -7, 1e17])
def test_constant_saturated_and_negative_frames(method, value):
    found = FrameFilter(method=method)(np.full((40, 30), value, np.float64))
    np.testing.assert_allclose(found, max(value, 0), rtol=1e-4, atol=0.3)


@pytest.mark.parametrize("method", LEVEL_NAMES)
def test_a_hole_stays_a_hole_and_tells_nothing(method):
    counts, _ = counted(grains(64), 20)
    values = counts.astype(np.float64)
    for n, bad in enumerate((np.nan, np.inf, -np.inf, 1e300)):
        values[10 : 14 + n, 12 * n : 12 * n + 5] = bad
    bad = ~(np.abs(values) < 1e9)
    found, whole = FrameFilter(method=method)(values), FrameFilter(method=method)(counts)
    assert np.array_equal(np.isnan(found), bad)
    assert np.abs(found - whole)[~bad].mean() < 0.1 * counts.mean()


def test_a_frame_of_nothing_known_stays_so():
    assert np.isnan(FrameFilter()(np.full((20, 20), np.nan))).all()


def test_frames_are_what_each_of_them_is_and_may_be_read_only():
    stack = np.stack([counted(grains(64), 5, seed)[0] for seed in range(3)])
    stack.flags.writeable = False
    one_by_one = [FrameFilter()(frame) for frame in stack]
    np.testing.assert_array_equal(FrameFilter().frames(stack), one_by_one)
    assert FrameFilter().frames(stack[:0]).shape == (0, 64, 64)


def test_views_are_taken_as_they_are():
    counts, _ = counted(grains(128), 5)
    np.testing.assert_array_equal(FrameFilter()(counts[::2, ::2]), FrameFilter()(counts[::2, ::2].copy()))
    np.testing.assert_array_equal(FrameFilter()(counts.T), FrameFilter()(counts.T.copy()))


@pytest.mark.parametrize("frame", [np.zeros((7, 20)), np.zeros(64), np.zeros((2, 20, 20))])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(ValueError, match="8 x 8"):
        FrameFilter()(frame)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="complex"):
        FrameFilter()(np.zeros((20, 20), complex))


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="gaussian"):
        FrameFilter(method="best")


def test_a_budget_chooses_the_level():
    shape = (256, 256)
    costs = [level.cost_s(shape) for level in LEVELS.values()]
    assert costs == sorted(costs)
    assert [level_within(cost, shape).name for cost in costs] == LEVEL_NAMES
    assert level_within(0.0, shape).name == LEVEL_NAMES[0]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in LEVELS])
def test_classical_filters_take_some_noise_out(method):
    if method in ("nlm", "tv"):
        pytest.importorskip("skimage")
    assert gain(particles(), 5, method) > 3


@pytest.mark.parametrize("method", ["nlm", "tv"])
def test_a_package_that_is_missing_is_named(method, monkeypatch):
    monkeypatch.setattr(classical, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=f'"{method}" needs scikit-image'):
        FrameFilter(method=method)(np.zeros((20, 20)))
