"""Parts of the newest frame for windows elsewhere: each as fine as that window shows it.

Their outputs ``frame@0``, ``frame@1``, ... say in ``cutout`` what they are. They go to the relay alone
(session/relay_loop.py), which asks for them: the parameter ``views`` of a preview is all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.cutouts import Cutout
from ...kernels.display import Mode, live_areas
from ...kernels.masks import Mask
from ...stream.results import CUT

MOST_VIEWS = 16
"""Windows elsewhere at a time; each costs a worker 1 to 7 ms a frame of 4096 x 4096."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One part of one frame."""

    wanted: Cutout
    """As it was asked for."""
    corner: tuple[int, int]
    """(y, x) of its first pixel in the frame."""
    image: npt.NDArray[Any]
    valid: Mask | None
    """(ny, nx) with a live pixel behind; None = all."""
    factor: int

    def attrs(self, shape: tuple[int, int]) -> dict[str, Any]:
        """What its result says beside what the frame's does; ``shape`` (h, w) of the frame."""
        cut = {"corner": list(self.corner), "factor": self.factor, "shape": list(shape)}
        return {"factor": self.factor, CUT: cut, "cutout": self.wanted.plain()}


def parse_views(name: str, value: object) -> tuple[Cutout, ...]:
    """A list of ``[top, left, bottom, right, factor]``. Raises PipelineError."""
    cutouts = [Cutout.parse(one) for one in value] if isinstance(value, list) else [None]
    if None in cutouts or len(cutouts) > MOST_VIEWS:
        raise PipelineError(
            f"consumer {name!r}: views = {str(value)[:80]}; it must be a list of at most {MOST_VIEWS} "
            "[top, left, bottom, right, factor]"
        )
    return tuple(dict.fromkeys(one for one in cutouts if one is not None))


def views_of(
    frame: npt.NDArray[Any], cutouts: tuple[Cutout, ...], mode: Mode, live: Mask | None
) -> tuple[View, ...]:
    """The parts of a frame (h, w) that are wanted; ``live`` (h, w) are the pixels that count."""
    views = []
    for wanted in cutouts:
        cutout = wanted.within(frame.shape)
        image, factor = cutout.take(frame, mode, live)
        valid = None if live is None else live_areas(live[cutout.place], factor)
        views.append(View(wanted, (cutout.top, cutout.left), image, valid, factor))
    return tuple(views)
