"""Parts of an image for a view, and their way over a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from livem.kernels.cutouts import BLENDED, MOST_FACTOR, STEP, Cutout
from livem.kernels.display import reduce_for_display
from livem.kernels.packing import WORTH, pack, unpack

views = st.tuples(*[st.floats(-5000, 9000)] * 2, *[st.floats(0.5, 9000)] * 2)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), views, st.floats(0.01, 40, exclude_min=True))
def test_all_that_a_view_shows_is_in_its_cutout(extent, part, crowding):
    cutout = Cutout.of_view(extent, part, crowding)
    left, top, width, height = part
    rows = range(max(0, int(np.floor(top))), min(extent[0], int(np.ceil(top + height))))
    columns = range(max(0, int(np.floor(left))), min(extent[1], int(np.ceil(left + width))))
    if rows:
        assert cutout.top <= rows[0] <= rows[-1] < cutout.bottom <= extent[0]
    if columns:
        assert cutout.left <= columns[0] <= columns[-1] < cutout.right <= extent[1]
    assert cutout.factor >= crowding or crowding <= BLENDED
    assert (cutout.top % cutout.factor, cutout.left % cutout.factor) == (0, 0)
    assert Cutout.parse(cutout.plain()) == cutout


def test_a_dragged_view_asks_for_the_same_part_for_a_while():
    cutouts = {Cutout.of_view((4096, 4096), (x, 100.0, 800.0, 800.0), 2.0) for x in range(250, 250 + STEP)}
    assert len(cutouts) == 2


def test_a_view_without_numbers_shows_all():
    assert Cutout.of_view((30, 40), (np.nan, np.inf, 1.0, 1.0), 1.0) == Cutout(0, 0, 30, 40, 1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [0, 0, 4, 4],
        [0, 0, 4, 4, 0],
        [4, 0, 4, 4, 1],
        [-1, 0, 4, 4, 1],
        [0, 0, 4, 4, MOST_FACTOR + 1],
        [0, 0, 4.0, 4, 1],
        "0,0,4,4,1",
    ],
)
def test_what_is_no_cutout_is_none(value):
    assert Cutout.parse(value) is None


def test_a_cutout_of_another_image_is_cut_to_what_there_is():
    assert Cutout(64, 64, 512, 512, 2).within((100, 90)) == Cutout(64, 64, 100, 90, 2)
    assert Cutout(128, 0, 512, 512, 2).within((100, 90)) == Cutout(0, 0, 100, 90, 2)


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_areas_are_those_of_the_whole_image(mode):
    image = np.random.default_rng(1).integers(0, 900, (96, 80)).astype(np.uint16)
    live = np.random.default_rng(2).random((96, 80)) > 0.1
    whole, factor = reduce_for_display(image, (32, 32), mode, live)
    assert factor == 3
    part, factor = Cutout(24, 12, 72, 60, 3).take(image, mode, live)
    assert factor == 3
    np.testing.assert_array_equal(part, whole[8:24, 4:20])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["uint8", "uint16", "int32", "float32", "float64", "bool"]),
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=40),
    )
)
def test_packed_arrays_come_back_to_the_last_bit(array):
    packed = pack(array)
    if packed is None:
        return
    plain = unpack(packed, array.dtype.itemsize, array.nbytes)
    assert plain is not None
    assert plain.tobytes() == array.tobytes()
    assert len(packed) < array.nbytes


def test_counts_become_a_quarter():
    counts = np.random.default_rng(3).poisson(1.0, (256, 256)).astype(np.uint16)
    packed = pack(counts)
    assert packed is not None
    assert len(packed) < 0.25 * counts.nbytes
    assert pack(counts[:4, :4]) is None
    assert counts[:4, :4].nbytes < WORTH


@pytest.mark.parametrize("size", [0, 3, 16])
def test_bytes_from_anywhere_are_refused(size):
    packed = pack(np.zeros((64, 64), np.uint16))
    assert packed is not None
    assert unpack(packed, size, 1 << 20) is None
    assert unpack(packed, 2, 100) is None
    assert unpack(packed[:20], 2, 1 << 20) is None
    assert unpack(b"", 2, 1 << 20) is None
    assert unpack((1 << 62).to_bytes(8, "big") + packed[8:], 2, 1 << 20) is None
