"""The first guess of size and kind."""

import numpy as np
import pytest
from particle_scenes import scene

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
