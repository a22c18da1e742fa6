"""The live frame, reduced to what a display can show; for a point detector the trace of its last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.bslz4 import Status
from ..kernels.display import (
    MODES,
    Mode,
    count_from,
    display_factor,
    live_areas,
    reduce_for_display,
    warm_up,
)
from ..kernels.masks import Mask
from ..stream.series import IndexArray, Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKING, Masking, PixelMask

SIZES = (16, 4096)
CALIBRATION = ("pixel_size", "pixel_unit")
LENGTHS = (16, 1 << 20)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may change while frames arrive; replaced as a whole."""

    max_size: int
    mode: Mode
    trace_length: int
    masking: Masking


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How frames of the open series are looked at; replaced as a whole."""

    settings: Settings
    mask: PixelMask
    shown: Mask | None
    """(ny, nx) picture pixels with a live pixel behind them; None = all."""
    saturation: float | None
    """Counts from which on the detector does not count right; None where it does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The newest frame of a block."""

    index: int
    image: npt.NDArray[Any]
    factor: int
    look: Look
    saturated: int
    """Live pixels at or above the saturation."""


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
    pixel_mask : leave out the pixels that the detector's mask, or ``dead_pixels``, says not to use; false
        shows the raw counts of all.
    dead_pixels : pixels that are not to be used beside the detector's own: a list of [y, x], or a table with
        the ``path`` of a mask file, not 0 where a pixel is dead.

    Notes
    -----
    With a mask the picture has a validity map: false where no live pixel is behind a picture pixel.
    """

    type_name: ClassVar[str] = "preview"
    default_policy: ClassVar[str] = "latest"

    def __init__(
        self,
        name: str,
        max_size: int = 512,
        mode: str = "mean",
        trace_length: int = 4096,
        pixel_mask: bool = True,
        dead_pixels: Any = None,
    ) -> None:
        super().__init__(name)
        self._settings = Settings(
            self._whole("max_size", max_size, SIZES),
            self._mode(mode),
            self._whole("trace_length", trace_length, LENGTHS),
            Masking.parse(f"consumer {name!r}", pixel_mask, dead_pixels),
        )
        self._series: Series | None = None
        self._look: Look | None = None
        self._picture: Picture | None = None
        self._values: Values | None = None

    def open(self, series: Series) -> None:
        look = _look(self._settings, series)
        warm_up(series.numpy_dtype)
        self._series, self._look, self._picture, self._values = series, look, None, None

    def process(self, frames: Frames) -> Partial:
        look = self._look
        if look is None:
            raise RuntimeError(f"consumer {self.name!r} got frames before open()")
        if not len(frames):
            return None
        if frames.series.shape == (1, 1):
            return _readings(frames, look)
        return _picture(int(frames.indices[-1]), frames.data[-1], look)

    def process_encoded(self, encoded: Encoded) -> tuple[Partial, npt.NDArray[np.int8]] | None:
        """The newest frame alone is decoded, or the newest that can be: 64 others would cost 1 to 3 ms."""
        if encoded.series.shape == (1, 1):
            return None
        status = np.zeros(len(encoded), np.int8)
        for place in reversed(range(len(encoded))):
            newest = encoded.decoded(place, place + 1)
            if len(newest):
                return self.process(newest), status
            status[place] = Status.CORRUPT.code
        return None, status

    def merge(self, partial: Partial) -> Sequence[Output]:
        if isinstance(partial, Picture) and (self._picture is None or partial.index >= self._picture.index):
            self._picture = partial
        if isinstance(partial, Values):
            self._values = self._joined(partial)
        return self._outputs()

    def set(self, name: str, value: Any) -> bool:
        settings = self._changed(name, value)
        if self._series is not None:
            self._look = _look(settings, self._series)
        self._settings = settings
        return False

    def parameters(self) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "max_size": settings.max_size,
            "mode": settings.mode,
            "trace_length": settings.trace_length,
            **settings.masking.parameters,
        }

    def alarms(self) -> Sequence[str]:
        alarm = self._look.mask.alarm if self._look else ""
        return [f"consumer {self.name!r}: {alarm}"] if alarm else []

    def close(self) -> Sequence[Output]:
        return self._outputs()

    def _changed(self, name: str, value: Any) -> Settings:
        settings = self._settings
        if name == "max_size":
            return replace(settings, max_size=self._whole(name, value, SIZES))
        if name == "mode":
            return replace(settings, mode=self._mode(value))
        if name == "trace_length":
            return replace(settings, trace_length=self._whole(name, value, LENGTHS))
        if name in MASKING:
            return replace(settings, masking=settings.masking.changed(name, value))
        raise self.unknown_parameter(name)

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
            "mode": picture.look.settings.mode,
            **_said(picture),
        }
        arrays: dict[str, npt.NDArray[Any]] = {"image": picture.image}
        if picture.look.shown is not None:
            arrays["valid"] = picture.look.shown
        return Output("frame", "image", arrays, {"image": "counts"}, attrs)

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


def _look(settings: Settings, series: Series) -> Look:
    mask = settings.masking.of(series)
    shown = None
    if mask.live is not None:
        factor = display_factor(series.shape, (settings.max_size, settings.max_size))
        shown = live_areas(mask.live, factor)
    return Look(settings, mask, shown, _saturation(series))


def _readings(frames: Frames, look: Look) -> Values:
    """Of a point detector; NaN where its one pixel does not count."""
    values = frames.data[:, 0, 0].astype(np.float64)
    return Values(frames.indices, values if look.mask.live is None else np.full_like(values, np.nan))


def _picture(index: int, frame: npt.NDArray[Any], look: Look) -> Picture:
    settings, live = look.settings, look.mask.live
    limit = (settings.max_size, settings.max_size)
    image, factor = reduce_for_display(frame, limit, settings.mode, live)
    saturated = 0 if look.saturation is None else count_from(frame, look.saturation, live)
    return Picture(index, image, factor, look, saturated)


def _saturation(series: Series) -> float | None:
    """The detector's count cutoff; a sender may write anything there."""
    value = series.meta.get("saturation")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        return None
    return float(value)


def _said(picture: Picture) -> dict[str, Any]:
    """About masked and saturated pixels, where the detector has any."""
    look = picture.look
    said: dict[str, Any] = dict(look.mask.attrs)
    if look.saturation is not None:
        said |= {"saturation": look.saturation, "saturated_pixels": picture.saturated}
    if look.mask.known:
        said |= {"pixel_mask": look.settings.masking.use, "masked_pixels": look.mask.known}
    return said
