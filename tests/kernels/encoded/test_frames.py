"""Batches of blobs: equal to dectris-compression on every frame, and hostile ones cost themselves only."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from guarded import GuardedMemory

from livem.kernels.bslz4 import MAX_BLOCK, Status, decode_into, encode
from livem.kernels.encoded.frames import decode_frames
from livem.kernels.reduce import DTYPES

ALGORITHMS = ("bslz4", "lz4")
SHAPES = [(1, 1), (7, 1), (3, 5), (1, 64), (33, 31), (64, 96), (67, 43), (192, 192), (256, 256), (514, 514)]
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def batch_of(blobs):
    """(payload, offsets)."""
    offsets = np.zeros(len(blobs) + 1, np.int64)
    np.cumsum([len(blob) for blob in blobs], out=offsets[1:])
    return np.frombuffer(b"".join(blobs), np.uint8), offsets


def decode(blobs, shape, dtype, algorithm="bslz4"):
    """(frames, statuses)."""
    out = np.full((len(blobs), *shape), 9, dtype)
    status = np.full(len(blobs), 99, np.int8)
    payload, offsets = batch_of(blobs)
    decode_frames(payload, offsets, out, status, algorithm)
    return out, [Status.of_code(code) for code in status.tolist()]


def samples(shape, dtype, seed=0):
    """Frames of counts at several doses, with bad pixels, saturated, empty, and of noise."""
    rng = np.random.default_rng(seed)
    counts = [rng.poisson(dose, shape).astype(dtype) for dose in (0.05, 0.3, 2, 20, 300)]
    bad = rng.poisson(1, shape).astype(dtype)
    full = np.frombuffer(b"\xff" * bad.nbytes, dtype).reshape(shape)
    bad.reshape(-1)[rng.integers(0, bad.size, bad.size // 100 + 1)] = full.flat[0]
    noise = np.frombuffer(rng.bytes(bad.nbytes), dtype).reshape(shape)
    return [*counts, bad, full, np.zeros(shape, dtype), noise]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_frames_of_every_kind_come_back_bit_by_bit(shape, dtype, algorithm):
    frames = samples(shape, dtype)
    if shape[0] > 200 and dtype not in ("uint8", "uint16", "uint32"):
        frames = frames[2:6:3]
    out, statuses = decode([encode(frame, algorithm) for frame in frames], shape, dtype, algorithm)
    assert statuses == [Status.OK] * len(frames)
    assert out.tobytes() == b"".join(frame.tobytes() for frame in frames)


@pytest.mark.parametrize("name", ["stem_images", "colloid_movie", "liquid_cell_tem"])
def test_real_images_come_back(name):
    path = DATA / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout, in shared/data")
    arrays = np.load(path)
    key = "gold_grain_boundary" if name == "stem_images" else "frames"
    frames = arrays[key].reshape(-1, *arrays[key].shape[-2:])[:3]
    for algorithm in ALGORITHMS:
        blobs = [encode(frame, algorithm) for frame in frames]
        out, statuses = decode(blobs, frames.shape[1:], frames.dtype, algorithm)
        assert statuses == [Status.OK] * len(frames)
        np.testing.assert_array_equal(out, frames)


def literal_block(data):
    """LZ4 of nothing but literals."""
    more = len(data) - 15
    length = b"" if more < 0 else b"\xff" * (more // 255) + bytes([more % 255])
    return bytes([min(len(data), 15) << 4]) + length + data


def shuffled(elements):
    bits = np.unpackbits(elements.view(np.uint8).reshape(len(elements), -1), axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little").tobytes()


@pytest.mark.parametrize("block", [8, 16, 40, 504, 512, 520, 1000, 4096, 8192, MAX_BLOCK // 2])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_blocks_may_have_any_size(block, dtype):
    frame = np.random.default_rng(block).integers(0, 200, (71, 83)).astype(dtype)
    flat, whole = frame.reshape(-1), frame.size // 8 * 8
    parts = [struct.pack(">QI", frame.nbytes, block * frame.itemsize)]
    for start in range(0, whole, block):
        body = literal_block(shuffled(flat[start : min(start + block, whole)]))
        parts += [struct.pack(">I", len(body)), body]
    out, (status,) = decode([b"".join(parts) + flat[whole:].tobytes()], frame.shape, dtype)
    assert status is Status.OK
    np.testing.assert_array_equal(out[0], frame)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_an_empty_end_of_a_block_hides_nothing_of_the_one_before(dtype):
    """Zeros that end a block are not written where they lie already."""
    rng, block = np.random.default_rng(5), 8192 // np.dtype(dtype).itemsize
    frames = []
    for _ in range(12):
        parts = [rng.poisson(rng.choice([0, 0.01, 0.3, 100]), block) for _ in range(10)]
        parts.append(rng.poisson(rng.choice([0, 0.3, 100]), 203))
        for part in parts:
            part[rng.integers(len(part), size=rng.integers(3))] = 255
        frames.append(np.concatenate(parts).astype(dtype)[None])
    out, statuses = decode([encode(frame) for frame in frames], frames[0].shape, dtype)
    assert statuses == [Status.OK] * 12
    np.testing.assert_array_equal(out, frames)


def sample(seed=0, shape=(64, 48), dtype="uint16"):
    return np.random.default_rng(seed).poisson(2, shape).astype(dtype)


def hostile():
    blob = encode(sample())
    body = blob[12:]
    return {
        Status.TRUNCATED: [b"", bytes(11)],
        Status.WRONG_SIZE: [
            struct.pack(">QI", size, 8192) + body for size in (0, 6145, 2**40, 2**63, 2**64 - 1, 6144 << 32)
        ],
        Status.BAD_BLOCK_SIZE: [
            struct.pack(">QI", 6144, size) + body for size in (24, 8191, MAX_BLOCK + 16, 2**32 - 16)
        ],
        Status.CORRUPT: [
            bytes(12),
            blob[:12],
            blob[:15],
            blob[:-1],
            blob[:12] + b"\xff" * 40,
            blob[:12] + struct.pack(">I", len(body) - 5) + body[4:-1],
            blob[:12] + struct.pack(">I", len(body) - 3) + body[4:],
            blob[:12] + bytes(4) + body[4:],
        ],
    }


@pytest.mark.parametrize("status", list(hostile()))
def test_fault_06_hostile_blobs_say_why_and_leave_zeros(status):
    for blob in hostile()[status]:
        out, statuses = decode([encode(sample(1)), blob, encode(sample(2))], (64, 48), "uint16")
        assert statuses == [Status.OK, status, Status.OK]
        np.testing.assert_array_equal(out[0], sample(1))
        assert not out[1].any()
        np.testing.assert_array_equal(out[2], sample(2))
        one = np.zeros((64, 48), np.uint16)
        assert decode_into(np.frombuffer(blob, np.uint8), one) is status


def test_header_of_zeros_means_the_announced_frame():
    for algorithm, frame in (("bslz4", sample(0, (128, 130))), ("lz4", sample(0, (32, 32)))):
        blob = bytes(12) + encode(frame, algorithm)[12:]
        out, (status,) = decode([blob], frame.shape, "uint16", algorithm)
        assert status is Status.OK
        np.testing.assert_array_equal(out[0], frame)


@pytest.mark.parametrize("shape", [(64, 48), (67, 43)])
def test_bytes_behind_a_frame_are_judged_as_by_the_c_library(shape):
    frame = sample(0, shape)
    for tail in (b"\0", b"\0" * 64, b"tail"):
        blob = encode(frame) + tail
        reference = decode_into(np.frombuffer(blob, np.uint8), np.zeros_like(frame))
        out, statuses = decode([blob], shape, "uint16")
        assert statuses == [reference]
        np.testing.assert_array_equal(out[0], frame if reference is Status.OK else 0)


def test_plain_lz4_in_small_blocks_and_with_a_tail():
    """A raw block of 500 bytes, a compressed one of 500 and the rest, and bytes that nobody asked for."""
    frame = np.zeros(1100, np.uint8)
    frame[:500] = np.frombuffer(np.random.default_rng(0).bytes(500), np.uint8)
    packed = b"\x1f\0\x01\0\xff" + bytes([487 - 19 - 255]) + b"\xc0" + bytes(12)
    plain = frame[:500].tobytes()
    rest = literal_block(bytes(100))
    blob = struct.pack(">QI", 1100, 500)
    for part in (plain, packed, rest):
        blob += struct.pack(">I", len(part)) + part
    assert decode_into(np.frombuffer(blob, np.uint8), np.zeros((10, 110), np.uint8), "lz4") is Status.OK
    for tail in (b"", b"tail"):
        out, (status,) = decode([blob + tail], (10, 110), "uint8", "lz4")
        assert status is Status.OK
        np.testing.assert_array_equal(out[0].reshape(-1), frame)


def test_offsets_beyond_the_payload_cost_their_frames_only():
    payload, offsets = batch_of([encode(sample(i)) for i in range(4)])
    for wrong in ([1, 2**62, 2**63 - 1], [-5, -(2**63), 7]):
        out, status = np.ones((2, 64, 48), np.uint16), np.zeros(2, np.int8)
        decode_frames(payload, np.array(wrong), out, status)
        assert (status != 0).all()
        assert not out.any()
    out, status = np.ones((4, 64, 48), np.uint16), np.zeros(4, np.int8)
    decode_frames(payload[:-1], offsets, out, status)
    assert status.tolist() == [0, 0, 0, Status.CORRUPT.code]


def test_arrays_that_do_not_fit_are_refused():
    payload, offsets = batch_of([encode(sample())])
    out, status = np.zeros((1, 64, 48), np.uint16), np.zeros(1, np.int8)
    with pytest.raises(ValueError, match="2 offsets"):
        decode_frames(payload, offsets[:1], out, status)
    with pytest.raises(ValueError, match="contiguous"):
        decode_frames(payload, offsets, np.zeros((1, 64, 96), np.uint16)[:, :, ::2], status)
    with pytest.raises(ValueError, match="16 bytes"):
        decode_frames(payload, offsets, out.astype(np.complex128), status)
    decode_frames(payload[:0], offsets[:1], out[:0], status[:0])


def test_threads_decode_parts_of_a_batch():
    frames = np.stack([sample(i, (130, 70)) for i in range(24)])
    payload, offsets = batch_of([encode(frame) for frame in frames])
    out, status = np.zeros_like(frames), np.ones(24, np.int8)

    def part(start):
        chosen = slice(start, start + 4)
        decode_frames(payload, offsets[start : start + 5], out[chosen], status[chosen])

    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            out[:] = 0
            list(pool.map(part, range(0, 24, 4)))
            np.testing.assert_array_equal(out, frames)
    assert not status.any()


def damaged(rng, blob):
    """A blob with a few bytes changed, mostly to those that steer a decoder, or cut."""
    changed = bytearray(blob)
    for _ in range(rng.integers(1, 5)):
        changed[rng.integers(12 if rng.random() < 0.9 else 0, len(changed))] = rng.choice([0, 1, 15, 255, 77])
    return bytes(changed[: rng.integers(len(changed) + 1)]) if rng.random() < 0.2 else bytes(changed)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_fault_06_damaged_blobs_touch_nothing_outside(dtype, algorithm):
    """Blob and frame end where nothing may be touched; what is accepted, the C library reads so too."""
    rng, shape = np.random.default_rng(7), (61, 83)
    size = 61 * 83 * np.dtype(dtype).itemsize
    source, target = GuardedMemory(65536), GuardedMemory(size)
    good = [encode(sample(i, shape, dtype) * (i < 3), algorithm) for i in range(4)]
    status, accepted = np.zeros(1, np.int8), 0
    for i in range(7_000):
        blob = source.holding(damaged(rng, good[i % 4]))
        out = target.last(size).view(dtype).reshape(1, *shape)
        decode_frames(blob, np.array([0, blob.size]), out, status, algorithm)
        if i % 4 == 0:
            accepted += agrees_with_the_c_library(blob, out[0], Status.of_code(int(status[0])), algorithm)
    assert accepted > 20


def agrees_with_the_c_library(blob, decoded, status, algorithm):
    """Whether both accept the blob. Offsets of 0 the C library takes, and copies whatever lies there."""
    out = np.zeros_like(decoded)
    reference = decode_into(blob, out, algorithm)
    if status is Status.OK:
        assert reference is Status.OK
        np.testing.assert_array_equal(decoded, out)
    else:
        assert reference is status or (reference is Status.OK and status is Status.CORRUPT)
        assert not decoded.any()
    return status is Status.OK
