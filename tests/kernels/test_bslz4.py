"""Compressed frames: exact round trip, and any bytes give a status."""

from __future__ import annotations

import struct

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.bslz4 import MAX_BLOCK, Status, decode_into, encode, frame_header
from livem.kernels.reduce import DTYPES

ALGORITHMS = ("bslz4", "lz4")


def as_blob(data):
    return np.frombuffer(bytes(data), np.uint8)


def sample(shape=(64, 48), dtype="uint16", seed=0):
    return np.random.default_rng(seed).poisson(2, shape).astype(dtype)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 96)])
def test_round_trip_is_exact(algorithm, dtype, shape):
    frame = sample(shape, dtype)
    out = np.full(shape, 9, dtype)
    assert decode_into(as_blob(encode(frame, algorithm)), out, algorithm) is Status.OK
    np.testing.assert_array_equal(out, frame)


def test_every_status_has_a_number_of_its_own():
    assert [status.code for status in Status] == list(range(len(Status)))
    assert [Status.of_code(status.code) for status in Status] == list(Status)
    assert Status.OK.code == 0


def test_incompressible_frames_come_back():
    frame = np.random.default_rng(1).integers(0, 65536, (128, 128), dtype=np.uint16)
    for algorithm in ALGORITHMS:
        out = np.zeros_like(frame)
        assert decode_into(as_blob(encode(frame, algorithm)), out, algorithm) is Status.OK
        np.testing.assert_array_equal(out, frame)


def test_header_of_zeros_means_the_announced_frame():
    frame = sample((128, 128))
    blob = bytes(12) + encode(frame)[12:]
    out = np.zeros_like(frame)
    assert decode_into(as_blob(blob), out) is Status.OK
    np.testing.assert_array_equal(out, frame)


def test_header_says_sizes():
    assert frame_header(as_blob(struct.pack(">QI", 6144, 8192) + b"x")) == (6144, 8192)
    assert frame_header(as_blob(b"short")) is None


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"", Status.TRUNCATED),
        (bytes(11), Status.TRUNCATED),
        (struct.pack(">QI", 2**40, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 2**63, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 2**64 - 1, 2**32 - 1), Status.WRONG_SIZE),
        (struct.pack(">QI", 6145, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 0, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 6144, 2**32 - 16), Status.BAD_BLOCK_SIZE),
        (struct.pack(">QI", 6144, MAX_BLOCK + 16), Status.BAD_BLOCK_SIZE),
        (struct.pack(">QI", 6144, 24), Status.BAD_BLOCK_SIZE),
        (struct.pack(">QI", 6144, 4096), Status.CORRUPT),
        (bytes(12), Status.CORRUPT),
    ],
)
def test_fault_06_hostile_headers_never_reach_the_decoder(header, status):
    body = encode(sample())[12:] if status is not Status.CORRUPT else b"\xff" * 40
    out = np.full((64, 48), 7, np.uint16)
    blob = header + body if len(header) == 12 else header
    assert decode_into(as_blob(blob), out) is status
    assert (out == 7).all()


@st.composite
def mutated(draw):
    algorithm = draw(st.sampled_from(ALGORITHMS))
    blob = bytearray(encode(sample(seed=draw(st.integers(0, 3))), algorithm))
    for _ in range(draw(st.integers(1, 8))):
        blob[draw(st.integers(0, len(blob) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(blob)))
    tail = draw(st.binary(max_size=40))
    return algorithm, bytes(blob[:cut] + tail) if draw(st.booleans()) else bytes(blob)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(mutated())
def test_fault_06_mutated_payloads_give_a_status(case):
    algorithm, blob = case
    out = np.zeros((64, 48), np.uint16)
    assert isinstance(decode_into(as_blob(blob), out, algorithm), Status)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from(ALGORITHMS), st.booleans())
def test_fault_06_any_bytes_give_a_status(body, algorithm, honest):
    out = np.zeros((8, 8), np.uint32)
    blob = struct.pack(">QI", 256, 256) + body if honest else body
    assert isinstance(decode_into(as_blob(blob), out, algorithm), Status)


def test_fault_06_bombs_are_bounded_by_the_frame():
    bomb = encode(np.zeros((4096, 4096), np.uint32))
    out = np.zeros((16, 16), np.uint32)
    process = psutil.Process()
    before = process.memory_info().rss
    for blob in (bomb, struct.pack(">QI", out.nbytes, 8192) + bomb[12:], bytes(12) + bomb[12:]):
        assert isinstance(decode_into(as_blob(blob), out), Status)
    assert process.memory_info().rss - before < 16 << 20
