"""Live denoising: contract, quality against time, noise that is told or found out, bad frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers.base import Consumer, Frames
from livem.consumers.denoise import Denoise, binned
from livem.consumers.testing import ConsumerTests, example_series, run, snapshot, split
from livem.errors import PipelineError
from livem.stream.series import Scan, Series, SeriesKey

SHAPE = (48, 64)


class TestDenoise(ConsumerTests):
    tolerance = 1e-5
    series = (
        example_series(shape=(32, 40)),
        example_series(shape=(33, 35), dtype="float32"),
        example_series(shape=(16, 9), scan=Scan((4, 5)), dtype="uint8"),
    )

    def make(self) -> Consumer[Any]:
        return Denoise("quiet")


def a_series(dtype: str = "uint16", **meta: Any) -> Series:
    return Series(SeriesKey(bytes(8), 1), SHAPE, dtype, meta=meta)


def a_movie(count: int = 12, gain: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth in values, and frames of a blob that wanders at 4 electrons a pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = np.stack([2 + 6 * np.exp(-((y - 20 - n / 4) ** 2 + (x - 30) ** 2) / 60) for n in range(count)])
    return gain * truth, gain * np.random.default_rng(seed).poisson(truth)


def frames_of(series: Series, frames: np.ndarray, first: int = 0) -> Frames:
    data = frames.astype(series.numpy_dtype)
    return Frames(series, np.arange(first, first + len(data), dtype=np.int64), data)


def rms(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


@pytest.mark.parametrize("method", ["auto", "movie", "frames", "quick"])
def test_pictures_are_nearer_to_the_truth_and_say_what_they_are(method: str) -> None:
    series = a_series(counts_per_electron=1.0, pixel_size=0.2, pixel_unit="nm")
    truth, frames = a_movie()
    shown = run(Denoise("quiet", method), series, [frames_of(series, frames)])
    image, raw, residual = (shown[name] for name in ("image", "raw", "residual"))
    np.testing.assert_array_equal(raw["arrays"]["image"], frames[-1])
    assert rms(image["arrays"]["image"], truth[-1]) < 0.5 * rms(frames[-1], truth[-1])
    attrs = image["attrs"]
    assert attrs["estimate"] is True
    assert (attrs["index"], attrs["denoised"], attrs["passed_over"], attrs["noise_from"]) == (
        11,
        12,
        0,
        "series",
    )
    assert attrs["method"] == {"auto": "movie", "frames": "full"}.get(method, method)
    assert (attrs["pixel_size"], attrs["gain"]) == (0.2, 1.0)
    assert "estimate" not in raw["attrs"]
    assert 0.7 < residual["attrs"]["residual_spread"] < 1.1
    assert abs(residual["attrs"]["residual_correlation"]) < 0.15


def test_each_block_or_all_at_once_is_the_same_also_when_worked_live() -> None:
    series, (_, frames) = a_series(counts_per_electron=1.0), a_movie(100)
    whole = frames_of(series, frames)
    expected = run(Denoise("quiet", budget_ms=60_000), series, [whole])
    live = Denoise("quiet", budget_ms=60_000)
    live.open(series)
    for block in split(whole, [1, 7, 30]):
        live.merge(live.process(block))
        while live.work_in() is not None:
            live.work()
    found = snapshot(live.close())
    assert found["image"]["attrs"].pop("ms") > 0, "time is told of live frames alone"
    assert found["image"]["attrs"] == expected["image"]["attrs"]
    for name, output in expected.items():
        np.testing.assert_allclose(found[name]["arrays"]["image"], output["arrays"]["image"], rtol=1e-5)


def test_threads_that_share_a_frame_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    series, (_, frames) = a_series(counts_per_electron=1.0), a_movie(6)
    shown = []
    for threads in (1, 2, 4):
        monkeypatch.setattr("livem.consumers.denoise.frame_threads", lambda n=threads: n)
        consumer = Denoise("quiet", "movie")
        shown.append(run(consumer, series, [frames_of(series, frames)])["image"]["arrays"]["image"])
    np.testing.assert_array_equal(shown[1], shown[0])
    np.testing.assert_array_equal(shown[2], shown[0])


@pytest.mark.parametrize("gain", [1.0, 7.5])
def test_what_nobody_says_of_the_noise_is_found_in_the_frames(gain: float) -> None:
    series, rng = Series(SeriesKey(bytes(8), 1), (128, 160), "float32"), np.random.default_rng(2)
    truth = np.repeat(np.linspace(1, 9, 128)[:, None], 160, axis=1)
    frames = gain * rng.poisson(truth, (10, *truth.shape))
    shown = run(Denoise("quiet"), series, [frames_of(series, frames)])["image"]
    attrs = shown["attrs"]
    assert attrs["noise_from"] == "frames"
    variance = attrs["gain"] * gain * truth.mean() + attrs["read_noise"] ** 2
    assert variance == pytest.approx(gain**2 * truth.mean(), rel=0.1)
    assert rms(shown["arrays"]["image"], gain * truth) < 0.3 * rms(frames[-1], gain * truth)


def test_dead_and_unknown_pixels_are_estimated_from_their_surroundings() -> None:
    series, (truth, frames) = a_series("float32", counts_per_electron=1.0), a_movie()
    frames = frames.astype(np.float32)
    frames[:, 10, 12] = 5000
    frames[-1, 20, 30] = np.nan
    consumer = Denoise("quiet", dead_pixels=[[10, 12]])
    image = run(consumer, series, [frames_of(series, frames)])["image"]["arrays"]["image"]
    assert rms(image, truth[-1]) < 0.5 * rms(np.nan_to_num(frames[-1], nan=3.0)[:, 13:], truth[-1][:, 13:])


@pytest.mark.parametrize("value", [0.0, 65535.0, np.nan, -5.0])
@pytest.mark.parametrize("method", ["movie", "frames", "components", "gaussian", "median"])
def test_frames_that_say_nothing_do_no_harm(method: str, value: float) -> None:
    series = a_series("float32", counts_per_electron=1.0)
    flat = np.full((3, *SHAPE), value)
    consumer = Denoise("quiet", method)
    image = run(consumer, series, [frames_of(series, flat)])["image"]["arrays"]
    shown = image["image"][image["valid"]]
    assert (np.abs(shown - max(value, 0.0)) <= 0.2 + 1e-4 * abs(value)).all()
    _, frames = a_movie()
    consumer.merge(consumer.process(frames_of(series, frames, 3)))
    assert np.isfinite(snapshot(consumer.close())["image"]["arrays"]["image"]).all()


def test_patterns_of_a_stack_share_their_components() -> None:
    rng = np.random.default_rng(5)
    parts = rng.gamma(2.0, 2.0, (3, *SHAPE))
    mixed = rng.dirichlet(np.ones(3), 96)
    truth = np.einsum("nk,kyx->nyx", mixed, parts)
    series = Series(
        SeriesKey(bytes(8), 1), SHAPE, "float32", scan=Scan((8, 12)), meta={"counts_per_electron": 1.0}
    )
    frames = rng.poisson(truth).astype(np.float32)
    frames[:, 3, 4] = np.nan
    shown = run(Denoise("quiet", "components"), series, [frames_of(series, frames)])
    image = shown["image"]["arrays"]["image"]
    assert np.isnan(image[3, 4])
    known = np.isfinite(image)
    assert rms(image[known], truth[-1][known]) < 0.35 * rms(frames[-1][known], truth[-1][known])
    assert shown["image"]["attrs"]["method"] == "components"
    few = run(Denoise("quiet", "components", spikes=False), series, [frames_of(series, frames[:3])])
    mean = few["image"]["arrays"]["image"]
    assert rms(mean[known], truth[:3].mean(axis=0)[known]) < rms(frames[2][known], truth[2][known])


def test_a_series_of_another_size_begins_anew() -> None:
    consumer = Denoise("quiet")
    for number, shape in enumerate([(48, 64), (64, 40), (9, 8)]):
        series = Series(SeriesKey(bytes(8), number), shape, "uint16", meta={"counts_per_electron": 1.0})
        frames = np.random.default_rng(number).poisson(4.0, (5, *shape))
        shown = run(consumer, series, [frames_of(series, frames)])
        assert shown["image"]["arrays"]["image"].shape == shape
        assert (shown["image"]["attrs"]["denoised"], shown["image"]["attrs"]["index"]) == (5, 4)


def test_pictures_say_how_far_they_are_from_the_truth(tmp_path: Path) -> None:
    series, (truth, frames) = a_series(counts_per_electron=1.0), a_movie()
    consumer = Denoise("quiet", truth=str(tmp_path / "movie.npy"))
    assert "psnr" not in run(consumer, series, [frames_of(series, frames)])["image"]["attrs"]
    np.save(tmp_path / "movie.npy", truth.astype(np.float16))
    shown = run(consumer, series, [frames_of(series, frames)])
    for name in ("image", "raw"):
        error = rms(shown[name]["arrays"]["image"], truth[-1])
        decibels = 20 * np.log10(np.ptp(truth[-1]) / error)
        assert shown[name]["attrs"]["psnr"] == pytest.approx(decibels, abs=0.05), name
    assert shown["image"]["attrs"]["psnr"] > shown["raw"]["attrs"]["psnr"] + 6
    assert "psnr" not in shown["residual"]["attrs"]
    binned_twice = Denoise("quiet", truth=str(tmp_path / "movie.npy"), budget_ms=1.0)
    big = Series(SeriesKey(bytes(8), 2), (96, 128), "uint16", meta={"counts_per_electron": 1.0})
    np.save(tmp_path / "movie.npy", np.tile(np.linspace(3, 5, 128), (12, 96, 1)))
    flat = np.random.default_rng(3).poisson(4.0, (4, 96, 128))
    assert "psnr" in run(binned_twice, big, [frames_of(big, flat)])["image"]["attrs"]


def test_spikes_are_taken_out_and_counted() -> None:
    series, (truth, frames) = a_series(counts_per_electron=1.0), a_movie()
    frames[-1, 5, 7] = 400
    shown = run(Denoise("quiet"), series, [frames_of(series, frames)])["image"]
    assert shown["attrs"]["spikes"] >= 1
    assert shown["arrays"]["image"][5, 7] < truth[-1, 5, 7] + 2


def test_the_drift_of_the_field_is_a_curve() -> None:
    series = a_series(counts_per_electron=1.0)
    rng = np.random.default_rng(1)
    field = 20 * rng.random((SHAPE[0] + 24, SHAPE[1]))
    drifting = np.stack([rng.poisson(field[n : n + SHAPE[0]]) for n in range(12)])
    shown = run(Denoise("quiet", drift=True), series, [frames_of(series, drifting)])
    curve = shown["drift"]["arrays"]
    np.testing.assert_array_equal(curve["x"], np.arange(12))
    np.testing.assert_allclose(curve["y"][:, 0], -np.arange(12.0), atol=0.3)
    np.testing.assert_allclose(curve["y"][:, 1], 0, atol=0.3)


def test_a_budget_that_is_too_small_from_the_beginning_is_told() -> None:
    series, (_, frames) = a_series(counts_per_electron=1.0), a_movie()
    big = Series(SeriesKey(bytes(8), 1), (512, 512), "uint16", meta=dict(series.meta))
    consumer = Denoise("quiet", budget_ms=40.0)
    tiled = np.tile(frames, (1, 11, 8))[:, :512, :512]
    attrs = run(consumer, big, [frames_of(big, tiled[:2])])["image"]["attrs"]
    assert attrs["quality"] == "movie, 2x2 px binned"
    assert attrs["is_reduced"]
    assert attrs["factor"] == 2


def test_a_live_movie_passes_over_what_it_has_no_time_for_and_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(np.arange(0.0, 1e6, 0.5).tolist())
    monkeypatch.setattr("livem.consumers.denoise.time.monotonic", lambda: next(clock))
    series, (_, frames) = a_series(counts_per_electron=1.0), a_movie(200)
    consumer = Denoise("quiet")
    consumer.open(series)
    for block in split(frames_of(series, frames), [10, 100, 90]):
        consumer.merge(consumer.process(block))
        consumer.work()
    attrs = snapshot(consumer.close())["image"]["attrs"]
    assert attrs["index"] == 199
    assert attrs["denoised"] + attrs["passed_over"] == 200
    assert attrs["passed_over"] >= 72
    assert attrs["is_reduced"] is False, "frames of 48x64 px are too small to be binned"


def test_means_of_pixels_leave_out_what_is_unknown() -> None:
    frame = np.arange(20, dtype=np.float32).reshape(4, 5)
    frame[0, 0] = np.nan
    np.testing.assert_array_equal(binned(frame, 2), [[np.nan, 5.0], [13.0, 15.0]])
    assert binned(frame, 1) is frame


def wrong() -> Iterator[tuple[dict[str, Any], str]]:
    yield {"method": "movies"}, "movie"
    yield {"budget_ms": 0}, "budget_ms = 0"
    yield {"hz": "fast"}, "hz = 'fast'"
    yield {"gain": 0}, "gain = 0"
    yield {"gain": -1.0}, "gain = -1"
    yield {"read_noise": float("nan")}, "read_noise = nan"
    yield {"spikes": 1}, "spikes = 1"


@pytest.mark.parametrize(("values", "words"), list(wrong()))
def test_wrong_parameters_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        Denoise("quiet", **values)
    ((name, value),) = values.items()
    consumer = Denoise("quiet")
    with pytest.raises(PipelineError, match=words):
        consumer.set(name, value)


def test_a_point_detector_has_no_frames_to_denoise() -> None:
    with pytest.raises(PipelineError, match="1x1 px cannot be denoised"):
        Denoise("quiet").open(Series(SeriesKey(bytes(8), 1), (1, 1), "uint16", scan=Scan((4, 4))))


def test_another_method_or_gain_holds_from_the_next_frame_on() -> None:
    series, (_, frames) = a_series(counts_per_electron=1.0), a_movie()
    consumer = Denoise("quiet")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, frames[:6])))
    consumer.work()
    assert consumer.set("method", "quick") is False
    consumer.set("gain", 2.0)
    consumer.merge(consumer.process(frames_of(series, frames[6:], 6)))
    attrs = snapshot(consumer.close())["image"]["attrs"]
    assert (attrs["method"], attrs["gain"], attrs["noise_from"]) == ("quick", 2.0, "pipeline")
