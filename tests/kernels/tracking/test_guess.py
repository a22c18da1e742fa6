"""The first guess of size and kind."""

import numpy as np
import pytest
from particle_scenes import scene
from scipy.ndimage import gaussian_filter

from livem.kernels.tracking.guess import first_guess


@pytest.mark.parametrize(("radius", "bright"), [(3.0, False), (6.0, True)])
def test_size_and_kind_are_guessed_from_a_frame(radius, bright):
    guess = first_guess([scene(1, radius=radius, counts=90, bright=bright)[0]])
    assert guess.radius == pytest.approx(radius, rel=0.2)
    assert guess.polarity == ("bright" if bright else "dark")


def test_nothing_is_guessed_from_noise_and_no_frames_are_refused():
    noise = np.random.default_rng(1).poisson(20, (96, 96)).astype(np.float32)
    assert first_guess([noise]) is None
    with pytest.raises(ValueError, match="give one"):
        first_guess([])


def rough(seed: int, size: int = 256) -> np.ndarray:
    """Noise that hangs together over some pixels, as that of a film or of a smoothed recording."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    return (117 + 25 * gaussian_filter(noise, 3) / 0.094).astype(np.float32)


def test_blobs_of_correlated_noise_are_no_particles():
    assert first_guess([rough(seed) for seed in range(3)]) is None


def test_a_large_faint_particle_in_correlated_noise_is_not_taken_for_its_blobs():
    frames = []
    for seed in range(4):
        frame, at = rough(seed, 384), np.mgrid[:384, :384]
        frame[np.hypot(at[0] - 150 - 5 * seed, at[1] - 200) < 30] -= 40
        frames.append(frame)
    for way in (None, "regions"):
        guess = first_guess(frames, way=way)
        assert guess.polarity == "dark"
        assert guess.radius == pytest.approx(30, rel=0.2 if way else 0.35)


@pytest.mark.parametrize("radius", [12.0, 20.0])
def test_sizes_up_to_large_ones_are_guessed(radius):
    guess = first_guess([scene(1, (384, 384), 10, radius, counts=10)[0]])
    assert guess.radius == pytest.approx(radius, rel=0.25)
