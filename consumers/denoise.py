"""Live frames with less noise, marked as an estimate, and what was taken away beside them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.denoise.devices import OnDevice, chain_on, tracker_on, warm_up
from ..kernels.denoise.drift import DriftTracker
from ..kernels.denoise.frames import LEAST_SIDE, FrameFilter
from ..kernels.denoise.movies import MovieFilter
from ..kernels.denoise.residual import Residual, residual_of
from ..kernels.denoise.spikes import SpikeFilter
from ..kernels.device import Device
from ..kernels.noise import NoiseModel, noise_of_image, noise_of_movie
from ..stream.series import Series
from .base import Consumer, Frames, Output
from .dead_pixels import MASKED, MASKING, Masking, PixelMask
from .denoising.components import PatternFilter
from .denoising.options import COMPONENTS, MOVIE, OPTIONS, DenoiseOptions
from .denoising.quality import Quality, Step, steps_for
from .dose import counts_per_electron, number_of
from .option_values import AUTO
from .parameters import parameters_of
from .pool import frame_threads
from .truth import Truth

Image = npt.NDArray[np.float32]

VERSION = 2
"""Of all methods together: raised when one gives other pictures."""
QUEUE, QUEUE_BYTES = 64, 256 << 20
"""What waits at most; older frames are passed over, and counted."""
LOOKED_AT = 8
"""Frames from whose scatter gain and read noise are taken."""
WITH_PAST = (MOVIE, COMPONENTS)
"""Methods for which every frame counts; of others the newest alone is denoised."""
NOISE = ("gain", "offset", "read_noise")
RESIDUAL = {"estimate": False, "kind": "residual"}
FAILED = Device("cpu", "CPU", "the GPU has failed")
CALIBRATION = ("pixel_size", "pixel_unit")


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Frames of a block, copied."""

    indices: npt.NDArray[np.int64]
    frames: npt.NDArray[Any]
    """(n, h, w)"""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The newest frame, and what was made of it."""

    index: int
    raw: Image
    values: Image
    """Without spikes."""
    estimate: Image
    noise: NoiseModel
    """Of these pixels, binned ones where they are."""
    step: Step
    spikes: int

    def residual(self) -> Residual:
        """What was taken away; for frames that are shown, which not all are."""
        return residual_of(self.values, self.estimate, self.noise)


@dataclass(slots=True, eq=False)
class _Chain:
    """What a frame goes through at one quality; begun anew with every other."""

    step: Step
    noise: NoiseModel
    spikes: SpikeFilter | None
    drift: DriftTracker | None
    movie: MovieFilter | None
    single: FrameFilter | None
    patterns: PatternFilter | None
    there: OnDevice | None
    """The same on a device, as long as it works."""

    @classmethod
    def of(cls, step: Step, noise: NoiseModel, options: DenoiseOptions, device: Device) -> _Chain:
        own = _binned_noise(noise, step.binning)
        is_movie, is_stack = step.method == MOVIE, step.method == COMPONENTS
        drift = tracker_on(device) if options.drift and is_movie else None
        return cls(
            step,
            own,
            SpikeFilter(own) if options.spikes else None,
            drift,
            MovieFilter(frame_threads()) if is_movie else None,
            None if is_movie or is_stack else FrameFilter(own, step.method),
            PatternFilter() if is_stack else None,
            chain_on(device, step.method, own, spikes=options.spikes, drift=drift),
        )

    def run(self, index: int, frame: Image) -> Shown:
        """A frame, NaN where it is not known."""
        raw = binned(frame, self.step.binning)
        found = None if self.there is None else self.there.add(raw)
        if found is not None:
            return Shown(index, raw, found.values, found.estimate, self.noise, self.step, found.replaced)
        cleaned = None if self.spikes is None else self.spikes.add(raw)
        values = raw if cleaned is None else cleaned.values
        estimate = self._estimate(values)
        replaced = 0 if cleaned is None else cleaned.replaced
        return Shown(index, raw, values, estimate, self.noise, self.step, replaced)

    def _estimate(self, values: Image) -> Image:
        if self.single is not None:
            return self.single(values)
        known = np.isfinite(values)
        if not known.any():
            return np.full_like(values, np.nan)
        stabilised = self.noise.stabilise(values)
        stabilised[~known] = np.nan
        if self.patterns is not None:
            return self.noise.unstabilise(self.patterns.add(stabilised))
        assert self.movie is not None
        shift = (0.0, 0.0) if self.drift is None else self.drift.add(stabilised)
        return self.noise.unstabilise(self.movie.add(stabilised, shift).values)

    def close(self) -> None:
        if self.movie is not None:
            self.movie.close()


@dataclass(slots=True, eq=False)
class _Now:
    """The open series."""

    series: Series
    mask: PixelMask
    quality: Quality
    noise: NoiseModel | None
    """None until frames have told it."""
    noise_from: str
    waiting: deque[tuple[int, npt.NDArray[Any]]]
    first: list[Image] = field(default_factory=list)
    """The first frames, until the noise is known from them."""
    chain: _Chain | None = None
    shown: Shown | None = None
    newest: int = -1
    denoised: int = 0
    passed_over: int = 0
    is_unshown: bool = False
    """Whether what was denoised last waits for the next picture's time."""
    is_worked: bool = False
    """Whether somebody calls ``work``: else frames are denoised as they are merged, every one of them."""


class Denoise(Consumer[Shots | None]):
    """Takes the noise out of frames while they come.

    Parameters
    ----------
    name : the consumer's name.
    method, budget_ms, hz, gain, offset, read_noise, spikes, drift : see `DenoiseOptions`.
    pixel_mask, dead_pixels : pixels that are not to be used, as of the preview.
    truth : a .npy movie (n, h, w) to compare with, for simulations.

    Notes
    -----
    Every picture is marked as an estimate, and says by what method and quality, with which noise, and how
    many frames were passed over. Beside it are the same frame as it was measured, and the residual with its
    `correlation`: whether what was taken away is noise.
    """

    type_name: ClassVar[str] = "denoise"
    default_policy: ClassVar[str] = "latest"
    needs_order: ClassVar[bool] = True
    works = True
    solves: ClassVar[bool] = True
    rest_share: ClassVar[float] = 0.1
    declared = (*parameters_of(DenoiseOptions), *MASKED)

    def __init__(
        self,
        name: str,
        method: str = AUTO,
        budget_ms: float = 40.0,
        hz: float = 30.0,
        gain: float | str = AUTO,
        offset: float | str = AUTO,
        read_noise: float | str = AUTO,
        spikes: bool = True,
        drift: bool = False,
        pixel_mask: bool = True,
        dead_pixels: Any = None,
        truth: str = "",
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (denoise)"
        self._truth = Truth(self._where, truth)
        values = {
            "method": method,
            "budget_ms": budget_ms,
            "hz": hz,
            "gain": gain,
            "offset": offset,
            "read_noise": read_noise,
            "spikes": spikes,
            "drift": drift,
        }
        self._options = DenoiseOptions.parse(self._where, values)
        self._masking = Masking.parse(f"consumer {name!r}", pixel_mask, dead_pixels)
        self._open: _Now | None = None
        self._due_at = 0.0
        self._device, self._fault = Device("cpu", "CPU", "nothing else was asked for"), ""

    def compute_on(self, device: Device) -> None:
        self._device, self._fault = device, warm_up(device)
        if self._fault:
            self._device = FAILED

    def open(self, series: Series) -> None:
        if min(series.shape) < LEAST_SIDE:
            h, w = series.shape
            raise PipelineError(
                f"{self._where}: frames of {h}x{w} px cannot be denoised, the least is {LEAST_SIDE}x"
                f'{LEAST_SIDE}; scan images can: type = "inpaint" with input, or leave this consumer out'
            )
        if self._open is not None:
            self._end_chain(self._open)
        noise, said_by = _noise_of(self._options, series)
        waiting = deque[tuple[int, npt.NDArray[Any]]](maxlen=_queue_of(series))
        self._open = _Now(series, self._masking.of(series), self._quality(series), noise, said_by, waiting)
        self._due_at = 0.0

    def process(self, frames: Frames) -> Shots | None:
        return Shots(frames.indices.copy(), frames.data.copy()) if len(frames) else None

    def merge(self, partial: Shots | None) -> Sequence[Output]:
        if partial is None:
            return ()
        now = self._opened()
        for index, frame in zip(partial.indices.tolist(), partial.frames, strict=True):
            if index <= now.newest:
                continue
            now.newest = index
            if len(now.waiting) == now.waiting.maxlen:
                if now.is_worked:
                    now.passed_over += 1
                else:
                    self._work_off(now, None)
            now.waiting.append((index, frame))
        return ()

    def work_in(self) -> float | None:
        now = self._open
        if now is None or not (now.waiting or now.is_unshown):
            return None
        if now.waiting and now.quality.step.method in WITH_PAST:
            return 0.0
        return max(0.0, self._due_at - time.monotonic())

    def work(self) -> Sequence[Output]:
        now, began = self._opened(), time.monotonic()
        now.is_worked = True
        self._work_off(now, began + 1e-3 * self._options.budget_ms)
        now.is_unshown = began < self._due_at
        if now.is_unshown:
            return ()
        self._due_at = began + 1 / self._options.hz
        return self._outputs(now)

    def set(self, name: str, value: Any) -> bool:
        """Change any parameter but ``truth``; the past of a movie is forgotten with the method."""
        if name in MASKING:
            self._masking = self._masking.changed(name, value)
        elif name in OPTIONS:
            self._options = self._options.changed(self._where, name, value)
        else:
            raise self.unknown_parameter(name)
        if (now := self._open) is not None and name != "hz":
            now.mask, now.quality = self._masking.of(now.series), self._quality(now.series)
            if name in NOISE:
                now.noise, now.noise_from = _noise_of(self._options, now.series)
                now.first = []
            self._end_chain(now)
        return False

    def parameters(self) -> Mapping[str, Any]:
        return {**self._options.parameters, **self._masking.parameters}

    def outputs(self) -> Sequence[Output] | None:
        return None if self._open is None or self._open.shown is None else self._outputs(self._open)

    def alarms(self) -> Sequence[str]:
        now = self._open
        there = now.chain.there if now is not None and now.chain is not None else None
        alarms = (now.mask.alarm if now else "", self._fault, there.alarm if there is not None else "")
        return [f"{self._where}: {alarm}" for alarm in alarms if alarm]

    def close(self) -> Sequence[Output]:
        now = self._opened()
        self._work_off(now, None)
        return self._outputs(now)

    def _opened(self) -> _Now:
        if self._open is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._open

    def _quality(self, series: Series) -> Quality:
        steps = steps_for(self._options.method, series.shape, series.scan is not None)
        return Quality(steps, series.shape, 1e-3 * self._options.budget_ms)

    def _work_off(self, now: _Now, until: float | None) -> None:
        """Denoise what waits; a movie frame by frame as far as the time goes, of others the newest alone.

        Without a time: all of it.
        """
        if until is not None and now.quality.step.method not in WITH_PAST:
            now.passed_over += max(len(now.waiting) - 1, 0)
            while len(now.waiting) > 1:
                now.waiting.popleft()
        while now.waiting:
            index, frame = now.waiting.popleft()
            began, cpu_s = time.monotonic(), time.process_time()
            now.shown = self._chain(now, values := self._values(now, frame)).run(index, values)
            now.denoised += 1
            if until is not None:
                ended = time.monotonic()
                now.quality.took(ended - began, time.process_time() - cpu_s, ended)
                if ended >= until:
                    return

    def _values(self, now: _Now, frame: npt.NDArray[Any]) -> Image:
        """As float32, NaN where a pixel is dead."""
        values = np.asarray(frame, np.float32)
        live = now.mask.live
        return values if live is None else np.where(live, values, np.float32(np.nan))

    def _chain(self, now: _Now, values: Image) -> _Chain:
        """For the next frame: the present one, unless quality or noise has changed."""
        noise = now.noise
        if noise is None or (now.noise_from == "frames" and len(now.first) < LOOKED_AT):
            now.first.append(values)
            if noise is None or len(now.first) == LOOKED_AT:
                now.noise = noise = _told_by(now.first, self._options, now.series)
                self._end_chain(now)
        if now.chain is None or now.chain.step != now.quality.step:
            self._end_chain(now)
            now.chain = _Chain.of(now.quality.step, noise, self._options, self._device)
        return now.chain

    def _end_chain(self, now: _Now) -> None:
        if now.chain is None:
            return
        if now.chain.there is not None and now.chain.there.alarm:
            self._device, self._fault = FAILED, now.chain.there.alarm
        now.chain.close()
        now.chain = None

    def _outputs(self, now: _Now) -> Sequence[Output]:
        shown = now.shown
        if shown is None:
            return ()
        noise = now.noise or NoiseModel()
        unit = str(now.series.meta.get("unit", "counts"))
        place = {key: now.series.meta[key] for key in CALIBRATION if key in now.series.meta}
        if isinstance(size := place.get("pixel_size"), int | float):
            place["pixel_size"] = size * shown.step.binning
        place |= {"of_frame": True, "index": shown.index, "factor": shown.step.binning}
        attrs = {
            **place,
            "estimate": True,
            "algorithm": shown.step.method,
            "version": VERSION,
            "method": shown.step.method,
            "quality": str(shown.step),
            "is_reduced": now.quality.is_reduced,
            "budget_ms": 1e3 * now.quality.budget_s,
            "gain": noise.gain,
            "offset": noise.offset,
            "read_noise": noise.read_noise,
            "noise_from": now.noise_from,
            "spikes": shown.spikes,
            "denoised": now.denoised,
            "passed_over": now.passed_over,
        }
        residual = shown.residual()
        told = {"spread": residual.spread, "correlation": residual.correlation}
        attrs |= {f"residual_{name}": value for name, value in told.items() if np.isfinite(value)}
        known = int(np.count_nonzero(np.isfinite(residual.values)))
        attrs["residual_limit"] = 3 / max(known, 1) ** 0.5
        if (usual := now.quality.usual_s) is not None:
            attrs["ms"] = 1e3 * usual
        outputs = [
            _picture("image", shown.estimate, unit, attrs | self._distance(shown, shown.estimate)),
            _picture("raw", shown.raw, unit, place | self._distance(shown, shown.raw)),
            _picture("residual", residual.values, "sigma", attrs | RESIDUAL),
        ]
        drift = now.chain.drift if now.chain is not None else None
        if drift is not None and len(curve := drift.curve):
            arrays = {"x": np.arange(len(curve)), "y": curve * shown.step.binning}
            labels = {"x_label": "frame", "names": ["y", "x"], "algorithm": "drift", "version": VERSION}
            labels["estimate"] = True
            outputs.append(Output("drift", "curve", arrays, {"x": "", "y": "px"}, labels, hz=5.0))
        return outputs

    def _distance(self, shown: Shown, image: Image) -> dict[str, float]:
        """From the truth of a simulation."""
        psnr = self._truth.psnr_of_frame(image, shown.index, shown.step.binning)
        return {} if psnr is None else {"psnr": psnr}


def binned(frame: Image, side: int) -> Image:
    """Means of side x side pixels, of those that are known; what does not make a whole one is left out."""
    if side == 1:
        return frame
    h, w = (n // side for n in frame.shape)
    parts = frame[: h * side, : w * side].reshape(h, side, w, side)
    known = np.isfinite(parts)
    count = known.sum(axis=(1, 3))
    total = np.where(known, parts, 0).sum(axis=(1, 3), dtype=np.float64)
    return np.asarray(np.where(count == side * side, total / np.maximum(count, 1), np.nan), np.float32)


def _binned_noise(noise: NoiseModel, side: int) -> NoiseModel:
    """Of a mean of side x side pixels."""
    return NoiseModel(noise.gain / side**2, noise.offset, noise.read_noise / side)


def _noise_of(options: DenoiseOptions, series: Series) -> tuple[NoiseModel | None, str]:
    """By the pipeline or the series, and who says it; None where the frames have to tell."""
    chosen = None if options.gain == AUTO else float(options.gain)
    gain, said_by = counts_per_electron(chosen, series.meta)
    if said_by == "assumed":
        return None, "frames"
    return NoiseModel(gain, *_rest(options, series)), "pipeline" if said_by == "parameter" else said_by


def _queue_of(series: Series) -> int:
    h, w = series.shape
    return min(QUEUE, max(2, QUEUE_BYTES // (h * w * series.numpy_dtype.itemsize)))


def _rest(options: DenoiseOptions, series: Series) -> tuple[float, float]:
    """Offset and read noise: as the pipeline says, else the series, else 0."""
    offset, read_noise = (
        number_of(series.meta.get(name)) if value == AUTO else float(value)
        for name, value in (("offset", options.offset), ("read_noise", options.read_noise))
    )
    return offset, max(read_noise, 0.0)


def _told_by(frames: Sequence[Image], options: DenoiseOptions, series: Series) -> NoiseModel:
    """From the scatter of the first frames; counted electrons where they do not tell."""
    offset, _ = _rest(options, series)
    try:
        if len(frames) == 1:
            return noise_of_image(frames[0], offset)
        return noise_of_movie(np.stack(frames), offset)
    except ValueError:
        return NoiseModel(1.0, offset)


def _picture(name: str, image: Image, unit: str, attrs: Mapping[str, Any]) -> Output:
    arrays = {"image": image, "valid": np.isfinite(image)}
    return Output(name, "image", arrays, {"image": unit}, attrs)
