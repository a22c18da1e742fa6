"""Live denoising on a CUDA device: a frame goes up once, its estimate comes down once.

The classical chain of `kernels.denoise`: spikes taken out, noise evened out, a movie's memories followed and
shrunk in patches of cosines, or one frame alone at the quick level, and the way back without bias. The same
numbers as on the processor but for the last bits; `denoise_kernels` does the work, and two sums a frame come
to the host in between, which decides by them. For one thread at a time; knows no consumer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from ..denoise.drift import DriftTracker
from ..denoise.flow import CELL
from ..denoise.frames import SPARSE
from ..denoise.movies import ANOTHER_SCENE, FIRST, GAINS, OF_PICTURE, SECOND, Memories
from ..denoise.patches import FLOOR, Patches
from ..denoise.spikes import EXCESS, MEMORY, SETTLED
from ..noise import NoiseModel
from . import denoise_kernels as kernels
from .denoise_drift import CupyDrift
from .denoise_kernels import MAX_THREADS, PLACES

Image = npt.NDArray[np.float32]
Array = Any
"""An array on the device."""
MAX_BLOCKS = 4096
"""Of launches with a thread for each pixel: those of 1024 x 1024, and a stride beyond."""
PATCH_THREADS = 64


class Launcher:
    """Launches on one stream, with so many threads a block; fewer only for the simulator."""

    def __init__(self, threads: int = MAX_THREADS) -> None:
        if threads & (threads - 1) or not 0 < threads <= MAX_THREADS:
            raise ValueError(f"{threads} threads of a block; a power of two up to {MAX_THREADS}")
        self.stream: Any = cuda.stream()
        self._threads = threads

    def blocks(self, places: int) -> int:
        """Of a launch with a thread for each place."""
        return max(1, min(MAX_BLOCKS, -(-places // self._threads)))

    def each(self, kernel: Any, places: int) -> Any:
        """A launch with a thread for each place."""
        return kernel[self.blocks(places), self._threads, self.stream]

    def patches(self, kernel: Any, count: int) -> Any:
        """A launch with a block for each patch."""
        return kernel[count, min(self._threads, PATCH_THREADS), self.stream]

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """Memory on the device."""
        return cuda.device_array(shape, dtype, stream=self.stream)

    def up(self, array: npt.NDArray[Any], to: Array | None = None) -> Array:
        """An array on the device, or into memory there."""
        return cuda.to_device(np.ascontiguousarray(array), stream=self.stream, to=to)

    def down(self, array: Array) -> npt.NDArray[Any]:
        """What the device has, when all that was launched is done."""
        found: npt.NDArray[Any] = array.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return found


class DevicePatches:
    """Patches of one size for images of one shape."""

    def __init__(self, patches: Patches, shape: tuple[int, int], floor: float, on: Launcher) -> None:
        side, step = patches.side, patches.step
        self._on, self._step, self._shape, self._floor = on, step, shape, np.float32(floor)
        down, across = ((n + 2 * (side - step) + -n % step - side) // step + 1 for n in shape)
        self._count = down * across
        k, i = np.arange(side)[:, None], np.arange(side)
        waves = np.sqrt(2 / side) * np.cos(np.pi * k * (2 * i + 1) / (2 * side))
        waves[0] *= np.sqrt(0.5)
        self._waves = on.up(waves.astype(np.float32))
        self._window = on.up(np.kaiser(side, 2.0).astype(np.float32))
        self._patches, self._lefts = on.empty((self._count, side * side)), on.empty((self._count,))

    def shrink(
        self, layers: Array, pilot: Array | None, noise: Image, values: Array, variance: Array
    ) -> None:
        """`Patches.cut` without a pilot, `Patches.weigh` with one."""
        on, sigma = self._on, self._on.up(noise)
        run = on.patches(kernels.shrink, self._count)
        guide = layers if pilot is None else pilot
        arrays = (sigma, self._waves, self._step, pilot is not None, self._patches, self._lefts)
        run(layers, guide, *arrays)
        join = on.each(kernels.join, self._shape[0] * self._shape[1])
        join(self._patches, self._lefts, self._window, self._step, self._floor, values, variance)


class DeviceMovie:
    """`MovieFilter` for frames of one shape that are on the device. `add` and `reset` are as there."""

    def __init__(self, shape: tuple[int, int], on: Launcher) -> None:
        self._on, self._shape, self._size = on, shape, shape[0] * shape[1]
        layers = len(GAINS) + 1
        self._first = DevicePatches(FIRST, shape, FLOOR, on)
        self._second = DevicePatches(SECOND, shape, FLOOR, on)
        self._past, self._other = on.empty((2 * layers - 1, *shape)), on.empty((2 * layers - 1, *shape))
        """The last estimate, the raw memories, the clean ones."""
        self._layers, self._pilot = on.empty((layers, *shape)), on.empty((layers, *shape))
        self._whole, self._alone = on.empty((1, *shape)), on.empty(shape)
        self.values, self.variance = on.empty(shape), on.empty(shape)
        """The last estimate."""
        rows, columns = shape[0] // CELL, shape[1] // CELL
        self._costs = on.empty((PLACES, PLACES, rows, columns))
        self._found, self._cells = on.empty((2, rows, columns)), on.empty((2, rows, columns))
        self._sums = on.empty((on.blocks(self._size),), np.float64)
        self._knows = False
        self.reset()

    @property
    def frames(self) -> int:
        """Frames that the estimate rests on, at most."""
        return self._raw.frames

    def reset(self) -> None:
        """Forget all frames."""
        self._raw, self._clean = Memories(), Memories()
        self._knows = False

    def add(self, frame: Array, level: float, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        """The estimate of a frame, in `values` and `variance`; ``level`` fills holes of the first one."""
        on, run = self._on, self._each
        if self._knows and any(shift):
            y, x = (np.float32(-one) for one in shift)
            run(kernels.move_by)(self._past, y, x, self._other)
            self._past, self._other = self._other, self._past
        if not self._knows:
            on.up(np.full(self._shape, level, np.float32), self._past[0])
        run(kernels.complete)(frame, self._past[0], self._whole[0])
        if self._knows:
            self._follow()
        self._estimate()

    def _each(self, kernel: Any) -> Any:
        return self._on.each(kernel, self._size)

    def _follow(self) -> None:
        """Move the past to where it is now, or forget it."""
        on, last, noise = self._on, self._past[0], np.ones(1, np.float32)
        self._first.shrink(self._whole, None, noise, self._pilot[0], self.variance)
        self._second.shrink(self._whole, self._pilot[:1], noise, self._alone, self.variance)
        cells = self._found.size // 2
        if cells:
            on.each(kernels.cell_costs, PLACES * PLACES * cells)(self._alone, last, self._costs)
            on.each(kernels.best, cells)(self._costs, self._found)
            on.each(kernels.smooth, cells)(self._found, self._cells)
            self._each(kernels.move)(self._past, self._cells, self._other)
            self._past, self._other = self._other, self._past
        self._each(kernels.squares)(self._alone, self._past[0], self._sums)
        change = float(on.down(self._sums).sum()) / self._size
        if change > ANOTHER_SCENE and change > OF_PICTURE * float(on.down(self._alone).var()):
            self.reset()

    def _estimate(self) -> None:
        n = len(GAINS)
        raw, clean, whole = self._past[1 : 1 + n], self._past[1 + n :], self._whole[0]
        is_first, noise = not self._raw.frames, self._raw.noise()
        weights = self._on.up(np.array(self._raw.weights(), np.float32))
        self._each(kernels.take_apart)(whole, raw, weights, is_first, self._layers)
        self._each(kernels.add_to)(whole, weights, is_first, raw)
        self._second.shrink(self._layers, None, noise, self._alone, self.variance)
        self._each(kernels.take_apart)(self._alone, clean, weights, is_first, self._pilot)
        self._second.shrink(self._layers, self._pilot, noise, self.values, self.variance)
        self._each(kernels.add_to)(self.values, weights, is_first, clean)
        self._each(kernels.complete)(self.values, self.values, self._past[0])
        self._raw.count()
        self._clean.count()
        self._knows = True


class DeviceSpikes:
    """`SpikeFilter` for frames of one shape that are on the device."""

    def __init__(self, noise: NoiseModel, shape: tuple[int, int], on: Launcher) -> None:
        self._on, self._noise, self._size = on, noise, shape[0] * shape[1]
        self._hits, self._hot, self._fresh, self._spikes = (on.empty(shape, np.uint8) for _ in range(4))
        self._mean, self._clean = on.up(np.zeros(shape, np.float32)), on.empty(shape)
        on.up(np.zeros(shape, np.uint8), self._hot)
        self._sums = on.empty((on.blocks(self._size),), np.float64)
        self.values = on.empty(shape)
        """The last frame without spikes."""
        self._frames, self._share = 0, 0.0

    def add(self, frame: Array) -> None:
        """Clean a frame (h, w) into `values`."""
        run = self._on.each
        self._find(frame, 1.0, self._hits)
        run(kernels.mark, self._size)(self._hits, self._hot, frame, self._fresh, self._spikes)
        run(kernels.replace, self._size)(frame, self._fresh, self._clean, self._sums)
        self._frames += 1
        weight = max(MEMORY, 1 / self._frames)
        self._share = (1 - weight) ** 2 * self._share + weight**2
        run(kernels.remember, self._size)(self._clean, np.float32(weight), self._mean)
        if self._frames >= SETTLED:
            self._find(self._mean, 1 / self._share, self._hot)
            run(kernels.mark, self._size)(self._hits, self._hot, frame, self._fresh, self._spikes)
        run(kernels.replace, self._size)(frame, self._spikes, self.values, self._sums)

    def replaced(self) -> int:
        """Pixels of the last frame."""
        return int(self._on.down(self._sums).sum())

    def _find(self, frame: Array, frames: float, found: Array) -> None:
        base = 0.375 + (self._noise.read_noise / self._noise.gain) ** 2
        excess = EXCESS / float(np.sqrt(frames))
        where = (self._noise.gain, self._noise.offset, base, excess)
        self._on.each(kernels.find_spikes, self._size)(frame, *where, found)


class DeviceRecursion:
    """The recursions of `kernels.denoise.recursions`: frames on the device, values and variance there.

    Parameters
    ----------
    gain : least weight of a new frame (`Exponential`); 0: none (`RunningMean`, `PixelKalman`).
    wander : of `PixelKalman`; 0 for the others.
    """

    def __init__(self, shape: tuple[int, int], on: Launcher, gain: float = 0.0, wander: float = 0.0) -> None:
        self._on, self._size = on, shape[0] * shape[1]
        self._gain, self._wander = np.float32(gain), np.float32(wander)
        self.values, self.variance = (on.up(np.full(shape, one, np.float32)) for one in (np.nan, np.inf))

    def add(self, frame: Array) -> None:
        """A frame (h, w); pixels that are not finite change nothing."""
        arrays = (self._gain, self._wander, self.values, self.variance)
        self._on.each(kernels.recurse, self._size)(frame, *arrays)


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """A frame and what was made of it, in host memory."""

    values: Image
    """(h, w) without spikes."""
    estimate: Image
    """(h, w); NaN where a single frame is not known."""
    replaced: int
    """Spikes."""


class DeviceChain:
    """Frames from the host denoised on the device; another shape begins anew.

    Parameters
    ----------
    noise : of a frame's values.
    movie : True: with those before, `MovieFilter`; False: each alone, at the quick level.
    spikes : take X-ray hits and hot pixels out first.
    drift : follows the field where there is one; of a movie.
    threads : of a CUDA block; fewer only for the simulator.
    """

    def __init__(
        self,
        noise: NoiseModel,
        *,
        movie: bool = True,
        spikes: bool = True,
        drift: DriftTracker | None = None,
        threads: int = MAX_THREADS,
    ) -> None:
        self.noise, self.drift = noise, drift if movie else None
        self._on = Launcher(threads)
        self._is_movie, self._has_spikes = movie, spikes
        self._shape = (0, 0)

    def _begin(self, shape: tuple[int, int]) -> None:
        on, self._shape = self._on, shape
        self._frame, self._even, self._out = (on.empty(shape) for _ in range(3))
        self._spikes = DeviceSpikes(self.noise, shape, on) if self._has_spikes else None
        self._movie = DeviceMovie(shape, on) if self._is_movie else None
        if not self._is_movie:
            self._quick = DevicePatches(Patches(SPARSE.side, SPARSE.step), shape, 0.0, on)
            self._stack, self._variance = on.empty((1, *shape)), on.empty(shape)

    def add(self, frame: Image) -> Denoised:
        """The estimate of a frame (h, w) float32, NaN where it is not known.

        Raises
        ------
        ValueError
            Not (h, w); a single frame with pixels that are not known, which the processor fills.
        """
        if frame.ndim != 2 or not frame.size:
            raise ValueError(f"frame is {frame.shape}: give (h, w)")
        if frame.shape != self._shape:
            self._begin(frame.shape)
        known = np.isfinite(frame)
        if not self._is_movie and not known.all():
            raise ValueError(f"{np.count_nonzero(~known)} pixels of a single frame are not known")
        on, run = self._on, self._on.each
        on.up(np.asarray(frame, np.float32), self._frame)
        cleaned = self._frame
        if self._spikes is not None:
            self._spikes.add(self._frame)
            cleaned = self._spikes.values
        gain, offset, read = (
            self.noise.gain,
            self.noise.offset,
            (self.noise.read_noise / self.noise.gain) ** 2,
        )
        run(kernels.stabilise, frame.size)(cleaned, gain, offset, 0.375 + read, self._even)
        values = self._estimated(frame, known)
        run(kernels.unstabilise, frame.size)(values, gain, offset, 0.125 + read, self._out)
        kept = frame if self._spikes is None else on.down(cleaned)
        return Denoised(kept, on.down(self._out), 0 if self._spikes is None else self._spikes.replaced())

    def _estimated(self, frame: Image, known: npt.NDArray[np.bool_]) -> Array:
        if self._movie is None:
            self._on.each(kernels.complete, frame.size)(self._even, self._even, self._stack[0])
            self._quick.shrink(self._stack, None, np.ones(1, np.float32), self._out, self._variance)
            return self._out
        level = 0.0
        if not self._movie.frames and known.any():
            even = self._on.down(self._even)
            level = float(even[np.isfinite(even)].mean())
        shift = (0.0, 0.0)
        if isinstance(self.drift, CupyDrift):
            self._on.stream.synchronize()
            shift = self.drift.add(self._even)
        elif self.drift is not None:
            shift = self.drift.add(self._on.down(self._even))
        self._movie.add(self._even, level, shift)
        return self._movie.values
