"""A moment that is looked at while live goes on: one frame, and only what belongs to it.

What is made of single frames comes at its own pace: of the frame that is held there may be none. Then that is
said, and nothing else is put in its place. Knows no window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...stream.results import Result
from ...stream.series import SeriesKey
from .tracking import TrackingBook

REMEMBERED_BYTES = 96 << 20
"""Of what came last and is of one frame: 6 s of a frame and its estimate of 256 x 256 at 30 Hz."""
AS_OF, HELD, UNAVAILABLE = "as_of", "held", "unavailable"
"""Attributes: a running picture as it was at a frame; a frame that is not the live one; a picture that there
is none of."""
Moment = tuple[SeriesKey, int]


def moment_of(result: Result) -> Moment | None:
    """The frame that a result is of; None of what runs over a series."""
    index = result.attrs.get("index")
    if result.series is None or type(index) is not int:
        return None
    image = result.kind == "image" and (
        result.attrs.get("of_frame") is True or {"factor", "shape"} <= result.attrs.keys()
    )
    table = result.kind == "table" and "particle" in result.arrays
    return (result.series, index) if image or table else None


class Recent:
    """What came last of single frames, by frame; bounded in bytes, the newest stay."""

    def __init__(self, limit: int = REMEMBERED_BYTES) -> None:
        self._limit = limit
        self._nbytes = 0
        self._by_moment: dict[Moment, dict[str, Result]] = {}

    def see(self, result: Result) -> None:
        """Keep it, if it is of one frame."""
        moment = moment_of(result)
        if moment is None:
            return
        results = self._by_moment.setdefault(moment, {})
        before = results.get(result.topic)
        results[result.topic] = result
        self._nbytes += result.nbytes - (0 if before is None else before.nbytes)
        while self._nbytes > self._limit and len(self._by_moment) > 1:
            gone = self._by_moment.pop(next(iter(self._by_moment)))
            self._nbytes -= sum(each.nbytes for each in gone.values())

    def of(self, moment: Moment) -> Mapping[str, Result]:
        """By topic."""
        return self._by_moment.get(moment, {})

    def tables(self, consumer: str, moment: Moment) -> list[Result]:
        """A tracker's tables of a frame and of those before it in its series, in their order."""
        key, index = moment
        found = [
            (each[1], result)
            for each, results in self._by_moment.items()
            if each[0] == key and each[1] <= index
            for result in results.values()
            if result.kind == "table" and result.topic.partition(".")[0] == consumer
        ]
        return [result for _, result in sorted(found, key=lambda one: one[0])]

    def fullest(self, series: SeriesKey | None) -> Moment | None:
        """Of the last frames the one that most is there of; of several the newest."""
        last = [moment for moment in self._by_moment if moment[0] == series][-32:]
        return max(last, key=lambda moment: (len(self._by_moment[moment]), moment[1]), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What is shown of one frame."""

    moment: Moment
    results: Mapping[str, Result]
    tracking: TrackingBook


def hold(
    frame: Result, moment: Moment, running: Iterable[Result], recent: Recent, tracking: TrackingBook
) -> Held:
    """Put together what belongs to a frame.

    Parameters
    ----------
    frame
        Its picture.
    running
        The newest of every topic, when live was left: which pictures there are, and those that run over the
        series.
    recent
        What came of single frames.
    tracking
        What is known of particles now.
    """
    there = recent.of(moment)
    results = {frame.topic: replace(frame, attrs={**frame.attrs, HELD: True})}
    for result in running:
        if result.topic == frame.topic or {"factor", "shape"} <= result.attrs.keys():
            continue
        if moment_of(result) is None:
            if result.series in (None, moment[0]):
                results[result.topic] = _as_of(result)
        elif result.kind == "image":
            results[result.topic] = there.get(result.topic) or unavailable(result, moment)
    tables = recent.tables(tracking.consumer, moment)
    return Held(moment, results, tracking.at(tables, moment[1]))


def _as_of(result: Result) -> Result:
    return replace(result, attrs={**result.attrs, AS_OF: max(result.frames[1] - 1, 0)})


def unavailable(result: Result, moment: Moment) -> Result:
    """In place of a picture of another frame: nothing, and that it is nothing."""
    key, index = moment
    nothing = np.full(result.arrays["image"].shape[:2], np.nan, np.float32)
    kept = ("of_frame", "factor", "pixel_size", "pixel_unit")
    attrs = {name: result.attrs[name] for name in kept if name in result.attrs}
    return replace(
        result, series=key, arrays={"image": nothing}, attrs={**attrs, "index": index, UNAVAILABLE: True}
    )
