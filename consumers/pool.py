"""A worker's threads: one piece of work each, results in the order of the pieces.

Only compiled code that lets the GIL go gains from them. Knows no frames and no consumers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 4
"""Of one worker: the receiver and other workers want their cores too."""
LEAST_FRAMES = 8
"""A range shorter than this is not worth handing over: 60 us a thread and call, as many as 4 frames take."""


def default_threads() -> int:
    """The machine's cores less one (the receiver's), at most 4, at least 1."""
    return max(1, min(MOST_THREADS, _cores() - 1))


def frame_threads() -> int:
    """The machine's cores, at most 4: of a frame that threads share, which has to be done before the next.

    The receiver needs little at such rates, and gets its turn between a frame's parts.
    """
    return min(MOST_THREADS, _cores())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ranges(count: int, parts: int, least: int = LEAST_FRAMES) -> list[tuple[int, int]]:
    """``count`` things in at most ``parts`` contiguous ranges of one length, none below ``least``."""
    parts = max(1, min(parts, count // least))
    edges = [count * i // parts for i in range(parts + 1)]
    return list(pairwise(edges))


class Pool:
    """``threads`` workers, the caller's thread among them."""

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"{threads} threads: it takes at least 1")
        self.threads = threads
        self._others = ThreadPoolExecutor(threads - 1, "frames") if threads > 1 else None

    def map(self, do: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
        """``do`` each piece, the first one here; at most ``threads`` of them. Raises what a piece raised."""
        if self._others is None or len(pieces) == 1:
            return [do(piece) for piece in pieces]
        waiting = [self._others.submit(do, piece) for piece in pieces[1:]]
        try:
            first = do(pieces[0])
        finally:
            rest = [future.exception() for future in waiting]  # nobody leaves while another reads the block
        for error in rest:
            if error is not None:
                raise error
        return [first, *(future.result() for future in waiting)]

    def close(self) -> None:
        if self._others is not None:
            self._others.shutdown(wait=True)
