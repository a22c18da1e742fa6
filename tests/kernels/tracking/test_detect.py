"""What the detector finds in scenes whose truth is known, and in frames that have none."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from particle_scenes import drawn, matched, scene

from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.options import DetectorOptions
from livem.kernels.tracking.table import DETECTION, Flag

SIDE = 192


@pytest.fixture(scope="module")
def detector():
    return Detector((SIDE, SIDE), DetectorOptions(false_alarms=0.1))


def strong(rows):
    return rows[(rows["flags"] & Flag.WEAK) == 0]


def test_particles_are_found_where_they_are_and_as_large_as_they_are(detector):
    errors, hits, found, true = [], 0, 0, 0
    for number in range(4):
        frame, truth = scene(number)
        rows = strong(detector.detect(frame))
        pairs = matched(truth, rows)
        hits, found, true = hits + len(pairs), found + len(rows), true + len(truth)
        at, row = truth[pairs[:, 0]], rows[pairs[:, 1]]
        scaled = np.hypot(row["y"] - at[:, 0], row["x"] - at[:, 1]) / np.sqrt(row["var_y"] + row["var_x"])
        grown = (row["radius"] - at[:, 2]) / np.sqrt(row["var_radius"])
        errors.append(np.column_stack([row["radius"] - at[:, 2], scaled, grown]))
    error = np.concatenate(errors)
    assert 2 * hits / (found + true) >= 0.97
    assert abs(error[:, 0].mean()) <= 0.1
    assert np.sqrt((error[:, 0] ** 2).mean()) <= 0.4
    assert 0.75 <= np.sqrt((error[:, 1] ** 2).mean()) <= 1.25  # covariances are true
    assert 0.7 <= np.sqrt((error[:, 2] ** 2).mean()) <= 1.3


def test_neighbours_that_nearly_touch_are_told_apart_and_fitted_together(detector):
    centre = np.array([90.0, 90.0])
    truth = np.array([[*centre, 4.0], [90.0, 98.5, 4.0], [98.0, 93.5, 3.2]])
    frames = [drawn((SIDE, SIDE), truth, 4.0, 0.3, 180.0, False, np.random.default_rng(k)) for k in range(24)]
    places, more = [], 0
    for frame in frames:
        rows = strong(detector.detect(frame))
        more += len(rows) - 3
        pairs = matched(truth, rows)
        assert len(pairs) == 3
        places.append([(rows["y"][j], rows["x"][j], rows["radius"][j]) for j in pairs[:, 1]])
    np.testing.assert_allclose(np.mean(places, axis=0), truth, atol=0.15)
    assert more <= 4  # 2.4 false alarms were allowed


@pytest.mark.parametrize(("polarity", "bright"), [("bright", True), ("both", True), ("both", False)])
def test_bright_particles_and_both_kinds_are_found_with_their_sign(polarity, bright):
    frame, truth = scene(5, count=20, bright=bright)
    rows = strong(Detector(frame.shape, DetectorOptions(polarity=polarity)).detect(frame))
    pairs = matched(truth, rows)
    assert len(pairs) >= 19
    assert ((rows["contrast"][pairs[:, 1]] > 0) == bright).all()
    assert (rows["mass"] > 0).all()


def test_large_and_small_particles_are_found_by_one_detector():
    truth = [(60.0, 60.0, 24.0), (150.0, 140.0, 12.0), (30.0, 150.0, 4.0), (150.0, 40.0, 6.0)]
    frame = drawn((SIDE, SIDE), truth, 6.0, 0.25, 200.0, False, np.random.default_rng(1))
    rows = strong(Detector(frame.shape, DetectorOptions(radius=8, spread=0.8)).detect(frame))
    pairs = matched(np.array(truth), rows)
    assert len(pairs) == 4
    np.testing.assert_allclose(rows["radius"][pairs[:, 1]], np.array(truth)[pairs[:, 0], 2], rtol=0.15)


def test_noise_alone_makes_no_more_alarms_than_were_allowed():
    options = DetectorOptions(false_alarms=0.5, weak_alarms=15)
    detector = Detector((256, 256), options)
    rng = np.random.default_rng(11)
    found = [detector.detect(rng.poisson(20, (256, 256)).astype(np.float32)) for _ in range(12)]
    assert sum(len(strong(rows)) for rows in found) <= 14
    assert 6 <= np.mean([len(rows) for rows in found]) <= 26


def test_scores_do_not_know_the_unit_of_the_frame(detector):
    frame, _ = scene(8)
    rows, other = detector.detect(frame), detector.detect(frame * 7)
    assert len(rows) == len(other)
    np.testing.assert_allclose(other["score"], rows["score"], rtol=2e-3)
    np.testing.assert_allclose(other["mass"], 7 * rows["mass"], rtol=1e-2)
    np.testing.assert_allclose(other["var_y"], rows["var_y"], rtol=1e-2)


def test_any_number_of_threads_and_any_order_give_the_same_rows(detector):
    frames = [scene(k)[0] for k in range(4)]
    alone = [detector.detect(frame) for frame in frames]
    with ThreadPoolExecutor(3) as pool:
        shared = list(pool.map(detector.detect, frames[::-1]))[::-1]
    for one, other in zip(alone, shared, strict=True):
        assert one.tobytes() == other.tobytes()
    assert detector.detect(frames[0].astype(np.uint16)).tobytes() == alone[0].tobytes()


def test_flags_say_what_is_wrong_with_a_particle():
    truth = [(2.0, 60.0, 4.0), (60.0, 60.0, 4.0), (60.0, 120.0, 4.0), (120.0, 60.0, 4.0), (120.0, 67.5, 4.0)]
    frame = drawn((SIDE, SIDE), truth, 4.0, 0.3, 400.0, True, np.random.default_rng(2))
    frame[61, 121], most = np.nan, frame[56:65, 56:65].max()
    rows = Detector(frame.shape, DetectorOptions(polarity="bright", saturation=most)).detect(frame)
    pairs = matched(np.array(truth), rows)
    flags = dict(zip(pairs[:, 0].tolist(), rows["flags"][pairs[:, 1]].tolist(), strict=True))
    assert flags[0] & Flag.EDGE
    assert not flags[1] & Flag.EDGE
    assert flags[1] & Flag.SATURATED
    assert flags[2] & Flag.INVALID_PIXELS
    assert not flags[1] & Flag.INVALID_PIXELS
    assert flags[3] & flags[4] & Flag.OVERLAPPING


def test_ellipses_have_their_axis():
    y, x = np.mgrid[:96, :96] - 48.0
    along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    image = 60 * (1 - 0.3 * np.exp(-(along**2) / 20 - across**2 / 12))
    detector, rng = Detector((96, 96), DetectorOptions(radius=5)), np.random.default_rng(3)
    rows = np.array([detector.detect(rng.poisson(image))[0] for _ in range(20)])
    axis = np.nanmean(rows["ellipticity"] * np.exp(2j * rows["angle"]))
    assert np.angle(axis) / 2 == pytest.approx(np.pi / 4, abs=0.2)
    assert 0.1 < abs(axis) < 0.4


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 64)),
        np.full((64, 64), 65535, np.uint16),
        np.full((64, 64), np.nan),
        np.full((64, 64), -3.0),
        np.full((64, 64), np.inf),
    ],
)
def test_frames_in_which_nothing_varies_have_no_particles(frame):
    found = Detector((64, 64)).examine(frame)
    assert len(found.detections) == 0
    assert found.detections.dtype == DETECTION
    assert found.noise == 0
    assert found.invalid_pixels == np.count_nonzero(~np.isfinite(frame))


@pytest.mark.parametrize("polarity", ["dark", "bright"])
def test_particles_of_2_to_40_px_are_found_by_one_detector(polarity):
    places = [(120, 120, 40), (120, 300, 16), (300, 80, 7), (300, 180, 4), (250, 330, 2), (330, 300, 2)]
    truth = np.array(places, float)
    frame = drawn((384, 384), truth, 8.0, 0.3, 4000.0, polarity == "bright", np.random.default_rng(3))
    rows = strong(
        Detector(frame.shape, DetectorOptions(radius=8, spread=0.8, polarity=polarity)).detect(frame)
    )
    pairs = matched(truth, rows, gate=2.0)
    assert len(pairs) == len(truth)
    assert rows["radius"][pairs[:, 1]] == pytest.approx(truth[pairs[:, 0], 2], rel=0.25)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (7, 300), (20, 20)])
def test_frames_smaller_than_a_particle_are_looked_at_all_the_same(shape):
    frame = np.random.default_rng(1).poisson(30, shape).astype(np.float32)
    rows = Detector(shape, DetectorOptions(radius=30, spread=0.8, polarity="both")).detect(frame)
    assert np.isfinite(rows["y"]).all()
    assert (rows["flags"] & Flag.EDGE).all()


def test_more_particles_than_allowed_are_cut_off_and_the_frame_says_so():
    frame, _ = scene(0)
    found = Detector(frame.shape, DetectorOptions(most=20)).examine(frame)
    assert found.truncated
    assert len(found.detections) == 20
    assert (np.diff(found.detections["score"]) <= 0).all()


def test_a_frame_full_of_what_looks_like_particles_is_looked_at():
    y, x = np.mgrid[:128, :128]
    found = Detector((128, 128), DetectorOptions(radius=1.5)).examine(
        1000 + 900 * np.sin(1.2 * y) * np.sin(1.2 * x)
    )
    assert found.noise > 5
    assert np.isfinite(found.detections["y"]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": 0.5},
        {"radius": np.nan},
        {"spread": 0},
        {"polarity": "grey"},
        {"false_alarms": 0},
        {"false_alarms": 30},
        {"saturation": np.nan},
        {"most": 0},
    ],
)
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        DetectorOptions(**wrong)


def test_a_frame_of_another_shape_is_refused(detector):
    with pytest.raises(ValueError, match="made for"):
        detector.detect(np.zeros((5, 5)))
    with pytest.raises(ValueError, match="give"):
        Detector((0, 4))
