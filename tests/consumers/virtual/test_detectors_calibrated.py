"""Presets, angles, segments, profiles and weights: what they cover, with and without a calibration."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.virtual.detectors import Calibration, fit, parse_detector
from livem.consumers.virtual.presets import PRESETS, preset_radii
from livem.errors import PipelineError
from livem.kernels.calibrate import Disk
from livem.kernels.masks import annulus, disk, radial_bins
from livem.kernels.phase import segment_dpc
from livem.kernels.reduce import compile_regions, reduce_block
from livem.kernels.segments import ring_segments, segment_directions

SHAPE = (128, 160)
DISK = Disk(60.25, 70.5, 20.0, 0.1, 0.9, 1.0, 1.0)
MRAD = {"pixel_size": 1.2, "pixel_unit": "mrad"}
KNOWN = Calibration.of(MRAD, DISK)


def spec(**table):
    return parse_detector("detector 'd'", table)


def fitted(calibration=KNOWN, live=None, shape=SHAPE, **table):
    return fit(spec(**table), shape, live, calibration)


def angle_between(a, b):
    return abs((a - b + 180) % 360 - 180)


class TestPresets:
    @pytest.mark.parametrize(
        ("preset", "expected"),
        [
            ("bf", disk(SHAPE, 20, DISK.center)),
            ("abf", annulus(SHAPE, 10, 20, DISK.center)),
            ("adf", annulus(SHAPE, 22, 60, DISK.center)),
            ("df", annulus(SHAPE, 22, 1000, DISK.center)),
            ("haadf", annulus(SHAPE, 0.8 * 64, 1000, DISK.center)),
        ],
    )
    def test_radii_follow_the_disk(self, preset, expected):
        np.testing.assert_array_equal(fitted(preset=preset).region.mask, expected)

    def test_haadf_begins_at_three_alpha_where_the_frame_has_room(self):
        small = Calibration(Disk(63.5, 79.5, 12.0, 0.1, 0.9, 1.0, 1.0))
        assert preset_radii("haadf", SHAPE, small)[0] == pytest.approx(36)

    @settings(deadline=None, derandomize=True)
    @given(
        st.tuples(st.integers(8, 300), st.integers(8, 300)), st.floats(0.02, 0.4), st.sampled_from([*PRESETS])
    )
    def test_no_dark_field_touches_the_disk_and_every_preset_has_pixels(self, shape, share, preset):
        known = Disk(shape[0] * 0.45, shape[1] * 0.55, max(share * min(shape), 1.5), 0.1, 0.9, 1.0, 1.0)
        mask = fitted(Calibration(known), shape=shape, preset=preset).region.mask
        within = disk(shape, known.radius, known.center)
        assert mask.any()
        assert not (mask & (within if preset.endswith("df") else ~within)).any()

    def test_attrs_draw_what_is_there(self):
        attrs = fitted(preset="abf").attrs
        assert attrs == {
            "kind": "annulus",
            "preset": "abf",
            "center": [60.25, 70.5],
            "inner": 10.0,
            "outer": 20.0,
            "mrad": {"inner": 12.0, "outer": 24.0},
        }
        assert fitted(preset="bf").attrs["kind"] == "disk"
        msgpack.packb(attrs)

    def test_without_a_disk_one_is_assumed_and_said(self):
        detector = fit(spec(preset="bf"), SHAPE)
        np.testing.assert_array_equal(detector.region.mask, disk(SHAPE, 0.18 * 128))
        assert "has not been found" in detector.attrs["assumed"]
        assert "assumed" not in fitted(preset="bf").attrs

    def test_a_centre_of_ones_own(self):
        detector = fitted(preset="bf", center=[30, 40])
        np.testing.assert_array_equal(detector.region.mask, disk(SHAPE, 20, (30, 40)))

    def test_which_are_to_be_fitted_again(self):
        assert spec(preset="bf").follows_disk
        assert spec(preset="bf", center=[3, 4]).follows_disk
        assert spec(kind="com", center="auto").follows_disk
        assert not spec(kind="com").follows_disk
        assert not spec(kind="rectangle", center=[9, 9], size=[3, 3]).follows_disk

    def test_a_table_that_comes_back(self):
        for table in (
            {"preset": "bf"},
            {"kind": "com", "center": "auto"},
            {"kind": "profile", "width": 2.0},
            {"kind": "segments", "outer": 9.0, "count": 3},
        ):
            assert parse_detector("d", spec(**table).table) == parse_detector("d", table)
        assert spec(preset="bf").changed("preset", "df").values == {"preset": "df"}

    def test_a_disk_that_leaves_nothing_dark(self):
        whole = Calibration(Disk(63.5, 79.5, 200.0, 0.1, 0.9, 0.4, 0.9))
        with pytest.raises(PipelineError, match=r"preset df around .*covers no pixel"):
            fitted(whole, preset="df")


class TestUnits:
    def test_mrad_are_pixels(self):
        detector = fitted(kind="annulus", inner=24, outer=36, unit="mrad")
        np.testing.assert_array_equal(detector.region.mask, annulus(SHAPE, 20, 30))
        attrs = detector.attrs
        assert (attrs["inner"], attrs["outer"]) == pytest.approx((20, 30))
        assert attrs["unit"] == "px"
        assert attrs["mrad"] == pytest.approx({"inner": 24, "outer": 36})

    def test_automatic_centres(self):
        for table in ({"kind": "disk", "radius": 5}, {"kind": "com"}, {"kind": "segments", "outer": 9}):
            assert fitted(**table, center="auto").attrs["center"] == [60.25, 70.5]
        assert fitted(kind="com", center="auto").region.center == DISK.center

    def test_reciprocal_lengths(self):
        calibration = Calibration.of({"pixel_size": 0.1, "pixel_unit": "1/nm", "beam_energy": 200})
        detector = fitted(calibration, kind="disk", radius=2.5079, unit="mrad")
        np.testing.assert_array_equal(detector.region.mask, disk(SHAPE, 10.0000))

    @pytest.mark.parametrize(
        ("meta", "words"),
        [
            ({}, "pixel_size is missing"),
            ({"pixel_size": 1.0}, "pixel_unit is missing"),
            ({"pixel_size": 1.0, "pixel_unit": 3}, "pixel_unit is missing"),
            ({"pixel_size": 0.1, "pixel_unit": "1/nm"}, "beam_energy"),
            ({"pixel_size": 75, "pixel_unit": "um", "beam_energy": 200}, "'um' is no angle"),
        ],
    )
    def test_a_missing_calibration_is_named(self, meta, words):
        with pytest.raises(PipelineError, match=r"detector 'd' is in mrad, but .*px") as caught:
            fitted(Calibration.of(meta), kind="disk", radius=20, unit="mrad")
        assert words in str(caught.value)


class TestSegments:
    @settings(deadline=None, derandomize=True, max_examples=40)
    @given(st.integers(3, 16), st.floats(-400, 400), st.floats(0, 20), st.tuples(*[st.floats(-5, 60)] * 2))
    def test_every_pixel_of_the_ring_once(self, count, rotation, inner, center):
        masks = ring_segments((50, 60), inner, 25, count, rotation, center)
        np.testing.assert_array_equal(np.sum(masks, axis=0), annulus((50, 60), inner, 25, center))

    def test_quadrants_lie_right_below_left_above(self):
        detector = fitted(kind="segments", outer=30)
        places = [np.argwhere(region.mask).mean(axis=0) - (63.5, 79.5) for region in detector.regions]
        for (y, x), direction in zip(places, (0, 90, 180, 270), strict=True):
            assert angle_between(np.degrees(np.arctan2(y, x)), direction) < 2
        assert detector.names == ("s0", "s1", "s2", "s3")
        assert detector.attrs["directions"] == [0, 90, 180, 270]
        np.testing.assert_array_equal(detector.region.mask, disk(SHAPE, 30))
        msgpack.packb(dict(detector.attrs))

    def test_they_measure_where_a_disk_moves(self):
        y, x = np.indices(SHAPE)
        detector = fitted(kind="segments", inner=10, outer=30, count=6, rotation=20)
        for angle in (0.0, 1.0, 2.5, 4.0):
            shift = 1.5 * np.array([np.sin(angle), np.cos(angle)])
            frame = np.clip(20.5 - np.hypot(y - 63.5 - shift[0], x - 79.5 - shift[1]), 0, 1)[None]
            sums = reduce_block(frame, compile_regions(SHAPE, detector.regions)).sums
            signal = segment_dpc(sums, detector.attrs["directions"])[0]
            assert angle_between(np.degrees(np.arctan2(*signal)), np.degrees(angle)) < 3

    def test_dead_pixels_are_in_none(self):
        live = np.random.default_rng(0).random(SHAPE) < 0.6
        detector = fitted(kind="segments", outer=30, live=live)
        np.testing.assert_array_equal(sum(r.mask for r in detector.regions), detector.region.mask)
        assert not (detector.region.mask & ~live).any()

    def test_directions(self):
        np.testing.assert_allclose(segment_directions(3, 30), [30, 150, 270])


class TestProfile:
    def test_rings_about_the_centre(self):
        live = np.random.default_rng(0).random(SHAPE) < 0.6
        detector = fitted(kind="profile", width=2.4, unit="mrad", center="auto", live=live)
        expected = radial_bins(SHAPE, DISK.center, 2.0, live)
        np.testing.assert_array_equal(detector.profile.index, expected.index)
        assert detector.attrs["width"] == pytest.approx(2)
        assert fitted(kind="profile").profile.count == radial_bins(SHAPE).count
        assert fitted(kind="total").profile is None


class TestWeights:
    def write(self, path, pixels):
        np.save(path / "weights.npy", pixels)
        return {"kind": "mask", "path": str(path / "weights.npy"), "weighted": True}

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "bool"])
    def test_each_pixel_counts_as_the_file_says(self, tmp_path, dtype):
        rng = np.random.default_rng(1)
        weights = rng.integers(0, 5, SHAPE).astype(dtype)
        live = rng.random(SHAPE) < 0.8
        detector = fitted(**self.write(tmp_path, weights), live=live)
        frame = rng.poisson(3.0, SHAPE).astype(np.uint16)
        sums = reduce_block(frame[None], compile_regions(SHAPE, [detector.region])).sums
        assert sums[0, 0] == (frame * weights.astype(np.int64) * live).sum()
        assert detector.region.is_exact == (dtype != "float32")

    def test_unweighted_unless_said(self, tmp_path):
        table = self.write(tmp_path, np.full(SHAPE, 3)) | {"weighted": False}
        assert fitted(**table).region.weights is None

    @pytest.mark.parametrize(
        ("pixels", "words"),
        [
            (np.full(SHAPE, np.nan), "not finite"),
            (np.full((3, 3), 1.0), r"\(3, 3\)"),
            (np.zeros(SHAPE), "covers no pixel"),
            (np.full(SHAPE, 1 << 40), "exact"),
            (np.full(SHAPE, (1 << 64) - 1, np.uint64), "exact"),
        ],
    )
    def test_files_that_do_not_serve(self, tmp_path, pixels, words):
        with pytest.raises(PipelineError, match=words):
            fitted(**self.write(tmp_path, pixels))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"preset": "hadf"}, ["'hadf'", "'haadf'"]),
        ({"preset": 3}, ["preset = 3"]),
        ({"kind": "preset"}, ["needs preset"]),
        ({"preset": "bf", "radius": 3}, ["'radius'"]),
        ({"kind": "disk", "radius": 3, "unit": "nm"}, ["'nm'", "px, mrad"]),
        ({"kind": "rectangle", "center": "auto", "size": [3, 3]}, ["'auto'", "[y, x]"]),
        ({"kind": "disk", "radius": 3, "center": "middle"}, ["'middle'", "[y, x]"]),
        ({"kind": "segments"}, ["needs outer"]),
        ({"kind": "segments", "outer": 9, "count": 2}, ["count = 2", "3 to 64"]),
        ({"kind": "segments", "outer": 9, "count": 4.0}, ["count = 4.0", "3 to 64"]),
        ({"kind": "segments", "outer": 9, "inner": 9, "unit": "mrad"}, ["inner = 9 mrad", "smaller"]),
        ({"kind": "segments", "outer": 9, "rotation": "x"}, ["rotation = 'x'", "degrees"]),
        ({"kind": "profile", "width": 0}, ["width = 0", "greater than 0"]),
        ({"kind": "mask", "path": "a.npy", "weighted": 1}, ["weighted = 1", "true or false"]),
    ],
)
def test_wrong_tables_are_named(table, words):
    with pytest.raises(PipelineError) as caught:
        spec(**table)
    assert all(word in str(caught.value) for word in ["detector 'd'", *words]), str(caught.value)
