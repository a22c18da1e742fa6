"""Which frames have been seen: what makes merging the same frames twice harmless."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..stream.series import IndexArray

PAGE_BITS = 16
PAGE = 1 << PAGE_BITS


class FrameSet:
    """A set of frame indices: one bit a frame in pages of 65536, and nothing for a page that is full."""

    def __init__(self) -> None:
        self._pages: dict[int, npt.NDArray[np.uint8]] = {}
        self._full: set[int] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, indices: IndexArray) -> npt.NDArray[np.bool_]:
        """Add indices, (n,) without repeats; returns (n,) True for those that were not in before."""
        if not len(indices):
            return np.zeros(0, bool)
        first, last = int(indices.min()) >> PAGE_BITS, int(indices.max()) >> PAGE_BITS
        if first == last and first not in self._full:
            new = self._add_to_page(first, indices & (PAGE - 1))
            self._count += int(np.count_nonzero(new))
            return new
        new = np.zeros(len(indices), bool)
        numbers = indices >> PAGE_BITS
        for number in np.unique(numbers).tolist():
            here = numbers == number
            if number not in self._full:
                new[here] = self._add_to_page(number, indices[here] & (PAGE - 1))
        self._count += int(np.count_nonzero(new))
        return new

    def _add_to_page(self, number: int, offsets: IndexArray) -> npt.NDArray[np.bool_]:
        page = self._pages.setdefault(number, np.zeros(PAGE // 8, np.uint8))
        places, bits = offsets >> 3, (1 << (offsets & 7)).astype(np.uint8)
        new: npt.NDArray[np.bool_] = (page[places] & bits) == 0
        np.bitwise_or.at(page, places, bits)
        if (page == 255).all():
            del self._pages[number]
            self._full.add(number)
        return new
