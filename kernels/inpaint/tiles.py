"""Overlapping tiles of an image, so that a solver whose cost grows faster than the pixels stays linear.

Knows no solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

TILE, OVERLAP = 256, 32
"""Sides beyond 1.5 tiles are cut into about such pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A piece of the image."""

    place: tuple[slice, slice]
    share: Array
    """(ty, tx) of this piece in the result; the shares of a pixel sum to 1."""


def cut_into_tiles(ny: int, nx: int) -> list[Tile]:
    """Tiles that cover (ny, nx), in raster order; results are added up, times their shares."""
    return [
        Tile((rows, columns), np.outer(y, x)) for (rows, y), (columns, x) in product(_cuts(ny), _cuts(nx))
    ]


def _cuts(n: int) -> list[tuple[slice, Array]]:
    """Pieces of a side, each with its share: ramps over the overlaps."""
    if n <= 1.5 * TILE:
        return [(slice(0, n), np.ones(n, np.float32))]
    count = math.ceil((n - OVERLAP) / (TILE - OVERLAP))
    ramp = ((np.arange(OVERLAP) + 0.5) / OVERLAP).astype(np.float32)
    cuts = []
    for i, (first, last) in enumerate(pairwise(round(i * (n - OVERLAP) / count) for i in range(count + 1))):
        share = np.ones(last + OVERLAP - first, np.float32)
        if i:
            share[:OVERLAP] = ramp
        if i < count - 1:
            share[-OVERLAP:] = ramp[::-1]
        cuts.append((slice(first, last + OVERLAP), share))
    return cuts
