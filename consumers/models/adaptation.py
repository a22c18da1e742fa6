"""A video denoiser goes on learning from the frames that it denoises, without any truth.

Noise2Noise (Lehtinen et al., ICML 2018): what the model makes of frames up to t is held against frame t + 1,
whose noise is another; drift in between is taken out first (`DriftTracker`). Frames are stabilised, so that
the square of the difference is their log likelihood but for a constant. Every fourth clip is held out: never
learnt from, and judged on once. Of the same difference the noise is taken away by two more copies (uPSNR:
Marcos-Morales et al., arXiv 2210.05553, 2023), which gives the gain in dB.

Knows no process and no stream. Torch is handed over.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.denoise.drift import DriftTracker
from ...kernels.denoise.flow import moved, rigid_flow

Values = npt.NDArray[np.float32]
State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How an adaptation goes about it."""

    rate: float = 2e-4
    """Adam's."""
    batch: int = 4
    side: int = 64
    """px of the crops that it learns from."""
    clips: int = 32
    """The newest that are learnt from."""
    hold_out: int = 4
    """Every so many clips one is held out."""
    steps: int = 60
    """After which weights are tried."""
    per_clip: int = 12
    """Steps that a clip pays for: no frames, no learning."""
    fresh: int = 12
    """Held-out clips on which weights are tried; all of them newer than the weights."""
    sigmas: float = 3.0
    """Standard errors beyond which better is better, and worse worse."""
    least_db: float = 0.1
    """Gains over those in use below this are not worth starting another process."""
    field: int = 384
    """px of a frame's middle that are looked at, at most: then all clips have 113 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames that the model sees, and the next one where its field was in the last of them."""

    frames: Values
    """(n, h, w)"""
    target: Values
    """(h, w)"""
    noise: float
    """Variance of the target's noise, from the two frames before it."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Of weights over others, on held-out clips."""

    decibels: float
    error: float
    """Standard error, dB."""
    share: float
    """Standard errors that the difference is from 0."""

    @classmethod
    def of(cls, old: npt.NDArray[np.float64], new: npt.NDArray[np.float64], noise: float) -> Gain:
        """From mean squared differences to the targets, one a clip."""
        change = old - new
        error = float(change.std(ddof=1)) / math.sqrt(len(change))
        left = [max(float(one.mean()) - noise, error, 1e-9) for one in (old, new)]
        scale = 10 / math.log(10) / left[1]
        return cls(
            10 * math.log10(left[0] / left[1]), scale * error, float(change.mean()) / max(error, 1e-12)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Other weights are to be used."""

    state: State
    steps: int
    """Learnt so far; 0: the model's own weights again."""
    gain: Gain
    """Over the model's own weights; of those again: of the ones that are given up over them."""


@dataclass(slots=True, eq=False)
class _Trial:
    """Weights and what is found of them on fresh clips, against others."""

    state: State
    steps: int
    found: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Of each clip: with these weights, with those in use, with the model's own; and its noise."""

    def over_used(self) -> Gain:
        new, used, _, noise = np.array(self.found).T
        return Gain.of(used, new, float(noise.mean()))

    def over_own(self) -> Gain:
        new, _, own, noise = np.array(self.found).T
        return Gain.of(own, new, float(noise.mean()))


class Adaptation:
    """Clips in, decisions out. Learning is done step by step, when asked.

    Parameters
    ----------
    torch : the module.
    models : two copies of the model, for float32 (1, n, H, W) to (1, 1, H, W): one learns, one is asked.
    multiple : px that sides divide by; frames are cut to that.
    """

    def __init__(
        self, torch: Any, models: tuple[Any, Any], multiple: int = 1, manner: Manner | None = None
    ) -> None:
        self._torch, self._multiple, self.manner = torch, multiple, manner or Manner()
        self._model, self._asked = models
        self._rng = np.random.default_rng(0)
        self._own = self._snapshot()
        self._used: State = self._own
        self.steps, self.failures = 0, 0
        self._budget, self._count = 0, 0
        self._trial: _Trial | None = None
        self._watch = _Trial(self._own, 0)
        """Of the weights in use."""
        self._clips: deque[Clip] = deque(maxlen=self.manner.clips)
        self._shifts: deque[tuple[float, float]] = deque(maxlen=8)
        self._drift, self._seen = DriftTracker(), -1
        self._begin(self._own)
        self._forget()

    def add(self, indices: npt.NDArray[np.int64], frames: Values) -> Decision | None:
        """Take frames (n + 1, h, w), stabilised, consecutive as the model sees them; what follows from it."""
        if self._clips and self._clips[-1].target.shape != self._cut(frames[-1]).shape:
            self._forget()
        clip = self._registered(indices, frames)
        self._count += 1
        self._budget = min(self._budget + self.manner.per_clip, 4 * self.manner.per_clip)
        if self._count % self.manner.hold_out:
            self._clips.append(clip)
            return None
        return self._judge(clip)

    def learn(self) -> bool:
        """One step, if there are clips for it; False where there is nothing to learn."""
        if not self._budget or not self._clips:
            return False
        self._budget -= 1
        torch = self._torch
        clips = [self._clips[int(i)] for i in self._rng.integers(len(self._clips), size=self.manner.batch)]
        crops = [self._crop(clip) for clip in clips]
        frames = torch.from_numpy(np.stack([frames for frames, _ in crops]))
        target = torch.from_numpy(np.stack([target for _, target in crops]))
        loss = (self._model(frames)[:, 0] - target).square().mean()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self.steps += 1
        if not math.isfinite(loss.item()):
            self.failures += 1
            self._begin(self._used)
        elif self._trial is None and self.steps % self.manner.steps == 0:
            self._trial = _Trial(self._snapshot(), self.steps)
        return True

    @property
    def used(self) -> State:
        """The weights that are in use, as far as is known here."""
        return self._used

    def saved(self, state: State) -> bytes:
        """The model with these weights, as ``torch.jit.save`` writes it."""
        buffer = io.BytesIO()
        self._asked.load_state_dict(state)
        self._torch.jit.save(self._asked, buffer)
        return buffer.getvalue()

    def _judge(self, clip: Clip) -> Decision | None:
        used = self._error(self._used, clip)
        own = used if self._used is self._own else self._error(self._own, clip)
        if self._used is not self._own:
            self._watch.found.append((used, used, own, clip.noise))
            if len(self._watch.found) == self.manner.fresh:
                watched, self._watch = self._watch, _Trial(self._used, self._watch.steps)
                if watched.over_own().share < -self.manner.sigmas:
                    return self._take(_Trial(self._own, 0), watched.over_own())
        trial = self._trial
        if trial is None:
            return None
        trial.found.append((self._error(trial.state, clip), used, own, clip.noise))
        if len(trial.found) < self.manner.fresh:
            return None
        self._trial, gain = None, trial.over_used()
        if gain.share > self.manner.sigmas and gain.decibels > self.manner.least_db:
            return self._take(trial, trial.over_own())
        if gain.share < -self.manner.sigmas:
            self._begin(self._used)
        return None

    def _take(self, trial: _Trial, gain: Gain) -> Decision:
        self._used, self._trial = trial.state, None
        self._watch = _Trial(trial.state, trial.steps)
        if not trial.steps:
            self._begin(trial.state)
        return Decision(trial.state, trial.steps, gain)

    def _error(self, state: State, clip: Clip) -> float:
        """Mean squared difference of the model's estimate and the next frame; 1e9 where it is not finite."""
        torch = self._torch
        with torch.inference_mode():
            self._asked.load_state_dict(state)
            found = self._asked(torch.from_numpy(clip.frames[None]))[0, 0].numpy()
        error = float(np.mean((found.astype(np.float64) - clip.target) ** 2))
        return error if math.isfinite(error) else 1e9

    def _registered(self, indices: npt.NDArray[np.int64], frames: Values) -> Clip:
        """The last frame moved to where the field was in the one before; and its noise."""
        frames = np.stack([self._cut(frame) for frame in frames])
        if indices[-1] <= self._seen:  # another series
            self._drift, self._seen = DriftTracker(), -1
        for index, frame in zip(indices.tolist(), frames, strict=True):
            if index > self._seen:
                self._shifts.append(self._drift.add(frame))
                self._seen = index
        before, last = (self._shifts[-2], self._shifts[-1]) if len(self._shifts) > 1 else ((0.0, 0.0),) * 2
        target, kept = _back(frames[-1], last)
        earlier, less = _back(frames[-2], before)
        if len(frames) < 3:
            return Clip(frames[:-1], target, kept)
        half = float(np.mean((earlier.astype(np.float64) - frames[-3]) ** 2)) / (1 + less)
        return Clip(frames[:-1], target, kept * half)

    def _crop(self, clip: Clip) -> tuple[Values, Values]:
        """A square of a clip, at multiples, turned and mirrored."""
        rng, multiple = self._rng, self._multiple
        sides = [min(self.manner.side // multiple * multiple or multiple, n) for n in clip.target.shape]
        y, x = (
            multiple * int(rng.integers((n - side) // multiple + 1))
            for n, side in zip(clip.target.shape, sides, strict=True)
        )
        part = np.concatenate([clip.frames, clip.target[None]])[:, y : y + sides[0], x : x + sides[1]]
        part = part[:, :: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]
        if sides[0] == sides[1] and rng.integers(2):
            part = part.transpose(0, 2, 1)
        part = np.ascontiguousarray(part)
        return part[:-1], part[-1]

    def _cut(self, frame: Values) -> Values:
        """Its middle, as large as is looked at."""
        sides = [min(n, self.manner.field) // self._multiple * self._multiple for n in frame.shape]
        y, x = ((n - side) // 2 for n, side in zip(frame.shape, sides, strict=True))
        return np.ascontiguousarray(frame[y : y + sides[0], x : x + sides[1]])

    def _snapshot(self) -> State:
        return {name: values.detach().clone() for name, values in self._model.state_dict().items()}

    def _begin(self, state: State) -> None:
        """Learn from these weights on."""
        self._model.load_state_dict(state)
        for values in self._model.parameters():
            values.requires_grad_(True)
        self._optimiser = self._torch.optim.Adam(self._model.parameters(), self.manner.rate)

    def _forget(self) -> None:
        """Frames of another size."""
        self._clips.clear()
        self._shifts.clear()
        self._drift, self._seen = DriftTracker(), -1
        self._budget, self._trial = 0, None
        self._watch.found.clear()


def _back(frame: Values, shift: tuple[float, float]) -> tuple[Values, float]:
    """A frame moved back by ``shift``, and what is left of its noise's variance."""
    if max(abs(shift[0]), abs(shift[1])) < 0.05:
        return frame, 1.0
    flow = rigid_flow(shift, frame.shape)
    spot = np.zeros((9, 9), np.float32)
    spot[4, 4] = 1
    fraction = [s - round(s) for s in shift]
    return moved(frame, flow), float((moved(spot, rigid_flow(fraction, spot.shape)) ** 2).sum())
