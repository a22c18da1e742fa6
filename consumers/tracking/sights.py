"""Where particles come from: frames that a detector looks through, or what another consumer has drawn.

Knows detections and results; follows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.tracking.conditions import Condition, condition_of
from ...kernels.tracking.detect import Detector
from ...kernels.tracking.devices import OnDevice
from ...kernels.tracking.drawn import Kind, detect_drawn
from ...kernels.tracking.options import DetectorOptions
from ...kernels.tracking.regions import RegionDetector, Way
from ...kernels.tracking.table import Detections
from ...kernels.tracking.verdict import Found
from ...stream.results import Result
from ...stream.series import Series
from ..dead_pixels import PixelMask
from .options import DETECTORS

FINE = Condition(0)


class Finder(Protocol):
    """What finds the particles of a frame; may be asked from several threads at once."""

    options: DetectorOptions

    def detect(self, frame: npt.NDArray[Any]) -> Detections:
        """The detections of a frame (h, w), by falling score."""


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """Frames of a block: what was found in each, or they themselves while nobody knows what to look for."""

    indices: npt.NDArray[np.int64]
    found: tuple[Detections | Found, ...] | None
    frames: npt.NDArray[Any] | None
    """(n, h, w), copied."""
    condition: Condition = FINE
    """Of any of them."""


@lru_cache(maxsize=4)
def finder_for(shape: tuple[int, int], options: DetectorOptions, detector: str) -> Finder:
    """One for frames of this shape. Tables take a second; it may be used by several consumers at once."""
    way = way_of(detector)
    return Detector(shape, options) if way is None else RegionDetector(shape, options, way)


def way_of(detector: str) -> Way | None:
    """Of a `RegionDetector`; None: fitted spheres."""
    return None if detector == DETECTORS[0] else cast(Way, detector)


def look_at(
    frame: npt.NDArray[Any], finder: Finder, mask: PixelMask, saturation: float
) -> tuple[Detections | Found, Condition]:
    """What a finder sees in a frame (h, w)."""
    values = values_of(frame, mask.live)
    if isinstance(finder, Detector | OnDevice):
        seen: Detections | Found = finder.examine(values, keep_rest=True)
    else:
        seen = finder.detect(values)
    found = seen.detections if isinstance(seen, Found) else seen
    dead = 0 if mask.live is None else mask.live.size - int(np.count_nonzero(mask.live))
    return seen, condition_of(values, found, dead, saturation, finder.options.most)


def saturation_of(series: Series) -> float:
    """Counts from which a pixel is saturated: as the series says, else the highest that its pixels hold."""
    value = series.meta.get("saturation")
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    dtype = series.numpy_dtype
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else math.inf


def values_of(frame: npt.NDArray[Any], live: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.float32]:
    """A copy, NaN where a pixel is dead."""
    values = np.array(frame, np.float32)
    if live is not None:
        values[~live] = np.nan
    return values


def input_topic(where: str, value: object) -> str:
    """The topic of ``input``; "" for none. PipelineError for what is no topic, or several."""
    one = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    if one in ("", ()) or one == []:
        return ""
    if not isinstance(one, str):
        raise PipelineError(
            f'{where}: input = {value!r}; it must be the topic of one picture, such as "model.heat_map"'
        )
    return one


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What another consumer has drawn of a frame."""

    index: int
    """Of the frame."""
    plane: npt.NDArray[np.float32]
    """(h, w), copied: those of the bus are read-only."""
    kind: Kind

    @classmethod
    def of(cls, result: Result, shape: tuple[int, int]) -> Drawn | None:
        """The newest frame of a result; None where a model that is switched off has drawn nothing.

        A model says what it draws and of which ``frames``; of others the kind is "mask" where values are
        bool or the output is called so, and the frame is their ``index``, else the last that they cover. Of
        several channels the first is taken.

        Raises
        ------
        ValueError
            No picture, or one of another shape than the frames.
        """
        if "off" in result.attrs:
            return None
        image = result.arrays.get("image")
        if result.kind != "image" or image is None:
            raise ValueError(
                f"{result.topic} is a {result.kind}; particles are taken from heat maps and masks"
            )
        plane = image if image.ndim == 2 else image[..., 0]
        if plane.shape != shape:
            raise ValueError(f"{result.topic} is {plane.shape}, the frames {shape}: give pictures of frames")
        if (valid := result.arrays.get("valid")) is not None:
            plane = np.where(valid, plane, plane.dtype.type(0))
        frames, index = result.attrs.get("frames"), result.attrs.get("index")
        newest = frames[-1] if isinstance(frames, Sequence) and len(frames) else index
        is_mask = "mask" in (result.attrs.get("kind"), result.topic.partition(".")[2]) or plane.dtype == bool
        index = newest if isinstance(newest, int) else result.frames[1] - 1
        return cls(index, np.array(plane, np.float32, order="C"), "mask" if is_mask else "heat_map")

    def look(self, threshold: float) -> tuple[Detections, Condition]:
        """See `detect_drawn`; and whether particles cover the field."""
        found = detect_drawn(self.plane, self.kind, threshold)
        return found, condition_of(self.plane, found, 0, math.inf, len(found) + 1) & Condition.COVERED
