"""Memory whose next byte may not be touched: a kernel that reads or writes one too many dies on the spot."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
import numpy.typing as npt
import pytest

PROT_NONE = 0


class GuardedMemory:
    """Up to ``size`` bytes that end where a page begins that nobody may touch; Linux only."""

    def __init__(self, size: int) -> None:
        if sys.platform != "linux":
            pytest.skip("guard pages are set up by Linux's mprotect")
        page = mmap.PAGESIZE
        self._size = -(-size // page) * page
        self._map = mmap.mmap(-1, self._size + page)
        self._bytes = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        guard = ctypes.c_void_p(self._bytes.ctypes.data + self._size)
        assert libc.mprotect(guard, ctypes.c_size_t(page), PROT_NONE) == 0, ctypes.get_errno()

    def last(self, size: int) -> npt.NDArray[np.uint8]:
        """The last ``size`` bytes before the guard, writable."""
        return self._bytes[self._size - size : self._size]

    def holding(self, data: bytes) -> npt.NDArray[np.uint8]:
        """``data`` there; overwritten by the next call."""
        place = self.last(len(data))
        place[:] = np.frombuffer(data, np.uint8)
        return place
