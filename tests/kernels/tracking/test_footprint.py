"""A particle's pixels: drawn, what they ask of it and what they tell, against sums over every pixel."""

import numpy as np
import pytest

from livem.kernels.tracking import footprint, refine, shapes
from livem.kernels.tracking import reference_detect as reference
from livem.kernels.tracking.profile import Profile

PROFILE = Profile(2.0, 9.0, 0.8)
REACH = 2.5
CURVES = refine.curvatures(PROFILE)
WHOLE, CLIPPED = (30.3, 27.8, 1.7, np.log(4.1)), (2.2, 41.6, -0.6, np.log(3.3))


def picture(shape, y, x, height, log_radius, reach=REACH):
    rows = PROFILE.start + PROFILE.step * np.arange(len(PROFILE.table))
    terms = np.array([[np.interp(log_radius, rows, column) for column in PROFILE.table.T]])
    return reference.drawn(shape, np.array([[y, x, height, log_radius]]), terms, PROFILE.variance, reach)


def changes(shape, particle):
    """Of the picture of a particle of height 1, with place and ln radius: (3, h, w); its box is kept."""
    y, x, _, log_radius = particle
    inside = picture(shape, y, x, 1.0, log_radius) != 0
    step = 1e-3
    along_y = picture(shape, y + step, x, 1, log_radius, 9) - picture(shape, y - step, x, 1, log_radius, 9)
    along_x = picture(shape, y, x + step, 1, log_radius, 9) - picture(shape, y, x - step, 1, log_radius, 9)
    grown = picture(shape, y, x, 1, log_radius + step, 9) - picture(shape, y, x, 1, log_radius - step, 9)
    return np.array([along_y, along_x, grown]) / (2 * step) * inside


def outlined(residual, particle):
    tables, box = footprint.tables_for(2 * 12 + 4), np.zeros(4, np.int64)
    args = (PROFILE.table, *PROFILE.rule, np.array(particle), REACH, tables, box)
    footprint.outline(residual, *args)
    return tables, box


@pytest.mark.parametrize("particle", [WHOLE, CLIPPED, (5.0, 30.0, 1.0, np.log(8.8))])
@pytest.mark.parametrize("shape", [(44, 50), (44, 13)])
def test_pulls_are_sums_of_the_residual_with_the_slopes_of_the_picture(particle, shape):
    particle = (particle[0], particle[1] * shape[1] / 50, *particle[2:])
    residual = np.random.default_rng(4).normal(0, 1, shape).astype(np.float32)
    tables, box = outlined(residual, particle)
    footprint.gather(residual, tables, box)
    pull, s2 = np.empty(4), np.exp(2 * particle[3]) / 5 + PROFILE.variance
    footprint.pulls(tables, box, s2, pull)
    slope_y, slope_x, grown = changes(shape, particle)
    expected = [(residual * each).sum() for each in (slope_y, slope_x)]
    np.testing.assert_allclose(pull[:2], expected, atol=2e-2)
    once = picture(shape, particle[0], particle[1], 1.0, particle[3])
    assert pull[2] == pytest.approx((residual * once).sum(), abs=1e-4)
    assert pull[3] == pytest.approx((residual * grown).sum(), abs=5e-2)


def measured(shape, particle, residual):
    out = np.zeros((1, shapes.MEASURED))
    rows = np.array([particle])
    shapes.measure(residual, PROFILE.table, CURVES, *PROFILE.rule, REACH, rows, 1, out)
    return out[0]


@pytest.mark.parametrize(("particle", "within"), [(WHOLE, 0.02), (CLIPPED, 5e-3)])
def test_what_is_measured_of_a_particle_are_sums_over_its_pixels(particle, within):
    shape = (48, 50)
    residual = np.random.default_rng(5).normal(0, 0.3, shape).astype(np.float32)
    y, x, height, log_radius = particle
    out, once = measured(shape, particle, residual), picture(shape, y, x, 1.0, log_radius)
    slopes = changes(shape, particle)
    gain = 2 * height * (once * residual).sum() + height**2 * (once**2).sum()
    assert out[0] == pytest.approx(gain, rel=within)
    centre = height**2 * np.einsum("ayx,byx->ab", slopes[:2], slopes[:2])
    np.testing.assert_allclose(out[1:4], [centre[0, 0], centre[1, 1], centre[0, 1]], rtol=within, atol=0.3)
    assert out[4] == pytest.approx((once**2).sum(), rel=within)
    assert out[5] == pytest.approx(height * (once * slopes[2]).sum(), rel=2 * within)
    assert out[6] == pytest.approx(height**2 * (slopes[2] ** 2).sum(), rel=2 * within)
    s2 = np.exp(2 * log_radius) / 5 + PROFILE.variance
    dy, dx = np.arange(shape[0])[:, None] - y, np.arange(shape[1])[None, :] - x
    seen = np.exp(-(dy**2 + dx**2) / (2 * s2)) * (residual + height * once) * (once != 0)
    mass, cy, cx = seen.sum(), (seen * dy).sum() / seen.sum(), (seen * dx).sum() / seen.sum()
    moments = [(seen * dy**2).sum() / mass - cy**2, (seen * dx**2).sum() / mass - cx**2]
    np.testing.assert_allclose(out[7:10], [*moments, (seen * dy * dx).sum() / mass - cy * cx], atol=0.04)


def test_a_particle_beyond_the_frame_has_no_pixels():
    residual = np.ones((30, 40), np.float32)
    for y, x in ((-20.0, 10.0), (10.0, 60.0), (50.0, 50.0), (10.0, -20.0)):
        tables, box = outlined(residual, (y, x, 1.0, np.log(4)))
        footprint.add_profile(residual, tables, box, 1.0)
        footprint.gather(residual, tables, box)
    assert (residual == 1).all()


@pytest.mark.parametrize("width", [1, 5, 8, 12, 16, 17, 70, 200])
def test_drawing_stays_within_the_row_and_the_frame(width):
    held = np.zeros((3, 20, width), np.float32)
    for x in np.linspace(-3, width + 2, 9) + 0.137:
        particle = (9.4, x, 1.0, np.log(5.0))
        tables, box = outlined(held[1], particle)
        footprint.add_profile(held[1], tables, box, 1.0)
        np.testing.assert_allclose(held[1], picture(held[1].shape, *particle), atol=1e-5)
        footprint.add_profile(held[1], tables, box, -1.0)
        assert not held[[0, 2]].any()


def test_of_two_that_overlap_the_weaker_counts_by_their_distance():
    places = [(10.0, 10.0), (10.0, 15.0), (16.0, 10.0), (40.0, 40.0), (10.0, 10.6)]
    particles = np.array([(y, x, 1.0, np.log(4.0)) for y, x in places])
    gain = np.array([9.0, 4.0, 2.0, 1.0, 0.5])
    order = np.argsort(particles[:, 0], kind="stable")
    expected = (1, 5 / 8, 6 / 8, 1, 0.6 / 8)
    np.testing.assert_allclose(shapes.apart(particles, order, gain), expected)
    turned = np.argsort(particles[::-1, 0], kind="stable")
    again = shapes.apart(np.ascontiguousarray(particles[::-1]), turned, gain[::-1].copy())
    np.testing.assert_allclose(again, expected[::-1])
