"""Shapes on the frame: what a mouse can take hold of, and what a drag makes of them. Knows no names.

Coordinates are pixels of the full frame, (y, x), pixel centres are integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Point = tuple[float, float]
Kind = Literal["disk", "com", "annulus", "segments", "rectangle"]
Grip = Literal["move", "inner", "outer", "corner"]
RINGS = ("annulus", "segments")
"""Kinds with an inner edge."""

MIN_RADIUS = 1.0
"""Smallest disk: wherever its centre is, some pixel centre is nearer than this."""
MIN_WIDTH = 1.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """A disk (inner = 0; also that of a centre of mass), a ring, whole or in segments, or a rectangle."""

    kind: Kind
    center: Point
    inner: float = 0.0
    outer: float = 0.0
    half: Point = (0.0, 0.0)
    """Half sides (y, x); rectangles only."""
    spokes: tuple[float, ...] = ()
    """Directions between segments in degrees, from right towards below; segments only."""

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
    has_edge = geometry.kind == "annulus" or (geometry.kind == "segments" and geometry.inner > 0)
    if has_edge and to_inner < reach and to_inner <= to_outer:
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
    smallest = geometry.inner + MIN_WIDTH if geometry.kind in RINGS else MIN_RADIUS
    return replace(geometry, outer=_clamp(radius, smallest, math.hypot(*frame)))


def _inside(point: tuple[float, ...], frame: tuple[int, int]) -> Point:
    y, x = point
    return (_clamp(y, 0.0, frame[0] - 1.0), _clamp(x, 0.0, frame[1] - 1.0))


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), max(low, high))
