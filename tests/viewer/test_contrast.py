from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.kernels.percentiles import distribution
from livem.viewer.models.contrast import (
    SAMPLES,
    Contrast,
    ContrastRule,
    Levels,
    percentile_levels,
    sample,
)

RULE = ContrastRule()


def test_levels_are_numpys_percentiles_of_what_is_finite() -> None:
    image = np.random.default_rng(1).normal(100, 20, (64, 80))
    image[3, :] = np.nan
    finite = image[np.isfinite(image)]
    levels = percentile_levels(distribution(image), RULE)
    assert levels == Levels(*np.percentile(finite, (0.5, 99.5)))


def test_invalid_pixels_do_not_count() -> None:
    image = np.arange(100.0).reshape(10, 10)
    valid = image < 50
    image[~valid] = 1e9
    contrast = Contrast()
    contrast.see(image, valid, 0.0)
    assert contrast.levels.high < 50


@pytest.mark.parametrize("image", [np.zeros((5, 5)), np.full((3, 3), 7.5), np.full((2, 2), 255, np.uint8)])
def test_all_equal_images_have_a_span(image: np.ndarray) -> None:
    levels = percentile_levels(distribution(image), RULE)
    assert levels is not None
    assert levels.low == image.flat[0]
    assert levels.span > 0


def test_a_few_events_on_nothing_are_not_drawn_black() -> None:
    image = np.zeros((200, 200), np.uint16)
    image[10, 10] = 3
    assert percentile_levels(distribution(image), RULE) == Levels(0, 3)


def test_nothing_measured_leaves_the_levels() -> None:
    contrast = Contrast()
    contrast.see(np.full((4, 4), np.nan), np.zeros((4, 4), bool), 0.0)
    assert contrast.levels == Levels(0.0, 1.0)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_samples_are_bounded_and_never_none(height: int, width: int) -> None:
    image = np.broadcast_to(np.float32(1), (height, width))
    assert 1 <= sample(image).size <= max(4 * SAMPLES, height + width)


def test_poisson_noise_moves_nothing() -> None:
    rng = np.random.default_rng(2)
    mean = 5 + 20 * np.hypot(*np.mgrid[-1:1:128j, -1:1:128j])
    contrast = Contrast()
    seen = set()
    for tick in range(100):
        contrast.see(rng.poisson(mean), None, tick / 30)
        seen.add(contrast.levels)
    assert len(seen) == 1


def test_a_brightening_picture_is_followed_smoothly_and_then_rests() -> None:
    contrast = Contrast()
    picture = np.linspace(0, 100, 1000).reshape(20, 50)
    contrast.see(picture, None, 0.0)
    before = contrast.levels.high
    contrast.see(1.5 * picture, None, 1 / 30)
    highs = [contrast.levels.high]
    for tick in range(2, 60):
        contrast.glide(tick / 30)
        highs.append(contrast.levels.high)
    steps = np.diff([before, *highs])
    assert (steps >= 0).all()
    assert steps.max() < 0.3 * 50
    assert highs[-1] == pytest.approx(1.5 * before, rel=0.02)
    assert not contrast.glide(10.0)


def test_another_picture_is_taken_at_once() -> None:
    contrast = Contrast()
    picture = np.linspace(0, 1, 1000).reshape(20, 50)
    contrast.see(picture, None, 0.0)
    contrast.see(1000 * picture, None, 0.1)
    assert contrast.levels.high == pytest.approx(995, rel=0.01)
    contrast.see(picture, None, 0.2)
    assert contrast.levels.high == pytest.approx(0.995, rel=0.01)


def test_locked_levels_stay_whatever_comes() -> None:
    contrast = Contrast()
    contrast.see(np.arange(100.0).reshape(10, 10), None, 0.0)
    contrast.lock(True)
    before = contrast.levels
    contrast.see(np.arange(1e6, 1e6 + 100).reshape(10, 10), None, 1.0)
    contrast.settle()
    assert contrast.levels == before
    contrast.lock(False)
    contrast.settle()
    assert contrast.levels.low > 9e5


def test_a_restart_forgets_the_last_series() -> None:
    contrast = Contrast()
    contrast.see(np.arange(100.0).reshape(10, 10), None, 0.0)
    contrast.restart()
    contrast.see(np.arange(120.0).reshape(10, 12), None, 0.1)
    assert contrast.levels.high > 118
