"""The result bus: what consumers publish, and how viewers and scripts read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .series import SeriesKey

Kind = Literal["image", "table", "curve", "event", "status"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One published value. Identity travels inside: series, frames covered, publishing time."""

    topic: str
    """``consumer.output``, e.g. "vd.haadf"; "status" for the session's own status."""
    kind: Kind
    series: SeriesKey | None
    """None only for status and for events that belong to no series."""
    frames: tuple[int, int]
    """Half-open range of frame indices that the result has seen so far."""
    t_ns: int
    """time.monotonic_ns() of the machine that published, at publishing."""
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """image: "image" (ny, nx) or (ny, nx, c), optionally "valid" bool (ny, nx); curve: "x" (n,), "y" (n,) or
    (n, c); table: one (n,) array a column."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of each array or column ("counts", "px", "nm", "s", "" for none)."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """msgpack-able extras: detector geometry, frame index, calibration, "estimate" mark, ..."""
    final: bool = False
    """The last one of its topic and series: nothing more will change."""


def valid_of(result: Result) -> npt.NDArray[np.bool_]:
    """Validity map of an image result: its own, or finite pixels."""
    if "valid" in result.arrays:
        return result.arrays["valid"].astype(bool)
    image = result.arrays["image"]
    finite = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
    return finite.all(axis=-1) if finite.ndim == 3 else finite
