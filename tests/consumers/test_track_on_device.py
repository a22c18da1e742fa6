"""The tracker on a device that is there, that fails at once, and that fails half way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers import track
from livem.consumers.base import Frames
from livem.consumers.track import Track
from livem.kernels.device import Device
from livem.kernels.tracking.devices import OnDevice

sys.path.insert(0, str(Path(__file__).parents[1]))
from track_tools import a_movie, a_series

CARD = Device("cuda", "NVIDIA H100", "a CUDA device is there")


class Fake:
    """The processor's detector as a device's; fails from a frame on."""

    def __init__(self, here: Any, fails_at: int) -> None:
        self.here, self.left = here, fails_at

    def examine(self, frame: Any, keep_rest: bool = False) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        return self.here.examine(frame, keep_rest)


def followed(
    monkeypatch: pytest.MonkeyPatch, fails_at: int | None, **options: Any
) -> tuple[Track, Any, list[Any]]:
    """The consumer after twelve frames, its trajectories, and the detectors that were made."""
    made: list[Any] = []

    def on(device: Device, here: Any) -> Any:
        assert fails_at is not None
        made.append(device)
        return here if device.kind == "cpu" else OnDevice(Fake(here, fails_at), here, device)

    consumer = Track("p", **{"radius": 4.0, "spread": 0.3, "polarity": "dark", **options})
    if fails_at is not None:
        monkeypatch.setattr(track, "detector_on", on)
        monkeypatch.setattr(track, "warm_up", lambda device: "")
        consumer.compute_on(CARD)
    series, (_, frames) = a_series(), a_movie(12)
    consumer.open(series)
    for k in range(len(frames)):
        consumer.merge(consumer.process(Frames(series, np.arange(k, k + 1), frames[k : k + 1])))
    rows = {one.name: one.arrays for one in consumer.close()}["trajectories"]
    return consumer, rows, made


@pytest.mark.parametrize("fails_at", [100, 5, 0])
def test_tracks_are_the_same_wherever_particles_are_found(
    monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    _, expected, _ = followed(monkeypatch, None)
    consumer, rows, made = followed(monkeypatch, fails_at)
    assert made == [CARD]
    for name, column in expected.items():
        np.testing.assert_array_equal(rows[name], column)
    alarms = list(consumer.alarms())
    if fails_at == 100:
        assert alarms == []
        return
    assert "NVIDIA H100 failed at a frame of" in alarms[0]
    assert "the CPU goes on" in alarms[0]
    consumer.open(a_series())
    assert [device.kind for device in made] == ["cuda", "cpu"], "it is not asked again"
    assert list(consumer.alarms()) == alarms


def test_a_device_whose_kernels_do_not_load_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "warm_up", lambda device: f"{device.name} failed: the CPU goes on")
    consumer = Track("p", radius=4.0, spread=0.3, polarity="dark")
    consumer.compute_on(CARD)
    assert "NVIDIA H100 failed" in consumer.alarms()[0]
    consumer.open(a_series())
    assert consumer._device.kind == "cpu"


def test_regions_stay_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, made = followed(monkeypatch, 100, detector="regions")
    assert made == []
