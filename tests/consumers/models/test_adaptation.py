"""A model that learns from noisy frames alone: better where it can be, the same where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livem.consumers.models.adaptation import Adaptation, Decision, Gain, Manner

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")

INPUTS, SIDE = 3, 32
MANNER = Manner(rate=0.01, batch=4, side=16, clips=16, steps=30, per_clip=5, fresh=8)


class Weighted(torch.nn.Module):
    """A weight for each frame."""

    def __init__(self, weights) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float32))

    def forward(self, x):
        return (x * self.weights[:, None, None]).sum(1, keepdim=True)


def adaptation(weights) -> Adaptation:
    return Adaptation(torch, (Weighted(weights), Weighted(weights)), 4, MANNER)


def scene(seed: int = 0) -> np.ndarray:
    """(h, w) of a few standard deviations of the noise."""
    y, x = np.mgrid[:SIDE, :SIDE]
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    return 3 + 1.5 * np.sin(0.5 * y + phase[0]) * np.sin(0.4 * x + phase[1])


def watch(one: Adaptation, clips: int, rng, truth=None, fade: float = 1.0) -> list[Decision]:
    """Frames of a scene at rest, each learnt from; ``fade``: brightness from frame to frame."""
    truth = scene() if truth is None else truth
    found = []
    for number in range(clips):
        frames = np.array([truth * fade**k for k in range(INPUTS + 1)]) + rng.standard_normal(
            (INPUTS + 1, SIDE, SIDE)
        )
        decision = one.add(np.arange(INPUTS + 1) + 10 * number, frames.astype(np.float32))
        if decision is not None:
            found.append(decision)
        while one.learn():
            pass
    return found


def error_of(decision: Decision, truth, rng) -> float:
    frames = truth + rng.standard_normal((INPUTS, SIDE, SIDE))
    return float(np.mean((np.tensordot(decision.state["weights"].numpy(), frames, 1) - truth) ** 2))


def test_a_model_that_does_not_fit_gets_better_as_it_says():
    """One that shows the newest frame, 0 dB below the noise, learns to take the mean: 4.8 dB."""
    rng = np.random.default_rng(1)
    decisions = watch(adaptation([0.0, 0.0, 1.0]), 100, rng)
    assert decisions
    first, last = decisions[0], decisions[-1]
    assert 0 < first.steps < last.steps
    gain = 10 * np.log10(1 / error_of(last, scene(), rng))
    assert gain > 4
    assert last.gain.decibels == pytest.approx(gain, abs=1.0)
    assert last.gain.share > MANNER.sigmas


def test_what_cannot_get_better_stays():
    """These weights are the best there are: beyond them there is the noise of the frames alone."""
    power = float(np.mean(scene() ** 2))
    one = adaptation([power / (3 * power + 1)] * 3)
    assert watch(one, 200, np.random.default_rng(2)) == []
    assert one.steps > 700


def test_weights_go_back_when_the_specimen_changes():
    rng = np.random.default_rng(3)
    one = adaptation([1 / 3, 1 / 3, 1 / 3])
    fading = watch(one, 120, rng, fade=0.8)
    assert fading
    assert fading[-1].steps
    back = watch(one, 60, rng)
    assert back[0].steps == 0
    assert back[0].gain.decibels < 0
    np.testing.assert_array_equal(back[0].state["weights"].numpy(), np.full(3, np.float32(1 / 3)))


def test_frames_that_are_not_finite_spoil_nothing():
    rng = np.random.default_rng(4)
    one = adaptation([1 / 3, 1 / 3, 1 / 3])
    assert watch(one, 60, rng, truth=np.full((SIDE, SIDE), np.nan)) == []
    assert one.failures
    assert torch.isfinite(one._model.weights).all()


def test_frames_of_another_size_begin_anew():
    one = adaptation([0.0, 0.0, 1.0])
    rng = np.random.default_rng(5)
    watch(one, 5, rng)
    wide = rng.standard_normal((INPUTS + 1, 45, 39)).astype(np.float32)
    one.add(np.arange(INPUTS + 1) + 99, wide)
    assert [clip.target.shape for clip in one._clips] == [(44, 36)]
    assert one.learn()


def test_the_next_frame_is_held_against_where_the_field_was():
    """A field that drifts by 1.3 px a frame; neighbours differ by noise alone once that is taken out."""
    one, rng = adaptation([0.0, 0.0, 1.0]), np.random.default_rng(6)
    y, x = np.mgrid[:64, :64].astype(np.float64)
    truth = np.array(
        [
            3 + 2 * np.sin(0.35 * (y - 1.3 * k)) * np.sin(0.3 * x) * np.exp(-0.01 * (x - 32) ** 2)
            for k in range(30)
        ]
    )
    frames = (truth + 0.1 * rng.standard_normal(truth.shape)).astype(np.float32)
    for k in range(30 - INPUTS):
        one.add(np.arange(k, k + INPUTS + 1), frames[k : k + INPUTS + 1])
    clip = one._clips[-1]
    inside = slice(8, -8)
    moved = np.mean((clip.target - truth[28])[inside, inside] ** 2)
    assert moved < 0.3 * np.mean((truth[29] - truth[28])[inside, inside] ** 2)
    assert 0.003 < clip.noise < 0.015
    one.add(np.arange(INPUTS + 1), frames[: INPUTS + 1])
    assert len(one._drift.curve) == INPUTS + 1, "the field of another series begins anew"


def test_the_gain_of_known_errors():
    rng = np.random.default_rng(7)
    noise = 1 + 0.001 * rng.standard_normal(40)
    gain = Gain.of(noise + 0.2, noise + 0.1 + 0.001 * rng.standard_normal(40), 1.0)
    assert gain.decibels == pytest.approx(10 * np.log10(2), abs=0.05)
    assert 0 < gain.error < 0.05
    assert gain.share > 100
