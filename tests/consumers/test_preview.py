"""The live frame and the point detector's trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livem.consumers.preview import Preview
from livem.consumers.testing import example_frames, example_series, pick, run, snapshot
from livem.errors import PipelineError
from livem.kernels.display import reduce_for_display


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
    }
    assert result["frame"]["units"] == {"image": "counts"}


def test_small_frames_keep_their_raw_counts():
    series = example_series()
    frames = example_frames(series)
    image = run(Preview("live"), series, [frames])["frame"]["arrays"]["image"]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, frames.data[-1])


def test_point_detectors_show_a_trace_of_their_last_values():
    series = example_series(shape=(1, 1), dtype="uint32")
    frames = example_frames(series, count=60)
    blocks = [pick(frames, range(40, 60)), pick(frames, range(30, 45)), pick(frames, range(10))]
    result = run(Preview("live", trace_length=25), series, blocks)
    assert list(result) == ["trace"]
    np.testing.assert_array_equal(result["trace"]["arrays"]["x"], np.arange(35, 60))
    np.testing.assert_array_equal(result["trace"]["arrays"]["y"], frames.data[35:60, 0, 0])


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
    assert consumer.parameters() == {"max_size": 16, "mode": "max", "trace_length": 4096}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"max_size": 4}, "max_size = 4.*16 to 4096"),
        ({"max_size": 12.5}, "max_size = 12.5"),
        ({"max_size": True}, "max_size = True"),
        ({"mode": "median"}, "'median'.*mean, max"),
        ({"mode": ["mean"]}, "mode"),
        ({"trace_length": 0}, "trace_length = 0"),
    ],
)
def test_wrong_parameters_are_named(params, words):
    with pytest.raises(PipelineError, match=words):
        Preview("live", **params)
    with pytest.raises(PipelineError, match=words):
        Preview("live").set(*next(iter(params.items())))
