"""A measured frame and what was made of it, held against each other: by a line, blinking, or as a difference.

Only pictures of one and the same frame are ever paired, whichever of them comes first. Knows no window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...stream.results import CUT, Result
from .picture import Picture, scan_picture

Mode = Literal["off", "swipe", "blink", "difference"]
BLINK_S = 0.5
"""Seconds that each of the two is shown: what differs is seen to jump, and each can still be looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two pictures of one frame, pixel by pixel."""

    measured: Result
    processed: Result


def pair_of(results: Iterable[Result]) -> Pair | None:
    """The first estimate of a frame for which the measured one is there too; None where there is none."""
    of_frame = [result for result in results if _is_of_frame(result)]
    estimates = [result for result in of_frame if result.attrs.get("estimate")]
    measured = [result for result in of_frame if not result.attrs.get("estimate")]
    return next(_pairs(estimates, measured), None)


def _pairs(estimates: list[Result], measured: list[Result]) -> Iterator[Pair]:
    for estimate in estimates:
        mine = sorted(measured, key=lambda one: _owner(one) != _owner(estimate))
        yield from (Pair(one, estimate) for one in mine if _same_frame(one, estimate))


def _is_of_frame(result: Result) -> bool:
    if result.kind != "image" or not isinstance(result.attrs.get("index"), int):
        return False
    return result.arrays["image"].ndim == 2


def _same_frame(one: Result, other: Result) -> bool:
    """One frame, one grid, one unit: a residual is none of the two."""
    return (
        (one.series, one.attrs["index"]) == (other.series, other.attrs["index"])
        and one.arrays["image"].shape == other.arrays["image"].shape
        and one.attrs.get("factor", 1) == other.attrs.get("factor", 1)
        and one.attrs.get(CUT) == other.attrs.get(CUT)
        and one.units.get("image", "") == other.units.get("image", "")
    )


def _owner(result: Result) -> str:
    return result.topic.partition(".")[0]


class Comparison:
    """What is compared, and how."""

    def __init__(self) -> None:
        self.mode: Mode = "off"
        self.share = 0.5
        """Where the swipe line is, from 0 (left) to 1."""
        self.pair: Pair | None = None

    def see(self, results: Iterable[Result]) -> None:
        """Take the newest results; while the two are of different frames, the last pair stays."""
        of_frame = tuple(result for result in results if _is_of_frame(result))
        if not any(result.attrs.get("estimate") for result in of_frame):
            self.pair = None
        elif (pair := pair_of(of_frame)) is not None:
            known = self.pair
            if known is None or (known.measured, known.processed) != (pair.measured, pair.processed):
                self.pair = pair

    def toggle(self, mode: Mode) -> None:
        """Compare in this way, or no more."""
        self.mode = "off" if mode == self.mode else mode

    @property
    def is_on(self) -> bool:
        """Whether there is something to compare, and it is wanted."""
        return self.mode != "off" and self.pair is not None

    def picture(self, now: float) -> Picture | None:
        """What is drawn at time ``now`` (s); None while nothing is compared."""
        if self.pair is None or self.mode == "off":
            return None
        measured, processed = _picture(self.pair.measured), _picture(self.pair.processed)
        if self.mode == "difference":
            return _difference(measured, processed)
        if self.mode == "blink":
            return processed if self.shows_processed(now) else measured
        title = f"{measured.title}  |  {processed.title}"
        return replace(measured, title=title, caption=f"right of the line: {processed.caption}")

    def beside(self) -> Picture | None:
        """What is drawn right of the swipe line."""
        if self.pair is None or self.mode != "swipe":
            return None
        return _picture(self.pair.processed)

    def shows_processed(self, now: float) -> bool:
        """Of the two that blink, which has its turn."""
        return self.mode == "blink" and int(now / BLINK_S) % 2 == 1

    @property
    def levels_of(self) -> Picture | None:
        """The picture whose levels both are drawn with: the measured one."""
        return None if self.pair is None or self.mode == "difference" else _picture(self.pair.measured)

    def state(self, now: float) -> tuple[Any, ...]:
        """All that the drawing depends on."""
        return (self.pair, self.mode, self.share, self.shows_processed(now)) if self.is_on else ()


def _picture(result: Result) -> Picture:
    factor = result.attrs.get("factor", 1)
    drawn = scan_picture(result, past=False)
    word = "estimate" if result.attrs.get("estimate") else "measured"
    title = f"{word}: {result.topic}"
    if CUT in result.attrs:
        return replace(drawn, title=title)
    return replace(drawn, title=title, factor=factor if isinstance(factor, int) and factor > 0 else 1)


def _difference(measured: Picture, processed: Picture) -> Picture:
    """What the estimate added to each pixel, in the unit of both."""
    with np.errstate(invalid="ignore"):
        image = processed.image.astype(np.float32) - measured.image.astype(np.float32)
    valid = np.isfinite(image)
    for each in (measured, processed):
        if each.valid is not None:
            valid &= each.valid
    title = f"{processed.title}  \N{MINUS SIGN}  {measured.title}"
    return replace(processed, image=image, valid=valid, title=title, is_signed=True, sampled=None)
