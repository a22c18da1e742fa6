"""Particles from what another consumer draws, and from regions: followed, live and offline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from track_tools import SHAPE, a_movie, a_series, frames_of

from livem.consumers.base import Consumer, Frames, Output
from livem.consumers.pool import Pool
from livem.consumers.testing import run, snapshot
from livem.consumers.track import Track
from livem.consumers.work.offline import process
from livem.errors import PipelineError
from livem.pipeline import parse
from livem.stream.results import Result
from livem.stream.series import Series
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.recorded_series import recorded_series


def heat_of(frame: np.ndarray) -> np.ndarray:
    """Dark particles of 150 counts as bumps of about 1."""
    return np.clip((150 - gaussian_filter(frame.astype(np.float32), 2.0)) / 40, 0, None).astype(np.float32)


class Draws(Consumer[Any]):
    """Stands for a model: a heat map, or a mask, of the newest frame of a block."""

    type_name = "draws"

    def __init__(self, name: str, kind: str = "heat_map") -> None:
        super().__init__(name)
        self._kind = kind
        self._outputs: list[Output] = []

    def open(self, series: Series) -> None:
        self._outputs = []

    def process(self, frames: Frames) -> Any:
        return (int(frames.indices[-1]), heat_of(frames.data[-1])) if len(frames) else None

    def merge(self, partial: Any) -> list[Output]:
        if partial is not None:
            index, heat = partial
            image = heat if self._kind == "heat_map" else (heat > 0.5).astype(np.float32)
            attrs = {"kind": self._kind, "frames": [index], "estimate": True}
            self._outputs = [Output(self._kind, "image", {"image": image}, {}, attrs)]
        return self._outputs

    def close(self) -> list[Output]:
        return self._outputs


def result_of(series: Series, index: int, image: np.ndarray, **attrs: Any) -> Result:
    image.flags.writeable = False  # as the bus hands them out
    said = {"kind": "heat_map", "frames": [index], **attrs}
    return Result("model.heat_map", "image", series.key, (0, index + 1), 0, {"image": image}, {}, said)


def fed(series: Series, frames: np.ndarray, indices: Any = None, **options: Any) -> dict[str, Any]:
    consumer = Track("particles", input="model.heat_map", **options)
    consumer.open(series)
    for k in range(len(frames)) if indices is None else indices:
        consumer.feed(result_of(series, k, heat_of(frames[k])))
    return snapshot(consumer.close())


def assert_followed(rows: dict[str, np.ndarray], places: np.ndarray, within: float) -> None:
    """Every particle by one track, from the first frame to the last."""
    assert len(np.unique(rows["particle"])) == places.shape[1]
    for k in np.unique(rows["particle"]):
        own = rows["particle"] == k
        at = np.stack([rows["y"][own], rows["x"][own]], 1)
        far = np.hypot(*(places[rows["frame"][own]] - at[:, None]).transpose(2, 0, 1))
        nearest = far.argmin(axis=1)
        assert (nearest == nearest[0]).all()
        assert np.sqrt(np.mean(far.min(axis=1) ** 2)) < within


def test_bumps_of_a_heat_map_are_followed() -> None:
    places, frames = a_movie()
    result = fed(a_series(), frames)
    assert_followed(result["trajectories"]["arrays"], places, 0.5)
    assert 2.5 < np.median(result["trajectories"]["arrays"]["radius"]) < 8
    assert result["tracks"]["attrs"]["frames"] == 24
    assert result["tracks"]["attrs"]["index"] == 23


def test_regions_of_a_mask_are_followed() -> None:
    places, frames = a_movie()
    series = a_series()
    consumer = Track("particles", input="model.mask")
    consumer.open(series)
    for k, frame in enumerate(frames):
        mask = (heat_of(frame) > 0.4).astype(np.uint8)
        consumer.feed(result_of(series, k, mask, kind="mask"))
    assert_followed(snapshot(consumer.close())["trajectories"]["arrays"], places, 0.8)


def test_it_shows_what_is_new_once_and_takes_no_frames() -> None:
    series, (_, frames) = a_series(), a_movie()
    consumer = Track("particles", input="model.heat_map")
    consumer.open(series)
    assert consumer.process(frames_of(series, frames)) is None
    assert consumer.merge(None) == ()
    assert consumer.work_in() is None
    consumer.feed(result_of(series, 0, heat_of(frames[0])))
    assert consumer.work_in() == 0.0
    assert next(output.name for output in consumer.work()) == "tracks"
    assert consumer.work_in() is None
    consumer.feed(result_of(series, 0, heat_of(frames[0])))
    assert consumer.work_in() is None
    encoded: Any = range(3)
    taken = consumer.process_encoded(encoded)
    assert isinstance(taken, tuple)
    assert (taken[0], taken[1].tolist()) == (None, [0, 0, 0])


def test_pictures_that_were_skipped_are_time_and_old_ones_are_refused() -> None:
    places, frames = a_movie()
    some = [0, 1, 2, 3, 4, 7, 8, 6, 11, 12, 13, 14, 15]
    result = fed(a_series(), frames, some)
    assert "lost_frames" in result["tracks"]["attrs"]["trouble"]
    assert result["tracks"]["attrs"]["refused"] == 1
    assert_followed(result["trajectories"]["arrays"], places, 0.6)


def test_a_model_that_is_off_draws_nothing_and_wrong_pictures_are_named() -> None:
    series = a_series()
    consumer = Track("particles", input="model.heat_map")
    consumer.open(series)
    consumer.feed(result_of(series, 0, np.full(SHAPE, np.nan, np.float32), off="it failed"))
    assert consumer.work_in() is None
    with pytest.raises(ValueError, match="give pictures of frames"):
        consumer.feed(result_of(series, 1, np.zeros((5, 5), np.float32)))
    table = Result("a.b", "table", series.key, (0, 1), 0, {"x": np.zeros(3)})
    with pytest.raises(ValueError, match="heat maps and masks"):
        consumer.feed(table)


def test_a_mask_of_everything_is_flagged_and_an_empty_one_is_not() -> None:
    series = a_series()
    for image, expected in ((np.ones(SHAPE, bool), ["covered"]), (np.zeros(SHAPE, bool), [])):
        consumer = Track("particles", input="model.mask")
        consumer.open(series)
        for k in range(5):
            consumer.feed(result_of(series, k, image, kind="mask"))
        result = snapshot(consumer.close())
        assert result["tracks"]["attrs"]["trouble"] == expected
        assert len(result["tracks"]["arrays"]["y"]) == len(expected)


def test_several_topics_and_a_wrong_detector_are_refused() -> None:
    with pytest.raises(PipelineError, match="topic of one picture"):
        Track("p", input=["a.b", "c.d"])
    with pytest.raises(PipelineError, match="did you mean 'regions'"):
        Track("p", detector="region")
    with pytest.raises(PipelineError, match="threshold = 0"):
        Track("p", threshold=0)


def test_offline_every_picture_of_the_input_is_followed(tmp_path: Any) -> None:
    """The same as one after another by hand; the last one alone would be one frame."""
    places, frames = a_movie()
    path = tmp_path / "movie.npy"
    np.save(path, frames.astype(np.uint16))
    acquisition, pool = open_acquisition(str(path)), Pool(2)
    series, count = recorded_series(acquisition, b"12345678")
    consumers: dict[str, tuple[Consumer[Any], int]] = {
        "model": (Draws("model"), 1),
        "particles": (Track("particles", input="model.heat_map"), 1),
    }
    done = process(acquisition, series, count, consumers, pool)
    pool.close()
    rows = done.results["particles.trajectories"].arrays
    expected = fed(a_series(), frames.astype(np.uint16))["trajectories"]["arrays"]
    for name, column in expected.items():
        np.testing.assert_array_equal(rows[name], column)
    assert_followed(dict(rows), places, 0.5)
    assert not done.alarms


def test_an_input_of_other_frames_is_counted_offline(tmp_path: Any) -> None:
    class Small(Draws):
        def merge(self, partial: Any) -> list[Output]:
            return [Output("heat_map", "image", {"image": np.zeros((3, 3), np.float32)})]

    path = tmp_path / "movie.npy"
    np.save(path, a_movie(6)[1].astype(np.uint16))
    acquisition, pool = open_acquisition(str(path)), Pool(1)
    series, count = recorded_series(acquisition, b"12345678")
    consumers: dict[str, tuple[Consumer[Any], int]] = {
        "model": (Small("model"), 1),
        "particles": (Track("particles", input="model.heat_map"), 1),
    }
    done = process(acquisition, series, count, consumers, pool)
    pool.close()
    assert "give pictures of frames" in done.tallies["particles"].first_error
    assert any("particles raised" in alarm for alarm in done.alarms)


def elongated(count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Places (count, 2, 2) and frames with two dark rods of 13 x 5 px half axes that walk apart."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places = np.array([[30.0, 40.0], [66.0, 70.0]]) + np.cumsum(rng.normal(0, 0.5, (count, 2, 2)), axis=0)
    frames = np.empty((count, *SHAPE))
    for n, field in enumerate(places):
        cover = np.zeros(SHAPE)
        for (py, px), turn in zip(field, (0.5, -0.7), strict=True):
            along = (x - px) * np.cos(turn) + (y - py) * np.sin(turn)
            across = (y - py) * np.cos(turn) - (x - px) * np.sin(turn)
            cover += (along / 13) ** 2 + (across / 5) ** 2 < 1
        frames[n] = rng.poisson(80 * (1 - 0.4 * gaussian_filter(cover, 0.8)))
    return places, frames


@pytest.mark.parametrize("detector", ["regions", "clusters"])
def test_rods_are_followed_as_regions_by_what_the_pipeline_file_says(detector: str) -> None:
    places, frames = elongated()
    table = {"name": "rods", "type": "track", "detector": detector, "radius": 8.0, "polarity": "dark"}
    (config,) = parse({"consumers": [{**table, "spread": 0.2}]}).consumers
    consumer = Track(config.name, **config.params)
    series = a_series()
    result = run(consumer, series, [frames_of(series, frames)])
    assert_followed(result["trajectories"]["arrays"], places, 0.8)
    area = np.pi * result["trajectories"]["arrays"]["radius"] ** 2
    assert np.median(area) == pytest.approx(np.pi * 13 * 5, rel=0.15)


def test_another_detector_takes_over_while_frames_come() -> None:
    series, (places, frames) = a_series(), a_movie()
    consumer = Track("particles", radius=4.0, spread=0.3, polarity="dark")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, frames[:12])))
    assert consumer.set("detector", "regions") is False
    consumer.merge(consumer.process(frames_of(series, frames[12:], 12)))
    rows = snapshot(consumer.close())["trajectories"]["arrays"]
    assert_followed(rows, places, 0.6)
