"""The windows, the neighbours and the mixture against their definitions."""

import numpy as np
import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from livem.kernels.denoise import cosine_windows, fourier_windows, neighbours
from livem.kernels.denoise.cosine_windows import TAPER, CosineWindows
from livem.kernels.denoise.fourier_windows import FourierWindows
from livem.kernels.denoise.neighbours import AlikeNeighbours
from livem.kernels.denoise.overlap import Estimate, padded
from livem.kernels.denoise.reference_frames import (
    alike,
    cosines_kept,
    cosines_shrunk,
    overlapping,
    waves_kept,
)
from livem.kernels.denoise.risk import mixture

SIDES = st.integers(8, 30)
NEAR = 1e-5
"""Coefficients this near to the threshold may fall on either side of it in single precision."""


def frame_of(ny, nx, salt=0):
    rng = np.random.default_rng([ny, nx, salt])
    y, x = np.mgrid[:ny, :nx]
    return (5 + 2 * np.sin(0.7 * x + 0.2 * y) + rng.standard_normal((ny, nx))).astype(np.float32)


def cut(pair, margin, shape):
    values, weights = (p[margin : margin + shape[0], margin : margin + shape[1]] for p in pair)
    return values / weights


def by_definition(frame, pilot, grid, filtered, taper):
    side, step = grid
    plane, guide = (padded(p, side, step).astype(float) for p in (frame, pilot))
    return cut(overlapping(plane, guide, taper, step, filtered), side - step, frame.shape)


@seed(1)
@given(SIDES, SIDES, st.sampled_from([(8, 2), (8, 4), (8, 8), (16, 4), (16, 8), (32, 16)]))
@settings(deadline=None, max_examples=10)
def test_cosines_are_their_definition(ny, nx, grid):
    frame, pilot = frame_of(ny, nx), frame_of(ny, nx, 1)
    taper, windows = np.outer(*[np.kaiser(grid[0], TAPER)] * 2), CosineWindows(*grid)
    shrunk = by_definition(frame, pilot, grid, cosines_shrunk(grid[0]), taper)
    np.testing.assert_allclose(windows.shrunk(frame, pilot).estimate().values, shrunk, atol=1e-4)
    lower, upper = (
        by_definition(frame, frame, grid, cosines_kept(2.7 + off, grid[0]), taper) for off in (-NEAR, NEAR)
    )
    clear = np.abs(lower - upper) < 1e-9
    found = windows.kept(frame).estimate().values
    np.testing.assert_allclose(found[clear], lower[clear], atol=1e-4)
    assert clear.mean() > 0.5


@seed(2)
@given(SIDES, SIDES, st.sampled_from([(16, 8), (32, 16), (16, 4)]))
@settings(deadline=None, max_examples=8)
def test_waves_are_their_definition(ny, nx, grid):
    frame, side = frame_of(ny, nx), grid[0]
    arch = np.outer(*[np.sin(np.pi * (np.arange(side) + 0.5) / side)] * 2)
    mean = frame.mean(dtype=float)
    lower, upper = (
        by_definition(frame - mean, frame, grid, waves_kept(2.8 + off, arch), arch**2)
        for off in (-NEAR, NEAR)
    )
    clear = np.abs(lower - upper) < 1e-9
    found = FourierWindows(*grid).kept(frame).estimate().values - mean
    np.testing.assert_allclose(found[clear], lower[clear], atol=1e-4)
    assert clear.mean() > 0.5


@seed(3)
@given(st.integers(8, 80), st.integers(8, 80), st.integers(1, 10))
@example(70, 45, 10)
@settings(deadline=None, max_examples=8)
def test_neighbours_are_their_definition(ny, nx, reach):
    frame, pilot = frame_of(ny, nx), frame_of(ny, nx, 1) / 4
    plane = np.pad(frame.astype(float), reach, mode="symmetric")
    guide = np.pad(pilot.astype(float), reach + 1, mode="symmetric")
    found = AlikeNeighbours(reach).mean(frame, pilot)
    np.testing.assert_allclose(found.values, alike(plane, guide, reach, 0.37), atol=1e-4)
    assert found.freedom.min() > 0


@pytest.mark.parametrize("windows", [CosineWindows(8, 4), CosineWindows(16, 4), FourierWindows(32, 16)])
def test_nothing_is_lost_without_a_threshold(windows):
    frame = frame_of(21, 50)
    found = windows.kept(frame, threshold=0.0).estimate()
    np.testing.assert_allclose(found.values, frame, atol=1e-4)


@pytest.mark.parametrize("windows", [CosineWindows(8, 4), CosineWindows(16, 4), CosineWindows(32, 8)])
def test_what_is_far_above_the_noise_stays(windows):
    """Powers of a pilot beyond float32 when four are multiplied, beside those of nothing."""
    frame = np.zeros((40, 60), np.float32)
    frame[10:30, 20:] = 1e9
    for pilot in (frame, np.zeros_like(frame)):
        assert np.isfinite(windows.shrunk(frame, pilot).estimate().values).all()
    np.testing.assert_allclose(windows.shrunk(frame, frame).estimate().values, frame, atol=2e3)


@pytest.mark.parametrize("kind", ["cosines", "waves", "neighbours"])
def test_the_freedom_is_the_divergence(kind):
    """How the estimate answers to a small random probe (Ramani, Blu & Unser, IEEE Trans. Image Process. 17
    (2008) 1540), on average; what factors and weights add by following the noise is not in the answer."""
    frame, pilot, step = frame_of(96, 96), frame_of(96, 96, 1), np.float32(1e-2)
    probe = np.random.default_rng(0).choice(np.float32([-1, 1]), frame.shape)
    estimate, follows = {
        "cosines": (lambda f: CosineWindows(16, 4).shrunk(f, pilot).estimate(), cosine_windows.FOLLOWS),
        "waves": (
            lambda f: FourierWindows(32, 16).kept(f, threshold=0.0).estimate(),
            fourier_windows.FOLLOWS,
        ),
        "neighbours": (lambda f: AlikeNeighbours(3).mean(f, pilot), neighbours.FOLLOWS),
    }[kind]
    answer = np.mean(probe * (estimate(frame + step * probe).values - estimate(frame).values)) / step
    assert estimate(frame).freedom.mean() / follows == pytest.approx(answer, abs=0.04)


def test_the_mixture_takes_what_is_right_where_it_is():
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 96), np.float32)
    truth[:, 48:] = 6
    frame = truth + rng.standard_normal(truth.shape).astype(np.float32)
    nothing = np.zeros_like(truth)
    mixed = mixture(frame, [Estimate(nothing, nothing), Estimate(nothing + 6, nothing)])
    np.testing.assert_allclose(mixed[:, :40], 0, atol=1e-3)
    np.testing.assert_allclose(mixed[:, 56:], 6, atol=1e-3)


@seed(4)
@given(SIDES, SIDES)
@settings(deadline=None, max_examples=8)
def test_a_mixture_of_the_same_is_the_same(ny, nx):
    frame = frame_of(ny, nx)
    same = Estimate(frame_of(ny, nx, 1), np.full((ny, nx), 0.1, np.float32))
    np.testing.assert_allclose(mixture(frame, [same, same, same]), same.values, atol=1e-5)
