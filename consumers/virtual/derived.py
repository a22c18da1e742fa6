"""Images that are made of other images when somebody looks: DPC, iCoM, iDPC, dCoM, corrected centres of mass.

Corrections (descan, flip, rotation) are applied here and only here; what was measured stays as it is and is
shown beside. Knows fields over the scan and tables; no frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.masks import Shape
from ...kernels.phase import (
    Plane,
    descan_plane,
    divergence,
    estimate_rotation,
    integrate,
    rotate,
    segment_dpc,
)
from ..option_values import hint
from .accumulators import Arrays
from .detector_values import AUTO, DERIVED, NO_DESCAN, PLANE
from .detectors import CORRECTIONS, DetectorSpec

Field = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correction:
    """What is done to a field of deflections (ny, nx, 2), in this order: descan, flip, rotation."""

    rotation: float | str = 0.0
    """Degrees, or "auto": found from the field, together with the flip."""
    flip: bool = False
    descan: Plane | str = NO_DESCAN
    """A plane known from a vacuum scan, "plane": fitted to the field itself, or "none"."""

    @classmethod
    def of(cls, where: str, values: Mapping[str, Any], scan: Shape) -> Correction:
        """From a detector's table. PipelineError where the vacuum scan cannot be used."""
        descan = values.get("descan", NO_DESCAN)
        plane = descan if descan in (NO_DESCAN, PLANE) else _vacuum_plane(where, descan["path"], scan)
        return cls(values.get("rotation", 0.0), values.get("flip", False), plane)

    def applied_to(self, field: Field) -> tuple[Field, dict[str, Any]]:
        """The corrected field, and what was done: plain values for attrs."""
        field, said = self._without_descan(field)
        if self.rotation != AUTO:
            return rotate(field, float(self.rotation), self.flip), said
        found = estimate_rotation(field)
        if found is None:
            return field, said | {"no_rotation": "too little of the field is known to tell the rotation"}
        said |= {
            "rotation_deg": found.angle_deg,
            "flipped": found.flip,
            "curl_ratio": found.curl_ratio,
            "curl_ratio_other_handedness": found.other_ratio,
            "polarity": found.polarity,
        }
        return rotate(field, found.angle_deg, found.flip), said

    def _without_descan(self, field: Field) -> tuple[Field, dict[str, Any]]:
        plane = descan_plane(field) if self.descan == PLANE else self.descan
        if not isinstance(plane, Plane):
            return field, {}
        said = {"offset": plane.offset, "along_y": plane.along_y, "along_x": plane.along_x}
        return plane.subtracted_from(field), {"descan_plane": {key: list(pair) for key, pair in said.items()}}


@dataclass(frozen=True, slots=True)
class Steps:
    """Distance of scan positions."""

    size: float = 1.0
    unit: str = "px"

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Steps:
        size, unit = meta.get("scan_step"), meta.get("scan_unit")
        if isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < np.inf and unit:
            return cls(float(size), str(unit))
        return cls()


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived image, ready to be computed."""

    kind: str
    """One of DERIVED, or "com": a corrected centre of mass."""
    source: str
    """The detector that measures."""
    directions: tuple[float, ...]
    """Of the source's segments in degrees; empty for a centre of mass."""
    correction: Correction
    high_pass: float
    steps: Steps

    @property
    def unit(self) -> str:
        plain = "" if self.directions else "px"
        if self.kind in ("icom", "idpc"):
            return f"{plain} {self.steps.unit}".strip()
        return f"{plain or '1'}/{self.steps.unit}" if self.kind == "dcom" else plain

    def compute(self, measured: Field) -> tuple[Arrays, dict[str, Any]]:
        """The image, and what was estimated on the way.

        Parameters
        ----------
        measured : (ny, nx, 2) centres of mass, or (ny, nx, k) sums of segments.
        """
        field = segment_dpc(measured, self.directions) if self.directions else measured
        field, said = self.correction.applied_to(field)
        image = self._image(field)
        known = np.isfinite(image)
        return {"image": image, "valid": known if image.ndim == 2 else np.asarray(known.all(axis=-1))}, said

    def _image(self, field: Field) -> Field:
        if self.kind in ("icom", "idpc"):
            return integrate(field, self.steps.size, high_pass=self.high_pass / self.steps.size)
        if self.kind != "dcom":
            return field
        known = np.isfinite(field).all(axis=-1)  # central differences look at the neighbours alone
        return np.where(known, divergence(field, self.steps.size), np.nan)


def is_derived(spec: DetectorSpec) -> bool:
    """Whether it measures nothing itself."""
    return spec.kind in DERIVED


def is_corrected(spec: DetectorSpec) -> bool:
    """Whether it is a centre of mass that is shown otherwise than measured."""
    return spec.kind == "com" and any(key in spec.values for key in CORRECTIONS)


def check_sources(specs: Mapping[str, DetectorSpec]) -> None:
    """PipelineError where something is derived of what is not there, or not of that kind."""
    for spec in specs.values():
        if not is_derived(spec):
            continue
        kinds, of = DERIVED[spec.kind], spec.values["of"]
        fitting = [name for name, other in specs.items() if other.kind in kinds]
        if of not in fitting:
            raise PipelineError(
                f"{spec.where} ({spec.kind}) is of {of!r}; it takes a detector of kind {' or '.join(kinds)}: "
                f"{hint(of, fitting)}"
            )


def derive(spec: DetectorSpec, specs: Mapping[str, DetectorSpec], scan: Shape, steps: Steps) -> Derived:
    """Make a derived image ready; it takes the corrections of its centre of mass unless it has its own."""
    source = str(spec.values.get("of", "")) if is_derived(spec) else ""
    measuring = specs[source] if source else spec
    values = _with_inherited(spec.values, measuring.values if measuring.kind == "com" else {})
    return Derived(
        spec.kind,
        source,
        measuring.directions,
        Correction.of(spec.where, values, scan),
        float(values.get("high_pass", 0.0)),
        steps,
    )


def _with_inherited(own: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Rotation and flip belong together: who gives one of them takes none from its source."""
    keys = ["descan"] if {"rotation", "flip"} & set(own) else list(CORRECTIONS)
    return {key: source[key] for key in keys if key in source} | dict(own)


def _vacuum_plane(where: str, path: str, scan: Shape) -> Plane:
    """The descan plane of a vacuum scan of the same field, which may have other numbers of positions."""
    try:
        field = np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PipelineError(f"{where}: descan file {path} cannot be read: {error}") from error
    if field.ndim != 3 or field.shape[2] != 2 or field.dtype.kind != "f":
        raise PipelineError(
            f"{where}: descan file {path} holds {field.dtype} of shape {field.shape}; it must hold the "
            "centre of mass of a vacuum scan, floats of shape (ny, nx, 2)"
        )
    plane = descan_plane(field.astype(np.float64))
    if plane is None:
        raise PipelineError(f"{where}: descan file {path} holds no finite value; give a measured vacuum scan")
    shares = [there / here for there, here in zip(field.shape[:2], scan, strict=True)]
    y, x = ((c * shares[0], d * shares[1]) for c, d in zip(plane.along_y, plane.along_x, strict=True))
    return Plane(plane.offset, (y[0], x[0]), (y[1], x[1]))
