"""Final results on disk: every array, and what is said of it, in files that anything can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from livem.outputs import write_results
from livem.stream.results import Result
from livem.stream.series import SeriesKey

KEY = SeriesKey(b"12345678", 3)
ATTRS = {"gain": float("nan"), "center": (1, 2.5), "hash": b"\x0a", "n": np.int64(4), "deep": {"no": None}}


def written(directory: Path, **results: Result) -> dict[str, Any]:
    """What the JSON files say, by topic."""
    files = write_results(directory, {result.topic: result for result in results.values()})
    return {topic: json.loads(Path(file).with_suffix(".json").read_text()) for topic, file in files.items()}


def an_image(topic: str, image: Any, attrs: Any = None, **arrays: Any) -> Result:
    return Result(
        topic, "image", KEY, (0, 9), 0, {"image": image, **arrays}, {"image": "e"}, attrs or {}, True
    )


def description(file: Path) -> object:
    with Image.open(file) as picture:
        return picture.info.get("Description")


def test_an_image_says_what_it_is_and_leaves_none_of_its_maps_behind(tmp_path: Path) -> None:
    image = np.array([[1.0, np.nan], [3.0, 4.0]])
    maps = {"valid": np.isfinite(image), "sampled": image == 3}
    said = written(tmp_path, one=an_image("hole.image", image, ATTRS, **maps))["hole.image"]
    np.testing.assert_array_equal(np.load(tmp_path / said["files"]["image"]), image)
    np.testing.assert_array_equal(np.load(tmp_path / said["files"]["sampled"]), maps["sampled"])
    assert said["files"] == {"image": "hole.image.npy", "sampled": "hole.image.sampled.npy"}
    assert (said["kind"], said["series"], said["epoch"]) == ("image", 3, KEY.epoch.hex())
    assert (said["frames"], said["final"], said["units"]) == ([0, 9], True, {"image": "e"})
    plain = {"gain": None, "center": [1, 2.5], "hash": "0a", "n": 4, "deep": {"no": None}}
    assert said["attrs"] == plain
    assert description(tmp_path / "hole.image.png") is None


def test_the_picture_of_an_estimate_says_so(tmp_path: Path) -> None:
    written(tmp_path, one=an_image("hole.image", np.ones((2, 2)), {"estimate": True}))
    assert description(tmp_path / "hole.image.png") == "hole.image: an estimate, not a measurement"


def test_a_map_of_what_is_valid_is_kept_where_no_nan_says_so(tmp_path: Path) -> None:
    image, vector = np.arange(4).reshape(2, 2), np.full((2, 2, 2), [1.0, np.nan])
    valid = image > 0
    said = written(
        tmp_path,
        one=an_image("p.frame", image, valid=valid),
        two=an_image("p.com", vector, valid=np.zeros((2, 2), bool)),
    )
    assert list(said["p.com"]["files"]) == ["image"]
    np.testing.assert_array_equal(np.load(tmp_path / said["p.frame"]["files"]["valid"]), valid)


def test_a_table_has_its_units_beside_it_too(tmp_path: Path) -> None:
    columns = {"x": np.arange(2), "y": np.ones((2, 2))}
    said = written(tmp_path, one=Result("t.sum", "curve", None, (0, 2), 0, columns, {"y": "counts"}))["t.sum"]
    assert said["files"] == {"curve": "t.sum.csv"}
    assert (said["series"], said["units"]) == (None, {"y": "counts"})
    assert (tmp_path / "t.sum.csv").read_text().startswith("# units: x, y_0, y_1\nx,y_0,y_1\n0,1.0,1.0")
