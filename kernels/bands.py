"""Rows of one picture by two threads: bands from one pile, and nobody waits for a thread that has no time.

Knows neither pictures nor loops: only what lets the GIL go gains from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait


def banded(do: Callable[[int, int], bool], rows: int, band: int, helper: Executor | None = None) -> bool:
    """Do all rows, ``band`` of them at a time; True when all bands said True.

    Parameters
    ----------
    do : rows from .. to - 1; after one False nothing is begun any more.
    helper : whose thread takes bands too, beside this one. Where it gets no core it takes none and is not
        waited for; else for the band at most that it is busy with. None: all rows are done at once, here.

    Raises
    ------
    Exception
        What ``do`` raised, in either thread.
    """
    if helper is None or rows <= band:
        return do(0, rows)
    pile = iter(range(0, rows, band))
    other = helper.submit(_take, do, rows, band, pile)
    try:
        mine = _take(do, rows, band, pile)
    finally:
        if not other.cancel():
            wait([other])  # nobody leaves while another one writes
    return (other.cancelled() or other.result()) and mine


def _take(do: Callable[[int, int], bool], rows: int, band: int, pile: Iterator[int]) -> bool:
    for begin in pile:  # the iterator of a range gives each number to one thread only
        if not do(begin, min(rows, begin + band)):
            for _ in pile:
                """Nothing is begun any more."""
            return False
    return True
