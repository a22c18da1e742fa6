"""Sums and first moments of bit planes against plain integers, chunk by chunk, and that they are vectors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.encoded.plan import compile_plan
from livem.kernels.encoded.sums import (
    CHUNK,
    WORD,
    add_block,
    begin_frame,
    end_frame,
    memory_of,
    pack,
    scratch_words,
)
from livem.kernels.reduce import Region


def planes_of(frame):
    """(planes, words) uint64 bits of a frame's pixels, lowest first, padded with zeros to whole words."""
    values = frame.reshape(-1).view(f"u{frame.itemsize}").astype(np.uint64)
    return np.array([pack((values >> np.uint64(p)) & np.uint64(1) == 1) for p in range(8 * frame.itemsize)])


def reduced(frame, regions, cuts):
    """(sums, moments) of a frame that comes as blocks that end at the words ``cuts``."""
    tables = compile_plan(frame.shape, frame.dtype, regions).tables
    scratch = np.full(scratch_words(tables), 0xA5A5, np.uint64)
    sums, moments = np.zeros(len(regions), np.int64), np.zeros((len(regions), 2), np.int64)
    memory, planes = memory_of(tables, scratch.ctypes.data), planes_of(frame)
    begin_frame(memory)
    for start, stop in zip([0, *cuts], [*cuts, planes.shape[1]], strict=True):
        block = np.ascontiguousarray(planes[:, start:stop])
        at, words, filled = block.ctypes.data, stop - start, len(planes)
        add_block(at, words, filled, start, memory, sums.ctypes.data, moments.ctypes.data)
    end_frame(memory, moments.ctypes.data)
    return sums, moments


def expected(frame, regions):
    values, (y, x) = frame.astype(np.int64), np.indices(frame.shape)
    inside = [np.where(region.mask, values, 0) for region in regions]
    wanted = [region.center is not None for region in regions]
    sums = np.array([kept.sum() for kept in inside], np.int64)
    moments = [[(y * kept).sum() * w, (x * kept).sum() * w] for kept, w in zip(inside, wanted, strict=True)]
    return sums, np.array(moments, np.int64).reshape(-1, 2)


@st.composite
def cases(draw):
    width = draw(st.one_of(st.integers(1, 200), st.sampled_from([64, 128, 192, 256, 4096])))
    height = draw(st.integers(1, max(1, 12_000 // width)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "uint32", "int16", "int32"])))
    info = np.iinfo(dtype)
    most = min(draw(st.sampled_from([0, 1, 3, 300, 2**31])), info.max)
    frame = rng.integers(max(-most, info.min), most, (height, width), dtype, endpoint=True)
    frame[rng.random(frame.shape) < 0.01] = draw(st.sampled_from([info.max, info.min]))
    shares = draw(st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0]), max_size=4))
    centers = [draw(st.sampled_from([None, (0.0, 0.0)])) for _ in shares]
    regions = [Region(rng.random(frame.shape) < share, at) for share, at in zip(shares, centers, strict=True)]
    words = -(-frame.size // WORD)
    cuts = draw(st.lists(st.sampled_from([CHUNK // 2, CHUNK, 2 * CHUNK, 9]), max_size=3))
    return frame, regions, [cut for cut in np.cumsum(cuts).tolist() if cut < words]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(cases())
def test_sums_and_moments_are_those_of_plain_integers(case):
    frame, regions, cuts = case
    sums, moments = reduced(frame, regions, cuts)
    wanted_sums, wanted_moments = expected(frame, regions)
    np.testing.assert_array_equal(sums, wanted_sums)
    np.testing.assert_array_equal(moments, wanted_moments)


@pytest.mark.parametrize("width", [1, 7, 63, 64, 65, 100, 256])
def test_every_single_pixel_has_its_row_and_column(width):
    shape = (-(-260 // width), width)
    regions = [Region(np.ones(shape, bool), (0.0, 0.0))]
    for i in range(shape[0] * width):
        frame = np.zeros(shape, np.uint8)
        frame.flat[i] = 129
        sums, moments = reduced(frame, regions, [])
        assert (sums.tolist(), moments.tolist()) == ([129], [[129 * (i // width), 129 * (i % width)]])


def test_masks_are_packed_as_planes_are():
    mask = np.zeros((3, 50), bool)
    mask.flat[[0, 9, 64, 149]] = True
    assert pack(mask).tolist() == [1 | 1 << 9, 1, 1 << 149 - 128]


PROGRAM = """
import sys
import numpy as np
from numba import njit
from livem.kernels.encoded.sums import Tables, add_block, memory_of, scratch_words

@njit
def call(*arguments):
    add_block(*arguments)

rng = np.random.default_rng(0)
frame = rng.integers(0, 4, (64, 64), np.uint8)
with np.load(sys.argv[1]) as file:
    tables = Tables(*(file[name] if file[name].ndim else int(file[name]) for name in Tables._fields))
planes = np.array([np.packbits(frame.ravel() >> p & 1, bitorder="little") for p in range(8)])
scratch, sums = np.zeros(scratch_words(tables), np.uint64), np.zeros(1, np.int64)
moments = np.zeros(2, np.int64)
memory = memory_of(tables, scratch.ctypes.data)
call(planes.ctypes.data, 64, 8, 0, memory, sums.ctypes.data, moments.ctypes.data)
assert sums[0] == frame.sum()
lines = call.inspect_asm(call.signatures[0]).splitlines()
print(*[sum(word in line and register in line for line in lines) for word, register in
        (("vpopcntq", "mm"), ("vpshufb", "ymm"), ("", "zmm"), ("popcntq", "%r"))])
"""
"""Takes its tables from a file: what makes them would compile the decoder too, 9 s a processor."""


@pytest.mark.slow
def test_sums_are_vectors_with_and_without_avx512(tmp_path):
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the instructions of this test are x86-64")
    haswell = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+ssse3,+avx,+avx2,+bmi,+bmi2,+popcnt"}
    icelake = {"NUMBA_CPU_NAME": "icelake-server", "NUMBA_CPU_FEATURES": ""}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = file.read()
    whole = Region(np.ones((64, 64), bool), (0.0, 0.0))
    tables = compile_plan((64, 64), np.dtype(np.uint8), [whole]).tables
    np.savez(tmp_path / "tables.npz", **tables._asdict())
    for number, environment in enumerate([haswell, icelake]):
        if number == 1 and "avx512_vpopcntdq" not in flags:
            continue
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "tables.npz")],
            check=True,
            capture_output=True,
            env={**os.environ, **environment, "NUMBA_CACHE_DIR": str(tmp_path / str(number))},
        )
        counted, shuffled, wide, _ = map(int, ran.stdout.split())
        assert (counted > 20) if number else (counted == wide == 0 and shuffled > 20), ran.stdout
