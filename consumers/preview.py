"""The live frame, reduced to what a display can show; for a point detector the trace of its last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.display import MODES, Mode, reduce_for_display, warm_up
from ..stream.series import IndexArray, Series
from .base import Consumer, Frames, Output

SIZES = (16, 4096)
CALIBRATION = ("pixel_size", "pixel_unit")
LENGTHS = (16, 1 << 20)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may change while frames arrive; replaced as a whole."""

    max_size: int
    mode: Mode
    trace_length: int


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The newest frame of a block."""

    index: int
    image: npt.NDArray[Any]
    factor: int
    mode: Mode


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The readings of a point detector in a block."""

    indices: IndexArray
    values: npt.NDArray[np.float64]


Partial = Picture | Values | None


class Preview(Consumer[Partial]):
    """Shows the newest frame (highest index), by area mean or maximum, never by picked pixels.

    Parameters
    ----------
    name : the consumer's name.
    max_size : largest height and width of the picture, 16 to 4096 px.
    mode : "mean" of each area, or "max" (keeps single-electron events).
    trace_length : readings of a point detector that are kept.
    """

    type_name: ClassVar[str] = "preview"
    default_policy: ClassVar[str] = "latest"

    def __init__(self, name: str, max_size: int = 512, mode: str = "mean", trace_length: int = 4096) -> None:
        super().__init__(name)
        self._settings = Settings(
            self._whole("max_size", max_size, SIZES),
            self._mode(mode),
            self._whole("trace_length", trace_length, LENGTHS),
        )
        self._series: Series | None = None
        self._picture: Picture | None = None
        self._values: Values | None = None

    def open(self, series: Series) -> None:
        for mode in MODES:
            warm_up(series.numpy_dtype, cast(Mode, mode))
        self._series, self._picture, self._values = series, None, None

    def process(self, frames: Frames) -> Partial:
        settings = self._settings
        if not len(frames):
            return None
        if frames.series.shape == (1, 1):
            return Values(frames.indices, frames.data[:, 0, 0].astype(np.float64))
        limit = (settings.max_size, settings.max_size)
        image, factor = reduce_for_display(frames.data[-1], limit, settings.mode)
        return Picture(int(frames.indices[-1]), image, factor, settings.mode)

    def merge(self, partial: Partial) -> Sequence[Output]:
        if isinstance(partial, Picture) and (self._picture is None or partial.index >= self._picture.index):
            self._picture = partial
        if isinstance(partial, Values):
            self._values = self._joined(partial)
        return self._outputs()

    def set(self, name: str, value: Any) -> bool:
        if name == "max_size":
            self._settings = replace(self._settings, max_size=self._whole(name, value, SIZES))
        elif name == "mode":
            self._settings = replace(self._settings, mode=self._mode(value))
        elif name == "trace_length":
            self._settings = replace(self._settings, trace_length=self._whole(name, value, LENGTHS))
        else:
            raise self.unknown_parameter(name)
        return False

    def parameters(self) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "max_size": settings.max_size,
            "mode": settings.mode,
            "trace_length": settings.trace_length,
        }

    def close(self) -> Sequence[Output]:
        return self._outputs()

    def _joined(self, new: Values) -> Values:
        """The known readings and the new ones, by frame index, each frame once, the newest of them."""
        if self._values is None:
            return new
        old = ~np.isin(self._values.indices, new.indices)
        indices = np.concatenate([self._values.indices[old], new.indices])
        values = np.concatenate([self._values.values[old], new.values])
        order = np.argsort(indices, kind="stable")[-self._settings.trace_length :]
        return Values(indices[order], values[order])

    def _outputs(self) -> Sequence[Output]:
        outputs: list[Output] = []
        if self._picture is not None:
            outputs.append(self._frame(self._picture))
        if self._values is not None:
            kept = slice(-self._settings.trace_length, None)
            arrays = {"x": self._values.indices[kept], "y": self._values.values[kept]}
            outputs.append(Output("trace", "curve", arrays, {"x": "", "y": "counts"}, {"x_label": "frame"}))
        return outputs

    def _frame(self, picture: Picture) -> Output:
        assert self._series is not None
        meta = {key: self._series.meta[key] for key in CALIBRATION if key in self._series.meta}
        attrs = {
            **meta,
            "index": picture.index,
            "factor": picture.factor,
            "shape": list(self._series.shape),
            "mode": picture.mode,
        }
        return Output("frame", "image", {"image": picture.image}, {"image": "counts"}, attrs)

    def _whole(self, name: str, value: Any, limits: tuple[int, int]) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not limits[0] <= value <= limits[1]:
            raise PipelineError(
                f"consumer {self.name!r}: {name} = {value!r}; it must be a whole number from "
                f"{limits[0]} to {limits[1]}"
            )
        return value

    def _mode(self, value: Any) -> Mode:
        if value not in MODES:
            raise PipelineError(
                f"consumer {self.name!r}: mode = {value!r}; it must be one of {', '.join(MODES)}"
            )
        return cast(Mode, value)
