"""The Poisson-Gaussian noise model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.noise import MOST_READ, NoiseModel, noise_of_image, noise_of_movie, noise_of_visits

models = st.builds(
    NoiseModel,
    gain=st.floats(0.01, 100),
    offset=st.floats(-50, 50),
    read_noise=st.floats(0, 20),
)


def draw(model, electrons, rng):
    return (
        model.gain * rng.poisson(electrons)
        + model.offset
        + model.read_noise * rng.standard_normal(np.shape(electrons))
    )


def scene(n=256):
    """A smooth image of 2 to 60 electrons."""
    y, x = np.mgrid[:n, :n] / n
    return 31 + 29 * np.sin(5 * x + 2 * y) * np.cos(4 * y)


def reference_stabilised(model, values):
    n, s = (values - model.offset) / model.gain, model.read_noise / model.gain
    return 2 * np.sqrt(np.maximum(n + 3 / 8 + s**2, 0)) - reference_zero(s)


def reference_zero(s):
    """Of what stabilised values are told from, s the read noise in electrons."""
    return 2 * s if s > MOST_READ else 0.0


def reference_unstabilised(model, stabilised):
    s = model.read_noise / model.gain
    d = np.maximum(stabilised + reference_zero(s), 2 * np.sqrt(3 / 8))
    r = np.sqrt(3 / 2)
    n = d**2 / 4 + r / (4 * d) - 11 / (8 * d**2) + 5 * r / (8 * d**3) - 1 / 8 - s**2
    return model.gain * np.maximum(n, 0) + model.offset


@given(models, st.lists(st.floats(-1e3, 1e5, width=32), min_size=1, max_size=30))
@settings(deadline=None)
def test_both_transforms_are_their_formulas(model, values):
    values = np.array(values, np.float32)
    stabilised = model.stabilise(values)
    wanted = reference_stabilised(model, values.astype(float))
    np.testing.assert_allclose(stabilised, wanted, rtol=1e-6, atol=1e-9)
    back = model.unstabilise(stabilised)
    scale = model.gain + abs(model.offset) + model.read_noise**2 / model.gain
    wanted = reference_unstabilised(model, stabilised.astype(float))
    np.testing.assert_allclose(back, wanted, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("mean", [1, 2, 5, 20, 100, 1000])
@pytest.mark.parametrize("read", [0.0, 0.5, 3.0])
def test_the_variance_becomes_one_and_the_way_back_is_unbiased(mean, read):
    model = NoiseModel(gain=2.5, offset=-7.0, read_noise=2.5 * read)
    stabilised = model.stabilise(draw(model, np.full(200_000, mean), np.random.default_rng(mean)))
    assert stabilised.var(dtype=np.float64) == pytest.approx(
        1, abs=0.3 if mean < 2 else 0.12 if mean < 5 else 0.06
    )
    back = (model.unstabilise(stabilised.mean(dtype=np.float64)) - model.offset) / model.gain
    assert float(back) == pytest.approx(mean, abs=0.05 + 4 * np.sqrt(mean + read**2) / np.sqrt(200_000))


@given(models)
@settings(deadline=None)
def test_the_inverse_never_decreases_and_starts_at_no_electrons(model):
    values = model.unstabilise(np.linspace(0, 60, 4000))
    assert (np.diff(values) >= 0).all()
    assert values[0] == pytest.approx(model.offset, rel=1e-6)


@given(models, st.floats(0, 1e4))
@settings(deadline=None)
def test_the_variance_is_that_of_the_electrons_and_of_reading(model, electrons):
    expected = model.gain * electrons + model.offset
    wanted = model.gain**2 * electrons + model.read_noise**2
    assert float(model.variance(expected)) == pytest.approx(wanted, rel=1e-9, abs=1e-9 * model.gain * 100)
    assert float(model.variance(model.offset - 1)) == pytest.approx(model.read_noise**2)


def test_read_noise_alone_is_stabilised_too():
    """As of a camera whose gain nobody could tell: 4e9 electrons of it."""
    model = NoiseModel(2.6e-10, 0.0, 0.96)
    truth = np.linspace(110, 165, 4096)
    values = (truth + 0.96 * np.random.default_rng(0).standard_normal(truth.size)).astype(np.float32)
    stabilised = model.stabilise(values)
    assert np.std(stabilised - model.stabilise(truth)) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(model.unstabilise(stabilised), values, atol=0.01)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_repeated_visits_tell_gain_and_read_noise(k):
    model = NoiseModel(gain=3.0, offset=12.0, read_noise=7.0)
    rng = np.random.default_rng(k)
    visits = np.stack([draw(model, scene(96), rng) for _ in range(k)])
    visits[0].flat[::500] += 1000  # spikes
    found = noise_of_visits(visits, offset=12.0)
    assert found.gain == pytest.approx(3.0, rel=0.08)
    assert found.read_noise == pytest.approx(7.0, rel=0.25)


@pytest.mark.parametrize("read", [0.0, 6.0])
def test_one_image_tells_them_where_it_is_smooth(read):
    model = NoiseModel(gain=4.0, offset=10.0, read_noise=read)
    image = draw(model, scene(), np.random.default_rng(1))
    image[40:60, 40:60] += 200 * np.random.default_rng(2).random((20, 20))  # fine detail
    found = noise_of_image(image, offset=10.0)
    assert found.gain == pytest.approx(4.0, rel=0.1)
    assert found.variance(10.0 + 4 * 30) == pytest.approx(model.variance(10.0 + 4 * 30), rel=0.08)


def test_an_image_of_read_noise_alone_has_hardly_any_gain():
    found = noise_of_image(5 * np.random.default_rng(0).standard_normal((256, 256)))
    assert float(found.variance(0.0)) ** 0.5 == pytest.approx(5, rel=0.1)


def test_what_cannot_be_told_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="1 visits"):
        noise_of_visits(np.ones((1, 8)))
    with pytest.raises(ValueError, match="equally bright"):
        noise_of_visits(rng.normal(100, 3, (5, 1000)))
    with pytest.raises(ValueError, match=r"\(16, 64\)"):
        noise_of_image(np.ones((16, 64)))


@pytest.mark.parametrize(
    "wrong",
    [{"gain": 0.0}, {"gain": np.nan}, {"offset": np.inf}, {"read_noise": -1.0}, {"read_noise": np.inf}],
)
def test_a_model_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NoiseModel(**wrong)


def test_a_resampled_sum_has_the_model_s_variance_about_what_was_measured():
    model = NoiseModel(gain=2.0, offset=5.0, read_noise=3.0)
    visits = np.float32([[0, 1, 4, 9]] * 500)
    total = np.float32(30) * visits
    total[:, 0] = 77
    draws = np.stack([model.resample(total, visits, seed) for seed in range(60)])
    np.testing.assert_array_equal(draws[..., 0], 77)
    wanted = visits[0, 1:] * model.variance(30.0)
    np.testing.assert_allclose(draws[..., 1:].var(axis=(0, 1)), wanted, rtol=0.05)
    centre = draws[..., 1:].mean(axis=(0, 1)) - total[0, 1:]
    assert (np.abs(centre) < 0.05 * np.sqrt(wanted)).all()


def test_an_estimate_gives_dark_pixels_their_noise():
    model, visits = NoiseModel(), np.ones((100, 100), np.float32)
    dark = np.zeros((1, 100, 100), np.float32)
    assert not model.resample(dark, visits, 0).any()
    drawn = model.resample(dark, visits, 0, expected=np.full_like(dark, 0.5))
    assert drawn.var() == pytest.approx(0.5, rel=0.1)


def test_more_electrons_than_can_be_drawn_have_next_to_no_noise():
    total = np.full((1, 4, 4), 1e30, np.float32)
    drawn = NoiseModel().resample(total, np.ones((4, 4), np.float32), 0)
    np.testing.assert_allclose(drawn, total, rtol=1e-7)


def test_a_seed_gives_the_same_draws():
    model, total, visits = (
        NoiseModel(read_noise=1.0),
        np.full((2, 9, 9), 8, np.float32),
        np.ones((9, 9), np.float32),
    )
    first, again, other = (model.resample(total, visits, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("model", [NoiseModel(), NoiseModel(2.5, 100.0, 6.0), NoiseModel(0.4, -3.0, 0.1)])
@pytest.mark.parametrize("moving", [False, True])
def test_a_movie_tells_its_noise(model, moving):
    rng = np.random.default_rng(4)
    electrons = np.array([scene(128) / 4] * 9)
    if moving:
        for i, frame in enumerate(electrons):
            frame[20 + 3 * i : 50 + 3 * i, 30:70] *= 0.4
    found = noise_of_movie(draw(model, electrons, rng), model.offset)
    assert found.gain == pytest.approx(model.gain, rel=0.12 if moving else 0.06)
    assert found.read_noise == pytest.approx(model.read_noise, abs=0.6 * model.gain)


def test_a_movie_that_tells_no_noise_says_so():
    with pytest.raises(ValueError, match="needs 2 of 32 x 32"):
        noise_of_movie(np.ones((1, 64, 64)))
    with pytest.raises(ValueError, match="only finite"):
        noise_of_movie(np.full((2, 64, 64), np.nan))
    assert noise_of_movie(np.full((2, 64, 64), 7.0)).read_noise < 1e-3
