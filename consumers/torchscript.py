"""A model that the user brings, on the newest frames: what it shows is an estimate, and marked so."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import ModelError, PipelineError
from ..kernels.bslz4 import Status
from ..kernels.noise import NoiseModel
from ..stream.series import Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import Masking, PixelMask
from .models.adapting import Adapting
from .models.beginning import with_past
from .models.host import ModelHost
from .models.kept import keep
from .models.learner import Learner
from .models.manifest import Manifest
from .models.options import ModelOptions
from .models.store import Store
from .models.tiles import Grid
from .models.windows import Shots, Windows
from .parameters import parameters_of
from .series_noise import noise_of

Values = npt.NDArray[np.float32]
CALIBRATION = ("pixel_size", "pixel_unit")
PATIENCE_S = 0.005
"""How long frames wait for a call of more of them: as long as ingest waits for a block."""
MOST_ROWS = 65_536
"""Of the table of every frame's estimate; the newest are kept."""


@dataclass(slots=True, eq=False)
class _Open:
    """The open series."""

    series: Series
    grid: Grid
    mask: PixelMask
    noise: NoiseModel
    windows: Windows
    shown: Shots | None = None
    """The frames that the newest estimate was made of."""
    outputs: Sequence[Output] = ()
    is_new: bool = False
    """Whether nobody has seen these outputs yet; where ``work`` shows them."""
    due_at: float = 0.0
    estimated: int = 0
    rows: deque[npt.NDArray[np.float64]] = field(default_factory=lambda: deque(maxlen=MOST_ROWS))
    """Of every frame: its index, and a mean and a maximum for each channel."""


class TorchScript(Consumer[Shots | None]):
    """Runs a model of the store (``livem model add``) on the newest frame and those before it.

    Parameters
    ----------
    name : the consumer's name.
    model : its name in the store.
    models : another folder of models than the user's.
    timeout, memory, cores, enabled, every_frame, batch, precision : see `ModelOptions`.
    pixel_mask : give the model the mean of live pixels where the detector's mask says not to use one.
    adapt : let a model of images go on learning from the frames it is shown, in a process of its own and
        without any truth (`models.adaptation`); false goes back to its own weights, once they are ready.

    Notes
    -----
    The model runs in a process of its own, which cannot open files. One that fails, takes too long, or
    returns what its manifest does not say is switched off: an alarm says why, its picture is empty, the rest
    goes on.

    With ``every_frame`` frames wait for each other, up to ``batch`` of them or 5 ms, and each has a row in
    the table ``frames``; without, the newest frame of a block is all that is looked at, and never waits.
    """

    type_name: ClassVar[str] = "torchscript"
    default_policy: ClassVar[str] = "latest"
    needs_order: ClassVar[bool] = True
    has_own_device: ClassVar[bool] = True
    declared = parameters_of(ModelOptions)

    def __init__(
        self,
        name: str,
        model: str,
        models: str = "",
        timeout: float = 5.0,
        memory: float = 4.0,
        cores: int = 1,
        enabled: bool = True,
        every_frame: bool = False,
        batch: int = 1,
        precision: str = "single",
        pixel_mask: bool = True,
        adapt: bool = False,
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (torchscript)"
        if not isinstance(model, str) or not isinstance(models, str):
            raise PipelineError(f"{self._where}: model and models are texts; see `livem model list`")
        self._masking = Masking.parse(self._where, pixel_mask, None)
        values = {
            "timeout": timeout,
            "memory": memory,
            "cores": cores,
            "enabled": enabled,
            "every_frame": every_frame,
            "batch": batch,
            "precision": precision,
            "adapt": adapt,
        }
        self._options = ModelOptions.parse(self._where, values)
        self.works = every_frame
        try:
            self._store = Store(Path(models) if models else None)
            self._entry = self._store.find(model)
            scanned = self._entry.load()
        except ModelError as error:
            raise ModelError(f"{self._where}: {error}") from error
        self._manifest: Manifest = self._entry.manifest
        self._archive, self._suffix = scanned.archive, self._entry.path.suffix
        self._model, self._device = model, "auto"
        self._learner, self._kept = Learner(self._made), ""
        self._fault = ""
        """Why the model is switched off."""
        self._faulty = (0, 0)
        """The shape of tiles with which it failed: with another it is tried again."""
        self._open: _Open | None = None
        self._check_adapting()

    def want_device(self, wanted: str) -> None:
        self._device = wanted
        self._host.manner = self._options.manner(wanted)

    @property
    def _host(self) -> ModelHost:
        return self._learner.host

    def _made(self, weights: bytes = b"") -> ModelHost:
        """Another process of the model; it is not started yet."""
        limits, manner = self._options.limits, self._options.manner(self._device)
        return ModelHost(f"model {self._model!r}", self._archive, self._suffix, limits, manner, weights)

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
        windows = Windows(self._manifest.input.frames + 1)
        now = _Open(series, grid, self._masking.of(series), noise_of(series) or NoiseModel(), windows)
        if self._options.enabled:
            self._prepare(grid)
        self._open = now
        self._keep_adapting()

    def process(self, frames: Frames) -> Shots | None:
        if not len(frames):
            return None
        wanted = slice(None) if self._options.every_frame else slice(-self._wanted, None)
        return Shots(frames.indices[wanted].copy(), frames.data[wanted].astype(np.float32))

    def process_encoded(self, encoded: Encoded) -> tuple[Shots | None, npt.NDArray[np.int8]] | None:
        """Only the newest frames are decoded, unless all are wanted."""
        if self._options.every_frame:
            return None
        first = max(0, len(encoded) - self._wanted)
        decoded = encoded.decoded(first, len(encoded))
        status = np.zeros(len(encoded), np.int8)
        status[first:][~np.isin(encoded.indices[first:], decoded.indices)] = Status.CORRUPT.code
        return self.process(decoded), status

    def merge(self, partial: Shots | None) -> Sequence[Output]:
        now = self._opened()
        if partial is None or not len(partial):
            return now.outputs
        if self._fault:
            raise ModelError(self._off_text())
        if not len(now.windows):
            now.due_at = time.monotonic() + PATIENCE_S
        now.windows.add(partial)
        if not self._options.every_frame:
            now.windows.skip()
        self._work_off(now, self._options.batch if self._options.every_frame else 1)
        return now.outputs

    def work_in(self) -> float | None:
        now = self._open
        if now is None or not (now.is_new or (len(now.windows) and not self._fault)):
            return None
        return 0.0 if now.is_new else max(0.0, now.due_at - time.monotonic())

    def work(self) -> Sequence[Output]:
        now = self._opened()
        if not now.is_new:
            self._work_off(now, 1)
        now.is_new = False
        return now.outputs

    def set(self, name: str, value: Any) -> bool:
        """Change ``enabled``, ``adapt`` or ``timeout``; ``keep`` names a new model of the adapted weights."""
        if name not in self.parameters():
            raise self.unknown_parameter(name)
        if name == "keep":
            return self._keep(value)
        self._options = self._options.changed(self._where, name, value)
        self._host.limits = self._options.limits
        if name == "adapt":
            self._check_adapting()
            self._end_adapting()
            self._keep_adapting()
        if name != "enabled":
            return False
        self._fault = ""
        if not self._options.enabled:
            self._host.stop()
        elif self._open is not None:
            self._prepare(self._open.grid)
        return False

    def parameters(self) -> Mapping[str, Any]:
        now = self._options
        return {"enabled": now.enabled, "adapt": now.adapt, "timeout": now.timeout, "keep": self._kept}

    def outputs(self) -> Sequence[Output] | None:
        return None if self._open is None or not self._open.outputs else self._open.outputs

    def alarms(self) -> Sequence[str]:
        masking = self._open.mask.alarm if self._open else ""
        said = [self._off_text()] if self._fault else []
        said += [f"{self._where}: {note}" for note in (masking, *self._host.notes) if note]
        return said + [f"{self._where} {fault}" for fault in self._learner.faults()]

    def close(self) -> Sequence[Output]:
        now = self._opened()
        if not self._fault:
            self._work_off(now, 1)
        return now.outputs

    @property
    def pid(self) -> int | None:
        """Of the model's process; None where there is none."""
        return self._host.pid

    def stop(self) -> None:
        """End the model's process and the adapter's; the next series, or a ``set``, starts them again."""
        self._learner.stop()

    @property
    def runs_on(self) -> str:
        return self._host.runs_on

    @property
    def _wanted(self) -> int:
        """Frames of a block that are looked at: what the model sees, and what it adapts to."""
        return self._manifest.input.frames + self._options.adapt

    def _check_adapting(self) -> None:
        """PipelineError for a model that cannot adapt."""
        of_images = self._manifest.output.kind == "image" and self._manifest.normalisation.kind == "anscombe"
        if self._options.adapt and not (of_images and self._suffix == ".pt"):
            self._options = replace(self._options, adapt=False)
            raise PipelineError(
                f"{self._where}: adapt = true needs a TorchScript model of images whose normalisation is "
                f"'anscombe'; {self._model!r} is {self._suffix}, {self._manifest.output.kind}, "
                f"{self._manifest.normalisation.kind}"
            )

    def _keep_adapting(self) -> None:
        """Start the adapter where there is none; it stays from series to series."""
        if not self._options.adapt or self._open is None or self._learner.adapting is not None:
            return
        given, grid = self._manifest.input, self._open.grid
        make, room = partial(self._with_weights, grid), self._host.limits.memory
        self._learner.adapting = Adapting(self._archive, given.frames, given.multiple_of, room, make)

    def _end_adapting(self) -> None:
        """The model's own weights again; frames that come meanwhile do not wait for them."""
        now = self._open if self._options.enabled and not self._fault else None
        self._learner.end(None if now is None else partial(self._with_weights, now.grid))

    def _keep(self, name: Any) -> bool:
        """The weights in use as a model of the store. Raises ModelError."""
        if name == "":
            return False
        now = self._opened()
        (h, w), number = now.series.shape, now.series.key.number
        seen = f"series {number}, frames of {h} x {w} px"
        try:
            self._kept = keep(self._store, self._entry, self._learner.adapted, name, seen).name
        except ModelError as error:
            raise ModelError(f"{self._where}: {error}") from error
        return False

    def _with_weights(self, grid: Grid, weights: bytes) -> ModelHost:
        """Another process of the model, warmed up; called in the adapter's thread."""
        host = self._made(weights)
        host.prepare((1, self._manifest.input.frames, *grid.tile_shape), self._expected(grid))
        return host

    def _follow_adapter(self, now: _Open, clip: Shots) -> None:
        """Between two calls: other weights if there are any, and these frames to learn from."""
        if not self._options.enabled:
            return
        if self._learner.take_over():
            self._prepare(now.grid)
        adapting = self._learner.adapting
        if adapting is not None and clip.indices[0] < clip.indices[1]:  # else one stands for the one before
            adapting.offer(clip.indices, lambda: self._normalised(_filled(clip.frames, now.mask.live), now))

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

    def _work_off(self, now: _Open, least: int) -> None:
        """Estimate frames that wait, as long as there are ``least`` of them."""
        while len(now.windows) >= least:
            now.shown = now.windows.take(self._options.batch)
            self._follow_adapter(now, now.shown[-self._manifest.input.frames - 1 :])
            if not self._options.enabled:
                now.outputs = self._empty(now, now.shown, "switched off")
            else:
                now.outputs = self._estimate(now, now.shown)
            now.is_new = True
            if self._fault:
                return

    def _estimate(self, now: _Open, shots: Shots) -> Sequence[Output]:
        """What the model makes of frames, the newest to be shown; an empty picture where it fails."""
        length, grid = self._manifest.input.frames, now.grid
        seen = self._normalised(_filled(shots.frames, now.mask.live), now)
        count = len(shots) - length
        windows = [slice(at, at + length) for at in range(1, count + 1)]
        tiles = np.concatenate([grid.cut(self._begun(seen[w], shots.indices[w])) for w in windows])
        try:
            found = self._host.run(tiles, self._expected(grid), count)
        except ModelError as error:
            self._fault, self._faulty = str(error), grid.tile_shape
            return self._empty(now, shots, self._fault)
        now.estimated += count
        each = found.reshape(count, len(grid), *found.shape[1:])
        if self._options.every_frame:
            now.rows.extend(
                self._row(now, int(i), one) for i, one in zip(shots.indices[-count:], each, strict=True)
            )
        newest = shots[-length:]
        outputs = [self._output(now, newest, each[-1]), self._raw(now, newest)]
        return [*outputs, self._table(now)] if self._options.every_frame else outputs

    def _begun(self, frames: Values, indices: npt.NDArray[np.int64]) -> Values:
        """What stands for the frames before a series began, whose place its first one has kept."""
        how, lacking = self._manifest.normalisation, int(np.count_nonzero(np.diff(indices) == 0))
        return with_past(frames[lacking:], len(frames), 1 / how.scale if how.kind == "anscombe" else 0.0)

    def _row(self, now: _Open, index: int, found: Values) -> npt.NDArray[np.float64]:
        """(1 + 2 channels,) of a frame: see `_Open.rows`."""
        values = self._joined(now, found)
        axes = tuple(range(1, values.ndim))
        return np.concatenate([[index], values.mean(axis=axes, dtype=np.float64), values.max(axis=axes)])

    def _table(self, now: _Open) -> Output:
        """A row for every frame."""
        rows, channels = np.array(now.rows), self._manifest.output.channels
        arrays: dict[str, npt.NDArray[Any]] = {"frame": rows[:, 0].astype(np.int64)}
        unit = self._manifest.output.units
        kinds = ("value",) if self._manifest.output.kind == "vector" else ("mean", "maximum")
        if self._manifest.output.kind == "image":
            unit = _unit(now.series)
        for k, kind in enumerate(kinds):
            for channel in range(channels):
                name = kind if channels == 1 else f"{kind}_{channel}"
                arrays[name] = rows[:, 1 + k * channels + channel]
        units = {name: unit for name in arrays if name != "frame"}
        attrs = {"estimated": now.estimated, **self._said()}
        return Output("frames", "table", arrays, units, attrs, hz=5.0)

    def _normalised(self, frames: Values, now: _Open) -> Values:
        how = self._manifest.normalisation
        values = now.noise.stabilise(frames) if how.kind == "anscombe" else frames
        return np.asarray((values - np.float32(how.offset)) / np.float32(how.scale), np.float32)

    def _joined(self, now: _Open, found: Values) -> Values:
        """The tiles of a frame as (channels, h, w) in the unit of the output, or (channels,)."""
        if self._manifest.output.kind == "vector":
            return np.asarray(found.mean(axis=0))
        planes = now.grid.join(found)
        if self._manifest.output.kind != "image":
            return planes
        how = self._manifest.normalisation
        values = planes * np.float32(how.scale) + np.float32(how.offset)
        return now.noise.unstabilise(values) if how.kind == "anscombe" else values

    def _output(self, now: _Open, newest: Shots, found: Values) -> Output:
        kind, attrs, values = self._manifest.output.kind, self._attrs(now, newest), self._joined(now, found)
        if kind == "vector":
            arrays: dict[str, npt.NDArray[Any]] = {"channel": np.arange(len(values)), "value": values}
            return Output(kind, "table", arrays, {"value": self._manifest.output.units}, attrs)
        image = values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)
        unit = _unit(now.series) if kind == "image" else self._manifest.output.units
        return self._picture(kind, image, now, unit, attrs)

    def _raw(self, now: _Open, newest: Shots) -> Output:
        index = int(newest.indices[-1])
        return self._picture("raw", newest.frames[-1], now, _unit(now.series), {"index": index})

    def _picture(
        self, name: str, image: npt.NDArray[Any], now: _Open, unit: str, attrs: Mapping[str, Any]
    ) -> Output:
        arrays: dict[str, npt.NDArray[Any]] = {"image": image}
        if (live := now.mask.live) is not None:
            shown = live if image.ndim == 2 else live[..., None]
            arrays = {"image": np.where(shown, image, np.float32(np.nan)), "valid": live}
        meta = {key: now.series.meta[key] for key in CALIBRATION if key in now.series.meta}
        return Output(name, "image", arrays, {"image": unit}, {**meta, "of_frame": True, **attrs})

    def _empty(self, now: _Open, shots: Shots, why: str) -> Sequence[Output]:
        """Instead of an estimate: nothing is valid, and why."""
        output, newest = self._manifest.output, shots[-self._manifest.input.frames :]
        attrs = {**self._attrs(now, newest), "off": why}
        if output.kind == "vector":
            arrays = {"channel": np.arange(output.channels), "value": np.full(output.channels, np.nan)}
            return [Output("vector", "table", arrays, {"value": output.units}, attrs)]
        shape = now.series.shape
        nothing = {"image": np.full(shape, np.nan, np.float32), "valid": np.zeros(shape, bool)}
        return [Output(output.kind, "image", nothing, {}, attrs), self._raw(now, newest)]

    def _attrs(self, now: _Open, newest: Shots) -> dict[str, Any]:
        """What every estimate says of itself."""
        return {
            **self._said(),
            "kind": self._manifest.output.kind,
            "frames": np.unique(newest.indices).tolist(),
            "tiles": len(now.grid),
        }

    def _said(self) -> dict[str, Any]:
        about, adapting = self._learner.adapted, self._learner.adapting
        sha256 = (about.sha256 or self._entry.sha256)[:12]
        return {
            "estimate": True,
            "algorithm": ", ".join(filter(None, (f"model {self._model} {sha256}", about.text))),
            "model": self._model,
            "sha256": sha256,
            **({"adapted": about.text} if about.steps else {}),
            **(adapting.attrs() if adapting is not None else {}),
            "version": self._manifest.version,
            "runs_on": self._host.runs_on,
        }


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
