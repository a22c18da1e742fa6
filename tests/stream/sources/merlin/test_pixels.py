"""Merlin pixels become frames: every depth and layout, held against the simulator's encoder, which shares no
code with it (tests/test_libertem_merlin.py holds it against LiberTEM's reader)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from merlin_tools import format_of, header_of, unpack

from livem.stream.messages import Reason
from livem.stream.simulate.merlin_frames import Readout, pixel_bytes
from livem.stream.sources.merlin.header import FrameHeader
from livem.stream.sources.merlin.pixels import PixelFormat, pixel_format

READOUTS = [
    Readout("uint8", (16, 24)),
    Readout("uint16", (16, 24)),
    Readout("uint32", (16, 24)),
    Readout("uint16", (34, 66), layout="2x2G"),
    Readout("uint8", (16, 64), raw=True, depth=1),
    Readout("uint8", (16, 64), raw=True),
    Readout("uint16", (16, 64), raw=True),
    Readout("uint32", (16, 256), raw=True),
    *(
        Readout(dtype, (2 * 8 + gap, 2 * 64 + gap), raw=True, depth=depth, layout=layout)
        for layout, gap in (("2x2", 0), ("2x2G", 2))
        for dtype, depth in (("uint8", 1), ("uint8", 6), ("uint16", 12))
    ),
]


def some_frames(readout: Readout, n: int, seed: int = 0) -> np.ndarray:
    """Random counts that fit the counters; the gap is 0."""
    top = 1 << readout.counter_depth
    frames = np.random.default_rng(seed).integers(0, top, (n, *readout.shape)).astype(readout.dtype)
    if readout.gap:
        h, w = readout.shape
        frames[:, h // 2 - 1 : h // 2 + 1] = 0
        frames[:, :, w // 2 - 1 : w // 2 + 1] = 0
    return frames


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_frames_come_out_as_they_went_in(readout):
    frames = some_frames(readout, 3)
    form = format_of(readout)
    assert (form.shape, form.dtype) == (readout.shape, readout.dtype)
    wire = [pixel_bytes(frame, readout) for frame in frames]
    assert [len(payload) for payload in wire] == [form.wire_bytes] * 3
    np.testing.assert_array_equal(unpack(form, wire), frames)


@given(data=st.data(), lead=st.integers(0, 9))
def test_any_pixels_of_any_readout(data, lead):
    readout = data.draw(st.sampled_from(READOUTS))
    frames = some_frames(readout, 2, data.draw(st.integers(0, 2**32)))
    wire = [pixel_bytes(frame, readout) for frame in frames]
    np.testing.assert_array_equal(unpack(format_of(readout), wire, lead), frames)


def test_the_gap_between_chips_is_masked():
    form, header = format_of(Readout("uint16", (34, 66), layout="2x2G")), header_of(READOUTS[3])
    mask = form.gap_mask(header.layout, header.chips)
    assert mask.dtype == np.uint32
    expected = np.zeros((34, 66), np.uint32)
    expected[16:18] = expected[:, 32:34] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_line_of_chips_has_gaps_between_columns_only():
    form = PixelFormat("U16", 0, (4, 3 * 8 + 2 * 2), "uint16", 4 * 28 * 2)
    mask = form.gap_mask("Nx1G", 3)
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), [8, 9, 18, 19])
    assert (mask == mask[0]).all()
    assert form.gap_mask("Nx1", 3) is None


def changed(**fields: object) -> FrameHeader:
    values = {name: getattr(header_of(READOUTS[1]), name) for name in FrameHeader.__slots__}
    return FrameHeader(**{**values, **fields})


QUAD = {"kind": "R64", "chips": 4, "layout": "2x2"}


@pytest.mark.parametrize(
    ("header", "reason", "words"),
    [
        (changed(width=0), Reason.BAD_SHAPE, "16 x 0"),
        (changed(height=70_000), Reason.BAD_SHAPE, "70000"),
        (changed(kind="U64"), Reason.BAD_DTYPE, "U64"),
        (changed(kind="X16"), Reason.BAD_DTYPE, "X16"),
        (changed(kind="R64", depth=None), Reason.BAD_DTYPE, "None bit"),
        (changed(kind="R64", depth=8), Reason.BAD_DTYPE, "8 bit"),
        (changed(kind="R64", depth=12, chips=3, layout="Nx1"), Reason.BAD_SHAPE, "3 chips"),
        (changed(kind="R64", depth=24, width=256), Reason.BAD_SHAPE, "512 columns"),
        (changed(kind="R64", depth=24, width=512, chips=4, layout="2x2"), Reason.BAD_SHAPE, "1024 or 2048"),
        (changed(**QUAD, depth=6, width=32, height=40_000), Reason.BAD_SHAPE, "80000 x 16"),
        (changed(kind="R64", depth=1, width=96), Reason.BAD_SHAPE, "whole words"),
        (changed(kind="R64", depth=6, width=36, chips=4, layout="2x2"), Reason.BAD_SHAPE, "whole words"),
    ],
)
def test_what_is_not_known_for_certain_is_a_fault(header, reason, words):
    fault = pixel_format(header)
    assert isinstance(fault, tuple)
    assert fault[0] is reason
    assert words in fault[1]
