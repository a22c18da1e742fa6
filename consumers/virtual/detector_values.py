"""The values in a detector's table, checked one by one; and rectangles said in two ways.

Knows keys and their limits; no frames and no geometry beyond a rectangle's middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...errors import PipelineError
from ..option_values import hint
from ..parameters import Parameter, told_by
from .presets import PRESETS

CORNER = ("top", "left", "height", "width")
MIDDLE = ("center", "size")
UNITS = ("px", "mrad")
MAX_SEGMENTS = 64
FARTHEST = 10_000_000
"""Of a length or place: more than a hundred of the largest frames, and its square is still exact."""
POSITIVE = ("radius", "outer", "height", "width", "counts_per_electron")
"""Keys that must be greater than 0."""
NOT_NEGATIVE = ("inner", "high_pass")
UNIT_OF = {"rotation": "degrees", "high_pass": "cycles per scan pixel", "counts_per_electron": "counts"}
"""Of keys that are not in px."""
AUTO = "auto"
"""As a centre: that of the bright-field disk, wherever it is found; as a rotation: that without curl."""
NO_DESCAN = "none"
PLANE = "plane"
DERIVED: Mapping[str, tuple[str, ...]] = {
    "dpc": ("segments",),
    "idpc": ("segments",),
    "icom": ("com",),
    "dcom": ("com", "segments"),
}
"""Kinds that are made of another detector's image, and of which kind that must be."""


def checked(where: str, key: str, value: Any, kind: str) -> Any:
    """One value of a table as it is kept; PipelineError with value and limit where it does not serve."""
    if key == "path":
        if not isinstance(value, str) or not value:
            raise PipelineError(f"{where} has path = {value!r}; it must name a mask file")
        return value
    if key in ("unit", "preset"):
        return _one_of(where, key, value, UNITS if key == "unit" else tuple(PRESETS))
    if key in ("weighted", "flip"):
        return _switch(where, key, value)
    if key == "count":
        return _count(where, value)
    if key == "of":
        return _name(where, value)
    if key == "descan":
        return _descan(where, value)
    if key == "rotation" and value == AUTO and kind != "segments":
        return value
    if key in MIDDLE:
        return value if value == AUTO and kind != "rectangle" else pair(where, key, value)
    return _length(where, key, number(where, key, value))


def described(name: str, key: str, value: Any, kind: str, unit: str) -> Parameter:
    """How a form asks for one value of a table; lengths are in ``unit``."""
    words = (AUTO,) if key == "rotation" and kind != "segments" else ()
    choices = {"unit": UNITS, "preset": tuple(PRESETS), "descan": (NO_DESCAN, PLANE)}
    if key in choices and isinstance(value, str):
        return Parameter(name, "choice", choices=choices[key])
    if key == "count":
        return Parameter(name, "whole", "segments of the ring", low=3, high=MAX_SEGMENTS)
    if isinstance(value, bool | str) and value not in words:
        return told_by(name, value)
    if not isinstance(value, int | float | str):
        return Parameter(name, "other")
    low = 0.0 if key in POSITIVE or key in NOT_NEGATIVE else -FARTHEST
    return Parameter(name, "number", "", UNIT_OF.get(key, unit), low, FARTHEST, words)


def number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        unit = UNIT_OF.get(key, "px")
        raise PipelineError(f"{where} has {key} = {value!r}; it must be a finite number ({unit})")
    if abs(value) > FARTHEST:
        raise PipelineError(
            f"{where} has {key} = {value:g}; it must be from -{FARTHEST:,} to {FARTHEST:,} "
            f"({UNIT_OF.get(key, 'px')}): no frame is that large"
        )
    return float(value)


def pair(where: str, key: str, value: Any) -> list[float]:
    words = "[y, x]" if key == "center" else "[height, width]"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise PipelineError(f"{where} has {key} = {value!r}; it must be {words} in px")
    both = [number(where, key, part) for part in value]
    if key == "size" and min(both) <= 0:
        raise PipelineError(f"{where} has {key} = {value!r}; both sides must be greater than 0 px")
    return both


def middle(values: Mapping[str, Any]) -> dict[str, Any]:
    """A rectangle by its centre: pixel areas, so rows top .. top + height - 1 centre on their mean."""
    top, left, height, width = (values[key] for key in CORNER)
    return {"center": [top + (height - 1) / 2, left + (width - 1) / 2], "size": [height, width]}


def corner(values: Mapping[str, Any]) -> dict[str, Any]:
    """A rectangle by its corner."""
    (cy, cx), (height, width) = values["center"], values["size"]
    return {"top": cy - (height - 1) / 2, "left": cx - (width - 1) / 2, "height": height, "width": width}


def _length(where: str, key: str, value: float) -> float:
    if key in POSITIVE and value <= 0:
        raise PipelineError(f"{where} has {key} = {value:g}; it must be greater than 0")
    if key in NOT_NEGATIVE and value < 0:
        raise PipelineError(f"{where} has {key} = {value:g}; it must not be negative")
    return value


def _one_of(where: str, key: str, value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise PipelineError(f"{where} has {key} = {value!r}; {hint(str(value), known)}")
    return value


def _switch(where: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise PipelineError(f"{where} has {key} = {value!r}; it must be true or false")
    return value


def _count(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 3 <= value <= MAX_SEGMENTS:
        raise PipelineError(
            f"{where} has count = {value!r}; it must be a whole number of segments, 3 to {MAX_SEGMENTS}"
        )
    return value


def _name(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise PipelineError(f"{where} has of = {value!r}; it must be the name of another detector")
    return value


def _descan(where: str, value: Any) -> Any:
    if value in (NO_DESCAN, PLANE):
        return value
    path = value.get("path") if isinstance(value, Mapping) and set(value) == {"path"} else value
    if isinstance(path, str) and path.endswith(".npy"):
        return {"path": path}
    raise PipelineError(
        f'{where} has descan = {value!r}; it must be "none", "plane", or {{ path = "FILE.npy" }} of the '
        "centre of mass of a vacuum scan"
    )
