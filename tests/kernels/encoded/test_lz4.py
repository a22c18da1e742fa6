"""LZ4 blocks: equal to a plain decoder on any sequences, and nothing outside its arrays is touched."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from guarded import GuardedMemory
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.bslz4 import Status, decode_into, encode
from livem.kernels.encoded.lz4 import (
    BAD_ARGUMENTS,
    BAD_OFFSET,
    BAD_SIZE,
    SLACK,
    TRUNCATED,
    decode_lz4,
)

GUARD = 96


def extension(length):
    return b"" if length < 15 else b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])


def sequence(literals, offset=None, length=4):
    """One LZ4 sequence; without an offset the last one."""
    tail = b"" if offset is None else struct.pack("<H", offset) + extension(length - 4)
    code = 0 if offset is None else min(length - 4, 15)
    return bytes([min(len(literals), 15) << 4 | code]) + extension(len(literals)) + literals + tail


def plain(parts):
    """What the sequences mean, byte by byte."""
    out = bytearray()
    for literals, offset, length in parts:
        out += literals
        for _ in range(length if offset else 0):
            out.append(out[-offset])
    return bytes(out)


def block_of(parts):
    return b"".join(sequence(*part) for part in parts)


def decode(block, size, before=b"", behind=b""):
    """(result, decoded bytes), from the middle of an array, with guard bytes behind the slack."""
    src = np.frombuffer(before + block + behind, np.uint8)
    dst = np.full(size + SLACK + GUARD, 0xA5, np.uint8)
    result = decode_lz4(src, len(before), len(before) + len(block), dst[: size + SLACK], size)
    assert (dst[size + SLACK :] == 0xA5).all()
    return result, dst[:size].tobytes()


lengths = st.one_of(st.integers(4, 40), st.sampled_from([18, 19, 64, 65, 273, 274, 700, 8000]))
sizes = st.one_of(st.integers(0, 20), st.sampled_from([14, 15, 16, 269, 270, 271, 600]))
offsets = st.one_of(st.integers(1, 80), st.integers(1, 600))


@st.composite
def blocks(draw):
    """Sequences that obey the format, zero runs and short periods among them."""
    parts, done = [], 0
    for _ in range(draw(st.integers(0, 12))):
        literals = draw(st.sampled_from([bytes, None]))
        size = max(draw(sizes), 1 if done == 0 else 0)
        body = bytes(size) if literals else draw(st.binary(min_size=size, max_size=size))
        done += size
        parts.append((body, min(draw(offsets), done), draw(lengths)))
        done += parts[-1][2]
    parts.append((draw(st.binary(min_size=12, max_size=40)), None, 0))
    return parts


@settings(max_examples=500, deadline=None, derandomize=True)
@given(blocks(), st.binary(max_size=3), st.sampled_from([b"", b"\xff" * 7, bytes(80)]))
def test_any_sequences_are_decoded_as_the_format_says(parts, before, behind):
    expected = plain(parts)
    assert decode(block_of(parts), len(expected), before, behind) == (len(expected), expected)


@pytest.mark.parametrize("offset", [*range(1, 70), 127, 128, 1000])
@pytest.mark.parametrize("period", ["noise", "zero"])
def test_every_offset_repeats_its_bytes(offset, period):
    head = bytes(offset) if period == "zero" else np.random.default_rng(offset).bytes(offset)
    for length in (4, 15, 16, 17, 18, 19, 63, 64, 65, 3000):
        parts = [(head, offset, length), (b"last literals", None, 0)]
        expected = plain(parts)
        assert decode(block_of(parts), len(expected), behind=bytes(99)) == (len(expected), expected)


@pytest.mark.parametrize("size", [1, 5, 12, 13, 14, 15, 16, 254, 255, 256, 269, 270, 271, 1000, 8192])
def test_a_block_may_be_literals_only(size):
    data = np.random.default_rng(size).bytes(size)
    for behind in (b"", bytes(99)):
        assert decode(sequence(data), size, behind=behind) == (size, data)


END = b"the last literals"


@pytest.mark.parametrize(
    ("block", "size", "code"),
    [
        (b"", 8, BAD_SIZE),
        (sequence(b"abcd", 0, 8) + sequence(END), 12 + len(END), BAD_OFFSET),
        (sequence(b"abcd", 5, 8) + sequence(END), 12 + len(END), BAD_OFFSET),
        (sequence(b"", 1, 8) + sequence(END), 8 + len(END), BAD_OFFSET),
        (sequence(b"abcd", 4, 8) + sequence(END), 11 + len(END), BAD_SIZE),
        (sequence(b"abcd", 4, 8) + sequence(END), 13 + len(END), BAD_SIZE),
        (sequence(b"abcd", 4, 8), 12, BAD_SIZE),
        (sequence(b"abcdefgh", 4, 8) + sequence(b"abc"), 19, BAD_SIZE),
        (sequence(b"abcdefgh", 4, 4) + sequence(b"abcde"), 17, BAD_SIZE),
        (sequence(b"abcd", 4, 10**6) + sequence(END), 100, BAD_SIZE),
        (sequence(b"x" * 40), 39, BAD_SIZE),
        (sequence(b"x" * 40)[:-1], 40, TRUNCATED),
        (sequence(b"x" * 40) + b"\0", 40, TRUNCATED),
        (sequence(b"x" * 40, 1, 4) + sequence(END), 40, BAD_SIZE),
        (b"\xf0", 40, TRUNCATED),
        (b"\xf0" + b"\xff" * 30, 10**4, TRUNCATED),
        (b"\x1fa\x01\x00" + b"\xff" * 30, 10**4, TRUNCATED),
        (b"\x10", 8, TRUNCATED),
        (b"\x10a\x01", 8, TRUNCATED),
    ],
)
def test_what_breaks_the_format_is_refused(block, size, code):
    for behind in (b"", b"\x01" * 99):
        result, _ = decode(block, size, behind=behind)
        assert result == code


@pytest.mark.parametrize(
    ("begin", "end", "size"),
    [(-1, 9, 8), (0, 10, 8), (5, 4, 8), (0, 9, 0), (0, 9, -1), (0, 9, 9), (0, 9, 2**62), (2**62, 2**62, 8)],
)
def test_arguments_beyond_the_arrays_are_refused(begin, end, size):
    src = np.frombuffer(sequence(b"12345678"), np.uint8)
    dst = np.zeros(8 + SLACK, np.uint8)
    assert decode_lz4(src, begin, end, dst, size) == BAD_ARGUMENTS
    assert decode_lz4(src, 0, 9, dst, 8) == 8


def compressed(data):
    """By HDF5's filter, as one block; it stores blocks as they are that do not shrink."""
    return encode(data, "lz4")[16:]


def test_blocks_of_liblz4_come_back():
    rng = np.random.default_rng(3)
    for size in [*range(20, 400, 3), 5000, 8192]:
        for data in (rng.poisson(0.3, size), np.arange(size) // 7, np.arange(size) % 13, np.zeros(size)):
            frame = data.astype(np.uint8)
            block = compressed(frame)
            if len(block) < size:
                assert decode(block, size) == (size, frame.tobytes())


def damaged(rng, block):
    """A block with a few bytes changed, or cut, or with a tail of another."""
    changed = bytearray(block)
    for _ in range(rng.integers(1, 5)):
        changed[rng.integers(len(changed))] = rng.choice([0, 1, 15, 255, rng.integers(256)])
    if rng.random() < 0.3:
        return bytes(changed[: rng.integers(1, len(changed) + 1)])
    return bytes(changed)


def test_fault_06_damaged_blocks_touch_nothing_outside():
    """Both arrays end where the next byte may not be touched; what is accepted, liblz4 accepts alike."""
    rng = np.random.default_rng(4)
    source, target = GuardedMemory(4096), GuardedMemory(4096)
    frames = [rng.poisson(dose, 1500).astype(np.uint8) for dose in (0.02, 0.1, 0.5)]
    good = [compressed(frame) for frame in frames]
    accepted = 0
    for i in range(20_000):
        block = damaged(rng, good[i % len(good)])
        src, dst = source.holding(block), target.last(1500 + SLACK)
        result = decode_lz4(src, 0, len(block), dst, 1500)
        assert result == 1500 or result < 0
        if i % 4 == 0:
            accepted += agrees_with_liblz4(block, dst, result)
    assert accepted > 100


def agrees_with_liblz4(block, dst, result):
    """Whether both accept the block; liblz4 alone may do so where an offset is 0."""
    out = np.zeros(1500, np.uint8)
    blob = np.frombuffer(struct.pack(">QII", 1500, 1500, len(block)) + block, np.uint8)
    ok = decode_into(blob, out, "lz4") is Status.OK
    assert result in ((1500, BAD_OFFSET) if ok else range(BAD_SIZE, 0))
    if result == 1500:
        np.testing.assert_array_equal(dst[:1500], out)
    return result == 1500
