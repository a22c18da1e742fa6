"""Live tracking: contract, tables and their units, first guess, changes while frames come, bad frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from track_tools import SHAPE, a_movie, a_series, frames_of

from livem.consumers.base import Consumer
from livem.consumers.testing import ConsumerTests, example_series, run, snapshot, split
from livem.consumers.track import Track
from livem.consumers.tracking.trajectories import KEPT, Kept, Scale
from livem.errors import PipelineError
from livem.stream.series import Scan, Series

META = {"pixel_size": 0.5, "pixel_unit": "nm", "frame_time": 0.1}


class TestTrack(ConsumerTests):
    series = (
        example_series(shape=(32, 40)),
        example_series(shape=(33, 35), dtype="float32"),
        example_series(shape=(24, 30), scan=Scan((4, 5)), dtype="uint8"),
    )

    def make(self) -> Consumer[Any]:
        return Track("particles")


def shown(frames: np.ndarray, series: Series | None = None, **options: Any) -> dict[str, Any]:
    series = series or a_series()
    return run(Track("particles", **options), series, [frames_of(series, frames)])


@pytest.mark.parametrize("contrast", [-0.4, 0.4])
def test_particles_are_found_by_themselves_and_followed(contrast: float) -> None:
    places, frames = a_movie(contrast=contrast)
    result = shown(frames, a_series(**META))
    said = result["tracks"]["attrs"]
    assert said["polarity"] == ("dark" if contrast < 0 else "bright")
    assert 2.5 < said["radius"] < 6.5
    rows = result["trajectories"]["arrays"]
    assert rows["frame"].size == 24 * 12
    for k in range(12):
        own = rows["particle"] == k
        assert own.sum() == 24
        where = np.stack([rows["y"][own], rows["x"][own]], 1)
        nearest = np.hypot(*(places[:, :, :] - where[:, None]).transpose(2, 0, 1)).argmin(axis=1)
        assert len(set(nearest.tolist())) == 1
    newest = result["tracks"]["arrays"]
    assert (newest["frame"] == 23).all()
    assert set(newest["particle"][~newest["provisional"]].tolist()) == set(range(12))


def test_figures_are_in_the_units_of_the_series() -> None:
    _, frames = a_movie(60)
    plain, scaled = (
        shown(frames, a_series(**meta), radius=4.0, spread=0.3, polarity="dark")["statistics"]
        for meta in ({}, META)
    )
    assert plain["units"]["diffusion"] == "px^2/frame"
    assert scaled["units"]["diffusion"] == "nm^2/s"
    a, b = plain["arrays"], scaled["arrays"]
    np.testing.assert_allclose(b["diffusion"], a["diffusion"] * 0.25 / 0.1)
    np.testing.assert_allclose(b["mean_radius"], a["mean_radius"] * 0.5)
    assert a["count"][0] == 12
    assert a["diffusion"][0] == pytest.approx(0.125, rel=0.2)


def test_each_block_or_all_at_once_and_processed_before_any_is_merged_are_the_same() -> None:
    series, (_, frames) = a_series(), a_movie()
    whole = frames_of(series, frames)
    expected = run(Track("particles"), series, [whole])
    for sizes in ([1] * 24, [3, 1, 20], [2, 2, 2, 18]):
        actual = run(Track("particles"), series, split(whole, sizes))
        TestTrack().assert_same(expected, actual)
    consumer = Track("particles")
    consumer.open(series)
    for partial in [consumer.process(block) for block in split(whole, [5, 5, 14])]:
        consumer.merge(partial)
    TestTrack().assert_same(expected, snapshot(consumer.close()))


def test_a_sender_that_comes_back_after_the_end_is_followed_on() -> None:
    series, (_, frames) = a_series(), a_movie()
    expected = shown(frames)
    consumer = Track("particles")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, frames[:10])))
    consumer.close()
    consumer.merge(consumer.process(frames_of(series, frames[10:], 10)))
    TestTrack().assert_same(expected, snapshot(consumer.close()))


def test_frames_that_come_twice_or_late_are_counted_and_change_nothing() -> None:
    series, (_, frames) = a_series(), a_movie()
    expected = shown(frames)["trajectories"]["arrays"]
    consumer = Track("particles")
    consumer.open(series)
    for first, last in ((0, 12), (6, 12), (12, 24), (3, 5)):
        consumer.merge(consumer.process(frames_of(series, frames[first:last], first)))
    result = snapshot(consumer.close())
    assert result["tracks"]["attrs"]["refused"] == 8
    for name, column in result["trajectories"]["arrays"].items():
        np.testing.assert_array_equal(column, expected[name])


def test_parameters_change_while_frames_come() -> None:
    series, (_, frames) = a_series(), a_movie()
    consumer = Track("particles")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, frames[:12])))
    assert consumer.set("radius", 3.5) is False
    assert consumer.set("gap", 2) is False
    consumer.merge(consumer.process(frames_of(series, frames[12:], 12)))
    result = snapshot(consumer.close())
    assert result["tracks"]["attrs"]["radius"] == 3.5
    tracks = result["tracks"]["arrays"]
    assert set(tracks["particle"][~tracks["provisional"].astype(bool)].tolist()) == set(range(12))
    with pytest.raises(PipelineError, match="needed = 5; it must be a whole number from 1 to 4"):
        consumer.set("needed", 5)
    with pytest.raises(PipelineError, match="polarity = 'darc'; did you mean 'dark'"):
        consumer.set("polarity", "darc")


@pytest.mark.parametrize("kind", ["constant", "zero", "saturated", "nan", "noise"])
def test_bad_frames_have_defined_results_and_good_ones_after_them_are_followed(kind: str) -> None:
    _, frames = a_movie()
    bad = {
        "constant": np.full(SHAPE, 7.0),
        "zero": np.zeros(SHAPE),
        "saturated": np.full(SHAPE, 65535.0),
        "nan": np.full(SHAPE, np.nan),
        "noise": np.random.default_rng(1).poisson(2, SHAPE).astype(float),
    }[kind]
    movie = np.concatenate([frames[:12], np.repeat(bad[None], 2, axis=0), frames[12:]])
    result = shown(movie, a_series("float32"), radius=4.0, spread=0.3, polarity="dark")
    assert set(range(12)) <= set(result["tracks"]["arrays"]["particle"].tolist())
    only_bad = shown(np.repeat(bad[None], 6, axis=0), a_series("float32"))
    assert only_bad["trajectories"]["arrays"]["frame"].size <= 6
    assert np.isfinite(only_bad["trajectories"]["arrays"]["y"]).all()


def test_a_movie_without_particles_is_said_to_be_one() -> None:
    series = a_series("float32")
    consumer = Track("particles")
    run(consumer, series, [frames_of(series, np.zeros((6, *SHAPE)))])
    assert any("hardly show any particles" in text for text in consumer.alarms())


def test_a_point_detector_has_no_particles() -> None:
    with pytest.raises(PipelineError, match="1x1 px show no particles"):
        Track("particles").open(example_series(shape=(1, 1)))


def test_the_oldest_rows_are_forgotten_when_there_is_no_room_and_counted() -> None:
    kept = Kept(KEPT, 100)
    for k in range(40):
        rows = np.zeros(7, KEPT)
        rows["frame"] = k
        kept.add(rows)
    assert len(kept.rows) + kept.forgotten == 280
    assert 50 <= len(kept.rows) <= 100
    assert kept.rows["frame"][-1] == 39
    assert (np.diff(kept.rows["frame"]) >= 0).all()


def test_a_scale_is_that_of_the_series_or_pixels_and_frames() -> None:
    assert Scale.of(META) == Scale(0.5, "nm", 0.1, "s")
    assert Scale.of({"pixel_size": 2.0}) == Scale()
    assert Scale.of({"pixel_size": -1.0, "pixel_unit": "nm", "frame_time": 0}) == Scale()
