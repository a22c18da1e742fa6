"""Adaptation beside a running model: other weights take over between two frames; what fails is only said."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import psutil
import pytest
from model_tools import manifest, saved, write

from livem.consumers.base import Frames
from livem.consumers.models import adapter
from livem.consumers.models.adapting import Adapting
from livem.consumers.models.store import Store
from livem.consumers.testing import example_series
from livem.consumers.torchscript import TorchScript
from livem.errors import ModelError
from livem.kernels.noise import NoiseModel

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(600)]
INPUTS = 3
SERIES = example_series(shape=(32, 32))
ROOTS = np.linspace(1.3, 40, 200_000, dtype=np.float32)
PATIENCE, LOWER = 60.0, 1


class Newest(torch.nn.Module):
    """Shows the newest frame, and could do better; its weights move far in a step."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([0.0, 0.0, 0.02]))

    def forward(self, x):
        return (x * (50 * self.weights)[:, None, None]).sum(1, keepdim=True)


def used(picture, frames) -> np.ndarray:
    """The weights of the frames in a picture; they explain every pixel of it."""
    clear = picture.ravel() > 4
    roots = np.interp(picture.ravel()[clear], NoiseModel().unstabilise(ROOTS), ROOTS)
    seen = NoiseModel().stabilise(frames).reshape(INPUTS, -1).T[clear]
    found, *_ = np.linalg.lstsq(seen, roots, rcond=None)
    np.testing.assert_allclose(seen @ found, roots, atol=5e-3)
    return found.round(3) + 0.0


class Stream:
    """A scene at rest, frame by frame through a consumer."""

    def __init__(self, consumer: TorchScript) -> None:
        self.consumer, self.count = consumer, 0
        self._rng = np.random.default_rng(0)
        y, x = np.mgrid[:32, :32]
        self._scene = 25 + 15 * np.sin(0.5 * y) * np.sin(0.4 * x)
        self._past = [self._draw() for _ in range(INPUTS)]

    def _draw(self) -> np.ndarray:
        return self._rng.poisson(self._scene).astype(np.uint16)

    def next(self):
        """Of the next frame: what the picture says of itself, and the weights that made it."""
        self._past = [*self._past[1:], self._draw()]
        frames = Frames(SERIES, np.array([self.count]), self._past[-1][None])
        self.count += 1
        image = self.consumer.merge(self.consumer.process(frames))[0]
        weights = used(image.arrays["image"], np.array(self._past)) if self.count >= INPUTS else None
        return image.attrs, weights


@pytest.fixture
def consumer(tmp_path):
    Store(tmp_path / "store").add(
        write(
            tmp_path, saved(torch, Newest()), manifest(input="frames = 3", normalisation='kind = "anscombe"')
        )
    )
    made = TorchScript("m", "tiny", str(tmp_path / "store"), timeout=60.0)
    yield made
    made.stop()


def test_weights_take_over_between_two_frames_go_back_are_kept_and_a_death_changes_nothing(
    consumer, tmp_path, monkeypatch
):
    monkeypatch.setattr("livem.consumers.models.adapting.run_adapter", _nearly_last)
    assert adapter.NICEST == 19
    consumer.open(SERIES)
    stream = Stream(consumer)
    own = stream.next()[0]["sha256"]
    assert "adapting" not in stream.next()[0]
    consumer.set("adapt", True)
    by_hash: dict[str, set] = {}
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        attrs, weights = stream.next()
        by_hash.setdefault(attrs["sha256"], set()).add(tuple(weights))
        if len(by_hash) == 2:
            break
        consumer._learner.adapting.answered(PATIENCE)
    assert len(by_hash) == 2, "nothing was adapted"
    assert by_hash[own] == {(0.0, 0.0, 1.0)}
    new = next(sha256 for sha256 in by_hash if sha256 != own)
    (weights,) = by_hash[new]
    assert weights[0] > 0.1
    assert "steps, +" in attrs["adapted"]
    assert attrs["adapted"] in attrs["algorithm"]

    behind = psutil.Process(consumer._learner.adapting.pid)
    assert behind.nice() == psutil.Process().nice() + LOWER or os.name == "nt"
    behind.kill()
    consumer._learner.adapting._thread.join(PATIENCE)
    attrs, after = stream.next()
    assert attrs["sha256"] == new
    assert tuple(after) == weights
    assert "ended: its process ended" in attrs["adapting"]
    assert any("adapts no more" in text for text in consumer.alarms())

    consumer.set("keep", "mine")
    consumer.set("adapt", False)
    assert consumer._learner.returned(PATIENCE)
    attrs, after = stream.next()
    assert (attrs["sha256"], tuple(after)) == (own, (0.0, 0.0, 1.0))
    assert not {"adapted", "adapting"} & set(attrs)
    assert not consumer.alarms()

    kept = TorchScript("m", "mine", str(tmp_path / "store"), timeout=60.0)
    kept.open(SERIES)
    again = Stream(kept)
    seen = [again.next()[1] for _ in range(INPUTS)]
    kept.stop()
    assert tuple(seen[-1]) == weights


def test_an_adapter_that_does_not_answer_is_ended(monkeypatch):
    monkeypatch.setattr("livem.consumers.models.adapting.run_adapter", _hangs)
    monkeypatch.setattr("livem.consumers.models.adapting.PATIENCE_S", 1.0)
    one = Adapting(b"", 3, 1, 1 << 30, _none)
    for index in range(100):
        one.offer(np.array([index]), np.empty(0))
    assert (one.offered, one.skipped) == (1, 99)
    one._thread.join(PATIENCE)
    assert "no answer within 1 s" in one.error
    pid = one.pid
    one.stop()
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], PATIENCE)
    assert not psutil.pid_exists(pid)


def _nearly_last(*arguments) -> None:
    """Of a priority at which a busy machine still gets to it."""
    adapter.NICEST = psutil.Process().nice() + LOWER
    adapter.run_adapter(*arguments)


def _hangs(pipe, *arguments) -> None:
    pipe.recv_bytes()
    pipe.recv_bytes()


def _none(weights: bytes):
    raise ModelError("not asked for")
