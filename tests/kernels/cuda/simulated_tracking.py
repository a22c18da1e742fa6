"""Run by test_simulator.py in a process of its own, in which numba simulates the device.

Not collected by itself: the simulator has to be chosen before numba is imported.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numba import config

sys.path.insert(0, str(Path(__file__).parent))
import turns  # noqa: F401 - or its threads wait for each other most of the time
from tracking_cases import a_scene, assert_alike, crowd

from livem.benchmarks import gpu_tracking
from livem.consumers.base import Frames
from livem.consumers.testing import example_series
from livem.consumers.track import Track
from livem.kernels.cuda import tracking, tracking_frames, tracking_kernels
from livem.kernels.cuda.tracking import CudaDetector
from livem.kernels.device import choose_device
from livem.kernels.tracking import devices
from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.options import DetectorOptions

assert config.ENABLE_CUDASIM, "NUMBA_ENABLE_CUDASIM=1 has to be set before numba is imported"

THREE = [(6.3, 7.1, 2.4), (7.0, 11.4, 2.6), (15.4, 16.8, 2.3)]
"""Two that touch, and one that does not, beside an edge."""
OPTIONS = DetectorOptions(radius=2.5)


def both(shape: tuple[int, int], options: DetectorOptions = OPTIONS, threads: int = 1):
    """The same detector there and here."""
    here = Detector(shape, options)
    return CudaDetector(here, threads=threads, blocks=2), here


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_device_finds_what_the_processor_finds(threads):
    found = assert_alike(*both((20, 22), threads=threads), a_scene((20, 22), THREE, counts=500))
    strong = found.detections[found.detections["score"] > 4]  # less than 6 where one lies on a stronger one
    assert len(strong) == 3
    assert (strong["flags"] & 8 > 0).sum() == 2


def test_pixels_that_are_none_and_saturated_ones_are_flagged():
    frame = a_scene((20, 22), THREE, counts=500)
    frame[6, 7], frame[15, 17] = np.nan, 1000
    found = assert_alike(*both((20, 22), replace(OPTIONS, saturation=1000.0)), frame)
    assert found.invalid_pixels == 1
    assert {int(flags) & 36 for flags in found.detections["flags"]} >= {4, 32}


def test_bright_and_dark_ones_of_several_sizes_on_halved_frames():
    y, x = np.mgrid[:28, :30]
    frame = a_scene((28, 30), [(9.5, 9.1, 5.0)], counts=400)
    frame[np.hypot(y - 20, x - 22) < 3] += 200
    options = DetectorOptions(radius=4.5, spread=0.5, polarity="both")
    there, here = both((28, 30), options)
    assert max(scale.halvings for scale in there._broad) == 1
    found = assert_alike(there, here, frame, missing=1)
    assert (found.detections["contrast"] > 0).any()
    assert (found.detections["contrast"] < 0).any()


def test_a_frame_in_which_nothing_varies_has_no_particles():
    there, here = both((16, 16))
    for frame in (np.full((16, 16), 7, np.float32), np.full((16, 16), np.nan, np.float32)):
        assert not len(assert_alike(there, here, frame).detections)


def test_a_crowd_that_all_touch_with_fewer_places_than_neighbours(monkeypatch):
    """Who has more neighbours than the list holds waits for all."""
    frame = crowd((16, 18), 7, 2.0)
    there, here = both((16, 18), DetectorOptions(radius=2.0))
    assert_alike(there, here, frame)
    monkeypatch.setattr(tracking_kernels, "MOST_TOUCHING", 1)
    again = CudaDetector(here, threads=1, blocks=2)
    assert again._near.shape[1] == 1
    assert_alike(again, here, frame)


def test_neighbours_are_all_whose_boxes_may_meet():
    there, here = both((20, 22))
    there.examine(a_scene((20, 22), THREE, counts=500))
    n = int(there._host[0, tracking_frames.SPREADS + 2])
    assert n >= len(THREE)
    at, near, many = (array.copy_to_host()[:n] for array in (there._particles, there._near, there._many))
    half = np.exp(at[:, 3]) + here._reach
    for k in range(n):
        listed = set(near[k, : many[k]].tolist())
        for j in range(n):
            meets = (np.abs(at[k, :2] - at[j, :2]) < half[k] + half[j]).all()
            assert j == k or not meets or j in listed
            assert (j in listed) == (k in near[j, : many[j]])


def test_the_benchmark_runs_and_finds_both_alike():
    how = (("threads", 1), ("blocks", 1))
    measured = gpu_tracking.measure(gpu_tracking.Plan(((24, 3),), 1, how))
    (row,) = measured["rows"]
    assert {"case", "CPU", "GPU", "x the CPU"} == set(row)
    assert measured["gates"][0]["ok"]


def test_more_rows_than_come_down_at_once_and_more_peaks_than_room(monkeypatch):
    monkeypatch.setattr(tracking, "FEW", 1)
    frame = a_scene((20, 22), THREE, counts=500)
    assert_alike(*both((20, 22)), frame)
    there, _ = both((20, 22), replace(OPTIONS, most=1))
    found = there.examine(frame)
    assert found.truncated
    assert len(found.detections) <= 1


def test_arguments_that_do_not_fit_are_refused():
    there, here = both((16, 16))
    with pytest.raises(ValueError, match="frame is"):
        there.examine(np.zeros((16, 17), np.float32))
    with pytest.raises(ValueError, match="power of two"):
        CudaDetector(here, threads=3)


def test_the_consumer_uses_the_device_and_goes_on_without(monkeypatch):
    """Tables alike on both; one that fails half way is done without, and an alarm says so."""

    class Few(CudaDetector):
        def __init__(self, detector):
            super().__init__(detector, threads=1, blocks=1)

    monkeypatch.setattr(tracking, "CudaDetector", Few)
    monkeypatch.setattr(devices, "LEAST_PIXELS", 1)
    monkeypatch.setattr(devices.detector_on, "__defaults__", (1,))
    monkeypatch.setattr("livem.consumers.track.warm_up", lambda device: "")
    series = example_series(shape=(20, 22))
    frames = np.stack([a_scene((20, 22), THREE, counts=500, seed=k) for k in range(3)]).astype(
        series.numpy_dtype
    )
    shown, calls = {}, []

    def fails(self, frame, keep_rest=False):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
        return CudaDetector.examine(self, frame, keep_rest)

    for way in ("cpu", "cuda", "broken"):
        if way == "broken":
            monkeypatch.setattr(Few, "examine", fails)
        consumer = Track("p", radius=2.5, spread=0.2, polarity="dark", needed=1, within=1)
        consumer.compute_on(choose_device("cpu" if way == "cpu" else "cuda"))
        consumer.open(series)
        for k in range(3):
            consumer.merge(consumer.process(Frames(series, np.arange(k, k + 1), frames[k : k + 1])))
        alarms = list(consumer.alarms())
        shown[way] = {one.name: one.arrays for one in consumer.close()}["trajectories"]
        assert bool(alarms) == (way == "broken"), alarms
    assert len(calls) == 2
    assert "failed at a frame of 20x22" in alarms[0]
    for way in ("cuda", "broken"):
        for name in ("y", "x", "radius"):
            np.testing.assert_allclose(shown[way][name], shown["cpu"][name], atol=1e-3)
