"""Detectors behind results: which parameter holds each, what it is shown as, and what a drag asks for.

Coordinates are pixels of the full frame, (y, x), pixel centres are integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .geometry import Geometry, Point
from .numbers import level_text, positive

DIGITS = 2
"""Decimals that a drag may set: finer than a screen shows, and short to read in a pipeline file."""
RAW = ".raw"
"""Ending of the topic that shows, uncorrected, what another one shows corrected."""
KEPT: Mapping[str, tuple[str, ...]] = {
    "com": ("rotation", "flip", "descan"),
    "segments": ("count", "rotation"),
}
"""Keys of a detector's table that a drag leaves as they are."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A geometry and the parameter that holds it."""

    topic: str
    """ "consumer.detector"; of several outputs that belong to one detector (segments), without endings."""
    consumer: str
    parameter: str
    geometry: Geometry
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What a drag leaves as it is."""
    mrad_per_px: float | None = None

    @property
    def value(self) -> dict[str, Any]:
        """What to set the parameter to, as a pipeline file would say it."""
        return parameter_value(self.geometry) | dict(self.kept)


def detector_topic(topic: str, attrs: Mapping[str, Any]) -> str:
    """The topic of the detector that a result belongs to: "vd.q" for "vd.q.s0" (a segment) or "vd.q.raw"."""
    is_part = "segment" in attrs or topic.endswith(RAW)
    return topic.rpartition(".")[0] if is_part and topic.count(".") > 1 else topic


def geometry_of(attrs: Mapping[str, Any]) -> Geometry | None:
    """The geometry that a result's attrs describe; None where there is none to draw."""
    reader = READERS.get(str(attrs.get("kind")))
    if reader is None:
        return None
    try:
        return reader(attrs)
    except (KeyError, TypeError, ValueError):
        return None


def detector_of(topic: str, attrs: Mapping[str, Any]) -> Detector | None:
    """The draggable detector behind the result `topic`, "consumer.output"."""
    geometry = geometry_of(attrs)
    whole = detector_topic(topic, attrs)
    consumer, dot, output = whole.partition(".")
    if geometry is None or not dot:
        return None
    kept = {key: attrs[key] for key in KEPT.get(geometry.kind, ()) if key in attrs}
    return Detector(whole, consumer, f"detectors.{output}", geometry, kept, mrad_per_px_of(attrs))


def mrad_per_px_of(attrs: Mapping[str, Any]) -> float | None:
    """Of a detector that says its lengths (radius, inner, outer) in px and in mrad."""
    angles = attrs.get("mrad")
    for key, angle in angles.items() if isinstance(angles, Mapping) else ():
        here, there = positive(attrs.get(key)), positive(angle)
        if here and there:
            return there / here
    return None


def lengths_text(geometry: Geometry, mrad_per_px: float | None = None) -> str:
    """ "60 .. 180 mrad", "r 12 px", "30 x 40 px": how large a detector is, in angles where they are known."""
    if geometry.kind == "rectangle":
        height, width = (level_text(2 * half) for half in geometry.half)
        return f"{height} x {width} px"
    scale, unit = (1.0, "px") if mrad_per_px is None else (mrad_per_px, "mrad")
    outer = level_text(geometry.outer * scale)
    if geometry.inner <= 0:
        return f"r {outer} {unit}"
    return f"{level_text(geometry.inner * scale)} .. {outer} {unit}"


def parameter_value(geometry: Geometry) -> dict[str, Any]:
    """The value that sets a virtual detector to `geometry`, as a pipeline file would say it."""
    value: dict[str, Any] = {"kind": geometry.kind, "center": _rounded(geometry.center)}
    if geometry.kind == "rectangle":
        return value | {"size": _rounded((2 * geometry.half[0], 2 * geometry.half[1]))}
    if geometry.kind in ("annulus", "segments"):
        inner, outer = _rounded((geometry.inner, geometry.outer))
        return value | {"inner": inner, "outer": outer}
    return value | {"radius": round(geometry.outer, DIGITS)}


def _rounded(pair: Point) -> list[float]:
    return [round(number, DIGITS) for number in pair]


def _center(attrs: Mapping[str, Any]) -> Point:
    y, x = attrs["center"]
    return (float(y), float(x))


def _disk(attrs: Mapping[str, Any]) -> Geometry:
    return Geometry("disk", _center(attrs), outer=float(attrs["radius"]))


def _com(attrs: Mapping[str, Any]) -> Geometry:
    """Drawn where it is limited to a disk; without a radius it takes the whole frame."""
    return Geometry("com", _center(attrs), outer=float(attrs["radius"]))


def _annulus(attrs: Mapping[str, Any]) -> Geometry:
    return Geometry("annulus", _center(attrs), inner=float(attrs["inner"]), outer=float(attrs["outer"]))


def _segments(attrs: Mapping[str, Any]) -> Geometry:
    directions = [float(direction) for direction in attrs["directions"]]
    spokes = tuple((direction - 180.0 / len(directions)) % 360.0 for direction in directions)
    inner, outer = float(attrs["inner"]), float(attrs["outer"])
    return Geometry("segments", _center(attrs), inner, outer, spokes=spokes)


def _rectangle(attrs: Mapping[str, Any]) -> Geometry:
    height, width = attrs["size"]
    return Geometry("rectangle", _center(attrs), half=(float(height) / 2, float(width) / 2))


READERS: Mapping[str, Callable[[Mapping[str, Any]], Geometry]] = {
    "disk": _disk,
    "com": _com,
    "annulus": _annulus,
    "segments": _segments,
    "rectangle": _rectangle,
}

PENDING_SECONDS = 3.0
"""How long a dragged detector waits for a result that confirms it before it springs back."""
SAME = 0.02
"""Pixels within which a result's geometry confirms what a drag asked for."""


@dataclass(frozen=True, slots=True)
class _Wish:
    geometry: Geometry
    until: float


class DetectorBook:
    """Every detector of the session: as its results say, or as a drag wants it until a result confirms it."""

    def __init__(self) -> None:
        self._known: dict[str, Detector] = {}
        self._wishes: dict[str, _Wish] = {}
        self._order: dict[str, int] = {}
        self.held: str | None = None
        """Topic of the detector in the user's hand; it never springs back."""

    def see(self, topic: str, attrs: Mapping[str, Any]) -> None:
        """Take the geometry of a result."""
        detector = detector_of(topic, attrs)
        if detector is None:
            self._known.pop(topic, None)
            return
        topic = detector.topic
        self._known[topic] = detector
        self._order.setdefault(topic, len(self._order))
        wish = self._wishes.get(topic)
        if wish and topic != self.held and _same(wish.geometry, detector.geometry):
            del self._wishes[topic]

    def forget(self, topic: str) -> None:
        """There is no such detector any more; should it come again, it has its number still."""
        self._known.pop(topic, None)
        self._wishes.pop(topic, None)

    def get(self, topic: str) -> Detector | None:
        """A detector as the results say."""
        return self._known.get(topic)

    def text(self, topic: str, geometry: Geometry) -> str:
        """Its name and how large `geometry` makes it: "haadf 60 .. 180 mrad"."""
        known = self._known.get(topic)
        name = topic.partition(".")[2] or topic
        return f"{name} {lengths_text(geometry, known.mrad_per_px if known else None)}"

    def number(self, topic: str) -> int | None:
        """A number that a detector keeps as long as the window lives, to give it a colour."""
        return self._order.get(topic) if topic in self._known else None

    def wish(self, topic: str, geometry: Geometry, now: float) -> Detector | None:
        """Show `geometry` from now on; returns the detector to ask the session for.

        None where it has been taken away meanwhile, also out of the user's hand: asking would add it again.
        """
        known = self._known.get(topic)
        if known is None:
            return None
        self._wishes[topic] = _Wish(geometry, now + PENDING_SECONDS)
        return replace(known, geometry=geometry)

    def refused(self, consumer: str, parameter: str) -> None:
        """The session did not take a wish: show what it has."""
        for topic, detector in self._known.items():
            if (detector.consumer, detector.parameter) == (consumer, parameter) and topic != self.held:
                self._wishes.pop(topic, None)

    def geometries(self, now: float) -> dict[str, Geometry]:
        """What to draw, by topic."""
        for topic in [t for t, w in self._wishes.items() if now > w.until and t != self.held]:
            del self._wishes[topic]
        return {
            topic: self._wishes[topic].geometry if topic in self._wishes else detector.geometry
            for topic, detector in self._known.items()
        }


def _same(a: Geometry, b: Geometry) -> bool:
    pairs = [*zip(a.center, b.center, strict=True), *zip(a.half, b.half, strict=True)]
    pairs += [(a.inner, b.inner), (a.outer, b.outer)]
    return (a.kind, a.spokes) == (b.kind, b.spokes) and all(abs(p - q) <= SAME for p, q in pairs)
