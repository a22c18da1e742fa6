"""Evidence of faint particles against its oracle, and what it says of particles that are there."""

import math

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from livem.kernels.tracking import before_detection as faint
from livem.kernels.tracking import reference_before_detection as reference
from livem.kernels.tracking.profile import Profile

RADII = np.geomspace(0.8, 5.0, 8)
S2, TALL = faint.gaussians(Profile(0.7, 6.0, 0.8), RADII).T.copy()


def noise(number, n=1):
    return np.random.default_rng(number).standard_normal((n, faint.SIDE, faint.SIDE)).astype(np.float32)


def bump(y, x, s2, height):
    at = np.arange(faint.SIDE) - faint.SIDE // 2
    return height * np.exp(-((at[:, None] - y) ** 2 + (at[None, :] - x) ** 2) / (2 * s2))


@seed(11)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 3), st.floats(0.1, 3))
def test_odds_of_radii_are_the_oracles(number, y, x, variance, tall):
    window, out = noise(number)[0], np.empty(len(RADII))
    faint.radius_odds(window, y, x, variance, S2, tall * TALL, out)
    strict = xp.asarray(window.astype(float))
    oracle = reference.radius_odds(strict, y, x, variance, xp.asarray(S2), xp.asarray(tall * TALL), xp)
    np.testing.assert_allclose(out, np.asarray(oracle), rtol=1e-4, atol=1e-4)


@seed(12)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.floats(-1, 1), st.floats(0.1, 2), st.floats(0, 0.5))
def test_presence_is_the_oracles(number, move, walk, hidden):
    n, lines = 6, 3
    windows, rng = noise(number, n), np.random.default_rng(number)
    moves, walks = rng.uniform(-1, 1, (n, 2)) * move, np.full(n, walk)
    s2, heights = rng.uniform(0.8, 3, (lines, n)), rng.uniform(0.2, 2, (lines, n))
    s2[1] = s2[0]  # neighbouring lines share what is the same
    counts = np.array([n, n, n - 2])
    odds, places = np.full((lines, n), 7.0), np.full((lines, n, 2), 7.0)
    faint.presence(windows, 0.3, -0.4, 0.2, moves, walks, s2, heights, counts, hidden, odds, places)
    assert (odds[2, n - 2 :] == 7).all()
    assert (places[2, n - 2 :] == 7).all()
    for a, count in enumerate(counts):
        given_to = (windows, moves, walks, s2[a], heights[a])
        w, m, v, s, h = (xp.asarray(x.astype(float)) for x in given_to)
        at, where = reference.presence(w, 0.3, -0.4, 0.2, m, v, s, h, hidden, xp)
        np.testing.assert_allclose(odds[a, :count], np.asarray(at)[:count], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(places[a, :count], np.asarray(where)[:count], atol=1e-3)


def test_odds_are_highest_at_the_radius_that_is_there():
    for k in range(2, len(RADII) - 1):
        out, heights = np.empty(len(RADII)), TALL * 1.5 * RADII
        window = bump(0.3, -0.2, S2[k], heights[k]).astype(np.float32)
        faint.radius_odds(window, 0.3, -0.2, 0.2, S2, heights, out)
        assert out.argmax() == k


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_odds_of_particles_that_cannot_be_there_are_numbers(sign):
    """A high contrast makes them e^-5,000: their logarithm is no infinity, which no sum comes back from."""
    window, out, heights = noise(3)[0], np.empty(len(RADII)), sign * 40.0 * TALL
    faint.radius_odds(window, 0.4, 0.2, 0.1, S2, heights, out)
    assert np.isfinite(out).all()
    assert out.min() < -2000
    strict = xp.asarray(window.astype(float))
    oracle = reference.radius_odds(strict, 0.4, 0.2, 0.1, xp.asarray(S2), xp.asarray(heights), xp)
    np.testing.assert_allclose(out, np.asarray(oracle), rtol=1e-4, atol=1e-3)


def test_a_line_through_radii_is_found():
    logs, times = np.log(RADII), np.arange(40.0)
    radius = 2.0 + 0.03 * times
    odds = -50 * (logs[None, :] - np.log(radius)[:, None]) ** 2
    rates, ends, out = np.arange(0, 0.06, 0.01), np.arange(1.0, 3.1, 0.25), np.empty((6, 9))
    faint.line_odds(odds, times, logs[0], logs[1] - logs[0], rates, ends, out)
    a, b = np.unravel_index(out.argmax(), out.shape)
    assert (rates[a], ends[b]) == (0.03, 2.0)


def test_evidence_grows_while_a_walking_particle_is_there_and_falls_after():
    rng, n, gone = np.random.default_rng(4), 30, 18
    windows, place, way = noise(5, n), np.zeros(2), []
    for k in range(n):
        place = np.clip(place + 0.8 * rng.standard_normal(2), -8, 8)
        way.append(place)
        if k < gone:
            windows[k] += bump(place[0], place[1], 1.5, 1.3).astype(np.float32)
    odds, places = np.empty((1, n)), np.empty((1, n, 2))
    steps, still = np.full(n, 0.64), np.zeros((n, 2))
    faint.presence(windows, 0.0, 0.0, 0.1, still, steps, np.full((1, n), 1.5), np.full((1, n), 1.3),
                   np.array([n]), 0.05, odds, places)  # fmt: skip
    assert abs(int(odds.argmax()) + 1 - gone) <= 1
    assert math.sqrt(((places[0, :gone] - np.array(way)[:gone]) ** 2).sum(axis=1).mean()) < 1.2


def test_particles_are_put_back_into_what_is_left():
    rest = np.zeros((40, 50), np.int8)
    profile = Profile(2.0, 6.0, 0.8)
    particles = np.array([[10.0, 12.0, 3.0, math.log(4.0)], [30.0, 45.0, 3.0, math.log(4.0)]])
    window = np.empty((faint.SIDE, faint.SIDE), np.float32)
    for wanted, sum_ in (([True, True], 1.0), ([False, True], 0.0)):
        faint.cut(rest, 8, 9, 1 / 16, particles, np.array(wanted), profile.table, *profile.rule, 2.2, window)
        middle = window[faint.SIDE // 2 + 2, faint.SIDE // 2 + 3]
        assert math.isclose(middle, sum_ * 3 * profile.exact(4.0, 0.0), rel_tol=0.02, abs_tol=1e-6)


def test_who_is_put_back_is_who_did_not_live_beside_the_particle():
    particles = np.array([[10.0, x, 3.0, math.log(4.0)] for x in (10, 11, 12, 13, 90)])
    owners, first = np.array([5, 6, -1, 7, 5]), np.array([0, 3, 2**62, 30, 0])
    lasts, wanted = np.full((8, 2), -1, np.int64), np.zeros(5, bool)
    faint.last_seen(np.array([5, 6]), 12, lasts)
    faint.last_seen(np.array([6, 7]), 40, lasts)
    for own, way, back in (
        (
            5,
            1,
            [True, False, True, True, False],
        ),  # itself, nobody's, one that came after its end; none far away
        (5, 0, [True, False, True, False, False]),  # itself, nobody's
        (7, 0, [True, False, True, True, False]),  # one that was gone before it came
    ):
        faint.not_beside(particles, owners, first, lasts, 10, 10, 20.0, own, 20, way, wanted)
        assert wanted.tolist() == back


def test_when_particles_were_seen_last_takes_no_more_room_however_many_there_were():
    lasts = np.full((8, 2), -1, np.int64)
    faint.last_seen(np.arange(100), 3, lasts)
    assert lasts[:, 0].tolist() == [96, 97, 98, 99, 92, 93, 94, 95]


def test_the_nearest_value_is_taken():
    at = np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 2.0]])
    assert faint.nearest_value(at, 2.0, 3.0) == 2.0
    assert faint.nearest_value(at[:0], 2.0, 3.0) == 0.0
