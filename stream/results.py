"""A result: what a consumer publishes and a viewer or a script reads.

Knows nothing of how results travel (bus_codec.py, hub.py, bus.py) or how they are shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .series import SeriesKey

Kind = Literal["image", "table", "curve", "event", "status"]
KINDS: tuple[str, ...] = get_args(Kind)
REMOVED = "removed"
"""Attribute of the message that ends a topic."""
CUT = "cut"
"""Attribute of an image that is a part of another, or made smaller, for one window: {"corner": [y, x],
"factor": f, "shape": [h, w] of the whole}; all in the whole's pixels."""
PRIVATE = "@"
"""In a topic: for one reader that asked for it, and not for everybody on the bus."""


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

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def removed(topic: str, series: SeriesKey | None) -> Result:
    """The last message of a topic that is no more: its detector was taken away while the session ran."""
    return Result(topic, "table", series, (0, 0), time.monotonic_ns(), attrs={REMOVED: True})


def is_removed(result: Result) -> bool:
    """Whether this says that its topic is no more; should it come again, that is a new one."""
    return result.kind == "table" and not result.arrays and result.attrs.get(REMOVED) is True


def is_private(topic: str) -> bool:
    """Whether results of this topic are for the session's relay alone."""
    return PRIVATE in topic


def fault_of(kind: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """What is wrong with the arrays of a result of this kind, in words; None when they fit it."""
    match kind:
        case "image":
            return _image_fault(arrays)
        case "curve":
            return _curve_fault(arrays)
        case "table":
            return _table_fault(arrays)
    return None


def _image_fault(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    image, valid = arrays.get("image"), arrays.get("valid")
    if image is None:
        return f'an image result needs an array "image"; it has {sorted(arrays)}'
    if image.ndim not in (2, 3) or image.dtype.kind not in "biuf":
        return f'"image" is {image.dtype} {image.shape}; it must be numbers of shape (ny, nx) or (ny, nx, c)'
    if valid is not None and (valid.dtype.kind != "b" or valid.shape != image.shape[:2]):
        return f'"valid" is {valid.dtype} {valid.shape}; it must be bool {image.shape[:2]}'
    return None


def _curve_fault(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    x, y = arrays.get("x"), arrays.get("y")
    if x is None or y is None:
        return f'a curve needs the arrays "x" and "y"; it has {sorted(arrays)}'
    if x.ndim != 1 or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        return f'"x" {x.shape} and "y" {y.shape} must be (n,) and (n,) or (n, c)'
    return None


def _table_fault(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    shapes = {name: column.shape for name, column in arrays.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        return f"the columns of a table must be (n,) with one n; they are {shapes}"
    return None


def valid_of(result: Result) -> npt.NDArray[np.bool_]:
    """Validity map of an image result: its own, or finite pixels."""
    if "valid" in result.arrays:
        return result.arrays["valid"].astype(bool)
    image = result.arrays["image"]
    finite = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
    return np.logical_and.reduce(finite, axis=-1) if finite.ndim == 3 else finite
