"""Every kind of detector: derived pictures, profiles, dose, background, and the disk that some follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_tools import CENTER, FRAMES, MIXED, RADIUS, SCAN, SHAPE, a_series, assert_alike, image, played

from livem.consumers.testing import example_frames, example_series, pick, run, snapshot, split
from livem.consumers.virtual.pattern import Choice
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.errors import PipelineError
from livem.kernels.calibrate import bright_field_disk
from livem.kernels.masks import annulus, disk, radial_bins
from livem.kernels.phase import descan_plane, divergence, integrate, rotate, segment_dpc
from livem.kernels.reduce import center_of_mass
from livem.kernels.segments import ring_segments
from livem.stream.series import Scan, SeriesKey

RINGS = {"p": {"kind": "profile"}, "q": {"kind": "profile", "width": 2.5, "center": [20, 20]}}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 179), max_size=6, unique=True).map(sorted),
    st.sampled_from(["raw", "bslz4"]),
    st.integers(1, 3),
)
def test_splits_threads_and_encodings_change_no_bit(edges, encoding, threads):
    detectors = MIXED | {"icom": {"kind": "icom", "of": "com"}, "dpc": {"kind": "dpc", "of": "seg"}}
    expected = played(VirtualDetectors("vd", detectors), a_series(), [])
    series = a_series(encoding=encoding)
    assert_alike(expected, played(VirtualDetectors("vd", detectors), series, edges, threads))


class TestTheDisk:
    @pytest.mark.parametrize(
        ("side", "count", "chosen"),
        [
            (256, None, (1024, 16)),
            (256, 200, (200, 4)),
            (512, None, (256, 4)),
            (1024, None, (64, 2)),
            (4096, None, (4, 1)),
            (4096, 2, (2, 1)),
        ],
    )
    def test_it_is_sought_while_a_ring_still_has_the_first_frames(self, side, count, chosen):
        choice = Choice.of(replace(a_series(), shape=(side, side), count=count, scan=None))
        assert (choice.stop, choice.step) == chosen

    def test_default_detectors_follow_it(self):
        shown = played(VirtualDetectors("vd"), a_series(), [100])
        assert list(shown) == ["bf", "haadf", "com", "pattern"]
        found = shown["pattern"]["attrs"]
        for name in ("bf", "haadf"):
            assert shown[name]["attrs"]["center"] == found["disk_center"]
            assert "assumed" not in shown[name]["attrs"]
        assert shown["bf"]["attrs"]["radius"] == found["disk_radius"]
        mask = disk(SHAPE, found["disk_radius"], found["disk_center"])
        np.testing.assert_array_equal(image(shown, "bf").ravel(), FRAMES[:, mask].sum(axis=1))

    def test_presets_and_automatic_centres_follow_it(self):
        result = played(VirtualDetectors("vd", MIXED), a_series(pixel_size=2.0, pixel_unit="mrad"), [100])
        pattern = result["pattern"]["attrs"]
        np.testing.assert_allclose(pattern["disk_center"], CENTER, atol=0.5)
        assert pattern["disk_radius"] == pytest.approx(RADIUS, abs=1)
        assert pattern["semi_convergence_mrad"] == pytest.approx(2 * pattern["disk_radius"])
        assert pattern["disk_confidence"] > 0.4
        np.testing.assert_array_equal(image(result, "pattern"), FRAMES[::3].mean(axis=0))
        mask = disk(SHAPE, pattern["disk_radius"], pattern["disk_center"])
        np.testing.assert_array_equal(image(result, "bf").ravel(), FRAMES[:, mask].sum(axis=1))
        assert result["com"]["attrs"]["center"] == pattern["disk_center"]
        assert "assumed" not in result["bf"]["attrs"]

    def test_what_does_not_follow_it_is_not_measured_again(self):
        consumer = VirtualDetectors("vd", MIXED)
        consumer.open(a_series())
        frames = replace(example_frames(a_series(), count=180), data=FRAMES)
        consumer.merge(consumer.process(pick(frames, range(100))))
        ring = image(snapshot(consumer.close()), "ring")
        shown = snapshot(consumer.merge(consumer.process(pick(frames, range(100, 180)))))
        assert consumer.restarted()
        assert not consumer.restarted()
        np.testing.assert_array_equal(image(shown, "ring").ravel()[:100], ring.ravel()[:100])
        assert np.isnan(image(shown, "bf")).all()

    def test_none_is_said_with_the_reason(self):
        dark = np.zeros((180, *SHAPE), np.uint16)
        result = played(VirtualDetectors("vd", MIXED), a_series(), [90], frames=dark)
        assert "empty" in result["pattern"]["attrs"]["no_disk"]
        assert "has not been found" in result["bf"]["attrs"]["assumed"]
        few = played(VirtualDetectors("vd", MIXED), a_series(), [], frames=FRAMES[:4])
        assert few["pattern"]["attrs"]["frames"] == 2

    def test_lost_frames_do_not_keep_it_from_being_found(self):
        series = replace(a_series(scan=Scan((60, 60))), count=3600)
        consumer = VirtualDetectors("vd", {"bf": {"preset": "bf"}})
        consumer.open(series)
        frames = replace(example_frames(series, count=180), data=FRAMES)
        consumer.merge(consumer.process(pick(frames, range(20))))
        assert not consumer.restarted()
        beyond = replace(frames, indices=np.arange(2000, 2180))
        consumer.merge(consumer.process(beyond))
        assert consumer.restarted()

    @pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    def test_a_frame_lost_from_a_short_scan_does_not_keep_it_from_being_found(self, order):
        """At the end, in whatever came and in whatever order: a replay finds the same one."""
        consumer = VirtualDetectors("vd", {"bf": {"preset": "bf"}})
        consumer.open(a_series())
        frames = replace(example_frames(a_series(), count=180), data=FRAMES)
        thirds = np.array_split([place for place in range(180) if place != 3], 3)
        for third in order:
            consumer.merge(consumer.process(pick(frames, thirds[third])))
            assert not consumer.restarted()
        assert consumer.at_end()
        assert not consumer.at_end()
        for third in order:
            consumer.merge(consumer.process(pick(frames, thirds[third])))
        shown = snapshot(consumer.close())
        assert shown["pattern"]["attrs"]["frames"] == 59
        assert "assumed" not in shown["bf"]["attrs"]
        assert shown["bf"]["attrs"]["radius"] == pytest.approx(self.radius_without(3))

    def radius_without(self, lost):
        """As found in all chosen frames but one."""
        chosen = [place for place in range(0, 180, 3) if place != lost]
        return float(bright_field_disk(FRAMES[chosen].mean(axis=0)).radius)

    def test_the_end_of_a_series_that_goes_on_is_not_the_last(self):
        consumer = VirtualDetectors("vd", {"bf": {"preset": "bf"}})
        consumer.open(a_series())
        frames = replace(example_frames(a_series(), count=180), data=FRAMES)
        consumer.merge(consumer.process(pick(frames, range(100))))
        assert consumer.at_end()
        consumer.merge(consumer.process(pick(frames, range(100, 170))))
        assert consumer.at_end()
        consumer.merge(consumer.process(pick(frames, range(170, 179))))
        assert consumer.restarted()  # all are there: no need to wait for another end
        assert not consumer.at_end()
        assert snapshot(consumer.close())["pattern"]["attrs"]["frames"] == 60

    def late_blocks(self, series, numbers):
        frames = replace(example_frames(series, count=180), data=FRAMES)
        return [replace(frames, indices=np.arange(first, first + 180)) for first in numbers]

    def fed(self, consumer, blocks):
        again = False
        for block in blocks:
            consumer.merge(consumer.process(block))
            again |= consumer.restarted()
        return again

    def test_a_series_that_begins_late_has_one(self):
        series = replace(a_series(scan=Scan((200, 200))), count=40_000)
        consumer = VirtualDetectors("vd", {"bf": {"preset": "bf"}})
        consumer.open(series)
        assert self.fed(consumer, self.late_blocks(series, range(5000, 8000, 180)))
        shown = snapshot(consumer.close())
        assert shown["pattern"]["attrs"]["frames"] == 64
        assert "assumed" not in shown["bf"]["attrs"]

    @pytest.mark.parametrize(
        ("before", "change"),
        [
            ({"pattern": True}, ("dead_pixels", [[0, 0]])),
            ({"pattern": False}, ("detectors.bf", {"preset": "bf"})),
        ],
    )
    def test_a_pattern_wanted_late_is_made_of_new_frames(self, before, change):
        series = replace(a_series(scan=Scan((200, 200))), count=40_000)
        consumer = VirtualDetectors("vd", {"bf": {"kind": "disk", "radius": 5}}, **before)
        consumer.open(series)
        self.fed(consumer, self.late_blocks(series, range(0, 6000, 180)))
        assert consumer.set(*change)
        self.fed(consumer, self.late_blocks(series, range(6120, 9000, 180)))
        if not before["pattern"]:
            assert "assumed" not in snapshot(consumer.close())["bf"]["attrs"]
            return
        shown = snapshot(consumer.close())["pattern"]
        assert "disk_radius" in shown["attrs"]
        assert np.isfinite(shown["arrays"]["image"]).sum() == SHAPE[0] * SHAPE[1] - 1

    def test_it_is_sought_again_on_request(self):
        moved = np.concatenate([FRAMES, np.roll(FRAMES, (6, -8), axis=(1, 2))])
        series = replace(a_series(scan=Scan((12, 15), repeats=2)), count=360)
        consumer = VirtualDetectors("vd", {"bf": {"preset": "bf"}})
        first = played(consumer, series, [200], frames=moved)["pattern"]["attrs"]["disk_center"]
        assert consumer.set("calibrate", False) is False
        assert consumer.set("calibrate", True) is True
        assert consumer.parameters()["calibrate"] is False
        with pytest.raises(PipelineError, match="true or false"):
            consumer.set("calibrate", "now")
        assert len(first) == 2

    def test_a_detector_that_no_longer_fits_stays_and_is_said(self):
        wide = np.ones((180, *SHAPE), np.uint16)
        wide[:, :, :2] = 0
        consumer = VirtualDetectors("vd", {"spot": {"kind": "disk", "radius": 0.3, "center": [20, 20]}})
        consumer.open(a_series())
        assert consumer.set("detectors.spot", {"kind": "disk", "radius": 0.2, "center": [24.0, 26.0]})
        with pytest.raises(PipelineError, match="covers no pixel"):
            consumer.set("detectors.spot.center", "auto")

    def test_the_pattern_may_be_hidden_or_a_detector_of_that_name(self):
        assert "pattern" not in played(VirtualDetectors("vd", MIXED, pattern=False), a_series(), [])
        named = {"pattern": {"kind": "total"}}
        result = played(VirtualDetectors("vd", named), a_series(), [])
        assert image(result, "pattern").shape == SCAN.shape
        with pytest.raises(PipelineError, match="rename"):
            VirtualDetectors("vd", named, pattern=True)
        consumer = VirtualDetectors("vd", named)
        with pytest.raises(PipelineError, match="rename"):
            consumer.set("pattern", True)


class TestDerived:
    def field(self) -> np.ndarray:
        return center_of_mass(FRAMES, CENTER)[0].reshape(*SCAN.shape, 2)

    def show(self, **detectors: Any) -> dict[str, Any]:
        com = {"kind": "com", "center": list(CENTER)}
        seg = {"kind": "segments", "outer": 14, "center": list(CENTER)}
        consumer = VirtualDetectors("vd", {"com": com, "seg": seg} | detectors)
        return played(consumer, a_series(scan_step=0.5, scan_unit="nm"), [60])

    def test_integrals_and_divergence_are_those_of_the_kernels(self):
        result = self.show(
            icom={"kind": "icom", "of": "com", "rotation": 30, "flip": True, "high_pass": 0.05},
            dcom={"kind": "dcom", "of": "com", "descan": "plane"},
        )
        turned = rotate(self.field(), 30, True)
        np.testing.assert_array_equal(image(result, "icom"), integrate(turned, 0.5, high_pass=0.1))
        flat = descan_plane(self.field()).subtracted_from(self.field())
        np.testing.assert_array_equal(image(result, "dcom"), divergence(flat, 0.5))
        assert result["icom"]["units"] == {"image": "px nm"}
        assert result["dcom"]["units"] == {"image": "px/nm"}
        assert "offset" in result["dcom"]["attrs"]["descan_plane"]

    def test_segments_give_dpc(self):
        result = self.show(
            dpc={"kind": "dpc", "of": "seg"},
            idpc={"kind": "idpc", "of": "seg"},
            dcom={"kind": "dcom", "of": "seg"},
        )
        masks = ring_segments(SHAPE, 0, 14, 4, 0, CENTER)
        sums = np.stack([FRAMES[:, mask].sum(axis=1).reshape(SCAN.shape) for mask in masks], axis=-1)
        for part in range(4):
            np.testing.assert_array_equal(image(result, f"seg.s{part}"), sums[..., part])
            assert result[f"seg.s{part}"]["attrs"]["direction"] == 90 * part
        signal = segment_dpc(sums, [0, 90, 180, 270])
        np.testing.assert_array_equal(image(result, "dpc"), signal)
        np.testing.assert_array_equal(image(result, "idpc"), integrate(signal, 0.5))
        np.testing.assert_array_equal(image(result, "dcom"), divergence(signal, 0.5))

    def test_a_corrected_centre_of_mass_keeps_the_raw_one_and_hands_its_corrections_on(self):
        result = self.show(
            com={"kind": "com", "center": list(CENTER), "rotation": "auto"},
            icom={"kind": "icom", "of": "com"},
            other={"kind": "dcom", "of": "com", "rotation": 0},
        )
        np.testing.assert_array_equal(image(result, "com.raw"), self.field())
        said = result["com"]["attrs"]
        turned = rotate(self.field(), said["rotation_deg"], said["flipped"])
        np.testing.assert_array_equal(image(result, "com"), turned)
        np.testing.assert_array_equal(image(result, "icom"), integrate(turned, 0.5))
        np.testing.assert_array_equal(image(result, "other"), divergence(self.field(), 0.5))

    def test_descan_of_a_vacuum_scan_of_other_positions(self, tmp_path):
        y, x = np.mgrid[:24, :30]
        vacuum = np.stack([1 + 0.1 * y, 2 - 0.05 * x], axis=-1)
        np.save(tmp_path / "vacuum.npy", vacuum)
        path = str(tmp_path / "vacuum.npy")
        result = self.show(flat={"kind": "dcom", "of": "com", "descan": {"path": path}})
        y, x = np.mgrid[:12, :15]
        plane = np.stack([1 + 0.2 * y, 2 - 0.1 * x], axis=-1)
        np.testing.assert_allclose(image(result, "flat"), divergence(self.field() - plane, 0.5), atol=1e-9)

    @pytest.mark.parametrize("content", [np.zeros((3, 3)), np.full((3, 3, 2), np.nan), b"no array"])
    def test_descan_files_that_do_not_serve(self, tmp_path, content):
        path = tmp_path / "vacuum.npy"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content)
        consumer = VirtualDetectors("vd", {"com": {"kind": "com", "descan": str(path)}})
        with pytest.raises(PipelineError, match="descan file"):
            consumer.open(a_series())

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ({"kind": "icom", "of": "seg"}, "kind com"),
            ({"kind": "dpc", "of": "nothing"}, "kind segments"),
            ({"kind": "icom"}, "needs of"),
            ({"kind": "icom", "of": 3}, "of = 3"),
            ({"kind": "icom", "of": "com", "rotation": "auto", "flip": True}, "flip"),
            ({"kind": "icom", "of": "com", "rotation": "left"}, "degrees"),
            ({"kind": "icom", "of": "com", "descan": 3}, "descan = 3"),
            ({"kind": "icom", "of": "com", "high_pass": -1}, "negative"),
            ({"kind": "dose", "counts_per_electron": 0}, "greater than 0"),
        ],
    )
    def test_wrong_tables_are_named(self, table, words):
        with pytest.raises(PipelineError, match=words):
            VirtualDetectors(
                "vd", {"com": {"kind": "com"}, "seg": {"kind": "segments", "outer": 9}, "new": table}
            )

    def test_without_a_scan_there_is_none(self):
        detectors = {"com": {"kind": "com", "rotation": 9}, "icom": {"kind": "icom", "of": "com"}}
        result = played(VirtualDetectors("vd", detectors), a_series(scan=None), [])
        assert result.keys() == {"com"}


class TestProfiles:
    @pytest.mark.parametrize("encoding", ["raw", "bslz4"])
    def test_mean_counts_of_a_pixel_in_each_ring(self, encoding):
        series = a_series(encoding=encoding, pixel_size=2.0, pixel_unit="mrad")
        result = played(VirtualDetectors("vd", RINGS | MIXED), series, [50, 51], 2)
        for name, bins, width in (
            ("p", radial_bins(SHAPE), 1.0),
            ("q", radial_bins(SHAPE, (20, 20), 2.5), 2.5),
        ):
            total = np.bincount(bins.index.ravel(), FRAMES.sum(axis=0, dtype=np.int64).ravel(), bins.count)
            arrays = result[name]["arrays"]
            np.testing.assert_array_equal(arrays["y"], total / 180 / bins.pixels)
            np.testing.assert_array_equal(arrays["x"], (np.arange(bins.count) + 0.5) * width * 2.0)
            assert result[name]["units"] == {"x": "mrad", "y": "counts"}
            assert result[name]["attrs"]["frames"] == 180

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_pixels_that_are_not_finite_do_not_count(self, dtype):
        bins = radial_bins(SHAPE)
        frames = np.full((180, *SHAPE), 10.0, dtype)
        frames[:, bins.index == 0] = np.nan
        frames[::2, bins.index == 1] = np.inf
        frames[1::3, 10:30, 25] = -np.inf
        result = played(VirtualDetectors("vd", RINGS), a_series(dtype), [50, 51], 2, frames=frames)
        means = result["p"]["arrays"]["y"]
        assert np.isnan(means[0])
        np.testing.assert_allclose(means[1:], 10.0, rtol=1e-12)
        np.testing.assert_allclose(result["q"]["arrays"]["y"], 10.0, rtol=1e-12)


class TestDose:
    def test_electrons_of_all_passes_and_series_of_one_field(self):
        series = replace(a_series(scan=Scan((9, 10), repeats=2), counts_per_electron=2.0), count=180)
        series = replace(series, meta={**series.meta, "scan_step": 0.5, "scan_unit": "A"})
        consumer = VirtualDetectors("vd", {"dose": {"kind": "dose"}, "all": {"kind": "total"}})
        both = FRAMES.sum(axis=(1, 2)).reshape(2, 9, 10)
        result = played(consumer, series, [70])
        np.testing.assert_array_equal(image(result, "dose"), both.sum(axis=0) / 2)
        np.testing.assert_array_equal(image(result, "all"), both[1])
        attrs = result["dose"]["attrs"]
        assert attrs["total_electrons"] == both.sum() / 2
        assert attrs["electrons_per_A2_mean"] == pytest.approx(both.sum() / 2 / 90 / 0.25)
        assert attrs["electrons_per_A2_most"] == pytest.approx(both.sum(axis=0).max() / 2 / 0.25)
        assert (attrs["counts_per_electron"], attrs["counts_per_electron_from"]) == (2.0, "series")
        again = played(consumer, replace(series, key=SeriesKey(b"12345678", 2)), [])
        np.testing.assert_array_equal(image(again, "dose"), both.sum(axis=0))
        assert consumer.set("detectors.dose.reset", True) is False
        assert np.isnan(image(snapshot(consumer.close()), "dose")).all()
        third = played(consumer, replace(series, key=SeriesKey(b"12345678", 3)), [])
        np.testing.assert_array_equal(image(third, "dose"), both.sum(axis=0) / 2)
        other = replace(a_series(scan=Scan((10, 18))), key=SeriesKey(b"12345678", 4))
        assert played(consumer, other, [])["dose"]["attrs"]["total_electrons"] == both.sum()

    def test_what_was_forgotten_stays_so_when_it_is_looked_at_again(self):
        consumer = VirtualDetectors("vd", {"dose": {"kind": "dose"}})
        consumer.open(a_series())
        frames = replace(example_frames(a_series(), count=180), data=FRAMES)
        consumer.merge(consumer.process(pick(frames, range(100))))
        consumer.set("detectors.dose.reset", True)
        consumer.set("passes", "mean")
        shown = snapshot(consumer.merge(consumer.process(frames)))
        assert shown["dose"]["attrs"]["total_electrons"] == FRAMES[100:].sum()
        other = replace(a_series(), key=SeriesKey(b"12345678", 2))
        again = played(consumer, other, [])
        assert again["dose"]["attrs"]["total_electrons"] == FRAMES[100:].sum() + FRAMES.sum()

    def test_the_gain_of_a_movie(self):
        detectors = {"dose": {"kind": "dose", "counts_per_electron": 4}}
        result = played(VirtualDetectors("vd", detectors), a_series(scan=None), [])
        np.testing.assert_array_equal(result["dose"]["arrays"]["y"], FRAMES.sum(axis=(1, 2)) / 4)
        assert result["dose"]["units"]["y"] == "e"


class TestBackground:
    @pytest.mark.parametrize("encoding", ["raw", "bslz4"])
    def test_it_is_taken_off_sums_moments_and_patterns(self, tmp_path, encoding):
        dark = np.random.default_rng(0).uniform(0, 0.5, SHAPE)
        np.save(tmp_path / "dark.npy", dark)
        np.save(tmp_path / "weights.npy", np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 3)
        detectors = {
            "ring": {"kind": "annulus", "inner": 10, "outer": 20},
            "com": {"kind": "com", "center": list(CENTER)},
            "p": {"kind": "profile"},
        }
        if encoding == "raw":
            weights = str(tmp_path / "weights.npy")
            detectors["w"] = {"kind": "mask", "path": weights, "weighted": True}
        else:
            del detectors["p"]
        consumer = VirtualDetectors("vd", detectors, background={"path": str(tmp_path / "dark.npy")})
        result = played(consumer, a_series(encoding=encoding), [50])
        clean = FRAMES - dark
        ring = clean[:, annulus(SHAPE, 10, 20)].sum(axis=1).reshape(SCAN.shape)
        np.testing.assert_allclose(image(result, "ring"), ring, rtol=1e-12)
        y, x = np.indices(SHAPE)
        com = np.stack([(clean * (p - c)).sum(axis=(1, 2)) for p, c in zip((y, x), CENTER, strict=True)], -1)
        com /= clean.sum(axis=(1, 2))[:, None]
        np.testing.assert_allclose(image(result, "com").reshape(-1, 2), com, rtol=0, atol=1e-11)
        np.testing.assert_allclose(image(result, "pattern"), clean[::3].mean(axis=0), atol=1e-12)
        if "w" in result:
            weighted = (clean * (np.arange(clean[0].size).reshape(SHAPE) % 3)).sum(axis=(1, 2))
            np.testing.assert_allclose(image(result, "w").ravel(), weighted, rtol=1e-12)
            bins = radial_bins(SHAPE)
            means = np.bincount(bins.index.ravel(), clean.mean(axis=0).ravel()) / bins.pixels
            np.testing.assert_allclose(result["p"]["arrays"]["y"], means, atol=1e-12)

    @pytest.mark.parametrize("name", ["background", "dead_pixels"])
    def test_a_file_measured_anew_is_read_anew(self, tmp_path, name):
        value = {"path": str(tmp_path / "file.npy")}
        content = np.zeros(SHAPE)
        content[0, 0] = 1
        np.save(tmp_path / "file.npy", content)
        consumer = VirtualDetectors("vd", {"all": {"kind": "total"}}, **{name: value})
        played(consumer, a_series(), [])
        assert consumer.set(name, value) is False
        np.save(tmp_path / "file.npy", np.ones(SHAPE) if name == "background" else np.eye(*SHAPE))
        assert consumer.set(name, value) is True
        frames = replace(example_frames(a_series(), count=180), data=FRAMES)
        shown = image(snapshot(consumer.merge(consumer.process(frames))), "all").ravel()
        left = FRAMES - 1.0 if name == "background" else FRAMES * (1 - np.eye(*SHAPE))
        np.testing.assert_allclose(shown, left.sum(axis=(1, 2)), rtol=1e-12)

    def test_files_that_do_not_serve_change_nothing(self, tmp_path):
        np.save(tmp_path / "bad.npy", np.full(SHAPE, np.nan))
        consumer = VirtualDetectors("vd", MIXED)
        consumer.open(a_series())
        before = consumer.parameters()
        for value in ({"path": str(tmp_path / "bad.npy")}, "missing.npy", 3, {"file": "x"}):
            with pytest.raises(PipelineError, match="background"):
                consumer.set("background", value)
        assert consumer.parameters() == before


def test_the_mean_of_passes_is_exact_in_any_order():
    series = example_series(scan=Scan((2, 5), repeats=4), shape=SHAPE)
    frames = replace(example_frames(series, count=40), data=FRAMES[:40])
    detectors = {"all": {"kind": "total"}, "com": {"kind": "com"}}
    blocks = list(split(frames, [7, 9, 3]))
    one = run(VirtualDetectors("vd", detectors, passes="mean"), series, blocks)
    other = run(VirtualDetectors("vd", detectors, passes="mean"), series, reversed(blocks))
    np.testing.assert_array_equal(
        image(one, "all"), FRAMES[:40].sum(axis=(1, 2)).reshape(4, 2, 5).mean(axis=0)
    )
    for name in detectors:
        np.testing.assert_array_equal(one[name]["arrays"]["visits"], np.full((2, 5), 4))
    assert "visits" not in run(VirtualDetectors("vd", detectors), series, blocks)["all"]["arrays"]
    np.testing.assert_array_equal(image(one, "com"), image(other, "com"))
    com = center_of_mass(FRAMES[:40])[0].reshape(4, 2, 5, 2).mean(axis=0)
    np.testing.assert_allclose(image(one, "com"), com, atol=1e-14)
    with pytest.raises(PipelineError, match="newest"):
        VirtualDetectors("vd", passes="newst")


def test_sums_of_counts_say_how_they_scatter(tmp_path):
    np.save(tmp_path / "dark.npy", np.full(SHAPE, 0.5))
    detectors = {
        "bf": {"kind": "disk", "radius": 3},
        "com": {"kind": "com"},
        "seg": {"kind": "segments", "outer": 9},
    }
    meta = {"counts_per_electron": 4.0, "offset": 2.0, "read_noise": 1.5}
    series = replace(a_series(), meta=meta)
    shown = played(VirtualDetectors("vd", detectors), series, [])
    n = np.count_nonzero(disk(SHAPE, 3))
    assert shown["bf"]["attrs"]["noise"] == {"gain": 4.0, "offset": 2.0 * n, "read_noise": 1.5 * np.sqrt(n)}
    n = np.count_nonzero(ring_segments(SHAPE, 0, 9, 4, 0.0)[1])
    assert shown["seg.s1"]["attrs"]["noise"]["offset"] == 2.0 * n
    assert "noise" not in shown["com"]["attrs"]
    dark = played(VirtualDetectors("vd", detectors, background=str(tmp_path / "dark.npy")), series, [])
    assert dark["seg.s1"]["attrs"]["noise"]["offset"] == 1.5 * n
    for silent in (replace(series, meta={}), replace(series, dtype="float32")):
        assert "noise" not in played(VirtualDetectors("vd", detectors), silent, [])["bf"]["attrs"]


def test_more_images_than_memory_are_refused():
    with pytest.raises(PipelineError, match=r"34 images.*MiB"):
        VirtualDetectors(
            "vd", {"s": {"kind": "segments", "outer": 9, "count": 33}, "t": {"kind": "total"}}
        ).open(a_series(scan=Scan((4096, 4096))))
