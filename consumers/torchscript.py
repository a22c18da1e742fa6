"""A model that the user brings, on the newest frames: what it shows is an estimate, and marked so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import ModelError, PipelineError
from ..kernels.bslz4 import Status
from ..kernels.noise import NoiseModel
from ..stream.series import IndexArray, Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import Masking, PixelMask
from .models.adapting import Adapted, Adapting
from .models.beginning import with_past
from .models.host import Limits, ModelHost
from .models.manifest import Manifest
from .models.store import Store
from .models.tiles import Grid
from .series_noise import noise_of

Values = npt.NDArray[np.float32]
CALIBRATION = ("pixel_size", "pixel_unit")


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The last frames of a block."""

    indices: IndexArray
    frames: Values
    """(n, h, w) in the detector's values."""

    def joined(self, newer: Newest, most: int) -> Newest:
        """These and newer ones, each frame once, the newest ``most`` of them."""
        fresh = newer.indices > self.indices[-1]
        indices = np.concatenate([self.indices, newer.indices[fresh]])[-most:]
        return Newest(indices, np.concatenate([self.frames, newer.frames[fresh]])[-most:])


@dataclass(slots=True, eq=False)
class _Open:
    """The open series."""

    series: Series
    grid: Grid
    mask: PixelMask
    noise: NoiseModel
    newest: Newest | None = None
    outputs: Sequence[Output] = ()


class TorchScript(Consumer[Newest | None]):
    """Runs a model of the store (``livem model add``) on the newest frame and those before it.

    Parameters
    ----------
    name : the consumer's name.
    model : its name in the store.
    models : another folder of models than the user's.
    timeout : s for one frame; a model that needs more is switched off.
    memory : GiB that the model may take beside torch itself; not held on Windows.
    cores : threads of one call.
    enabled : false switches the model off; true starts it again after it failed.
    pixel_mask : give the model the mean of live pixels where the detector's mask says not to use one.
    adapt : let a model of images go on learning from the frames it is shown, in a process of its own and
        without any truth (`models.adaptation`); false goes back to its own weights.

    Notes
    -----
    The model runs in a process of its own, which cannot open files. One that fails, takes too long, or
    returns what its manifest does not say is switched off: an alarm says why, its picture is empty, the rest
    goes on.
    """

    type_name: ClassVar[str] = "torchscript"
    default_policy: ClassVar[str] = "latest"
    needs_order: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        model: str,
        models: str = "",
        timeout: float = 5.0,
        memory: float = 4.0,
        cores: int = 1,
        enabled: bool = True,
        pixel_mask: bool = True,
        adapt: bool = False,
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (torchscript)"
        if not isinstance(model, str) or not isinstance(models, str):
            raise PipelineError(
                f"{self._where}: model and models are texts; `livem model list` shows the names"
            )
        self._masking = Masking.parse(self._where, pixel_mask, None)
        self._timeout = self._number("timeout", timeout, 0.001, 600.0)
        self._enabled = self._switch("enabled", enabled)
        if type(cores) is not int or not 1 <= cores <= 256:
            raise PipelineError(f"{self._where}: cores = {cores!r}; it must be a whole number from 1 to 256")
        room = int(self._number("memory", memory, 0.1, 1024.0) * 2**30)
        try:
            entry = Store(Path(models) if models else None).find(model)
            scanned = entry.load()
        except ModelError as error:
            raise ModelError(f"{self._where}: {error}") from error
        self._manifest: Manifest = entry.manifest
        limits = Limits(self._timeout, room, cores)
        self._archive, self._suffix = scanned.archive, entry.path.suffix
        self._host = ModelHost(f"model {model!r}", self._archive, self._suffix, limits)
        self._sha256 = entry.sha256
        self._model = model
        self._fault = ""
        """Why the model is switched off."""
        self._faulty = (0, 0)
        """The shape of tiles with which it failed: with another it is tried again."""
        self._open: _Open | None = None
        self._adapting: Adapting | None = None
        self._adapted = Adapted()
        self._adapt = self._switch("adapt", adapt)
        self._check_adapting()

    def open(self, series: Series) -> None:
        self._open = None
        y, x = self._manifest.input.tilings
        try:
            grid = Grid.of(series.shape, y, x)
        except ValueError as error:
            raise PipelineError(
                f"{self._where}: frames of {series.shape[0]} x {series.shape[1]} px: {error}"
            ) from error
        if self._fault and self._faulty == grid.tile_shape:
            raise ModelError(self._off_text())
        self._fault = ""
        now = _Open(series, grid, self._masking.of(series), noise_of(series) or NoiseModel())
        if self._enabled:
            self._prepare(grid)
        self._open = now
        self._keep_adapting()

    def process(self, frames: Frames) -> Newest | None:
        if not len(frames):
            return None
        newest = slice(-self._kept, None)
        return Newest(frames.indices[newest].copy(), frames.data[newest].astype(np.float32))

    def process_encoded(self, encoded: Encoded) -> tuple[Newest | None, npt.NDArray[np.int8]] | None:
        """Only the newest frames are decoded."""
        first = max(0, len(encoded) - self._kept)
        decoded = encoded.decoded(first, len(encoded))
        status = np.zeros(len(encoded), np.int8)
        status[first:][~np.isin(encoded.indices[first:], decoded.indices)] = Status.CORRUPT.code
        return self.process(decoded), status

    def merge(self, partial: Newest | None) -> Sequence[Output]:
        now = self._opened()
        if partial is None or not len(partial.indices):
            return now.outputs
        now.newest = partial if now.newest is None else now.newest.joined(partial, self._kept)
        if self._fault:
            raise ModelError(self._off_text())
        self._follow_adapter(now, now.newest)
        now.outputs = self._estimate(now, now.newest) if self._enabled else self._empty(now, "switched off")
        return now.outputs

    def set(self, name: str, value: Any) -> bool:
        """Change ``enabled``, ``adapt`` or ``timeout``."""
        if name == "timeout":
            self._timeout = self._number(name, value, 0.001, 600.0)
            self._host.limits = Limits(self._timeout, self._host.limits.memory, self._host.limits.cores)
            return False
        if name == "adapt":
            self._adapt = self._switch(name, value)
            self._check_adapting()
            self._end_adapting()
            self._keep_adapting()
            return False
        if name != "enabled":
            raise self.unknown_parameter(name)
        self._enabled = self._switch(name, value)
        self._fault = ""
        if not self._enabled:
            self._host.stop()
        elif self._open is not None:
            self._prepare(self._open.grid)
        return False

    def parameters(self) -> Mapping[str, Any]:
        return {"enabled": self._enabled, "adapt": self._adapt, "timeout": self._timeout}

    def outputs(self) -> Sequence[Output] | None:
        return None if self._open is None or not self._open.outputs else self._open.outputs

    def alarms(self) -> Sequence[str]:
        masking = self._open.mask.alarm if self._open else ""
        off = self._off_text() if self._fault else ""
        ended = self._adapting.error if self._adapting else ""
        said = (
            off,
            f"{self._where}: {masking}" if masking else "",
            f"{self._where} adapts no more: {ended}; adapt = true starts it again" if ended else "",
        )
        return [text for text in said if text]

    def close(self) -> Sequence[Output]:
        return self._opened().outputs

    @property
    def pid(self) -> int | None:
        """Of the model's process; None where there is none."""
        return self._host.pid

    def stop(self) -> None:
        """End the model's process and the adapter's; the next series, or a ``set``, starts them again."""
        if self._adapting is not None:
            self._adapting.stop()
            self._adapting = None
        self._host.stop()

    @property
    def _kept(self) -> int:
        """Frames that are remembered: what the model sees, and what it adapts to."""
        return self._manifest.input.frames + self._adapt

    def _check_adapting(self) -> None:
        """PipelineError for a model that cannot adapt."""
        of_images = self._manifest.output.kind == "image" and self._manifest.normalisation.kind == "anscombe"
        if self._adapt and not (of_images and self._suffix == ".pt"):
            self._adapt = False
            raise PipelineError(
                f"{self._where}: adapt = true needs a TorchScript model of images whose normalisation is "
                f"'anscombe'; {self._model!r} is {self._suffix}, {self._manifest.output.kind}, "
                f"{self._manifest.normalisation.kind}"
            )

    def _keep_adapting(self) -> None:
        """Start the adapter where there is none; it stays from series to series."""
        if not self._adapt or self._open is None or self._adapting is not None:
            return
        given, grid = self._manifest.input, self._open.grid

        def make(weights: bytes) -> ModelHost:
            return self._with_weights(grid, weights)

        room = self._host.limits.memory
        self._adapting = Adapting(self._archive, given.frames, given.multiple_of, room, make)

    def _end_adapting(self) -> None:
        """The model's own weights again."""
        if self._adapting is not None:
            self._adapting.stop()
            self._adapting = None
        if self._adapted.steps:
            own = ModelHost(f"model {self._model!r}", self._archive, self._suffix, self._host.limits)
            self._take_over(own, Adapted())
            if self._open is not None and self._enabled:
                self._prepare(self._open.grid)

    def _with_weights(self, grid: Grid, weights: bytes) -> ModelHost:
        """Another process of the model, warmed up; called in the adapter's thread."""
        host = ModelHost(f"model {self._model!r}", self._archive, self._suffix, self._host.limits, weights)
        host.prepare((1, self._manifest.input.frames, *grid.tile_shape), self._expected(grid))
        return host

    def _take_over(self, host: ModelHost, adapted: Adapted) -> None:
        before, self._host, self._adapted = self._host, host, adapted
        before.stop()

    def _follow_adapter(self, now: _Open, newest: Newest) -> None:
        """Between two frames: other weights if there are any, and these frames to learn from."""
        if self._adapting is None or not self._enabled:
            return
        if (adoption := self._adapting.adoption()) is not None:
            self._take_over(adoption.host, adoption.adapted)
            self._prepare(now.grid)
        if len(newest.frames) == self._kept:
            self._adapting.offer(
                newest.indices, lambda: self._normalised(_filled(newest.frames, now.mask.live), now)
            )

    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._open

    def _off_text(self) -> str:
        return f"{self._where} is switched off: {self._fault}; enabled = true starts it again"

    def _prepare(self, grid: Grid) -> None:
        """Load and warm up; raises ModelError where the model cannot be used."""
        shape = (1, self._manifest.input.frames, *grid.tile_shape)
        try:
            self._host.prepare(shape, self._expected(grid))
        except ModelError as error:
            self._fault, self._faulty = str(error), grid.tile_shape
            raise ModelError(self._off_text()) from error

    def _expected(self, grid: Grid) -> tuple[int, ...]:
        """Shape of the output of a tile."""
        output = self._manifest.output
        return (1, output.channels, *(() if output.kind == "vector" else grid.tile_shape))

    def _estimate(self, now: _Open, newest: Newest) -> Sequence[Output]:
        """What the model makes of the newest frames; an empty picture where it fails."""
        seen = self._manifest.input.frames
        raw = _filled(newest.frames[-seen:], now.mask.live)
        how = self._manifest.normalisation
        noise = 1 / how.scale if how.kind == "anscombe" else 0.0
        tiles = now.grid.cut(with_past(self._normalised(raw, now), seen, noise))
        try:
            found = self._host.run(tiles, self._expected(now.grid))
        except ModelError as error:
            self._fault, self._faulty = str(error), now.grid.tile_shape
            return self._empty(now, self._fault)
        return [self._output(now, found), self._raw(now, newest)]

    def _normalised(self, frames: Values, now: _Open) -> Values:
        how = self._manifest.normalisation
        values = now.noise.stabilise(frames) if how.kind == "anscombe" else frames
        return np.asarray((values - np.float32(how.offset)) / np.float32(how.scale), np.float32)

    def _output(self, now: _Open, found: Values) -> Output:
        kind, attrs = self._manifest.output.kind, self._attrs(now)
        if kind == "vector":
            values = found.mean(axis=0)
            arrays = {"channel": np.arange(len(values)), "value": values}
            return Output(kind, "table", arrays, {"value": self._manifest.output.units}, attrs)
        planes = now.grid.join(found)
        if kind != "image":
            image = planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)
            return self._picture(kind, image, now, self._manifest.output.units, attrs)
        how = self._manifest.normalisation
        values = planes[0] * np.float32(how.scale) + np.float32(how.offset)
        image = now.noise.unstabilise(values) if how.kind == "anscombe" else values
        return self._picture(kind, image, now, _unit(now.series), attrs)

    def _raw(self, now: _Open, newest: Newest) -> Output:
        attrs = {"index": int(newest.indices[-1])}
        return self._picture("raw", newest.frames[-1], now, _unit(now.series), attrs)

    def _picture(
        self, name: str, image: npt.NDArray[Any], now: _Open, unit: str, attrs: Mapping[str, Any]
    ) -> Output:
        arrays: dict[str, npt.NDArray[Any]] = {"image": image}
        if (live := now.mask.live) is not None:
            shown = live if image.ndim == 2 else live[..., None]
            arrays = {"image": np.where(shown, image, np.float32(np.nan)), "valid": live}
        meta = {key: now.series.meta[key] for key in CALIBRATION if key in now.series.meta}
        return Output(name, "image", arrays, {"image": unit}, {**meta, "of_frame": True, **attrs})

    def _empty(self, now: _Open, why: str) -> Sequence[Output]:
        """Instead of an estimate: nothing is valid, and why."""
        output, attrs = self._manifest.output, {**self._attrs(now), "off": why}
        if output.kind == "vector":
            arrays = {"channel": np.arange(output.channels), "value": np.full(output.channels, np.nan)}
            return [Output("vector", "table", arrays, {"value": output.units}, attrs)]
        shape = now.series.shape
        nothing = {"image": np.full(shape, np.nan, np.float32), "valid": np.zeros(shape, bool)}
        raw = [self._raw(now, now.newest)] if now.newest is not None else []
        return [Output(output.kind, "image", nothing, {}, attrs), *raw]

    def _attrs(self, now: _Open) -> dict[str, Any]:
        """What every estimate says of itself."""
        seen = slice(-self._manifest.input.frames, None)
        indices = [] if now.newest is None else [int(index) for index in now.newest.indices[seen]]
        adapted = {"adapted": self._adapted.text} if self._adapted.steps else {}
        sha256 = (self._adapted.sha256 or self._sha256)[:12]
        return {
            "estimate": True,
            "algorithm": ", ".join(filter(None, (f"model {self._model} {sha256}", self._adapted.text))),
            "model": self._model,
            "sha256": sha256,
            **adapted,
            **(self._adapting.attrs() if self._adapting is not None else {}),
            "version": self._manifest.version,
            "kind": self._manifest.output.kind,
            "frames": indices,
            "tiles": len(now.grid),
        }

    def _number(self, name: str, value: Any, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise PipelineError(
                f"{self._where}: {name} = {value!r}; it must be a number from {low:g} to {high:g}"
            )
        return float(value)

    def _switch(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise PipelineError(f"{self._where}: {name} = {value!r}; it must be true or false")
        return value


def _unit(series: Series) -> str:
    return str(series.meta.get("unit", "counts"))


def _filled(frames: Values, live: npt.NDArray[np.bool_] | None) -> Values:
    """Frames whose dead or not finite pixels have the mean of the others, 0 without any."""
    good = np.isfinite(frames)
    if live is not None:
        good &= live
    if good.all():
        return frames
    filled = frames.copy()
    for frame, known in zip(filled, good, strict=True):
        frame[~known] = frame[known].mean() if known.any() else 0.0
    return filled
