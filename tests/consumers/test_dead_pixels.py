"""Which pixels count: the detector's mask and the user's, and what is said when one does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.dead_pixels import DeadPixels, Masking
from livem.consumers.testing import example_series, with_pixel_mask
from livem.errors import PipelineError

SHAPE = (12, 14)


def masking(use=True, dead_pixels=None):
    return Masking.parse("consumer 'vd'", use, dead_pixels)


def test_without_any_mask_every_pixel_counts():
    mask = masking().of(example_series())
    assert (mask.live, mask.known, mask.alarm, mask.attrs) == (None, 0, "", {})


def test_a_mask_of_zeros_costs_nothing():
    with with_pixel_mask(example_series(), np.zeros(SHAPE)) as series:
        assert masking().of(series).live is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), use=st.booleans())
def test_both_masks_combine_and_any_bit_excludes(seed, use):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, SHAPE) * rng.choice([1, 2, 4, 8, 16, 1 << 31], SHAPE)
    mine = [[int(y), int(x)] for y, x in rng.integers(0, SHAPE, (rng.integers(0, 5), 2))]
    dead = bits != 0
    for y, x in mine:
        dead[y, x] = True
    with with_pixel_mask(example_series(), bits) as series:
        mask = masking(use, mine).of(series)
    assert mask.known == dead.sum()
    if use:
        np.testing.assert_array_equal(mask.live, ~dead)
    else:
        assert mask.live is None


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_file_of_the_user_is_dead_where_it_is_not_0(tmp_path, dtype):
    pixels = np.zeros(SHAPE, dtype)
    pixels[3, 4] = 1
    np.save(tmp_path / "dead.npy", pixels)
    mask = masking(dead_pixels={"path": str(tmp_path / "dead.npy")}).of(example_series())
    assert mask.known == 1
    assert not mask.live[3, 4]


@pytest.mark.parametrize("bad", [np.ones((12, 15), np.uint32), np.ones(SHAPE, "S3"), np.ones(5, np.uint32)])
def test_a_mask_of_the_detector_that_does_not_fit_is_said_and_ignored(tmp_path, bad):
    np.save(tmp_path / "mask.npy", bad)
    series = replace(example_series(), tables={"pixel_mask": str(tmp_path / "mask.npy")})
    mask = masking(dead_pixels=[[1, 1]]).of(series)
    assert mask.known == 1
    assert "not used" in mask.alarm
    assert str(bad.shape) in mask.alarm
    assert mask.attrs == {"alarm": mask.alarm}
    assert masking(use=False).of(series).alarm == ""


@pytest.mark.parametrize("content", [None, b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_mask_file_that_is_gone_or_broken_is_said_and_ignored(tmp_path, content):
    path = tmp_path / "mask.npy"
    if content is not None:
        path.write_bytes(content)
    mask = masking().of(replace(example_series(), tables={"pixel_mask": str(path)}))
    assert mask.live is None
    assert "cannot be read" in mask.alarm


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dead.npy", "'dead.npy'.*list of"),
        (7, "7.*list of"),
        ({"file": "x"}, "path"),
        ({"path": ""}, "path"),
        ({"path": "a.npy", "more": 1}, "path"),
        ([1, 2], r"holds 1.*\[y, x\]"),
        ([[1, 2, 3]], r"\[1, 2, 3\]"),
        ([[1.5, 2]], r"\[1.5, 2\].*whole"),
        ([[True, 2]], "whole"),
        ([["1", "2"]], "whole"),
        ([[0, 0]] * 4097, "4097 pixels.*4096"),
    ],
)
def test_wrong_choices_are_named(value, words):
    with pytest.raises(PipelineError, match=f"consumer 'vd': dead_pixels.*{words}"):
        masking(dead_pixels=value)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_pixel_mask_is_true_or_false(value):
    with pytest.raises(PipelineError, match=r"consumer 'vd': pixel_mask = .*true or false"):
        masking(use=value)


@pytest.mark.parametrize("pixel", [[12, 0], [0, 14], [-1, 3], [1 << 40, 0]])
def test_pixels_outside_the_frame_are_refused_at_open(pixel):
    with pytest.raises(PipelineError, match=r"12 x 14 pixels.*\[11, 13\]"):
        masking(dead_pixels=[[1, 1], pixel]).of(example_series())


def test_pixels_beyond_any_machine_are_refused():
    with pytest.raises(PipelineError, match="whole numbers"):
        masking(dead_pixels=[[1 << 80, 0]])


def test_a_file_of_another_shape_is_refused_even_where_the_mask_is_off(tmp_path):
    np.save(tmp_path / "dead.npy", np.ones((3, 3)))
    chosen = masking(use=False, dead_pixels={"path": str(tmp_path / "dead.npy")})
    with pytest.raises(PipelineError, match=r"dead_pixels: mask file .* \(3, 3\)"):
        chosen.of(example_series())


@pytest.mark.parametrize("value", [[], [[1, 2], [3, 4]], {"path": "dead.npy"}])
def test_parameters_can_be_set_to_themselves(value):
    known = masking(dead_pixels=value)
    assert known.parameters == {"pixel_mask": True, "dead_pixels": value}
    for name, present in known.parameters.items():
        assert known.changed(name, present) == known
    assert known.changed("pixel_mask", False).chosen == known.chosen
    assert known.changed("dead_pixels", None).chosen == DeadPixels("consumer 'vd': dead_pixels")
