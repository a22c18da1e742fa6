"""Memory that is filled again and again, but never while somebody still looks at it.

Knows bytes and who refers to them; nothing of messages.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

ALONE = 2
"""sys.getrefcount of an arena that only the pool refers to, and the question itself. Every view of an arena,
and of a view of it, refers to the arena. Where the count is higher than need be, a new arena is made."""


class Arenas:
    """Two arenas: the one that was filled last is usually free again, or else the other.

    Parameters
    ----------
    nbytes : int
        Of an arena; those for larger needs are made larger.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._arenas = [np.empty(nbytes, np.uint8), np.empty(nbytes, np.uint8)]

    def take(self, wanted: int = 0) -> Bytes:
        """At least ``wanted`` bytes that nothing refers to; what was in them is gone."""
        least = max(self._nbytes, wanted)
        arenas = self._arenas
        for _ in range(len(arenas)):  # "in arenas" would itself refer to one
            if len(arenas[0]) >= least and sys.getrefcount(arenas[0]) <= ALONE:
                return arenas[0]
            arenas.reverse()
        if len(arenas[0]) < least:
            arenas.reverse()  # the one to be replaced is one that is too small, where there is one
        arenas[1] = np.empty(least if least == self._nbytes else least + least // 4, np.uint8)
        arenas.reverse()
        return arenas[0]
