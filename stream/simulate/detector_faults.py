"""What is wrong with a simulated detector: dead pixels, hot ones, an end of its counting.

Changes finished frames; knows no specimen.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

MARGIN = 2
"""px from the edge and from each other, so that every faulty pixel has sound neighbours."""


class Faults(Protocol):
    """The options of a simulator that has them."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def seed(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def hot(self) -> int: ...
    @property
    def saturation(self) -> int: ...


def faulty_places(options: Faults) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(k, 2) dead and (k, 2) hot pixels (y, x), by the seed alone; fewer where the frame has no room."""
    h, w = options.shape
    step = MARGIN + 1
    rows, columns = np.arange(MARGIN, h - MARGIN, step), np.arange(MARGIN, w - MARGIN, step)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    chosen = np.random.default_rng([options.seed, 9]).permutation(grid)
    return chosen[: options.dead], chosen[options.dead : options.dead + options.hot]


def spoil(stock: npt.NDArray[Any], options: Faults) -> None:
    """Frames (n, h, w) as the faulty detector reads them: dead pixels 0, hot ones at their end; in place."""
    end = options.saturation or int(np.iinfo(stock.dtype).max)
    if options.saturation:
        np.minimum(stock, stock.dtype.type(end), out=stock)
    dead, hot = faulty_places(options)
    stock[:, dead[:, 0], dead[:, 1]] = 0
    stock[:, hot[:, 0], hot[:, 1]] = end


def said_of_faults(options: Faults) -> dict[str, Any]:
    """What the detector knows of itself: where it ends counting, and not which pixels are broken."""
    return {"saturation": options.saturation} if options.saturation else {}
