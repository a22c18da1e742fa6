"""Frames and parameters that tracking can do nothing with: defined results, and what was wrong is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from track_tools import SHAPE, a_movie, a_series, frames_of

from livem.consumers.base import Frames
from livem.consumers.testing import run, snapshot
from livem.consumers.track import Track
from livem.kernels.tracking.conditions import Condition, condition_of
from livem.kernels.tracking.table import empty_detections
from livem.kernels.tracking.tracks import Trouble
from livem.stream.series import Series, SeriesKey

TOLD = {"radius": 4.0, "spread": 0.3, "polarity": "dark"}


def of(frames: np.ndarray, dtype: str = "float32", **options: Any) -> tuple[dict[str, Any], list[str]]:
    """What there is at the end, and the alarms."""
    series = a_series(dtype)
    consumer = Track("particles", **options)
    result = run(consumer, series, [frames_of(series, frames)])
    return result, list(consumer.alarms())


def trouble(result: dict[str, Any]) -> set[str]:
    return set(result["tracks"]["attrs"]["trouble"])


def assert_sound(result: dict[str, Any], frames: int) -> None:
    """Finite places in known frames, one row of figures, a table for every output."""
    rows = result["trajectories"]["arrays"]
    assert np.isfinite(rows["y"] + rows["x"]).all()
    assert ((rows["frame"] >= 0) & (rows["frame"] < frames)).all()
    assert {"tracks", "events", "statistics", "history", "sizes", "msd"} <= set(result)
    assert result["statistics"]["arrays"]["count"].shape == (1,)


BLANK = {
    "empty": (np.zeros(SHAPE), "uint16", {"blank"}),
    "constant": (np.full(SHAPE, 7.0), "float32", {"blank"}),
    "saturated": (np.full(SHAPE, 65535.0), "uint16", {"blank", "saturated"}),
    "NaN": (np.full(SHAPE, np.nan), "float32", {"blank", "invalid_pixels"}),
    "infinite": (np.full(SHAPE, np.inf), "float32", {"blank", "invalid_pixels"}),
}


@pytest.mark.parametrize("kind", BLANK)
@pytest.mark.parametrize("detector", ["spheres", "regions", "clusters"])
def test_frames_that_show_nothing_have_no_particles_and_are_flagged(kind: str, detector: str) -> None:
    frame, dtype, flags = BLANK[kind]
    result, _ = of(np.repeat(frame[None], 6, axis=0), dtype, detector=detector, **TOLD)
    assert_sound(result, 6)
    assert result["trajectories"]["arrays"]["frame"].size == 0
    assert trouble(result) == flags
    assert result["tracks"]["attrs"]["frames"] == 6


def test_a_good_movie_has_no_trouble() -> None:
    result, alarms = of(a_movie()[1], "uint16", **TOLD)
    assert trouble(result) == set()
    assert alarms == []


@pytest.mark.parametrize("share", [0.002, 0.3])
def test_pixels_without_value_and_saturated_ones_are_flagged(share: float) -> None:
    _, frames = a_movie()
    rng = np.random.default_rng(5)
    holes = frames.copy()
    holes[rng.random(frames.shape) < share] = np.nan
    result, _ = of(holes, **TOLD)
    assert trouble(result) == {"invalid_pixels"}
    assert_sound(result, 24)
    if share < 0.1:
        assert set(range(12)) <= set(result["tracks"]["arrays"]["particle"].tolist())
    burnt = frames.copy()
    burnt[:, :4] = 65535
    result, _ = of(burnt, "uint16", **TOLD)
    assert "saturated" in trouble(result)
    assert_sound(result, 24)


def test_no_particles_are_told_and_none_is_made_up() -> None:
    noise = np.random.default_rng(6).poisson(80, (30, *SHAPE))
    result, alarms = of(noise, "uint16")
    assert_sound(result, 30)
    assert result["statistics"]["arrays"]["count"][0] <= 1
    assert len(np.unique(result["trajectories"]["arrays"]["particle"])) <= 3
    assert any("hardly show any particles" in text for text in alarms)


@pytest.mark.parametrize("detector", ["spheres", "regions", "clusters"])
def test_a_field_in_which_everything_is_a_particle_has_a_defined_result(detector: str) -> None:
    """Plates with thin gaps between them: their own scatter is the noise, and nothing stands out from it."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plates = (y % 16 > 1) & (x % 16 > 1)
    frames = rng.poisson(np.where(plates, 200, 100), (6, *SHAPE))
    options = {"detector": detector, "radius": 8.0, "spread": 0.3, "polarity": "bright"}
    result, _ = of(frames, "uint16", **options)
    assert_sound(result, 6)
    assert 0 <= result["statistics"]["arrays"]["coverage"][0] <= 1


def test_more_particles_than_are_given_at_most_are_flagged() -> None:
    found = empty_detections(7)
    found["radius"] = 1.0
    values = np.random.default_rng(9).normal(5, 1, (40, 40)).astype(np.float32)
    assert condition_of(values, found, 0, np.inf, 7) == Condition.MOST
    assert condition_of(values, found, 0, np.inf, 8) == Condition(0)
    found["radius"] = 10.0
    assert condition_of(values, found, 0, np.inf, 8) == Condition.COVERED


@pytest.mark.parametrize("detector", ["spheres", "regions", "clusters"])
def test_a_size_larger_than_the_frame_is_told(detector: str) -> None:
    result, alarms = of(a_movie(6)[1], "uint16", detector=detector, radius=100.0, spread=0.1, polarity="dark")
    assert_sound(result, 6)
    assert any("100 px radius do not fit frames of 96x112 px" in text for text in alarms)


def test_frames_of_another_size_in_the_next_series_begin_anew() -> None:
    _, frames = a_movie()
    consumer = Track("particles")
    first = a_series()
    run(consumer, first, [frames_of(first, frames)])
    small = Series(SeriesKey(bytes(8), 2), (64, 70), "uint16")
    cut = frames[:, :64, :70].astype(np.uint16)
    there = run(consumer, small, [Frames(small, np.arange(24), cut)])
    alone = run(Track("particles"), small, [Frames(small, np.arange(24), cut)])
    for name in ("trajectories", "statistics", "history"):
        for column, values in alone[name]["arrays"].items():
            np.testing.assert_array_equal(there[name]["arrays"][column], values)
    assert there["trajectories"]["arrays"]["frame"].size > 0


def test_missing_frames_are_time_that_passed_and_flagged() -> None:
    _, frames = a_movie()
    series = a_series()
    whole = frames_of(series, frames)
    kept = np.delete(np.arange(24), [9, 10, 17])
    consumer = Track("particles", **TOLD)
    some = replace(whole, indices=whole.indices[kept], data=whole.data[kept])
    result = run(consumer, series, [some])
    assert trouble(result) == {"lost_frames"}
    rows = result["trajectories"]["arrays"]
    assert set(np.unique(rows["frame"])) == set(kept.tolist())
    assert len(np.unique(rows["particle"])) == 12


def test_shuffled_frames_are_refused_counted_and_flagged() -> None:
    _, frames = a_movie()
    series = a_series()
    order = np.random.default_rng(8).permutation(24)
    data = frames.astype(np.uint16)
    consumer = Track("particles", **TOLD)
    consumer.open(series)
    for k in order.tolist():
        consumer.merge(consumer.process(Frames(series, np.array([k]), data[k : k + 1])))
    result = snapshot(consumer.close())
    taken = [k for n, k in enumerate(order) if k == order[: n + 1].max()]
    assert result["tracks"]["attrs"]["refused"] == 24 - len(taken)
    assert result["tracks"]["attrs"]["frames"] == len(taken)
    assert "out_of_order" in trouble(result)
    assert_sound(result, 24)


def test_flags_have_names_of_their_own() -> None:
    names = [flag.name for flag in (*Trouble, *Condition)]
    assert len(set(names)) == len(names)
