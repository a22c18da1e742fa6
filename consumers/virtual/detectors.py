"""Virtual detectors as the user says them: checked tables, and the pixels that they cover.

Knows geometry and mask files; no frames, no scan. Every mistake is a PipelineError that names the detector,
the value, the limit and the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PipelineError
from ...kernels.calibrate import MIN_SIDE
from ...kernels.masks import Center, Mask, RadialBins, Shape, annulus, disk, radial_bins, rectangle
from ...kernels.reduce import Region
from ...kernels.segments import ring_segments, segment_directions
from ..option_values import hint
from .detector_values import AUTO, CORNER, DERIVED, MIDDLE, checked, corner, middle
from .mask_files import load_mask, load_weights
from .presets import ASSUMED_RADIUS, UNCALIBRATED, Calibration, preset_radii

__all__ = [
    "KEYS",
    "LENGTHS",
    "Calibration",
    "DetectorSpec",
    "FittedDetector",
    "Shape",
    "default_detectors",
    "fit",
    "fixed",
    "load_mask",
    "parse_detector",
]

CORRECTIONS = ("rotation", "flip", "descan")
"""Keys of what is a field of deflections: how it is shown, not what is measured."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "disk": ("radius", "center", "unit"),
    "annulus": ("inner", "outer", "center", "unit"),
    "rectangle": (*CORNER, *MIDDLE),
    "mask": ("path", "weighted"),
    "com": ("center", "radius", "unit", *CORRECTIONS),
    "total": (),
    "preset": ("preset", "center"),
    "segments": ("inner", "outer", "count", "rotation", "center", "unit"),
    "profile": ("width", "center", "unit"),
    "dose": ("counts_per_electron",),
    "dpc": ("of", *CORRECTIONS),
    "idpc": ("of", *CORRECTIONS, "high_pass"),
    "icom": ("of", *CORRECTIONS, "high_pass"),
    "dcom": ("of", *CORRECTIONS),
}
"""Kinds of detectors and the keys of each; lengths in px unless ``unit`` says mrad, centres in px."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "disk": ("radius",),
    "annulus": ("inner", "outer"),
    "rectangle": CORNER,
    "mask": ("path",),
    "preset": ("preset",),
    "segments": ("outer",),
    **dict.fromkeys(DERIVED, ("of",)),
}
LENGTHS = ("radius", "inner", "outer", "width")
"""Keys that ``unit`` is about; a rectangle has none."""


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

    @property
    def follows_disk(self) -> bool:
        """Whether it is to be fitted again when the bright-field disk is found, or found elsewhere."""
        centred = self.values.get("center", AUTO if self.kind == "preset" else None)
        return self.kind == "preset" or centred == AUTO

    @property
    def directions(self) -> tuple[float, ...]:
        """Of the segments' middles in degrees; empty for other kinds."""
        if self.kind != "segments":
            return ()
        found = segment_directions(self.values.get("count", 4), self.values.get("rotation", 0.0))
        return tuple(found.tolist())

    def changed(self, key: str, value: Any) -> DetectorSpec:
        """The same detector with one key changed."""
        table = self.table | {key: value}
        if key in MIDDLE and self.kind == "rectangle":
            table = {"kind": self.kind, **middle(self.values), key: value}
        return parse_detector(self.where, table)


@dataclass(frozen=True, slots=True, eq=False)
class FittedDetector:
    """A detector on frames of a known shape."""

    region: Region
    """All its pixels; of a detector with several regions their union."""
    attrs: Mapping[str, Any]
    """What a viewer needs to draw it: kind, center (y, x), radius, inner, outer, size (h, w); px. And where
    pixels of it are masked: masked_pixels, and blind with an alarm when none is left."""
    is_blind: bool = False
    """True when all its pixels are masked: it measures nothing, which is not the same as 0."""
    regions: tuple[Region, ...] = ()
    """Several that belong together (the segments of a ring); empty for other kinds."""
    names: tuple[str, ...] = ()
    """Of the regions, for their outputs: "s0", "s1", ... in the order of attrs' directions (degrees)."""
    profile: RadialBins | None = None
    """Rings whose sums are wanted instead of the region's."""

    @property
    def is_vector(self) -> bool:
        """True for a centre of mass: (y, x) in px and not a sum."""
        return self.region.center is not None


def default_detectors(where: str, shape: Shape, scanned: bool = True) -> dict[str, DetectorSpec]:
    """What a series without a choice of detectors gets.

    Bright field, high-angle annular dark field and centre of mass for a scan: presets, which follow the
    bright-field disk once it is found; on frames too small to look for one, shares of their shorter side. The
    total for a point or line detector, and for a movie, whose frames are images and no diffraction patterns.
    """
    if min(shape) == 1 or not scanned:
        name = "value" if min(shape) == 1 else "total"
        return {name: DetectorSpec(f"{where}: detector {name!r}", "total", {})}
    tables: dict[str, dict[str, Any]] = {
        "bf": {"kind": "preset", "preset": "bf"},
        "haadf": {"kind": "preset", "preset": "haadf"},
        "com": {"kind": "com"},
    }
    side = min(shape)
    if side < MIN_SIDE:
        tables["bf"] = {"kind": "disk", "radius": max(ASSUMED_RADIUS * side, 1.0)}
        tables["haadf"] = {"kind": "annulus", "inner": 0.25 * side, "outer": max(0.48 * side, 1.0)}
    return {name: parse_detector(f"{where}: detector {name!r}", table) for name, table in tables.items()}


def parse_detector(where: str, table: Any) -> DetectorSpec:
    """Check a table like ``{kind = "annulus", inner = 40, outer = 95}`` or ``{preset = "bf"}``."""
    kind = _kind(where, table)
    values = {key: _value(where, key, value, kind) for key, value in table.items() if key != "kind"}
    if kind == "rectangle" and set(values) == set(MIDDLE):
        values = corner(values)
    missing = [key for key in NEEDED.get(kind, ()) if key not in values]
    if missing or (kind == "rectangle" and len(values) != 4):
        form = f"{', '.join(CORNER)} (or center, size)" if kind == "rectangle" else ", ".join(NEEDED[kind])
        raise PipelineError(f"{where} ({kind}) needs {form}, but has {', '.join(values) or 'nothing'}")
    if "outer" in values and not values.get("inner", 0.0) < values["outer"]:
        unit = values.get("unit", "px")
        raise PipelineError(
            f"{where} has inner = {values['inner']:g} {unit} and outer = {values['outer']:g} {unit}; "
            "inner must be smaller"
        )
    if values.get("rotation") == AUTO and "flip" in values:
        raise PipelineError(f'{where} has rotation = "auto" and flip; the flip is found with the rotation')
    return DetectorSpec(where, kind, values)


def fit(
    spec: DetectorSpec, shape: Shape, live: Mask | None = None, calibration: Calibration = UNCALIBRATED
) -> FittedDetector:
    """The detector's pixels on frames of ``shape`` (h, w), as far as they are ``live`` (None = all).

    PipelineError where it covers none, or is in mrad without a calibration; one whose pixels are all masked
    is blind, and no error. What follows the bright-field disk assumes one while it is not known, and says so.
    """
    center = _center(spec, shape, calibration)
    lengths = _lengths(spec, shape, calibration)
    weights = _weights(spec, shape)
    mask = _mask(spec, lengths, shape, center) if weights is None else weights != 0
    if not mask.any():
        raise PipelineError(
            f"{spec.where} ({_said(spec, center)}) covers no pixel of the {shape[0]} x {shape[1]} frame; "
            "move it onto the frame or make it larger"
        )
    used = mask if live is None else mask & live
    region = Region(used, center if spec.kind == "com" else None, weights)
    covered, left = int(np.count_nonzero(mask)), int(np.count_nonzero(used))
    attrs = _attrs(spec, lengths, center, calibration) | _masked(spec, covered, left)
    regions = _segments(spec, lengths, shape, center, used)
    names = tuple(f"s{k}" for k in range(len(regions)))
    rings = radial_bins(shape, center, lengths["width"], live) if spec.kind == "profile" else None
    return FittedDetector(region, attrs, not left, regions, names, rings)


def fixed(spec: DetectorSpec, fitted: FittedDetector) -> DetectorSpec:
    """A preset as the disk or annulus that it is now, which follows nothing any more."""
    keys = ("kind", "center", "radius", "inner", "outer")
    return parse_detector(spec.where, {key: fitted.attrs[key] for key in keys if key in fitted.attrs})


def _kind(where: str, table: Any) -> str:
    kind = table.get("kind", "preset" if "preset" in table else None) if isinstance(table, Mapping) else None
    if not isinstance(kind, str):
        raise PipelineError(f"{where} is {table!r}; it must be a table with a kind: {', '.join(KEYS)}")
    if kind not in KEYS:
        raise PipelineError(f"{where} has kind {kind!r}; {hint(kind, KEYS)}")
    return kind


def _value(where: str, key: str, value: Any, kind: str) -> Any:
    if key not in KEYS[kind]:
        raise PipelineError(f"{where} ({kind}) has no key {key!r}; {hint(key, KEYS[kind])}")
    return checked(where, key, value, kind)


def _center(spec: DetectorSpec, shape: Shape, calibration: Calibration) -> Center:
    given = spec.values.get("center", AUTO if spec.kind == "preset" else None)
    if isinstance(given, list | tuple):
        return given[0], given[1]
    return (calibration if given == AUTO else UNCALIBRATED).center(shape)


def _lengths(spec: DetectorSpec, shape: Shape, calibration: Calibration) -> dict[str, float]:
    """Radii and widths in px."""
    if spec.kind == "preset":
        inner, outer = preset_radii(spec.values["preset"], shape, calibration)
        return {"inner": inner, "outer": outer} if inner else {"radius": outer}
    scale = calibration.px_per(spec.values.get("unit", "px"), spec.where)
    known = {key: spec.values[key] * scale for key in LENGTHS if key in spec.values}
    defaults = {"profile": {"width": 1.0}, "segments": {"inner": 0.0}}.get(spec.kind, {})
    return defaults | known


def _weights(spec: DetectorSpec, shape: Shape) -> np.ndarray[Any, Any] | None:
    if not spec.values.get("weighted"):
        return None
    return load_weights(spec.where, Path(spec.values["path"]), shape)


def _mask(spec: DetectorSpec, lengths: Mapping[str, float], shape: Shape, center: Center) -> Mask:
    if spec.kind == "rectangle":
        return rectangle(shape, *(spec.values[key] for key in CORNER))
    if spec.kind == "mask":
        return load_mask(spec.where, Path(spec.values["path"]), shape)
    if "outer" in lengths:
        return annulus(shape, lengths["inner"], lengths["outer"], center)
    if "radius" in lengths:
        return disk(shape, lengths["radius"], center)
    return np.ones(shape, bool)


def _segments(
    spec: DetectorSpec, lengths: Mapping[str, float], shape: Shape, center: Center, used: Mask
) -> tuple[Region, ...]:
    if spec.kind != "segments":
        return ()
    count, rotation = spec.values.get("count", 4), spec.values.get("rotation", 0.0)
    masks = ring_segments(shape, lengths["inner"], lengths["outer"], count, rotation, center)
    return tuple(Region(mask & used) for mask in masks)


def _attrs(
    spec: DetectorSpec, lengths: Mapping[str, float], center: Center, calibration: Calibration
) -> dict[str, Any]:
    """The table with lengths in px; what they are in mrad; and what was assumed."""
    if spec.kind == "rectangle":
        return {**spec.table, **middle(spec.values)}
    attrs = {**spec.table, **lengths}
    if "unit" in attrs:
        attrs["unit"] = "px"
    if "center" in KEYS[spec.kind]:
        attrs["center"] = list(center)
    if spec.kind == "preset":
        attrs["kind"] = "disk" if "radius" in lengths else "annulus"
    if spec.kind == "segments":
        count = attrs.setdefault("count", 4)
        attrs["directions"] = segment_directions(count, attrs.setdefault("rotation", 0.0)).tolist()
    if lengths and calibration.mrad_per_px is not None:
        attrs["mrad"] = {key: length * calibration.mrad_per_px for key, length in lengths.items()}
    if spec.follows_disk and calibration.disk is None:
        attrs["assumed"] = "the bright-field disk has not been found: its place is assumed"
    return attrs


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
    return f"{values if spec.kind == 'preset' else f'{spec.kind} {values}'}{around}"
