"""XXH64 against the values that its specification and its reference program give."""

from __future__ import annotations

import numpy as np
import pytest

from livem.stream.checksum import checksum, checksums

# From the reference program xxhsum 0.8 (-H1), seed 0.
KNOWN = {
    b"": 0xEF46DB3751D8E999,
    b"a": 0xD24EC4F1A98C6E5B,
    b"abc": 0x44BC2CF5AD770999,
    b"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
}


@pytest.mark.parametrize("data", KNOWN)
def test_known_values(data):
    assert checksum(data) == KNOWN[data]


def test_each_of_several_is_as_if_alone():
    data = np.random.default_rng(0).integers(0, 256, 5000, np.uint8)
    data.flags.writeable = False
    sizes = np.array([0, 1, 3, 4, 7, 8, 31, 32, 33, 64, 100, 1001])
    ends = np.cumsum(sizes)
    alone = [checksum(data[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    assert checksums(data, ends).tolist() == alone


def test_every_flipped_bit_shows():
    data = np.random.default_rng(1).integers(0, 256, 75, np.uint8)
    sums = {checksum(data)}
    for bit in range(8 * data.size):
        data[bit // 8] ^= 1 << bit % 8
        sums.add(checksum(data))
        data[bit // 8] ^= 1 << bit % 8
    assert len(sums) == 8 * data.size + 1


@pytest.mark.parametrize("ends", [[-1], [11], [5, 4]])
def test_a_payload_outside_the_data_is_refused(ends):
    with pytest.raises(ValueError, match="end at"):
        checksums(np.zeros(10, np.uint8), np.array(ends, np.int64))
