"""Plans against decoded frames and `reduce_block`, bit for bit, on every frame and after every damage."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.bslz4 import MAX_BLOCK, Status, encode
from livem.kernels.encoded.frames import decode_frames
from livem.kernels.encoded.plan import DTYPES, compile_plan
from livem.kernels.masks import annulus, disk, frame_center
from livem.kernels.reduce import Region, reduce_block

SHAPES = [(1, 1), (7, 1), (3, 5), (1, 4099), (64, 64), (67, 43), (192, 192), (256, 256), (514, 514)]


def batch_of(blobs):
    """(payload, offsets)."""
    payload = np.frombuffer(b"".join(blobs), np.uint8)
    return payload, np.cumsum([0, *map(len, blobs)]).astype(np.int64)


def literal_blob(frame, block):
    """A frame in blocks of ``block`` bytes, bitshuffled by numpy; LZ4 of nothing but literals."""
    elements = frame.reshape(-1)
    parts, whole = [struct.pack(">QI", frame.nbytes, block)], elements.size - elements.size % 8
    for start in range(0, whole, block // frame.itemsize):
        piece = elements[start : min(start + block // frame.itemsize, whole)].copy()
        bits = np.unpackbits(piece.view(np.uint8).reshape(len(piece), -1), axis=1, bitorder="little")
        data = np.packbits(bits.T, axis=1, bitorder="little").tobytes()
        more = len(data) - 15
        length = b"" if more < 0 else b"\xff" * (more // 255) + bytes([more % 255])
        body = bytes([min(len(data), 15) << 4]) + length + data
        parts.append(struct.pack(">I", len(body)) + body)
    return b"".join([*parts, elements[whole:].tobytes()])


def samples(shape, dtype, seed=0, bad=None):
    """Frames of counts at several doses, saturated, empty, and of noise; ``bad`` pixels are saturated."""
    rng, info = np.random.default_rng(seed), np.iinfo(dtype)
    doses = [np.minimum(rng.poisson(dose, shape), info.max) for dose in (0.05, 2, 300)]
    noise = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    frames = np.array([*doses, np.full(shape, info.max), np.zeros(shape), noise]).astype(dtype)
    if bad is not None:
        frames[:, bad] = info.max
    return frames


def detectors(shape, seed=0):
    """Regions of every kind, some of which want their centre of mass."""
    rng, center = np.random.default_rng(seed), frame_center(shape)
    size = min(shape)
    masks = [annulus(shape, size / 4, size / 2), disk(shape, 2, (1.0, 1.0)), np.zeros(shape, bool)]
    return [
        *[Region(mask) for mask in masks],
        Region(np.ones(shape, bool), center),
        Region(rng.random(shape) < 0.3, (-3.5, 2.25)),
        Region(np.zeros(shape, bool), center),
    ]


def outputs(plan, count):
    """(sums, moments, status), full of rubbish."""
    kind = np.uint64 if plan.dtype == np.uint32 else np.int64
    sums, moments = np.full((count, len(plan)), 77, kind), np.full((count, len(plan), 2), 77, np.int64)
    return sums, moments, np.full(count, 77, np.int8)


def assert_equal(reduction, frames, plan):
    """Whether these are, bit for bit, the results of decoded frames."""
    wanted = reduce_block(frames, plan.regions)
    for name in ("sums", "com", "excluded", "profile"):
        ours, theirs = getattr(reduction, name), getattr(wanted, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def check(plan, blobs, frames):
    """Run a plan over good blobs."""
    payload, offsets = batch_of(blobs)
    sums, moments, status = outputs(plan, len(blobs))
    plan.run(payload, offsets, sums, moments, status)
    assert not status.any()
    assert_equal(plan.reduction(sums, moments), frames, plan)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_and_centres_are_those_of_decoded_frames(shape, dtype):
    frames = samples(shape, dtype)
    check(compile_plan(shape, dtype, detectors(shape)), [encode(frame) for frame in frames], frames)


def dead_pixels(kind, shape):
    """(h, w) bool, true where a pixel is dead."""
    dead = np.zeros(shape, bool)
    if kind == "cross":
        dead[shape[0] // 2 - 2 :][:4] = True
        dead[:, shape[1] // 2 - 2 :][:, :4] = True
    else:
        dead.flat[
            np.random.default_rng(1).integers(0, dead.size, {"few": 20, "many": 200, "all": 10**6}[kind])
        ] = True
    return dead


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int16"])
@pytest.mark.parametrize("kind", ["few", "many", "cross", "all"])
def test_dead_pixels_are_in_no_region(kind, dtype):
    shape = (192, 130)
    dead = dead_pixels(kind, shape)
    frames = samples(shape, dtype, bad=dead)
    plan = compile_plan(shape, dtype, detectors(shape), ~dead)
    assert not any((region.mask & dead).any() for region in plan.regions.regions)
    check(plan, [encode(frame) for frame in frames], frames)


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 150)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    frames = samples(shape, dtype, draw(st.integers(0, 2**32)))
    grain = 8 * dtype.itemsize
    blocks = st.integers(1, 8192 // grain).map(lambda n: n * grain)
    blobs = [literal_blob(frame, draw(st.one_of(blocks, st.just(8192)))) for frame in frames]
    return frames, blobs, detectors(shape, draw(st.integers(0, 9)))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_any_shape_and_any_block_size(case):
    frames, blobs, regions = case
    check(compile_plan(frames.shape[1:], frames.dtype, regions), blobs, frames)


def test_a_header_of_zeros_means_the_announced_frame():
    frames = samples((130, 64), "uint16")
    plan = compile_plan((130, 64), "uint16", detectors((130, 64)))
    check(plan, [bytes(12) + encode(frame)[12:] for frame in frames], frames)


def test_a_writable_payload_will_do():
    frames = samples((64, 64), "uint16")
    plan = compile_plan((64, 64), "uint16", detectors((64, 64)))
    payload, offsets = batch_of([encode(frame) for frame in frames])
    results = outputs(plan, len(frames))
    plan.run(payload.copy(), offsets, *results)
    assert_equal(plan.reduction(results[0], results[1]), frames, plan)


@st.composite
def damaged(draw):
    """Good blobs, one of which is not any more."""
    shape = draw(st.sampled_from([(64, 48), (40, 41), (130, 64)]))
    frames = samples(shape, "uint16", draw(st.integers(0, 3)))
    block = draw(st.sampled_from([0, 16, 1008, 4096]))
    blobs = [literal_blob(frame, block) if block else encode(frame) for frame in frames]
    number = draw(st.integers(0, len(blobs) - 1))
    blob = bytearray(blobs[number])
    for _ in range(draw(st.integers(0, 6))):
        blob[draw(st.integers(0, len(blob) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del blob[draw(st.integers(0, len(blob))) :]
    if draw(st.booleans()):
        blob += draw(st.binary(max_size=20))
    blobs[number] = bytes(blob)
    return shape, blobs


@settings(max_examples=400, deadline=None, derandomize=True)
@given(damaged())
def test_fault_06_damaged_blobs_have_the_status_of_the_decoder(case):
    shape, blobs = case
    plan = compile_plan(shape, "uint16", detectors(shape))
    payload, offsets = batch_of(blobs)
    frames, wanted = np.empty((len(blobs), *shape), np.uint16), np.empty(len(blobs), np.int8)
    decode_frames(payload, offsets, frames, wanted)
    sums, moments, status = outputs(plan, len(blobs))
    plan.run(payload, offsets, sums, moments, status)
    np.testing.assert_array_equal(status, wanted)
    assert not sums[status != 0].any()
    assert not moments[status != 0].any()
    assert_equal(plan.reduction(sums, moments), frames, plan)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"", Status.TRUNCATED),
        (bytes(11), Status.TRUNCATED),
        (struct.pack(">QI", 2**63, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 2**64 - 1, 2**32 - 1), Status.WRONG_SIZE),
        (struct.pack(">QI", 6145, 8192), Status.WRONG_SIZE),
        (struct.pack(">QI", 6144, MAX_BLOCK + 16), Status.BAD_BLOCK_SIZE),
        (struct.pack(">QI", 6144, 24), Status.BAD_BLOCK_SIZE),
        (struct.pack(">QI", 6144, 8192), Status.CORRUPT),
        (bytes(12), Status.CORRUPT),
    ],
)
def test_fault_06_hostile_headers_cost_their_own_frame(header, status):
    frames = samples((64, 48), "uint16")[:3]
    blobs = [encode(frame) for frame in frames]
    blobs[1] = header
    plan = compile_plan((64, 48), "uint16", detectors((64, 48)))
    sums, moments, found = outputs(plan, 3)
    payload, offsets = batch_of(blobs)
    plan.run(payload, offsets, sums, moments, found)
    assert [Status.of_code(code) for code in found.tolist()] == [Status.OK, status, Status.OK]
    frames[1] = 0
    assert_equal(plan.reduction(sums, moments), frames, plan)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.binary(max_size=200), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4), st.booleans()
)
def test_fault_06_any_bytes_and_any_offsets_give_a_status(body, offsets, honest):
    payload = np.frombuffer((struct.pack(">QI", 256, 256) if honest else b"") + body, np.uint8)
    places = np.array([0, *offsets], np.int64)
    plan = compile_plan((8, 8), "uint32", detectors((8, 8)))
    sums, moments, status = outputs(plan, len(offsets))
    plan.run(payload, places, sums, moments, status)
    frames, wanted = np.empty((len(offsets), 8, 8), np.uint32), np.empty(len(offsets), np.int8)
    decode_frames(payload, places, frames, wanted)
    np.testing.assert_array_equal(status, wanted)
    assert_equal(plan.reduction(sums, moments), frames, plan)


def test_blocks_that_no_region_touches_may_stay_as_they_are():
    shape = (256, 256)
    frames = samples(shape, "uint16")
    blobs = [bytearray(encode(frame)) for frame in frames]
    for blob in blobs:
        blob[16:24] = b"\0" * 8  # of the first block, rows 0 to 15: matches from 0 bytes back
    regions = [Region(disk(shape, 30), frame_center(shape))]
    strict, lenient = (compile_plan(shape, "uint16", regions, skip_outside=skip) for skip in (False, True))
    results = outputs(strict, len(blobs))
    strict.run(*batch_of(blobs), *results)
    assert results[2].all()
    lenient.run(*batch_of(blobs), *results)
    assert not results[2].any()
    assert_equal(lenient.reduction(*results[:2]), frames, lenient)


def test_threads_share_a_plan():
    shape = (128, 100)
    frames = samples(shape, "uint16")
    plan = compile_plan(shape, "uint16", detectors(shape))
    batch = batch_of([encode(frame) for frame in frames] * 8)

    def run(_):
        results = outputs(plan, 8 * len(frames))
        plan.run(*batch, *results)
        return results

    first, *others = ThreadPoolExecutor(2).map(run, range(16))
    assert_equal(plan.reduction(*first[:2]), np.concatenate([frames] * 8), plan)
    for other in others:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_plan_is_frozen_and_keeps_nothing_of_its_masks():
    mask = disk((64, 64), 20)
    plan = compile_plan((64, 64), "uint16", [Region(mask, (0.0, 0.0))], np.ones((64, 64), bool))
    tables = [array for array in plan.tables if isinstance(array, np.ndarray)]
    assert not any(array.flags.writeable for array in tables)
    frames = samples((64, 64), "uint16")
    wanted = reduce_block(frames, plan.regions).sums
    mask[:] = False
    results = outputs(plan, len(frames))
    plan.run(*batch_of([encode(frame) for frame in frames]), *results)
    np.testing.assert_array_equal(results[0], wanted)
    with pytest.raises(AttributeError):
        plan.tables = plan.tables  # type: ignore[misc]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint64", "int8", ">u2", "bool"])
def test_other_pixels_are_decoded(dtype):
    assert compile_plan((8, 8), dtype, detectors((8, 8))) is None


def test_weights_and_moments_beyond_64_bits_are_decoded():
    whole = np.ones((8, 8), bool)
    assert compile_plan((8, 8), "uint16", [Region(whole, weights=whole.astype(np.int8))]) is None
    large = Region(np.broadcast_to(np.True_, (4096, 4096)), (0.0, 0.0))
    assert compile_plan((4096, 4096), "uint32", [large]) is None
    assert compile_plan((8, 8), "uint16", []) is not None


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        compile_plan((8, 8), "uint16", [Region(np.ones((4, 4), bool))])
    with pytest.raises(ValueError, match=r"live.*\(4, 4\)"):
        compile_plan((8, 8), "uint16", [], np.ones((4, 4), bool))


@pytest.mark.parametrize("wrong", range(5))
def test_arrays_that_do_not_fit_are_refused(wrong):
    plan = compile_plan((8, 8), "uint16", detectors((8, 8)))
    arguments = [*batch_of([encode(np.zeros((8, 8), np.uint16))]), *outputs(plan, 1)]
    arguments[wrong] = arguments[wrong].astype(np.float64)
    payload, offsets, sums, moments, status = arguments
    with pytest.raises(ValueError, match="float64"):
        plan.run(payload, offsets, sums, moments, status)
