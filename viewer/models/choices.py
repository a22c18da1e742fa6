"""What a detector can be made into by a menu: the names of the field, and the value that each one is.

The session decides whether a value serves; a refusal is shown. Knows no window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from .geometry import Geometry

PRESETS: Mapping[str, str] = {
    "bf": "bright field",
    "abf": "annular bright field",
    "adf": "annular dark field",
    "haadf": "high-angle annular dark field",
    "df": "dark field",
}
OF_COM: Mapping[str, str] = {
    "icom": "integrated centre of mass",
    "dcom": "divergence of the centre of mass",
}
OF_SEGMENTS: Mapping[str, str] = {"dpc": "differential phase contrast", "idpc": "integrated DPC"}
SEGMENTS = 4
REMOVE = "remove"
"""A detector's table when it is to be no more."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the menu, and what it sets the detector's parameter to."""

    label: str
    value: Mapping[str, Any]


def free_name(name: str, kinds: Mapping[str, str]) -> str:
    """For another detector like this one: "haadf2" beside "haadf"."""
    stem = name.rstrip("0123456789") or name
    return next(each for number in count(2) if (each := f"{stem}{number}") not in kinds)


def choices(
    name: str, kinds: Mapping[str, str], geometry: Geometry | None, radius: float | None
) -> Iterator[tuple[Choice, ...]]:
    """What the detector ``name`` can become, in groups.

    Parameters
    ----------
    name : the detector that is changed.
    kinds : kind of every detector of its consumer, by name.
    geometry : where the detector is now; None where it has no place.
    radius : of the bright-field disk, px; None while it is not known.
    """
    yield tuple(Choice(f"{key}   {words}", {"preset": key}) for key, words in PRESETS.items())
    yield (Choice("com   centre of mass", {"kind": "com"}), *_segments(geometry, radius))
    yield tuple(_derived(OF_COM, "com", name, kinds)) + tuple(_derived(OF_SEGMENTS, "segments", name, kinds))
    yield (
        Choice("profile   counts against radius", {"kind": "profile"}),
        Choice("dose   electrons", {"kind": "dose"}),
        Choice("total   all counts", {"kind": "total"}),
    )


def _segments(geometry: Geometry | None, radius: float | None) -> Iterator[Choice]:
    """On the disk, where DPC is measured; while it is not known where the detector is, if it is anywhere."""
    label = f"segments   {SEGMENTS} of a ring"
    value: dict[str, Any] = {"kind": "segments", "count": SEGMENTS}
    if radius is not None:
        yield Choice(label, value | {"inner": 0.0, "outer": round(radius, 2), "center": "auto"})
    elif geometry is not None and geometry.outer > 0:
        place = [round(part, 2) for part in geometry.center]
        ends = {"inner": round(geometry.inner, 2), "outer": round(geometry.outer, 2)}
        yield Choice(label, value | ends | {"center": place})


def _derived(what: Mapping[str, str], kind: str, name: str, kinds: Mapping[str, str]) -> Iterator[Choice]:
    """One for each detector that it could be made of."""
    sources = [other for other, its in kinds.items() if its == kind and other != name]
    for key, words in what.items():
        for source in sources:
            yield Choice(f"{key}   {words} of {source}", {"kind": key, "of": source})
