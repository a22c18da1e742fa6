"""Frames to move about: a warm source of stamped blocks, and what copying them costs by itself.

The first and the last word of each frame say which frame of the source it is; a reader checks both.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

SOURCE_BLOCKS = 4
"""Blocks of 8 MiB that are sent in turn: more than a core's L2 holds, and always mapped."""


def stamped_frames(count: int, words: int) -> Words:
    """(count, words) uint16 frames of noise; the first and last word of each are its number."""
    frames = np.random.default_rng(0).integers(0, 1 << 12, (count, words), np.uint16)
    frames[:, 0] = frames[:, -1] = np.arange(count)
    return frames


def stamps(count: int, period: int) -> Words:
    """(period, count) what ``count`` frames say, by the number of the first modulo ``period``."""
    return ((np.arange(period)[:, None] + np.arange(count)) % period).astype(np.uint16)


def wrong_frames(payload: Bytes, first: int, expected: Words) -> int:
    """How many frames of a block that begins with frame ``first`` do not carry their stamps."""
    period, count = expected.shape
    frames = payload.view(np.uint16).reshape(count, -1)
    wanted = expected[first % period]
    good = (frames[:, 0] == wanted) & (frames[:, -1] == wanted)
    return int(count - np.count_nonzero(good))


class Source:
    """Blocks of ``frames`` frames of ``words`` uint16, given out in turn."""

    def __init__(self, frames: int, words: int) -> None:
        self.frames, self.words = frames, words
        count = max(SOURCE_BLOCKS * 64 // frames, SOURCE_BLOCKS) * frames
        self._all = stamped_frames(count, words).reshape(-1, frames * words).view(np.uint8)

    @property
    def period(self) -> int:
        """Frames after which the stamps begin again."""
        return len(self._all) * self.frames

    @property
    def block_bytes(self) -> int:
        return int(self._all.shape[1])

    def block(self, number: int) -> Bytes:
        """(block_bytes,) the bytes of block ``number``."""
        block: Bytes = self._all[number % len(self._all)]
        return block


class Copying:
    """memcpy of a source's blocks, one after another, around a buffer of ``nbytes``."""

    def __init__(self, nbytes: int) -> None:
        self._target = np.zeros(nbytes, np.uint8)
        self._target[:] = 1  # zeros() alone maps nothing

    def bytes_per_second(self, source: Source, blocks: int) -> float:
        size = source.block_bytes
        places = self._target[: len(self._target) // size * size].reshape(-1, size)
        started = time.perf_counter()
        for number in range(blocks):
            np.copyto(places[number % len(places)], source.block(number))
        return blocks * size / (time.perf_counter() - started)
