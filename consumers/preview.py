"""The live frame, reduced to what a display can show; for a point detector the trace of its last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..kernels import display, frame_survey
from ..kernels.bslz4 import Status
from ..kernels.cutouts import Cutout
from ..kernels.display import MODES, Mode, display_factor, live_areas, reduce_for_display
from ..kernels.frame_survey import Survey, survey
from ..kernels.masks import Mask
from ..stream.results import PRIVATE
from ..stream.series import IndexArray, Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKED, MASKING, Masking, PixelMask
from .parameters import check_declared, choice, parameters_of, switch, whole
from .pixel_watch import PixelWatch
from .work.views import View, parse_views, views_of

SIZES = (16, 4096)
CALIBRATION = ("pixel_size", "pixel_unit")
OF_DOSE = ("counts_per_electron", "offset", "scan_step", "scan_unit")
"""What the series says, and is passed on to those who count electrons."""
LENGTHS = (16, 1 << 20)
VIEW_HZ = 60.0
NOT_ASKED = ("masking", "views")
"""Settings that are no parameters of this name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may change while frames arrive; replaced as a whole."""

    max_size: int = whole(512, *SIZES, "largest height and width of the picture", "px")
    mode: str = choice("mean", MODES, "of the pixels that share one on the screen; max keeps electrons")
    trace_length: int = whole(4096, *LENGTHS, "of a point detector that are kept", "readings")
    watch_pixels: bool = switch(True, "look for pixels that never change, or always lead their neighbours")
    masking: Masking = field(default_factory=lambda: Masking.parse("", True, None))
    views: tuple[Cutout, ...] = ()
    """What windows elsewhere show of the frame; the relay's, and no parameter of the user's."""

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NOT_ASKED}
        return {**values, **self.masking.parameters}


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How frames of the open series are looked at; replaced as a whole."""

    settings: Settings
    mask: PixelMask
    shown: Mask | None
    """(ny, nx) picture pixels with a live pixel behind them; None = all."""
    saturation: float | None
    """Counts from which on the detector does not count right; None of numbers without an end."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The newest frame of a block."""

    index: int
    image: npt.NDArray[Any]
    factor: int
    look: Look
    survey: Survey
    """Of the whole frame."""
    watched: tuple[npt.NDArray[Any], slice] | None
    """A copy of the rows to be looked at, since the frame's tile is used again, and which they are."""
    views: tuple[View, ...] = ()


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
    watch_pixels : look for pixels that never change while their neighbours do, and that always lead.
    pixel_mask : leave out the pixels that the detector's mask, or ``dead_pixels``, says not to use; false
        shows the raw counts of all.
    dead_pixels : pixels that are not to be used beside the detector's own: a list of [y, x], or a table with
        the ``path`` of a mask file, not 0 where a pixel is dead.

    Notes
    -----
    With a mask the picture has a validity map: false where no live pixel is behind a picture pixel. Beside
    it stand the mean counts of a live pixel, how many of them are saturated (by what the series says, else by
    the end of an integer type), and places of pixels that do not behave.
    """

    type_name: ClassVar[str] = "preview"
    default_policy: ClassVar[str] = "latest"
    declared = (*parameters_of(Settings), *MASKED)

    def __init__(
        self,
        name: str,
        max_size: int = 512,
        mode: str = "mean",
        trace_length: int = 4096,
        watch_pixels: bool = True,
        pixel_mask: bool = True,
        dead_pixels: Any = None,
    ) -> None:
        super().__init__(name)
        masking = Masking.parse(f"consumer {name!r}", pixel_mask, dead_pixels)
        self._settings = self._checked(Settings(max_size, mode, trace_length, watch_pixels, masking))
        self._series: Series | None = None
        self._look: Look | None = None
        self._picture: Picture | None = None
        self._values: Values | None = None
        self._watch: PixelWatch | None = None

    def open(self, series: Series) -> None:
        look = _look(self._settings, series)
        display.warm_up(series.numpy_dtype)
        frame_survey.warm_up(series.numpy_dtype)
        self._series, self._look, self._picture, self._values = series, look, None, None
        self._begin_watch()

    def process(self, frames: Frames) -> Partial:
        return self._processed(frames, self._look)

    def _processed(self, frames: Frames, look: Look | None) -> Partial:
        if look is None:
            raise RuntimeError(f"consumer {self.name!r} got frames before open()")
        if not len(frames):
            return None
        if frames.series.shape == (1, 1):
            return _readings(frames, look)
        watched = None if self._watch is None else self._watch.due(frames.data.dtype)
        return _picture(int(frames.indices[-1]), frames.data[-1], look, watched)

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
            if self._watch is not None and partial.watched is not None:
                self._watch.take(*partial.watched)
        if isinstance(partial, Values):
            self._values = self._joined(partial)
        return [*self._outputs(), *self._views()]

    def output_of(self, frames: Frames, part: Cutout | None = None) -> Output | None:
        """The picture of the last of these frames, or of a part of it, whatever was merged; None of a point
        detector's."""
        look = self._look
        if look is not None and part is not None:
            look = replace(look, settings=replace(look.settings, views=(part,)))
        partial = self._processed(frames, look)
        if not isinstance(partial, Picture):
            return None
        return self._frame(partial) if part is None else replace(self._viewed(partial)[0], name="frame")

    def set(self, name: str, value: Any) -> bool:
        settings = self._changed(name, value)
        if self._series is not None:
            self._look = _look(settings, self._series)
        self._settings = settings
        if name == "watch_pixels" or name in MASKING:
            self._begin_watch()
        return False

    def parameters(self) -> Mapping[str, Any]:
        return self._settings.parameters

    def alarms(self) -> Sequence[str]:
        alarm = self._look.mask.alarm if self._look else ""
        return [f"consumer {self.name!r}: {alarm}"] if alarm else []

    def close(self) -> Sequence[Output]:
        return self._outputs()

    def _changed(self, name: str, value: Any) -> Settings:
        settings = self._settings
        if name == "views":
            return replace(settings, views=parse_views(self.name, value))
        if name in MASKING:
            return replace(settings, masking=settings.masking.changed(name, value))
        if name not in settings.parameters:
            raise self.unknown_parameter(name)
        return self._checked(replace(settings, **{name: value}))

    def _checked(self, settings: Settings) -> Settings:
        check_declared(f"consumer {self.name!r}", settings)
        return settings

    def _begin_watch(self) -> None:
        """Look at the pixels of the open series, by the present mask."""
        self._watch = None
        if self._settings.watch_pixels and self._series is not None and self._look is not None:
            self._watch = PixelWatch(self._series.shape, self._look.mask.live)

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

    def _views(self) -> Sequence[Output]:
        """What windows elsewhere show; never a last word, which is the frame itself."""
        return () if self._picture is None else self._viewed(self._picture)

    def _viewed(self, picture: Picture) -> Sequence[Output]:
        assert self._series is not None
        whole = self._frame(picture)
        outputs = []
        for number, view in enumerate(picture.views):
            arrays = {"image": view.image} | ({} if view.valid is None else {"valid": view.valid})
            attrs = {**whole.attrs, **view.attrs(self._series.shape)}
            name = f"{whole.name}{PRIVATE}{number}"
            outputs.append(Output(name, "image", arrays, whole.units, attrs, VIEW_HZ))
        return outputs

    def _frame(self, picture: Picture) -> Output:
        assert self._series is not None
        meta = {key: self._series.meta[key] for key in CALIBRATION + OF_DOSE if key in self._series.meta}
        attrs = {
            **meta,
            **(self._watch.attrs if self._watch is not None else {}),
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


def _picture(index: int, frame: npt.NDArray[Any], look: Look, rows: slice | None) -> Picture:
    settings, live = look.settings, look.mask.live
    limit = (settings.max_size, settings.max_size)
    image, factor = reduce_for_display(frame, limit, cast(Mode, settings.mode), live)
    found = survey(frame, np.inf if look.saturation is None else look.saturation, live)
    views = views_of(frame, settings.views, cast(Mode, settings.mode), live)
    watched = None if rows is None else (frame[rows].copy(), rows)
    return Picture(index, image, factor, look, found, watched, views)


def _saturation(series: Series) -> float | None:
    """The detector's count cutoff, or the end of its integers; a sender may write anything there."""
    value, dtype = series.meta.get("saturation"), series.numpy_dtype
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        return None if dtype.kind == "f" else float(np.iinfo(dtype).max)
    return float(value)


def _said(picture: Picture) -> dict[str, Any]:
    """About counts, and about masked and saturated pixels where the detector has any."""
    look, found = picture.look, picture.survey
    said: dict[str, Any] = {**look.mask.attrs, "live_pixels": found.pixels}
    if found.pixels:
        said["mean_counts"] = found.total / found.pixels
    if look.saturation is not None:
        said |= {"saturation": look.saturation, "saturated_pixels": found.reached}
    if look.mask.known:
        said |= {"pixel_mask": look.settings.masking.use, "masked_pixels": look.mask.known}
    return said
