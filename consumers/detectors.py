"""Virtual detectors as the user says them: checked tables, and the pixels that they cover.

Knows geometry and mask files; no frames, no scan. Every mistake is a PipelineError that names the detector,
the value, the limit and the next step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PipelineError
from ..kernels.masks import Center, Mask, annulus, disk, frame_center, rectangle
from ..kernels.reduce import Region

Shape = tuple[int, int]

CORNER = ("top", "left", "height", "width")
MIDDLE = ("center", "size")
KEYS: Mapping[str, tuple[str, ...]] = {
    "disk": ("radius", "center"),
    "annulus": ("inner", "outer", "center"),
    "rectangle": (*CORNER, *MIDDLE),
    "mask": ("path",),
    "com": ("center", "radius"),
    "total": (),
}
"""Kinds of detectors and the keys of each, lengths in px."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "disk": ("radius",),
    "annulus": ("inner", "outer"),
    "rectangle": CORNER,
    "mask": ("path",),
}
MASK_FILES = (".npy", ".tif", ".tiff", ".png")


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector as asked for; its frame is not known yet."""

    where: str
    """For messages: which detector of which consumer."""
    kind: str
    values: Mapping[str, Any]
    """Its keys, checked; a rectangle always by its corner."""

    @property
    def table(self) -> dict[str, Any]:
        """As a pipeline file would say it."""
        return {"kind": self.kind, **self.values}

    def changed(self, key: str, value: Any) -> DetectorSpec:
        """The same detector with one key changed."""
        table = self.table | {key: value}
        if key in MIDDLE and self.kind == "rectangle":
            table = {"kind": self.kind, **_middle(self.values), key: value}
        return parse_detector(self.where, table)


@dataclass(frozen=True, slots=True, eq=False)
class FittedDetector:
    """A detector on frames of a known shape."""

    region: Region
    attrs: Mapping[str, Any]
    """What a viewer needs to draw it: kind, center (y, x), radius, inner, outer, size (h, w); px. And where
    pixels of it are masked: masked_pixels, and blind with an alarm when none is left."""
    is_blind: bool = False
    """True when all its pixels are masked: it measures nothing, which is not the same as 0."""

    @property
    def is_vector(self) -> bool:
        """True for a centre of mass: (y, x) in px and not a sum."""
        return self.region.center is not None


def default_detectors(where: str, shape: Shape, scanned: bool = True) -> dict[str, DetectorSpec]:
    """What a series without a choice of detectors gets.

    Bright field, high-angle annular dark field and centre of mass for a scan; the total for a point or line
    detector, and for a movie, whose frames are images and no diffraction patterns.
    """
    if min(shape) == 1 or not scanned:
        name = "value" if min(shape) == 1 else "total"
        return {name: DetectorSpec(f"{where}: detector {name!r}", "total", {})}
    side = min(shape)
    tables: dict[str, dict[str, Any]] = {
        "bf": {"kind": "disk", "radius": max(0.18 * side, 1.0)},
        "haadf": {"kind": "annulus", "inner": 0.25 * side, "outer": max(0.48 * side, 1.0)},
        "com": {"kind": "com"},
    }
    return {name: parse_detector(f"{where}: detector {name!r}", table) for name, table in tables.items()}


def parse_detector(where: str, table: Any) -> DetectorSpec:
    """Check a table like ``{kind = "annulus", inner = 40, outer = 95}``."""
    if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
        raise PipelineError(f"{where} is {table!r}; it must be a table with a kind: {', '.join(KEYS)}")
    kind = table["kind"]
    if kind not in KEYS:
        raise PipelineError(f"{where} has kind {kind!r}; {_hint(kind, KEYS)}")
    values = {key: _value(where, key, value, kind) for key, value in table.items() if key != "kind"}
    if kind == "rectangle" and set(values) == set(MIDDLE):
        values = _corner(values)
    missing = [key for key in NEEDED.get(kind, ()) if key not in values]
    if missing or (kind == "rectangle" and len(values) != 4):
        form = f"{', '.join(CORNER)} (or center, size)" if kind == "rectangle" else ", ".join(NEEDED[kind])
        raise PipelineError(f"{where} ({kind}) needs {form}, but has {', '.join(values) or 'nothing'}")
    if kind == "annulus" and not values["inner"] < values["outer"]:
        raise PipelineError(
            f"{where} has inner = {values['inner']:g} px and outer = {values['outer']:g} px; "
            "inner must be smaller"
        )
    return DetectorSpec(where, kind, values)


def fit(spec: DetectorSpec, shape: Shape, live: Mask | None = None) -> FittedDetector:
    """The detector's pixels on frames of ``shape`` (h, w), as far as they are ``live`` (None = all).

    PipelineError where it covers none; one whose pixels are all masked is blind, and no error.
    """
    center = tuple(spec.values.get("center", frame_center(shape)))
    mask = _mask(spec, shape, (center[0], center[1]))
    if not mask.any():
        raise PipelineError(
            f"{spec.where} ({_said(spec, center)}) covers no pixel of the {shape[0]} x {shape[1]} frame; "
            "move it onto the frame or make it larger"
        )
    used = mask if live is None else mask & live
    region = Region(used, (center[0], center[1]) if spec.kind == "com" else None)
    covered, left = int(np.count_nonzero(mask)), int(np.count_nonzero(used))
    attrs = _attrs(spec, center) | _masked(spec, covered, left)
    return FittedDetector(region, attrs, is_blind=not left)


def load_mask(where: str, path: Path, shape: Shape) -> Mask:
    """A mask file: .npy, .tif or .png of the frame's shape; pixels that are not zero count."""
    if path.suffix.lower() not in MASK_FILES:
        raise PipelineError(f"{where}: mask file {path} is none of {', '.join(MASK_FILES)}")
    try:
        pixels = _read(path)
    except FileNotFoundError:
        raise PipelineError(f"{where}: mask file {path} does not exist (seen from {Path.cwd()})") from None
    except (OSError, ValueError, EOFError) as error:
        raise PipelineError(f"{where}: mask file {path} cannot be read: {error}") from error
    if pixels.shape != shape or pixels.dtype.kind not in "buif":
        raise PipelineError(
            f"{where}: mask file {path} holds {pixels.dtype} of shape {pixels.shape}; "
            f"frames are {shape}, it must hold one number a pixel"
        )
    mask: Mask = (pixels != 0) & np.isfinite(pixels)
    return mask


def _read(path: Path) -> np.ndarray[Any, Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode not in ("1", "L", "I", "I;16", "F") else image)
    import tifffile

    return np.asarray(tifffile.imread(path))


def _mask(spec: DetectorSpec, shape: Shape, center: Center) -> Mask:
    values = spec.values
    if spec.kind == "annulus":
        return annulus(shape, values["inner"], values["outer"], center)
    if spec.kind == "rectangle":
        return rectangle(shape, *(values[key] for key in CORNER))
    if spec.kind == "mask":
        return load_mask(spec.where, Path(values["path"]), shape)
    if "radius" in values:
        return disk(shape, values["radius"], center)
    return np.ones(shape, bool)


def _attrs(spec: DetectorSpec, center: tuple[float, ...]) -> dict[str, Any]:
    if spec.kind == "rectangle":
        return {**spec.table, **_middle(spec.values)}
    centred = {"center": list(center)} if "center" in KEYS[spec.kind] else {}
    return {**spec.table, **centred}


def _masked(spec: DetectorSpec, covered: int, left: int) -> dict[str, Any]:
    """What is to be said about pixels that do not count; nothing where all do."""
    if left == covered:
        return {}
    said: dict[str, Any] = {"masked_pixels": covered - left}
    if not left:
        said["blind"] = True
        said["alarm"] = f"{spec.where} is blind: the pixel mask leaves none of its {covered} pixels; move it"
    return said


def _said(spec: DetectorSpec, center: tuple[float, ...]) -> str:
    values = " ".join(f"{key} {value}" for key, value in spec.values.items() if key != "center")
    around = f" around ({center[0]:g}, {center[1]:g})" if "center" in KEYS[spec.kind][1:] else ""
    return f"{spec.kind} {values}{around}"


def _value(where: str, key: str, value: Any, kind: str) -> Any:
    if key not in KEYS[kind]:
        raise PipelineError(f"{where} ({kind}) has no key {key!r}; {_hint(key, KEYS[kind])}")
    if key == "path":
        if not isinstance(value, str) or not value:
            raise PipelineError(f"{where} has path = {value!r}; it must name a mask file")
        return value
    if key in MIDDLE:
        return _pair(where, key, value)
    number = _number(where, key, value)
    positive = key in ("radius", "outer", "height", "width")
    if (key == "inner" and number < 0) or (positive and number <= 0):
        limit = "must be greater than 0" if positive else "must not be negative"
        raise PipelineError(f"{where} has {key} = {number:g} px; it {limit}")
    return number


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PipelineError(f"{where} has {key} = {value!r}; it must be a finite number (px)")
    return float(value)


def _pair(where: str, key: str, value: Any) -> list[float]:
    words = "[y, x]" if key == "center" else "[height, width]"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise PipelineError(f"{where} has {key} = {value!r}; it must be {words} in px")
    pair = [_number(where, key, part) for part in value]
    if key == "size" and min(pair) <= 0:
        raise PipelineError(f"{where} has {key} = {value!r}; both sides must be greater than 0 px")
    return pair


def _middle(values: Mapping[str, Any]) -> dict[str, Any]:
    """A rectangle by its centre: pixel areas, so rows top .. top + height - 1 centre on their mean."""
    top, left, height, width = (values[key] for key in CORNER)
    return {"center": [top + (height - 1) / 2, left + (width - 1) / 2], "size": [height, width]}


def _corner(values: Mapping[str, Any]) -> dict[str, Any]:
    (cy, cx), (height, width) = values["center"], values["size"]
    return {"top": cy - (height - 1) / 2, "left": cx - (width - 1) / 2, "height": height, "width": width}


def _hint(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"it may be: {', '.join(known) or 'none'}"
