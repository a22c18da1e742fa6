"""What a window knows: the latest result of every topic, the part each plays, the session's status.

Consumers are free to have any name: what a result is shown as follows from its kind and attrs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from ...stream.results import Result, is_removed
from ...stream.series import SeriesKey
from .archive import Archive, Browser
from .bright_field import BrightField, bright_field, is_pattern
from .detectors import RAW, DetectorBook, detector_topic
from .held import Held, Moment, Recent, hold
from .layout import Calibration, calibration_in
from .pipeline import PipelineBook
from .status import Status, parse_status
from .tracking import TrackingBook

Role = Literal["frame", "pattern", "image", "curve", "status", "other"]


def role_of(result: Result) -> Role:
    """The part that a result plays in the window."""
    if result.kind == "status":
        return "status"
    if result.kind == "curve":
        return "curve" if plottable(result) else "other"
    if result.kind != "image" or not drawable(result):
        return "other"
    if {"factor", "shape"} <= result.attrs.keys():
        return "frame"
    return "pattern" if is_pattern(result.attrs) else "image"


def plottable(result: Result) -> bool:
    """Whether a curve result is x (n,) against y (n,) or (n, c)."""
    x, y = result.arrays.get("x"), result.arrays.get("y")
    if x is None or y is None or x.dtype.kind not in "buif" or y.dtype.kind not in "buif":
        return False
    return x.ndim == 1 and y.ndim in (1, 2) and len(x) == len(y)


def drawable(result: Result) -> bool:
    """Whether an image result has pixels, and is a map of numbers or of vectors (ny, nx, 2)."""
    image = result.arrays.get("image")
    if image is None or image.size == 0 or image.dtype.kind not in "buifc":
        return False
    return image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 2)


class Session:
    """The latest of everything, and what changed."""

    def __init__(self) -> None:
        self._latest: dict[str, Result] = {}
        self._newest: SeriesKey | None = None
        self.status = Status()
        self.detectors = DetectorBook()
        self._tracking = TrackingBook()
        self.recent = Recent()
        self.held: Held | None = None
        """A moment that is looked at in place of the newest results; these go on coming."""
        self.pipeline = PipelineBook()
        self.archive = Archive()
        self.browser = Browser(self.archive, lambda: self._newest)
        self.raw = False
        """Whether corrected fields are shown as they were measured."""
        self.lost = False
        """Whether the session that gave all this is gone."""

    def take(self, results: Mapping[str, Result]) -> frozenset[str]:
        """Take new results by topic; returns the topics that something is to be drawn for."""
        for topic, result in sorted(results.items(), key=lambda item: item[1].t_ns):
            self._renew(result.series)
            if role_of(result) == "status":
                self.status = parse_status(result.attrs)
                self.archive.note(self.status)
            elif is_removed(result):
                self._forget(topic)
            else:
                self._forget_other_shapes(result)
                self._latest[topic] = result
                self.recent.see(result)
                self.detectors.see(topic, result.attrs)
                self._tracking.see(result)
        return frozenset(results)

    def keep(self, finals: Iterable[Result]) -> None:
        """Keep last results of series for browsing: their images and curves."""
        self.archive.keep(result for result in finals if role_of(result) in ("image", "curve"))

    def _forget_other_shapes(self, result: Result) -> None:
        """A detector in segments has an output for each, any other one a single output: when it becomes
        something else, what it was before is never renewed."""
        whole = detector_topic(result.topic, result.attrs)
        in_parts = "segment" in result.attrs
        for topic, other in list(self._latest.items()):
            if detector_topic(topic, other.attrs) == whole and ("segment" in other.attrs) != in_parts:
                del self._latest[topic]

    def _forget(self, topic: str) -> None:
        """A topic that is no more; with the last one of a detector goes the detector."""
        gone = self._latest.pop(topic, None)
        whole = topic if gone is None else detector_topic(topic, gone.attrs)
        if all(detector_topic(other, result.attrs) != whole for other, result in self._latest.items()):
            self.detectors.forget(whole)
        consumer = topic.partition(".")[0]
        if all(other.partition(".")[0] != consumer for other in self._latest):
            self._tracking.forget(consumer)

    @property
    def newest(self) -> SeriesKey | None:
        """The newest series, which changes apply to."""
        return self._newest

    @property
    def tracking(self) -> TrackingBook:
        """Of the moment that is shown."""
        return self._tracking if self.held is None else self.held.tracking

    @property
    def live_tracking(self) -> TrackingBook:
        """Of what comes, whatever is shown."""
        return self._tracking

    @property
    def _results(self) -> Mapping[str, Result]:
        """Of the moment that is shown, by topic."""
        return self._latest if self.held is None else self.held.results

    @property
    def latest(self) -> Iterable[Result]:
        """What is shown of every topic, and is not of an earlier series."""
        return (result for result in self._results.values() if not self.is_past(result))

    @property
    def live_frame(self) -> Result | None:
        """The newest frame, whatever is shown."""
        return self._frame_in(self._latest)

    @property
    def running(self) -> tuple[Result, ...]:
        """The newest of every topic, whatever is shown."""
        return tuple(self._latest.values())

    def hold(self, frame: Result, moment: Moment, running: Iterable[Result]) -> None:
        """Show this frame and what belongs to it, until `release`; ``running``: see `held.hold`."""
        self.held = hold(frame, moment, running, self.recent, self._tracking)

    def release(self) -> None:
        """Show the newest results again."""
        if self.held is not None:
            self._tracking.mark(self.held.tracking.marked)
        self.held = None

    @property
    def frame(self) -> Result | None:
        """The frame that is shown: of the newest series; should several consumers publish one, always the
        same."""
        return self._frame_in(self._results)

    def _frame_in(self, results: Mapping[str, Result]) -> Result | None:
        frames = [r for r in results.values() if role_of(r) == "frame"]
        return next((r for r in frames if not self.is_past(r)), frames[-1] if frames else None)

    @property
    def pattern(self) -> Result | None:
        """The newest mean diffraction pattern."""
        return next((r for r in self._results.values() if role_of(r) == "pattern"), None)

    @property
    def bright_field(self) -> BrightField | None:
        """The disk found in the newest series; None where no analysis looks for it."""
        pattern = self.pattern
        return None if pattern is None or self.is_past(pattern) else bright_field(pattern.attrs)

    @property
    def images(self) -> tuple[Result, ...]:
        """Images of the series that is shown: by consumers as the pipeline has them, of each what was
        measured, what was made of it, what that left; else in the order in which they first appeared."""
        images = [r for r in self._shown if role_of(r) == "image"]
        ranks = {edge.name: rank for rank, edge in enumerate(self.status.edges)}
        return _one_each(sorted(images, key=lambda r: _place_of(r, ranks)), self.raw)

    @property
    def curves(self) -> tuple[Result, ...]:
        """Curves of the series that is shown."""
        owns = self.tracking.owns
        return tuple(r for r in self._shown if role_of(r) == "curve" and not owns(r.topic))

    @property
    def _shown(self) -> Iterable[Result]:
        past = self.browser.shown
        return (self._results if past is None else past.results).values()

    @property
    def is_diffraction(self) -> bool:
        """Whether the live frame is a diffraction pattern: some scan image is made by a detector on it."""
        images = (r for r in self._latest.values() if role_of(r) == "image")
        return any(self.number_of(result) is not None for result in images)

    @property
    def has_frame_images(self) -> bool:
        """Whether some image is made of the newest live frame alone, as a denoiser's."""
        return any(result.attrs.get("of_frame") is True for result in self.images)

    @property
    def has_sparse_images(self) -> bool:
        """Whether some scan image is an estimate that knows which of its pixels were measured."""
        return any(r.attrs.get("estimate") and "sampled" in r.arrays for r in self.images)

    def number_of(self, result: Result) -> int | None:
        """The number of the detector that made a result; None where it is not drawn on the frame."""
        return self.detectors.number(detector_topic(result.topic, result.attrs))

    def kinds(self, consumer: str) -> Mapping[str, str]:
        """Kind of every detector of a consumer, by its name."""
        kinds = {}
        for topic, result in self._latest.items():
            owner, _, name = detector_topic(topic, result.attrs).partition(".")
            if owner == consumer and isinstance(result.attrs.get("kind"), str):
                kinds[name] = str(result.attrs["kind"])
        return kinds

    @property
    def has_tracks(self) -> bool:
        """Whether there are particles to show: of past series none are kept."""
        return self._tracking.particles is not None and self.browser.shown is None

    def is_stale(self, result: Result) -> bool:
        """Whether nothing will renew a result, though it is shown as if: its series is past, or the session
        is gone. What is browsed is marked otherwise."""
        return self.browser.shown is None and self.is_lost_or_past(result)

    def is_lost_or_past(self, result: Result) -> bool:
        """Whether a live picture is not live any more, whatever is browsed beside it."""
        return (self.lost and self.held is None) or self.is_past(result)

    def is_past(self, result: Result) -> bool:
        """Whether a result belongs to an earlier series than the newest one, or than the one that is held."""
        shown = self._newest if self.held is None else self.held.moment[0]
        return result.series is not None and result.series != shown

    def _renew(self, series: SeriesKey | None) -> None:
        """Take note of a series. Clocks of a restarted machine begin anew, so only order of arrival counts;
        but the last word on a series may come when the next one of the same sender has begun."""
        newest = self._newest
        if series is None or (newest and series.epoch == newest.epoch and series.number < newest.number):
            return
        if series != newest:
            self._tracking.begin()
        self._newest = series


def _place_of(result: Result, ranks: Mapping[str, int]) -> tuple[int, int]:
    """Of an image among others: of its consumer, and of its part in what that shows."""
    consumer, _, output = result.topic.partition(".")
    known = {RAW.lstrip("."): 0, "image": 1}
    part = 3 if result.attrs.get("kind") == "residual" else known.get(output, 2)
    return ranks.get(consumer, len(ranks)), part


def _one_each(images: list[Result], raw: bool) -> tuple[Result, ...]:
    """Of a field that comes corrected and raw, the one that is wanted, in the place of the corrected one."""
    topics = {result.topic for result in images}
    raws = {r.topic.removesuffix(RAW): r for r in images if r.topic.endswith(RAW)}
    both = topics & raws.keys()
    shown = [r for r in images if r.topic.removesuffix(RAW) not in both or not r.topic.endswith(RAW)]
    return tuple(raws[r.topic] if raw and r.topic in both else r for r in shown)


def pane_of(result: Result) -> str:
    """The pane that shows an image: a field has the same one, raw or corrected."""
    return result.topic.removesuffix(RAW)


def frame_shape(frame: Result) -> tuple[int, int]:
    """(h, w) of the full frame behind a live-frame result."""
    h, w = frame.attrs["shape"]
    return int(h), int(w)


def frame_factor(frame: Result) -> int:
    """How many frame pixels make one of the preview's."""
    return max(1, int(frame.attrs.get("factor", 1)))


def calibration_of(result: Result) -> Calibration:
    """Size of a pixel of the full frame, or of the scan; what an image that was made of a frame says."""
    is_frame = role_of(result) in ("frame", "pattern") or result.attrs.get("of_frame") is True
    if is_frame:
        return calibration_in(result.attrs)
    scan = {"pixel_size": result.attrs.get("scan_step"), "pixel_unit": result.attrs.get("scan_unit")}
    return calibration_in(scan)
