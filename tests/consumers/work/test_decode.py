"""Blocks become frames: views where they can be, and one broken payload costs one frame."""

from __future__ import annotations

import numpy as np
import pytest

from livem.consumers.work.decode import FrameDecoder
from livem.kernels.bslz4 import encode
from livem.kernels.reduce import DTYPES
from livem.stream.series import Block, Scan, Series, SeriesKey

SHAPE = (16, 24)


def series_of(dtype="uint16", encoding="raw", scan=None):
    return Series(SeriesKey(b"12345678", 1), SHAPE, dtype, encoding, scan=scan)


def stack(count=5, dtype="uint16", seed=0):
    return np.random.default_rng(seed).poisson(3, (count, *SHAPE)).astype(dtype)


def block_of(series, frames, first=7, broken=(), positions=None, late=False):
    if series.encoding == "raw":
        payload, sizes = frames.tobytes(), None
    else:
        blobs = [encode(frame, series.encoding) for frame in frames]
        blobs = [b"\x00" * 8 + b"junk" * 9 if i in broken else blob for i, blob in enumerate(blobs)]
        payload, sizes = b"".join(blobs), np.array([len(blob) for blob in blobs], np.int64)
    view = np.frombuffer(payload, np.uint8)
    return Block(series, first, len(frames), view, sizes, positions, None, 0, 0, late)


@pytest.mark.parametrize("encoding", ["raw", "bslz4", "lz4"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_frames_come_back_exactly_and_read_only(dtype, encoding):
    series, data = series_of(dtype, encoding), stack(dtype=dtype)
    frames, failed = FrameDecoder(series).decode(block_of(series, data, late=True))
    np.testing.assert_array_equal(frames.data, data)
    np.testing.assert_array_equal(frames.indices, np.arange(7, 12))
    assert (failed, frames.late, frames.series) == (0, True, series)
    assert frames.data.dtype == np.dtype(dtype)
    assert not frames.data.flags.writeable


def test_raw_frames_are_views():
    series = series_of()
    block = block_of(series, stack())
    frames, _ = FrameDecoder(series).decode(block)
    assert np.shares_memory(frames.data, block.payload)


def test_unaligned_raw_frames_are_copied():
    series, data = series_of("uint32"), stack(dtype="uint32")
    memory = np.frombuffer(b"x" + data.tobytes(), np.uint8)
    frames, _ = FrameDecoder(series).decode(Block(series, 0, 5, memory[1:], None, None, None, 0, 0))
    assert frames.data.flags.aligned
    np.testing.assert_array_equal(frames.data, data)


def test_broken_frames_are_left_out_and_counted_by_reason():
    series = series_of(encoding="bslz4", scan=Scan((4, 4), "positions"))
    positions = np.arange(10, dtype=np.float32).reshape(5, 2)
    data = stack()
    decoder = FrameDecoder(series)
    frames, failed = decoder.decode(block_of(series, data, broken=(0, 3), positions=positions))
    assert failed == 2
    np.testing.assert_array_equal(frames.indices, [8, 9, 11])
    np.testing.assert_array_equal(frames.data, data[[1, 2, 4]])
    np.testing.assert_array_equal(frames.positions, positions[[1, 2, 4]])
    assert sum(decoder.rejected.values()) == 2


def test_reasons_are_those_of_the_statuses():
    series, data = series_of(encoding="bslz4"), stack(3)
    blobs = [encode(data[0])[:5], encode(data[1][:8]), encode(data[2])[:-1]]
    sizes = np.array([len(blob) for blob in blobs], np.uint32)
    payload = np.frombuffer(b"".join(blobs), np.uint8)
    decoder = FrameDecoder(series)
    _, failed = decoder.decode(Block(series, 0, 3, payload, sizes, None, None, 0, 0))
    assert failed == 3
    assert decoder.rejected == {"truncated": 1, "wrong-size": 1, "corrupt": 1}


def test_a_block_may_be_broken_throughout():
    series = series_of(encoding="bslz4")
    frames, failed = FrameDecoder(series).decode(block_of(series, stack(), broken=range(5)))
    assert (len(frames), failed, frames.data.shape) == (0, 5, (0, *SHAPE))


def test_sizes_beyond_the_payload_cost_their_frames_only():
    series = series_of(encoding="bslz4")
    block = block_of(series, stack())
    cut = Block(series, 0, 5, block.payload[:-10], block.sizes, None, None, 0, 0)
    frames, failed = FrameDecoder(series).decode(cut)
    assert failed == 1
    np.testing.assert_array_equal(frames.indices, [0, 1, 2, 3])


def test_short_raw_payload_gives_the_whole_frames():
    series, data = series_of(), stack()
    block = block_of(series, data)
    decoder = FrameDecoder(series)
    frames, failed = decoder.decode(Block(series, 0, 5, block.payload[:-1], None, None, None, 0, 0))
    assert failed == 1
    assert decoder.rejected == {"truncated": 1}
    np.testing.assert_array_equal(frames.data, data[:4])


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_tiles_cover_the_block_within_their_bytes(encoding):
    series, data = series_of(encoding=encoding), stack(count=11)
    decoder = FrameDecoder(series)
    limit = 3 * series.frame_bytes + 1
    seen, parts, lost = [], [], 0
    broken = (4,) if encoding == "bslz4" else ()
    for frames, failed in decoder.tiles(block_of(series, data, broken=broken), limit):
        assert encoding == "raw" or frames.data.nbytes <= limit
        seen.extend(frames.indices.tolist())
        parts.append(frames.data.copy())
        lost += failed
    assert lost == len(broken)
    expected = [i for i in range(11) if i not in broken]
    assert seen == [7 + i for i in expected]
    np.testing.assert_array_equal(np.concatenate(parts), data[expected])


def test_a_tile_holds_at_least_one_frame():
    series = series_of(encoding="bslz4")
    assert len(list(FrameDecoder(series).tiles(block_of(series, stack()), 1))) == 5


def test_encoded_blocks_need_sizes():
    series = series_of(encoding="bslz4")
    with pytest.raises(ValueError, match="sizes"):
        FrameDecoder(series).decode(Block(series, 0, 1, np.zeros(99, np.uint8), None, None, None, 0, 0))
