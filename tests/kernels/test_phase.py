"""Fields and phases against potentials that are known, with holes, noise and too little data."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.cosines import cosines, from_cosines, sines
from livem.kernels.holes import bridge
from livem.kernels.phase import (
    Plane,
    curl,
    descan_plane,
    divergence,
    estimate_rotation,
    integrate,
    rotate,
    segment_dpc,
)
from livem.stream.simulate.four_d_stem import FourDStem


def lattice(side=64, spacing=8.0, sigma=1.6):
    """Atoms (n, n), 1 high, and their gradient (n, n, 2)."""
    y, x = np.mgrid[:side, :side].astype(float)
    phase, field = np.zeros((side, side)), np.zeros((side, side, 2))
    for cy in np.arange(spacing / 2, side, spacing):
        for cx in np.arange(spacing / 2 + 1, side, 1.2 * spacing):
            atom = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
            phase += atom
            field -= np.stack([y - cy, x - cx], -1) / sigma**2 * atom[..., None]
    return phase, field


def measured(field, angle, flip):
    """What a detector sees that needs ``angle`` and ``flip`` to be put right."""
    turned = rotate(field, -angle)
    return turned * np.array([-1.0, 1.0]) if flip else turned


def angle_between(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9])
def test_series_are_what_they_say(n):
    values = np.random.default_rng(n).normal(size=(3, n))
    phases = np.pi * np.arange(n)[:, None] * (2 * np.arange(n) + 1) / (2 * n)
    np.testing.assert_allclose(cosines(values, 1), 2 * values @ np.cos(phases).T, atol=1e-12)
    np.testing.assert_allclose(sines(values, 1), 2 * values @ np.sin(phases).T, atol=1e-12)
    np.testing.assert_allclose(from_cosines(cosines(values, 0), 0), values, atol=1e-12)


class TestRotation:
    CASES: ClassVar = [(0, False), (30, False), (-135, True), (179, False), (90, True), (-90, False)]

    @pytest.mark.parametrize(("angle", "flip"), CASES)
    def test_the_right_one_makes_the_field_again(self, angle, flip):
        _, field = lattice()
        np.testing.assert_allclose(rotate(measured(field, angle, flip), angle, flip), field, atol=1e-12)

    @pytest.mark.parametrize(("angle", "flip"), CASES)
    @pytest.mark.parametrize("noise", [0.0, 0.3, 0.5])
    def test_it_is_found_within_half_a_degree(self, angle, flip, noise):
        field = measured(lattice(128)[1], angle, flip)
        noisy = field + np.random.default_rng(angle + 200).normal(size=field.shape) * noise * field.std()
        rotation = estimate_rotation(noisy)
        assert rotation is not None
        assert rotation.flip == flip
        assert angle_between(rotation.angle_deg, angle) < 0.5
        assert rotation.curl_ratio < 0.5 < rotation.other_ratio
        assert rotation.polarity > 1

    def test_descan_and_holes_change_nothing(self):
        field = measured(lattice(128)[1], 40, True)
        field += Plane((30, -7), (0.3, -0.1), (0.2, 0.5)).over((128, 128))
        field[100:] = np.nan
        field[np.random.default_rng(1).random((128, 128)) < 0.02] = np.nan
        rotation = estimate_rotation(field)
        assert rotation is not None
        assert rotation.flip
        assert angle_between(rotation.angle_deg, 40) < 0.5

    def test_the_simulated_specimen(self):
        field = FourDStem.open("scan=64x64&shape=32x32").truth()["field"]
        rotation = estimate_rotation(measured(field, 25, False))
        assert rotation is not None
        assert not rotation.flip
        assert angle_between(rotation.angle_deg, 25) < 2  # its field is cut off at strong deflections

    def test_stripes_leave_the_flip_open_and_say_so(self):
        y = np.arange(64)[:, None] * np.ones(64)
        rotation = estimate_rotation(np.stack([np.cos(y / 3), 0 * y], -1))
        assert rotation is not None
        assert rotation.other_ratio == pytest.approx(rotation.curl_ratio, abs=1e-6)

    @pytest.mark.parametrize(
        "field",
        [
            np.zeros((32, 32, 2)),
            np.full((32, 32, 2), np.nan),
            np.full((32, 32, 2), 3.7),
            np.ones((1, 64, 2)),
            np.ones((1, 1, 2)),
            np.random.default_rng(0).normal(size=(5, 5, 2)),
            Plane((1, 2), (0.1, 0.2), (0.3, 0.4)).over((40, 40)),
        ],
    )
    def test_nothing_to_go_by(self, field):
        assert estimate_rotation(field) is None


class TestDescan:
    PLANE = Plane((3.0, -2.0), (0.1, 0.02), (-0.03, 0.2))

    def test_a_plane_is_found_through_noise_and_holes(self):
        rng = np.random.default_rng(0)
        field = self.PLANE.over((50, 70)) + rng.normal(size=(50, 70, 2)) * 0.1
        field[rng.random((50, 70)) < 0.3] = np.nan
        plane = descan_plane(field)
        np.testing.assert_allclose(plane.over((50, 70)), self.PLANE.over((50, 70)), atol=0.03)
        left = plane.subtracted_from(field)
        assert np.abs(np.nanmean(left)) < 1e-12
        np.testing.assert_array_equal(np.isnan(left), np.isnan(field))

    def test_weights_choose_the_vacuum(self):
        field, weights = self.PLANE.over((40, 40)), np.zeros((40, 40))
        field[:, 10:] += 100
        weights[:, :10] = 1
        weights[3, 3] = np.nan
        plane = descan_plane(field, weights)
        np.testing.assert_allclose(plane.over((40, 40)), self.PLANE.over((40, 40)), atol=1e-9)

    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.integers(2, 30), st.integers(2, 30), st.lists(st.floats(-100, 100), min_size=6, max_size=6))
    def test_any_plane(self, ny, nx, c):
        truth = Plane((c[0], c[1]), (c[2], c[3]), (c[4], c[5])).over((ny, nx))
        np.testing.assert_allclose(descan_plane(truth).over((ny, nx)), truth, atol=1e-8)

    @pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)])
    def test_one_line_has_no_slope_across(self, shape):
        truth = self.PLANE.over(shape)
        plane = descan_plane(truth)
        np.testing.assert_allclose(plane.over(shape), truth, atol=1e-9)
        if shape[0] == 1:
            assert plane.along_y == pytest.approx((0, 0), abs=1e-12)

    def test_nothing_scanned(self):
        assert descan_plane(np.full((4, 4, 2), np.nan)) is None
        assert descan_plane(np.ones((4, 4, 2)), np.zeros((4, 4))) is None


def waves(shape, coefficients, boundary):
    """A potential (ny, nx) of the given few waves, mean 0, and its gradient."""
    y, x = (np.arange(n) + 0.5 for n in shape)
    phase, field = np.zeros(shape), np.zeros((*shape, 2))
    turn = np.pi if boundary == "mirror" else 2 * np.pi
    for (m, n), amplitude in coefficients:
        ky, kx = turn * m / shape[0], turn * n / shape[1]
        cy, sy, cx, sx = np.cos(ky * y), np.sin(ky * y), np.cos(kx * x), np.sin(kx * x)
        phase += amplitude * np.outer(cy, cx)
        field -= amplitude * np.stack([ky * np.outer(sy, cx), kx * np.outer(cy, sx)], -1)
    return phase - phase.mean(), field


WAVES = st.lists(st.tuples(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.floats(-5, 5)), max_size=6)


class TestIntegrate:
    @settings(deadline=None, derandomize=True, max_examples=80)
    @given(st.tuples(st.integers(9, 40), st.integers(9, 40)), WAVES, st.sampled_from(["mirror", "periodic"]))
    def test_a_gradient_gives_its_potential(self, shape, coefficients, boundary):
        phase, field = waves(shape, coefficients, boundary)
        np.testing.assert_allclose(integrate(field, boundary=boundary), phase, atol=1e-9)

    def test_atoms_are_bright_where_the_divergence_is_negative(self):
        phase, field = lattice()
        image = integrate(field)
        np.testing.assert_allclose(image, phase - phase.mean(), atol=0.05)
        assert divergence(field)[phase > 0.8].max() < 0
        inner = (slice(1, -1), slice(1, -1))
        assert curl(field)[inner].std() < 0.05 * divergence(field)[inner].std()

    def test_a_ramp_does_not_wrap_around(self):
        ramp = np.broadcast_to(np.arange(64.0)[:, None], (64, 48))
        field = np.stack([np.ones((64, 48)), np.zeros((64, 48))], -1)
        error = np.abs(integrate(field) - ramp + ramp.mean())
        assert error.max() < 0.6
        assert error[4:-4].max() < 0.1
        assert np.abs(integrate(field, boundary="periodic")).max() < 1e-9

    def test_step_is_a_length(self):
        _, field = lattice(32)
        np.testing.assert_allclose(integrate(field, 0.25), 0.25 * integrate(field), atol=1e-12)
        np.testing.assert_allclose(
            integrate(field, 0.25, high_pass=0.4), 0.25 * integrate(field, high_pass=0.1), atol=1e-12
        )

    def test_high_pass_damps_by_its_formula(self):
        phase, field = waves((40, 40), [((2, 0), 1.0)], "mirror")
        k, cut = 2 / 80, 0.05
        np.testing.assert_allclose(
            integrate(field, high_pass=cut), phase * k**2 / (k**2 + cut**2), atol=1e-12
        )

    def test_what_was_not_scanned_stays_nan_and_harms_nobody(self):
        phase, field = lattice()
        field[40:] = np.nan
        field[39, 30:] = np.nan
        field[10, 20] = np.nan
        image = integrate(field)
        known = np.isfinite(field).all(axis=-1)
        np.testing.assert_array_equal(np.isfinite(image), known)
        np.testing.assert_allclose(image[known], (phase - phase[known].mean())[known], atol=0.25)
        assert image[known].mean() == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize("boundary", ["mirror", "periodic"])
    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 2)])
    def test_small_scans(self, shape, boundary):
        field = np.random.default_rng(3).normal(size=(*shape, 2))
        image = integrate(field, boundary=boundary)
        assert image.shape == shape
        assert np.isfinite(image).all()

    def test_nothing_scanned(self):
        assert np.isnan(integrate(np.full((5, 6, 2), np.nan))).all()

    def test_one_scanned_position(self):
        field = np.full((5, 6, 2), np.nan)
        field[2, 3] = 1.0
        assert np.isfinite(integrate(field)).sum() == 1


class TestDifferences:
    def test_a_parabola(self):
        y, x = np.mgrid[:8, :9].astype(float)
        field = np.stack([y, 3 * x], -1)
        np.testing.assert_allclose(divergence(field), 4)
        np.testing.assert_allclose(divergence(field, 0.5), 8)
        np.testing.assert_allclose(curl(np.stack([2 * x, y], -1)), 1)

    def test_one_line(self):
        line = np.stack([np.zeros((1, 5)), np.arange(5.0)[None]], -1)
        np.testing.assert_allclose(divergence(line), 1)
        assert divergence(np.ones((1, 1, 2))) == 0
        assert np.isnan(divergence(np.full((1, 1, 2), np.nan)))


class TestSegments:
    @pytest.mark.parametrize("count", [3, 4, 8, 16])
    @pytest.mark.parametrize("turn", [0.0, 45.0, 17.0])
    def test_direction_of_a_shift(self, count, turn):
        directions = turn + 360 / count * np.arange(count)
        for angle in (0, 30, 90, 200):
            sums = 100 + 5 * np.cos(np.radians(directions - angle))
            signal = segment_dpc(sums, directions)
            np.testing.assert_allclose(
                signal,
                0.025 * np.array([math.sin(math.radians(angle)), math.cos(math.radians(angle))]),
                atol=1e-12,
            )

    def test_images_and_their_holes(self):
        sums = np.ones((3, 5, 4))
        sums[0, 0], sums[1, 1, 2], sums[2, 2] = 0, np.nan, (4, 0, 0, 0)
        signal = segment_dpc(sums, [0, 90, 180, 270])
        assert signal.shape == (3, 5, 2)
        assert np.isnan(signal[0, 0]).all()
        assert np.isnan(signal[1, 1]).all()
        np.testing.assert_allclose(signal[2, 2], [0, 1], atol=1e-15)

    @pytest.mark.parametrize(("sums", "directions"), [((1, 1), (0, 180)), ((1, 1, 1), (0, 1, 2, 3)), (1, 0)])
    def test_too_few_segments(self, sums, directions):
        with pytest.raises(ValueError, match="3 or more segments"):
            segment_dpc(sums, directions)


class TestHoles:
    def test_linear_across_a_gap(self):
        image = np.broadcast_to(np.arange(9.0), (5, 9)).copy()
        known = np.ones(image.shape, bool)
        known[:, 3:6] = False
        np.testing.assert_allclose(bridge(np.where(known, image, -1), known), image)

    @settings(deadline=None, derandomize=True, max_examples=40)
    @given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 9))
    def test_known_pixels_stay_and_others_lie_between_them(self, h, w, share, seed):
        rng = np.random.default_rng(seed)
        image = rng.normal(size=(h, w))
        known = rng.random((h, w)) < share
        filled = bridge(np.where(known, image, np.nan))
        np.testing.assert_array_equal(filled[known], image[known])
        low, high = (image[known].min(), image[known].max()) if known.any() else (0, 0)
        assert filled.min() >= low - 1e-12
        assert filled.max() <= high + 1e-12
