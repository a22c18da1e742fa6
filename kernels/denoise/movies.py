"""Movies with less noise while they come: the past is used as far as it still holds, frame by frame.

A frame is taken apart into what differs from a short memory, what that differs from a long one, and the long
one itself. Noise in each is known exactly, so that patches of cosines (`patches`) decide place by place and
scale by scale how much of each difference is seen: nothing where all rests, all where something new comes.
No decision about motion is needed; what moves, though, is followed first (`flow`), and the memories with it.
Causal; knows neither streams nor drift, which is handed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .flow import block_flow, moved, rigid_flow
from .patches import Image, Patches, Stack
from .workers import Workers

FIRST, SECOND = Patches(8, 4), Patches(8, 2)
"""Of the first look at a frame alone; of all else."""
GAINS = (0.5, 0.125)
"""Weight of a new frame in the short and in the long memory; a third one of 1/32 lost 0.4 dB on movies in
which particles diffuse."""
ANOTHER_SCENE, OF_PICTURE = 0.25, 0.5
"""Mean square change, in noise variances, from which on the past is forgotten as a whole; where that is also
so much of the picture's own variance. The noise of many electrons is little: what moves in bright frames
changes by more than it, and is known nevertheless (0.1 dB at 20 electrons a pixel)."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What a movie filter believes after a frame."""

    values: Image
    """(h, w) in the unit of the frames; the filter reads it again, so it is not to be written to."""
    variance: Image
    """(h, w) of the noise left in it, in noise variances of a frame; lag and blur are not in it."""


class Memories:
    """Exponential memories of frames, from short to long, and the noise in their differences.

    Parameters
    ----------
    gains : weight of a new frame in each, falling; of fewer than 1 / gain frames all count alike.
    """

    def __init__(self, gains: tuple[float, ...] = GAINS) -> None:
        self.gains = gains
        self.frames = 0
        self.images: list[Image] = []
        self._products = np.zeros((len(gains) + 1, len(gains) + 1))

    def weights(self) -> list[float]:
        """Of the next frame."""
        return [max(gain, 1 / (self.frames + 1)) for gain in self.gains]

    def differences(self, frame: Image) -> Stack:
        """(n + 1, h, w): frame - shortest, ..., longest, as they will be once the frame is known.

        They sum to the frame; the first frame is all in the last.
        """
        if not self.frames:
            return np.stack([*(np.zeros_like(frame) for _ in self.gains), frame])
        after = [
            image + np.float32(weight) * (frame - image)
            for image, weight in zip(self.images, self.weights(), strict=True)
        ]
        levels = [frame, *after]
        return np.stack([*(levels[k] - levels[k + 1] for k in range(len(after))), after[-1]])

    def noise(self) -> Image:
        """(n + 1,) float32 standard deviations of the noise in `differences`; that of a frame is 1."""
        products = self._next_products()
        own = np.diag(products)
        between = own[:-1] + own[1:] - 2 * np.diag(products, 1)
        return np.asarray(np.sqrt(np.append(np.maximum(between, 1e-6), own[-1])), np.float32)

    def add(self, frame: Image) -> None:
        """Remember a frame."""
        if not self.frames:
            self.images = [frame.copy() for _ in self.gains]
        for image, weight in zip(self.images, self.weights(), strict=True):
            image += np.float32(weight) * (frame - image)
        self.count()

    def count(self) -> None:
        """One more frame is remembered, by whoever has the images."""
        self._products = self._next_products()
        self.frames += 1

    def _next_products(self) -> npt.NDArray[np.float64]:
        """Covariances of the noise in (frame, memories) once the next frame is known."""
        new = np.array([1.0, *self.weights()])
        products: npt.NDArray[np.float64] = np.outer(1 - new, 1 - new) * self._products + np.outer(new, new)
        return products


class MovieFilter:
    """Frames in, estimates out, each from its frame and those before.

    Frames are stabilised (`NoiseModel.stabilise`): float32, noise of variance 1, white. Pixels that are not
    finite are taken from the past, in the first frame from the mean. A frame that has little to do with those
    before begins anew; so does one of another shape.

    Parameters
    ----------
    threads : that share a frame's work; the estimates are the same for any number.
    """

    def __init__(self, threads: int = 1) -> None:
        self._workers = Workers(threads)
        self._last: Image | None = None
        self.reset()

    @property
    def frames(self) -> int:
        """Frames that the estimate rests on, at most."""
        return self._raw.frames

    def close(self) -> None:
        """End the threads; the filter is of no use then."""
        self._workers.close()

    def reset(self) -> None:
        """Forget all frames."""
        self._raw, self._clean = Memories(), Memories()
        self._last = None

    def add(self, frame: Image, shift: tuple[float, float] = (0.0, 0.0)) -> Estimate:
        """The estimate of a frame.

        Parameters
        ----------
        frame : (h, w) float32.
        shift : px (y, x) by which the field has moved since the frame before.

        Raises
        ------
        ValueError
            A frame that is not (h, w), a shift that is not finite.
        """
        if frame.ndim != 2 or not frame.size:
            raise ValueError(f"frame is {frame.shape}: give (h, w)")
        if not np.isfinite(shift).all():
            raise ValueError(f"shift is {shift}: give finite px (y, x)")
        if self._last is not None and self._last.shape != frame.shape:
            self.reset()
        if self._last is not None and any(shift):
            self._move(-rigid_flow(shift, frame.shape))
        whole = self._completed(frame)
        if self._last is not None:
            self._follow(whole)
        return self._estimate(whole)

    def _completed(self, frame: Image) -> Image:
        """Without holes."""
        known = np.isfinite(frame)
        if known.all():
            return np.array(frame, np.float32, order="C")
        level = frame[known].mean() if known.any() else 0.0
        past = level if self._last is None else self._last
        return np.array(np.where(known, frame, past), np.float32, order="C")

    def _move(self, flow: npt.NDArray[np.float32]) -> None:
        """Everything known moves: a pixel's past was at ``pixel + flow``."""
        assert self._last is not None
        known = [self._last, *self._raw.images, *self._clean.images]
        self._last, *images = self._workers.map(lambda image: moved(image, flow), known)
        self._raw.images, self._clean.images = images[: len(images) // 2], images[len(images) // 2 :]

    def _follow(self, frame: Image) -> None:
        """Move the past to where it is now, or forget it."""
        assert self._last is not None
        alone = self._alone(frame)
        flow = block_flow(alone, self._last, self._workers)
        if flow.any():
            self._move(flow)
        change = float(np.mean((alone - self._last) ** 2))
        if change > max(ANOTHER_SCENE, OF_PICTURE * float(alone.var())):
            self.reset()

    def _alone(self, frame: Image) -> Image:
        """What the frame shows without a past; the past is followed as well as this is known."""
        layers, noise = frame[None], np.ones(1, np.float32)
        pilot = FIRST.cut(layers, noise, self._workers).values
        return SECOND.weigh(layers, pilot[None], noise, self._workers).values

    def _estimate(self, frame: Image) -> Estimate:
        layers, noise = self._raw.differences(frame), self._raw.noise()
        self._raw.add(frame)
        pilot = self._clean.differences(SECOND.cut(layers, noise, self._workers).values)
        found = SECOND.weigh(layers, pilot, noise, self._workers)
        estimate = Estimate(found.values, found.variance)
        self._clean.add(estimate.values)
        self._last = estimate.values
        return estimate
