"""Detector tables: what they cover, and that every mistake is said with value, limit and next step."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.virtual.detectors import default_detectors, fit, parse_detector
from livem.errors import PipelineError
from livem.kernels.masks import annulus, disk, rectangle

SHAPE = (20, 30)


def fitted(table, shape=SHAPE):
    return fit(parse_detector("detector 'd'", table), shape)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"kind": "disk", "radius": 4}, disk(SHAPE, 4)),
        ({"kind": "disk", "radius": 4.5, "center": [3, 5]}, disk(SHAPE, 4.5, (3, 5))),
        ({"kind": "annulus", "inner": 2, "outer": 7}, annulus(SHAPE, 2, 7)),
        (
            {"kind": "rectangle", "top": 2, "left": 3, "height": 5, "width": 7},
            rectangle(SHAPE, 2, 3, 5, 7),
        ),
        ({"kind": "rectangle", "center": [4, 6], "size": [5, 7]}, rectangle(SHAPE, 2, 3, 5, 7)),
        ({"kind": "com"}, np.ones(SHAPE, bool)),
        ({"kind": "com", "radius": 5, "center": [9, 9]}, disk(SHAPE, 5, (9, 9))),
        ({"kind": "total"}, np.ones(SHAPE, bool)),
    ],
)
def test_masks_follow_the_table(table, expected):
    detector = fitted(table)
    np.testing.assert_array_equal(detector.region.mask, expected)
    assert detector.is_vector == (table["kind"] == "com")
    msgpack.packb(dict(detector.attrs))


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "disk", "radius": 4},
        {"kind": "annulus", "inner": 2, "outer": 7},
        {"kind": "rectangle", "top": 2, "left": 3, "height": 5, "width": 7},
        {"kind": "com"},
        {"kind": "com", "radius": 5},
        {"kind": "total"},
        {"kind": "mask"},
    ],
)
def test_every_kind_is_fitted_to_live_pixels(table, tmp_path):
    if table["kind"] == "mask":
        np.save(tmp_path / "mask.npy", disk(SHAPE, 6, (4, 4)))
        table = table | {"path": str(tmp_path / "mask.npy")}
    live = np.random.default_rng(3).random(SHAPE) < 0.7
    spec = parse_detector("detector 'd'", table)
    whole, masked, blind = (fit(spec, SHAPE, mask) for mask in (None, live, np.zeros(SHAPE, bool)))
    np.testing.assert_array_equal(masked.region.mask, whole.region.mask & live)
    assert masked.attrs == {**whole.attrs, "masked_pixels": (whole.region.mask & ~live).sum()}
    assert (whole.is_blind, masked.is_blind, blind.is_blind) == (False, False, True)
    assert blind.attrs["blind"] is True
    assert blind.attrs["masked_pixels"] == whole.region.mask.sum()
    assert "detector 'd' is blind" in blind.attrs["alarm"]
    msgpack.packb(dict(masked.attrs))


def test_attrs_are_what_a_viewer_draws_and_sets():
    assert fitted({"kind": "disk", "radius": 4}).attrs == {"kind": "disk", "radius": 4, "center": [9.5, 14.5]}
    box = fitted({"kind": "rectangle", "top": 2, "left": 3, "height": 5, "width": 7}).attrs
    assert (box["center"], box["size"]) == ([4, 6], [5, 7])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (7, ["7", "table with a kind"]),
        ({"radius": 3}, ["table with a kind"]),
        ({"kind": "disc", "radius": 3}, ["'disc'", "'disk'"]),
        ({"kind": "sphere"}, ["'sphere'", "annulus"]),
        ({"kind": "disk"}, ["needs radius"]),
        ({"kind": "disk", "radius": 0}, ["radius = 0", "greater than 0"]),
        ({"kind": "disk", "radius": float("nan")}, ["radius = nan", "finite"]),
        ({"kind": "disk", "radius": float("inf")}, ["radius = inf", "finite"]),
        ({"kind": "disk", "radius": True}, ["True", "finite number"]),
        ({"kind": "disk", "radius": "3"}, ["'3'", "finite number"]),
        ({"kind": "disk", "radus": 3}, ["'radus'", "'radius'"]),
        ({"kind": "disk", "radius": 3, "center": [1]}, ["[1]", "[y, x]"]),
        ({"kind": "disk", "radius": 3, "center": [1, float("nan")]}, ["nan", "finite"]),
        ({"kind": "annulus", "inner": 5, "outer": 5}, ["inner = 5", "outer = 5", "smaller"]),
        ({"kind": "annulus", "inner": -1, "outer": 5}, ["inner = -1", "not be negative"]),
        ({"kind": "rectangle", "top": 1, "left": 2}, ["needs top, left, height, width"]),
        (
            {"kind": "rectangle", "top": 1, "left": 2, "height": 0, "width": 3},
            ["height = 0", "greater than 0"],
        ),
        ({"kind": "rectangle", "center": [3, 3], "size": [0, 4]}, ["[0, 4]", "greater than 0"]),
        ({"kind": "mask", "path": 3}, ["path = 3"]),
        ({"kind": "total", "radius": 3}, ["'radius'", "none"]),
    ],
)
def test_wrong_tables_are_named(table, words):
    with pytest.raises(PipelineError) as caught:
        parse_detector("detector 'd'", table)
    assert all(word in str(caught.value) for word in ["detector 'd'", *words]), str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "disk", "radius": 3, "center": [100, 5]},
        {"kind": "disk", "radius": 0.2, "center": [3.5, 3.5]},
        {"kind": "annulus", "inner": 300, "outer": 400},
        {"kind": "rectangle", "top": 20, "left": 0, "height": 5, "width": 5},
        {"kind": "com", "radius": 2, "center": [-9, 0]},
    ],
)
def test_detectors_that_miss_the_frame_are_refused(table):
    with pytest.raises(PipelineError, match=r"covers no pixel of the 20 x 30 frame.*move it"):
        fitted(table)


@pytest.fixture
def files(tmp_path):
    import tifffile
    from PIL import Image

    mask = disk(SHAPE, 6)
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "small.npy", mask[1:])
    np.save(tmp_path / "empty.npy", np.zeros(SHAPE))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    tifffile.imwrite(tmp_path / "mask.tif", mask.astype(np.float32))
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    Image.fromarray(np.stack([mask.astype(np.uint8) * 255] * 3, axis=-1)).save(tmp_path / "colour.png")
    (tmp_path / "broken.npy").write_bytes(b"not numpy")
    (tmp_path / "broken.png").write_bytes(b"not a png")
    (tmp_path / "broken.tif").write_bytes(b"not a tif")
    (tmp_path / "mask.txt").write_text("1 1")
    return tmp_path


@pytest.mark.parametrize("name", ["mask.npy", "mask.tif", "mask.png", "colour.png"])
def test_mask_files_are_read(files, name):
    detector = fitted({"kind": "mask", "path": str(files / name)})
    np.testing.assert_array_equal(detector.region.mask, disk(SHAPE, 6))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small.npy", r"\(19, 30\).*\(20, 30\)"),
        ("empty.npy", "covers no pixel"),
        ("objects.npy", "cannot be read"),
        ("broken.npy", "cannot be read"),
        ("broken.png", "cannot be read"),
        ("broken.tif", "cannot be read"),
        ("missing.npy", "does not exist"),
        ("mask.txt", r"none of \.npy, \.tif"),
    ],
)
def test_mask_files_that_do_not_serve_are_named(files, name, message):
    with pytest.raises(PipelineError, match=message) as caught:
        fitted({"kind": "mask", "path": str(files / name)})
    assert "detector 'd'" in str(caught.value)


@settings(deadline=None, derandomize=True)
@given(st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_defaults_fit_every_frame(shape):
    for spec in default_detectors("consumer 'vd'", shape).values():
        assert fit(spec, shape).region.mask.any()


def test_default_of_a_point_detector_is_its_value():
    assert [spec.kind for spec in default_detectors("vd", (1, 1)).values()] == ["total"]
    assert list(default_detectors("vd", (256, 256))) == ["bf", "haadf", "com"]
    assert list(default_detectors("vd", (256, 256), scanned=False)) == ["total"]


def test_one_key_may_be_changed():
    spec = parse_detector("d", {"kind": "rectangle", "top": 2, "left": 3, "height": 5, "width": 7})
    assert spec.changed("center", [5, 6]).values["top"] == 3
    assert spec.changed("height", 2).values == {"top": 2, "left": 3, "height": 2, "width": 7}
    ring = parse_detector("d", {"kind": "annulus", "inner": 2, "outer": 3})
    with pytest.raises(PipelineError, match="smaller"):
        ring.changed("inner", 4)
