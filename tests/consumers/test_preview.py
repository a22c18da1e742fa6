"""The live frame and the point detector's trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livem.consumers import pixel_watch
from livem.consumers.pool import Pool
from livem.consumers.preview import Preview
from livem.consumers.testing import (
    example_frames,
    example_series,
    pick,
    run,
    snapshot,
    with_pixel_mask,
    worst_in,
)
from livem.consumers.work.analysis import Analysis
from livem.errors import PipelineError
from livem.kernels import reference
from livem.kernels.bslz4 import encode
from livem.kernels.display import live_areas, reduce_for_display
from livem.stream.series import Block


def test_shows_the_newest_frame_reduced():
    series = replace(example_series(shape=(64, 100)), meta={"pixel_size": 0.4, "pixel_unit": "mrad", "x": 1})
    frames = example_frames(series)
    result = run(Preview("live", max_size=32), series, [pick(frames, range(5, 9)), pick(frames, [2, 3])])
    image, factor = reduce_for_display(frames.data[8], (32, 32))
    np.testing.assert_array_equal(result["frame"]["arrays"]["image"], image)
    assert result["frame"]["attrs"] == {
        "index": 8,
        "factor": factor,
        "shape": [64, 100],
        "mode": "mean",
        "pixel_size": 0.4,
        "pixel_unit": "mrad",
        "mean_counts": pytest.approx(frames.data[8].mean()),
        "live_pixels": 6400,
        "saturation": 65_535,
        "saturated_pixels": 0,
    }
    assert result["frame"]["units"] == {"image": "counts"}


def test_small_frames_keep_their_raw_counts():
    series = example_series()
    frames = example_frames(series)
    image = run(Preview("live"), series, [frames])["frame"]["arrays"]["image"]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, frames.data[-1])


DEAD = np.zeros((64, 100), bool)
DEAD[8:16, 20:24] = DEAD[40, 50] = True


@pytest.mark.parametrize("mode", ["mean", "max"])
@pytest.mark.parametrize(
    ("dtype", "size"), [("uint16", 32), ("uint16", 512), ("float32", 32), ("float32", 512)]
)
def test_masked_pixels_are_left_out_and_areas_without_others_are_invalid(dtype, size, mode):
    bare = example_series(shape=(64, 100), dtype=dtype)
    sound = example_frames(bare)
    with with_pixel_mask(bare, DEAD) as series:
        frames = worst_in(sound, DEAD)
        output = run(Preview("live", max_size=size, mode=mode), series, [frames])["frame"]
    image, valid, factor = output["arrays"]["image"], output["arrays"]["valid"], output["attrs"]["factor"]
    np.testing.assert_array_equal(valid, live_areas(~DEAD, factor))
    expected = (reference.area_mean if mode == "mean" else reference.area_max)(
        sound.data[-1], factor, live=~DEAD
    )
    np.testing.assert_allclose(image[valid], expected[valid], rtol=1e-6)
    assert valid.sum() == valid.size - (33 if factor == 1 else 2)
    assert (np.isnan(image[~valid]) if image.dtype.kind == "f" else image[~valid] == 0).all()
    assert (output["attrs"]["pixel_mask"], output["attrs"]["masked_pixels"]) == (True, 33)


def test_raw_counts_of_masked_pixels_are_one_parameter_away():
    bare = example_series(shape=(64, 100))
    frames = worst_in(example_frames(bare), DEAD)
    consumer = Preview("live", dead_pixels=[[0, 0]])
    with with_pixel_mask(bare, DEAD) as series:
        consumer.open(series)
        assert consumer.set("pixel_mask", False) is False
        output = snapshot(consumer.merge(consumer.process(frames)))["frame"]
        np.testing.assert_array_equal(output["arrays"]["image"], frames.data[-1])
        assert "valid" not in output["arrays"]
        assert (output["attrs"]["pixel_mask"], output["attrs"]["masked_pixels"]) == (False, 34)
        consumer.set("pixel_mask", True)
        output = snapshot(consumer.merge(consumer.process(frames)))["frame"]
        assert np.count_nonzero(~output["arrays"]["valid"]) == 34


def test_the_size_may_change_under_a_mask():
    bare = example_series(shape=(64, 100))
    with with_pixel_mask(bare, DEAD) as series:
        consumer = Preview("live")
        consumer.open(series)
        consumer.merge(consumer.process(example_frames(bare)))
        consumer.set("max_size", 50)
        before = snapshot(consumer.close())["frame"]["arrays"]
        assert before["valid"].shape == before["image"].shape == (64, 100)
        after = snapshot(consumer.merge(consumer.process(example_frames(bare))))["frame"]["arrays"]
        assert after["valid"].shape == after["image"].shape == (32, 50)


def test_saturated_live_pixels_are_counted():
    bare = replace(example_series(shape=(64, 100)), meta={"saturation": 60_000})
    data = example_frames(bare).data.copy()
    data[-1, :2, :3] = 65_535
    data[-1, 5, 5] = 60_000
    frames = worst_in(replace(example_frames(bare), data=data), DEAD)
    attrs = run(Preview("live"), bare, [frames])["frame"]["attrs"]
    assert (attrs["saturation"], attrs["saturated_pixels"]) == (60_000, 7 + 33)
    with with_pixel_mask(bare, DEAD) as series:
        assert run(Preview("live"), series, [frames])["frame"]["attrs"]["saturated_pixels"] == 7


@pytest.mark.parametrize("value", ["60000", None, True, -1, 0, float("nan"), float("inf"), [1]])
def test_without_a_saturation_that_is_a_count_integers_end_it_and_floats_do_not(value):
    for dtype, end in (("uint16", 65_535), ("float32", None)):
        series = replace(example_series(dtype=dtype), meta={"saturation": value})
        attrs = run(Preview("live"), series, [example_frames(series)])["frame"]["attrs"]
        assert attrs.get("saturation") == end
        assert ("saturated_pixels" in attrs) is (end is not None)


def test_counts_are_those_of_all_live_pixels_and_what_counts_electrons_is_passed_on():
    meta = {"counts_per_electron": 4.0, "offset": 1.0, "scan_step": 0.2, "scan_unit": "nm"}
    bare = replace(example_series(shape=(64, 100)), meta=meta)
    sound = example_frames(bare)
    with with_pixel_mask(bare, DEAD) as series:
        attrs = run(Preview("live", max_size=16), series, [worst_in(sound, DEAD)])["frame"]["attrs"]
    assert (attrs["live_pixels"], attrs["saturated_pixels"]) == (6400 - 33, 0)
    assert attrs["mean_counts"] == pytest.approx(sound.data[-1][~DEAD].mean())
    assert {key: attrs[key] for key in meta} == meta


@pytest.mark.parametrize(("strip", "count"), [(1 << 20, 70), (1, 3 * 34)])
def test_pixels_that_do_not_behave_are_told_until_they_are_masked(monkeypatch, strip, count):
    """In frames looked at whole, and in strips of eight rows: at the first and the last row of one."""
    monkeypatch.setattr(pixel_watch, "LEAST_S", 0.0)
    monkeypatch.setattr(pixel_watch, "SHARE", 0.0)
    monkeypatch.setattr(pixel_watch, "STRIP_BYTES", strip)
    series = example_series(shape=(24, 30))
    data = example_frames(series, count=count).data.copy()
    data[:, 8, 6], data[:, 15, 20] = 0, 60_000
    consumer = Preview("live")
    frames = replace(example_frames(series, count=count), data=data)

    def told():
        consumer.open(series)
        for index in range(count):
            outputs = consumer.merge(consumer.process(pick(frames, [index])))
        attrs = outputs[0].attrs
        return {key: value for key, value in attrs.items() if key.endswith(("suspects", "places"))}

    dead, hot = (
        {"dead_suspects": 1, "dead_places": [[8, 6]]},
        {"hot_suspects": 1, "hot_places": [[15, 20]]},
    )
    assert told() == dead | hot
    consumer.set("dead_pixels", [[8, 6], [15, 20]])
    assert told() == {}
    consumer.set("dead_pixels", [])
    consumer.set("watch_pixels", False)
    assert told() == {}


class Clock:
    """Seconds; a look at a frame takes some."""

    def __init__(self, look: float) -> None:
        self.now, self.look = 100.0, look

    def __call__(self) -> float:
        return self.now

    def taking(self, *args: Any) -> None:
        self.now += self.look


@pytest.mark.parametrize(("look", "pause"), [(0.003, 0.06), (0.0001, 0.01)])
def test_looking_at_pixels_takes_a_twentieth_of_the_time_and_rests_at_least_10_ms(monkeypatch, look, pause):
    clock = Clock(look)
    monkeypatch.setattr(pixel_watch, "watch", clock.taking)
    watching = pixel_watch.PixelWatch((8, 9), None, clock)
    assert watching.is_due
    watching.take(np.zeros((8, 9)))  # the first has none to be compared with
    clock.now += pause
    assert watching.is_due
    watching.take(np.zeros((8, 9)))
    due = []
    for more in (0.99, 0.02):
        clock.now += more * pause
        due.append(watching.is_due)
    assert due == [False, True]
    assert not pixel_watch.PixelWatch((7, 4000), None, clock).is_due, "too few neighbours"


def test_of_two_verdicts_each_is_over_frames_of_its_own_and_a_pixel_that_is_both_is_hot():
    rng, watching = np.random.default_rng(2), pixel_watch.PixelWatch((16, 16), None)

    def see(frames: int, leader: tuple[int, int], value: int) -> None:
        for _ in range(frames):
            frame = rng.poisson(3.0, (16, 16)).astype(np.uint16)
            frame[4, 4] = 0
            frame[leader] = value
            watching.take(frame)

    see(pixel_watch.WINDOW, (9, 9), 900)
    assert watching.attrs == {}, "the first frame has none before it"
    see(1, (9, 9), 900)
    assert watching.attrs == {
        "dead_suspects": 1,
        "dead_places": [[4, 4]],
        "hot_suspects": 1,
        "hot_places": [[9, 9]],
    }
    see(pixel_watch.WINDOW, (12, 3), 800)
    assert watching.attrs["hot_places"] == [[12, 3]], "the first one has not led since"


def test_pixels_that_are_masked_are_no_suspects():
    live = np.ones((16, 16), bool)
    live[4, 4] = live[9, 9] = False
    rng, watching = np.random.default_rng(3), pixel_watch.PixelWatch((16, 16), live)
    for _ in range(pixel_watch.WINDOW + 1):
        frame = rng.poisson(3.0, (16, 16)).astype(np.uint16)
        frame[4, 4], frame[9, 9] = 0, 900
        watching.take(frame)
    assert watching.attrs == {}


def test_a_mask_that_does_not_fit_is_said():
    bare = example_series()
    consumer = Preview("live")
    assert consumer.alarms() == []
    with with_pixel_mask(bare, np.ones((3, 3))) as series:
        output = run(consumer, series, [example_frames(bare)])["frame"]
    assert "valid" not in output["arrays"]
    assert "(3, 3)" in output["attrs"]["alarm"]
    assert consumer.alarms() == [f"consumer 'live': {output['attrs']['alarm']}"]


def test_frames_before_open_are_an_error_that_says_so():
    with pytest.raises(RuntimeError, match="before open"):
        Preview("live").process(example_frames(example_series()))


def test_point_detectors_show_a_trace_of_their_last_values():
    series = example_series(shape=(1, 1), dtype="uint32")
    frames = example_frames(series, count=60)
    blocks = [pick(frames, range(40, 60)), pick(frames, range(30, 45)), pick(frames, range(10))]
    result = run(Preview("live", trace_length=25), series, blocks)
    assert list(result) == ["trace"]
    np.testing.assert_array_equal(result["trace"]["arrays"]["x"], np.arange(35, 60))
    np.testing.assert_array_equal(result["trace"]["arrays"]["y"], frames.data[35:60, 0, 0])


def test_a_point_detector_that_is_masked_reads_nothing():
    bare = example_series(shape=(1, 1))
    with with_pixel_mask(bare, [[2]]) as series:
        trace = run(Preview("live"), series, [example_frames(bare)])["trace"]["arrays"]
    np.testing.assert_array_equal(trace["x"], np.arange(20))
    assert np.isnan(trace["y"]).all()


def test_one_large_block_of_points_is_cut_to_the_trace():
    series = example_series(shape=(1, 1))
    result = run(Preview("live", trace_length=16), series, [example_frames(series, count=100)])
    np.testing.assert_array_equal(result["trace"]["arrays"]["x"], np.arange(84, 100))


def test_mode_and_size_may_be_changed_while_running():
    series = example_series(shape=(64, 64))
    frames = example_frames(series)
    consumer = Preview("live", max_size=64)
    consumer.open(series)
    assert consumer.set("mode", "max") is False
    assert consumer.set("max_size", 16) is False
    consumer.merge(consumer.process(frames))
    image = snapshot(consumer.close())["frame"]["arrays"]["image"]
    np.testing.assert_array_equal(image, reduce_for_display(frames.data[-1], (16, 16), "max")[0])
    assert consumer.parameters() == {
        "max_size": 16,
        "mode": "max",
        "trace_length": 4096,
        "watch_pixels": True,
        "pixel_mask": True,
        "dead_pixels": [],
    }


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"max_size": 4}, "max_size = 4.*16 to 4096"),
        ({"max_size": 12.5}, "max_size = 12.5"),
        ({"max_size": True}, "max_size = True"),
        ({"mode": "median"}, "'median'.*mean, max"),
        ({"mode": ["mean"]}, "mode"),
        ({"trace_length": 0}, "trace_length = 0"),
        ({"pixel_mask": "no"}, "pixel_mask = 'no'"),
        ({"dead_pixels": 5}, "dead_pixels is 5"),
    ],
)
def test_wrong_parameters_are_named(params, words):
    with pytest.raises(PipelineError, match=words):
        Preview("live", **params)
    with pytest.raises(PipelineError, match=words):
        Preview("live").set(*next(iter(params.items())))


def test_of_compressed_frames_the_newest_that_can_be_decoded_is_shown():
    series = replace(example_series(), encoding="bslz4")
    stack = np.random.default_rng(3).poisson(4, (6, *series.shape)).astype(series.numpy_dtype)
    blobs = [encode(frame) for frame in stack]
    blobs[5] = blobs[5][:14]
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    block = Block(series, 0, 6, np.frombuffer(b"".join(blobs), np.uint8), sizes, None, None, 0, 0)
    consumer, pool = Preview("live"), Pool(1)
    consumer.open(series)
    part = Analysis(consumer, series, pool).run(block)
    ((indices, partial),) = part.pieces
    (output,) = consumer.merge(partial)
    assert output.attrs["index"] == 4
    np.testing.assert_array_equal(output.arrays["image"], stack[4])
    assert part.undecodable == 1
    assert indices.tolist() == [0, 1, 2, 3, 4]
    pool.close()
