"""Threads that share the work on a frame; results are the same for any number. Kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class Workers:
    """So many threads, the caller's among them waiting.

    Parameters
    ----------
    threads : 1: the caller's own.
    """

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}: give 1 or more")
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "denoise") if threads > 1 else None

    def map(self, work: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """What the work makes of each item, in their order."""
        return list(map(work, items) if self._pool is None else self._pool.map(work, items))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


ALONE = Workers()
"""The caller's thread."""
