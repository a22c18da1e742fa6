"""What a window knows: the latest result of every topic, the part each plays, the session's status.

Consumers are free to have any name: what a result is shown as follows from its kind and attrs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...stream.results import Result
from ...stream.series import SeriesKey
from .detectors import DetectorBook
from .layout import UNCALIBRATED, Calibration, Sections
from .status import Status, parse_status

Role = Literal["frame", "image", "curve", "status", "other"]


def role_of(result: Result) -> Role:
    """The part that a result plays in the window."""
    if result.kind == "status":
        return "status"
    if result.kind == "curve":
        return "curve" if plottable(result) else "other"
    if result.kind != "image" or not drawable(result):
        return "other"
    return "frame" if {"factor", "shape"} <= result.attrs.keys() else "image"


def plottable(result: Result) -> bool:
    """Whether a curve result is x (n,) against y (n,) or (n, c)."""
    x, y = result.arrays.get("x"), result.arrays.get("y")
    if x is None or y is None or x.dtype.kind not in "buif" or y.dtype.kind not in "buif":
        return False
    return x.ndim == 1 and y.ndim in (1, 2) and len(x) == len(y)


def drawable(result: Result) -> bool:
    """Whether an image result has pixels, and is a map of values or of vectors (ny, nx, 2)."""
    image = result.arrays.get("image")
    if image is None or image.size == 0 or image.dtype.kind not in "buif":
        return False
    return image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 2)


class Session:
    """The latest of everything, and what changed."""

    def __init__(self) -> None:
        self._latest: dict[str, Result] = {}
        self._newest: SeriesKey | None = None
        self.status = Status()
        self.detectors = DetectorBook()
        self.lost = False
        """Whether the session that gave all this is gone."""

    def take(self, results: Mapping[str, Result]) -> frozenset[str]:
        """Take new results by topic; returns the topics that something is to be drawn for."""
        for topic, result in sorted(results.items(), key=lambda item: item[1].t_ns):
            self._renew(result.series)
            if role_of(result) == "status":
                self.status = parse_status(result.attrs)
            else:
                self._latest[topic] = result
                self.detectors.see(topic, result.attrs)
        return frozenset(results)

    @property
    def frame(self) -> Result | None:
        """The live frame: of the newest series; should several consumers publish one, always the same."""
        frames = [r for r in self._latest.values() if role_of(r) == "frame"]
        return next((r for r in frames if not self.is_past(r)), frames[-1] if frames else None)

    @property
    def images(self) -> tuple[Result, ...]:
        """Scan images, in the order in which they first appeared."""
        return tuple(r for r in self._latest.values() if role_of(r) == "image")

    @property
    def curves(self) -> tuple[Result, ...]:
        return tuple(r for r in self._latest.values() if role_of(r) == "curve")

    @property
    def is_diffraction(self) -> bool:
        """Whether the live frame is a diffraction pattern: some scan image is made by a detector on it."""
        return any(self.detectors.number(result.topic) is not None for result in self.images)

    @property
    def sections(self) -> Sections:
        """Which parts of the window have something to show."""
        return Sections(self.frame is not None, bool(self.images), bool(self.curves))

    def is_stale(self, result: Result) -> bool:
        """Whether nothing will renew a result: its series is past, or the session is gone."""
        return self.lost or self.is_past(result)

    def is_past(self, result: Result) -> bool:
        """Whether a result belongs to an earlier series than the newest one."""
        return result.series is not None and result.series != self._newest

    def _renew(self, series: SeriesKey | None) -> None:
        """Take note of a series. Clocks of a restarted machine begin anew, so only order of arrival counts;
        but the last word on a series may come when the next one of the same sender has begun."""
        newest = self._newest
        if series is None or (newest and series.epoch == newest.epoch and series.number < newest.number):
            return
        self._newest = series


def frame_shape(frame: Result) -> tuple[int, int]:
    """(h, w) of the full frame behind a live-frame result."""
    h, w = frame.attrs["shape"]
    return int(h), int(w)


def frame_factor(frame: Result) -> int:
    """How many frame pixels make one of the preview's."""
    return max(1, int(frame.attrs["factor"]))


def calibration_of(result: Result) -> Calibration:
    """Size of a pixel of the full frame, or of the scan."""
    prefix = "pixel" if role_of(result) == "frame" else "scan"
    size = result.attrs.get("pixel_size" if prefix == "pixel" else "scan_step")
    unit = result.attrs.get(f"{prefix}_unit")
    if not isinstance(size, (int, float)) or not unit or not size > 0:
        return UNCALIBRATED
    return Calibration(float(size), str(unit))
