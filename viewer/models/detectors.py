"""Detectors on the frame: their geometry, what a mouse can take hold of, and what a drag makes of them.

Coordinates are pixels of the full frame, (y, x), pixel centres are integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Point = tuple[float, float]
Kind = Literal["disk", "com", "annulus", "rectangle"]
Grip = Literal["move", "inner", "outer", "corner"]

MIN_RADIUS = 1.0
"""Smallest disk: wherever its centre is, some pixel centre is nearer than this."""
MIN_WIDTH = 1.0
DIGITS = 2
"""Decimals that a drag may set: finer than a screen shows, and short to read in a pipeline file."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A disk (inner = 0; also that of a centre of mass), an annulus, or a rectangle of half sides."""

    kind: Kind
    center: Point
    inner: float = 0.0
    outer: float = 0.0
    half: Point = (0.0, 0.0)
    """Half sides (y, x); rectangles only."""

    @property
    def reach(self) -> Point:
        """Half extent along y and x."""
        return self.half if self.kind == "rectangle" else (self.outer, self.outer)

    @property
    def area(self) -> float:
        """Pixels covered."""
        if self.kind == "rectangle":
            return 4.0 * self.half[0] * self.half[1]
        return math.pi * (self.outer**2 - self.inner**2)

    def contains(self, point: Point) -> bool:
        dy, dx = point[0] - self.center[0], point[1] - self.center[1]
        if self.kind == "rectangle":
            return abs(dy) <= self.half[0] and abs(dx) <= self.half[1]
        return self.inner <= math.hypot(dy, dx) < self.outer


@dataclass(frozen=True, slots=True)
class Detector:
    """A geometry and the parameter that holds it."""

    topic: str
    consumer: str
    parameter: str
    geometry: Geometry


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
    consumer, dot, output = topic.partition(".")
    if geometry is None or not dot:
        return None
    return Detector(topic, consumer, f"detectors.{output}", geometry)


def parameter_value(geometry: Geometry) -> dict[str, Any]:
    """The value that sets a virtual detector to `geometry`, as a pipeline file would say it."""
    value: dict[str, Any] = {"kind": geometry.kind, "center": _rounded(geometry.center)}
    if geometry.kind == "rectangle":
        return value | {"size": _rounded((2 * geometry.half[0], 2 * geometry.half[1]))}
    if geometry.kind == "annulus":
        inner, outer = _rounded((geometry.inner, geometry.outer))
        return value | {"inner": inner, "outer": outer}
    return value | {"radius": round(geometry.outer, DIGITS)}


def _rounded(pair: Point) -> list[float]:
    return [round(number, DIGITS) for number in pair]


def grip_at(geometry: Geometry, point: Point, tolerance: float) -> Grip | None:
    """What the mouse takes hold of at `point`: an edge within `tolerance` px, else the inside."""
    dy, dx = point[0] - geometry.center[0], point[1] - geometry.center[1]
    if geometry.kind == "rectangle":
        on_corner = (
            abs(abs(dy) - geometry.half[0]) < tolerance and abs(abs(dx) - geometry.half[1]) < tolerance
        )
        return "corner" if on_corner else "move" if geometry.contains(point) else None
    distance = math.hypot(dy, dx)
    to_inner, to_outer = abs(distance - geometry.inner), abs(distance - geometry.outer)
    # Half the band stays for moving, or a thin annulus would be all edge.
    reach = min(tolerance, max(0.25 * (geometry.outer - geometry.inner), 0.4 * tolerance))
    if geometry.kind == "annulus" and to_inner < reach and to_inner <= to_outer:
        return "inner"
    if to_outer < reach:
        return "outer"
    return "move" if geometry.contains(point) else None


def pick(geometries: Mapping[str, Geometry], point: Point, tolerance: float) -> tuple[str, Grip] | None:
    """The detector and grip under the mouse: edges before insides, small ones before large ones."""
    found = [(name, grip_at(g, point, tolerance)) for name, g in geometries.items()]
    held = [(name, grip) for name, grip in found if grip is not None]
    if not held:
        return None
    return min(held, key=lambda item: (item[1] == "move", geometries[item[0]].area))


def dragged(geometry: Geometry, grip: Grip, start: Point, point: Point, frame: tuple[int, int]) -> Geometry:
    """`geometry` after the mouse took `grip` at `start` and went to `point`, kept within the frame (h, w)."""
    if grip == "move":
        moved = tuple(c + p - s for c, p, s in zip(geometry.center, point, start, strict=True))
        return replace(geometry, center=_inside(moved, frame))
    dy, dx = point[0] - geometry.center[0], point[1] - geometry.center[1]
    if grip == "corner":
        half = (_clamp(abs(dy), MIN_RADIUS, frame[0] / 2), _clamp(abs(dx), MIN_RADIUS, frame[1] / 2))
        return replace(geometry, half=half)
    radius = math.hypot(dy, dx)
    if grip == "inner":
        return replace(geometry, inner=_clamp(radius, 0.0, geometry.outer - MIN_WIDTH))
    smallest = geometry.inner + MIN_WIDTH if geometry.kind == "annulus" else MIN_RADIUS
    return replace(geometry, outer=_clamp(radius, smallest, math.hypot(*frame)))


def _inside(point: tuple[float, ...], frame: tuple[int, int]) -> Point:
    y, x = point
    return (_clamp(y, 0.0, frame[0] - 1.0), _clamp(x, 0.0, frame[1] - 1.0))


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), max(low, high))


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


def _rectangle(attrs: Mapping[str, Any]) -> Geometry:
    height, width = attrs["size"]
    return Geometry("rectangle", _center(attrs), half=(float(height) / 2, float(width) / 2))


READERS: Mapping[str, Callable[[Mapping[str, Any]], Geometry]] = {
    "disk": _disk,
    "com": _com,
    "annulus": _annulus,
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
        self._known[topic] = detector
        self._order.setdefault(topic, len(self._order))
        wish = self._wishes.get(topic)
        if wish and topic != self.held and _same(wish.geometry, detector.geometry):
            del self._wishes[topic]

    def number(self, topic: str) -> int | None:
        """A number that a detector keeps as long as the window lives, to give it a colour."""
        return self._order.get(topic) if topic in self._known else None

    def wish(self, topic: str, geometry: Geometry, now: float) -> Detector:
        """Show `geometry` from now on; returns the detector to ask the session for."""
        self._wishes[topic] = _Wish(geometry, now + PENDING_SECONDS)
        return replace(self._known[topic], geometry=geometry)

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
    return a.kind == b.kind and all(abs(p - q) <= SAME for p, q in pairs)
