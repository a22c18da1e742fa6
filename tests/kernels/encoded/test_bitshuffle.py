"""Planes to elements: equal to numpy's bits for every length and element size, empty planes among them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from guarded import GuardedMemory

from livem.kernels.encoded.bitshuffle import unshuffle_at

LENGTHS = [*range(1, 20), 63, 64, 65, 100, 127, 128, 129, 192, 512, 1000]
"""Bytes of a plane."""


def planes_of(elements):
    """Bits of each element, lowest first, plane after plane."""
    bits = np.unpackbits(elements.view(np.uint8).reshape(len(elements), -1), axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little").reshape(-1)


def unshuffled(planes, itemsize, memory):
    out = memory.last(planes.size)
    out[:] = 0xA5
    unshuffle_at(planes.ctypes.data, planes.size // (8 * itemsize), out.ctypes.data, itemsize)
    return out


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
@pytest.mark.parametrize("used", [1, 3, 8, 9, 12, 17, 25, 32, 64])
def test_elements_come_back_up_to_the_last(itemsize, used):
    """``used``: planes that hold anything; the rest, empty or not, may take another way."""
    memory, rng = GuardedMemory(64_000), np.random.default_rng(used)
    for stride in LENGTHS:
        elements = rng.integers(0, 2 ** min(used, 8 * itemsize), 8 * stride, np.uint64, endpoint=False)
        elements = elements.astype(f"u{itemsize}")
        out = unshuffled(planes_of(elements), itemsize, memory)
        np.testing.assert_array_equal(out.view(elements.dtype), elements)


@pytest.mark.parametrize("itemsize", [1, 2, 4])
def test_any_one_bit_of_a_block_finds_its_element(itemsize):
    memory = GuardedMemory(4096)
    for bit in range(8 * itemsize):
        for place in (0, 7, 8, 255, 511, 512, 519):
            elements = np.zeros(520, f"u{itemsize}")
            elements[place] = 1 << bit
            out = unshuffled(planes_of(elements), itemsize, memory)
            np.testing.assert_array_equal(out.view(elements.dtype), elements)


PROGRAM = """
import numpy as np
from livem.kernels.bslz4 import encode
from livem.kernels.encoded.frames import decode_frames
for dtype in ("uint8", "uint16", "uint32"):
    for dose in (0.1, 300):
        frame = np.random.default_rng(0).poisson(dose, (130, 70)).astype(dtype)
        blob = np.frombuffer(encode(frame), np.uint8)
        out, status = np.zeros((1, 130, 70), dtype), np.ones(1, np.int8)
        decode_frames(blob, np.array([0, blob.size]), out, status)
        assert status[0] == 0 and (out[0] == frame).all(), (dtype, dose)
"""


@pytest.mark.slow
@pytest.mark.parametrize("processor", [("generic", ""), ("haswell", "+ssse3,+avx,+avx2,+bmi,+bmi2,+popcnt")])
def test_other_processors_decode_the_same(processor, tmp_path):
    """Without byte shuffles, and without AVX-512 and GFNI: each has code of its own."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the processors of this test are x86-64")
    name, features = processor
    environment = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env={**os.environ, **environment})
