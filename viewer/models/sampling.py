"""Which pixels of a picture were measured, and which not: maps to lay over it. Knows no window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .picture import Picture

Flags = npt.NDArray[np.bool_]
MEASURED, DOUBTFUL, MISSING = "#e69f00", "#56b4e9", "#cc79a7"
"""Okabe and Ito's: told apart by every kind of colour vision."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelMap:
    """Pixels of one kind."""

    pixels: Flags
    """(ny, nx)"""
    colour: str
    words: str
    """What they are, and how many."""


def pixel_maps(picture: Picture) -> tuple[PixelMap, ...]:
    """Of an estimate: what was measured, and where it is finer than its samples tell. Of anything else: what
    was not measured. Empty where there is nothing to tell apart."""
    if picture.sampled is not None:
        fine = picture.too_fine
        doubt = () if fine is None or not fine.any() else (fine,)
        maps = [PixelMap(picture.sampled, MEASURED, _words("measured", picture.sampled))]
        return (*maps, *(PixelMap(each, DOUBTFUL, _words("finer than samples tell", each)) for each in doubt))
    if picture.of_frame or picture.valid is None or picture.valid.all():
        return ()
    missing = ~picture.valid
    return (PixelMap(missing, MISSING, _words("not measured", missing)),)


def _words(what: str, pixels: Flags) -> str:
    share = 100.0 * float(np.count_nonzero(pixels)) / max(pixels.size, 1)
    return f"{what} {share:.1f} %"
