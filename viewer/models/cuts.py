"""Pictures that are a part of an image, or were made smaller for one window: where they lie in the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...stream.results import CUT

Pixel = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """Of an image, in its own pixels."""

    corner: Pixel
    """(y, x) of the first one."""
    factor: int
    """Along one of the picture's."""
    shape: Pixel
    """(h, w) of the whole."""


def cut_in(attrs: Mapping[str, Any]) -> Cut | None:
    """What a result says of it; None for a whole image."""
    match attrs.get(CUT):
        case {"corner": [int(y), int(x)], "factor": int(factor), "shape": [int(h), int(w)]} if factor > 0:
            return Cut((y, x), factor, (h, w))
    return None
