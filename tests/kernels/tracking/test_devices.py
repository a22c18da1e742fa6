"""Which detector looks at frames where there is a device, and what is done when that fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from particle_scenes import scene

from livem.kernels.device import Device
from livem.kernels.tracking import devices
from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.devices import OnDevice, detector_on

CARD = Device("cuda", "NVIDIA H100", "a CUDA device is there")
NONE = Device("cpu", "CPU", "nothing else was asked for")


@pytest.fixture(scope="module")
def here() -> Detector:
    return Detector((96, 96))


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return scene(1, (96, 96), 8)[0]


class Fake:
    """A device's detector that is the processor's, until it fails."""

    def __init__(self, here: Detector, error: Exception | None = None) -> None:
        self.here, self.error = here, error
        self.asked, self.inside, self.most_inside = 0, 0, 0

    def examine(self, frame, keep_rest=False):
        self.asked += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.error is not None:
                raise self.error
            time.sleep(0)
            return self.here.examine(frame, keep_rest)
        finally:
            self.inside -= 1


def test_what_the_device_finds_is_handed_on(here, frame):
    fake = Fake(here)
    finder = OnDevice(fake, here, CARD)
    found = finder.examine(frame, keep_rest=True)
    assert found.rest is not None
    assert finder.detect(frame).tobytes() == here.detect(frame).tobytes()
    assert (fake.asked, finder.alarm) == (2, "")
    assert (finder.options, finder.shape, finder.here) == (here.options, here.shape, here)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS"),
            "failed at a frame of 96x96 (CUDA_ERROR_ILLEGAL_ADDRESS)",
        ),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), "has no memory for frames of 96x96"),
    ],
)
def test_a_device_that_fails_is_done_without_from_then_on(here, frame, error, said):
    fake = Fake(here, error)
    finder = OnDevice(fake, here, CARD)
    for _ in range(3):
        assert finder.detect(frame).tobytes() == here.detect(frame).tobytes()
    assert fake.asked == 1
    assert finder.alarm.startswith(f"NVIDIA H100 {said}")
    assert "the CPU goes on" in finder.alarm
    assert ("end other programs" in finder.alarm) == ("MEMORY" in str(error))


def test_a_frame_of_another_shape_is_the_callers_mistake(here):
    finder = OnDevice(Fake(here), here, CARD)
    with pytest.raises(ValueError, match="frame is"):
        finder.examine(np.zeros((3, 4), np.float32))
    assert not finder.alarm


def test_threads_take_turns_at_the_device(here, frame):
    fake = Fake(here)
    finder = OnDevice(fake, here, CARD)
    threads = [threading.Thread(target=finder.detect, args=(frame,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (fake.asked, fake.most_inside) == (4, 1)


def test_no_device_and_small_frames_leave_it_to_the_processor(here):
    assert detector_on(NONE, here) is here
    assert here.shape[0] * here.shape[1] < devices.LEAST_PIXELS
    assert detector_on(CARD, here) is here
    assert devices.warm_up(NONE) == ""


def test_a_device_that_has_no_room_for_the_tables_is_done_without(here, frame, monkeypatch):
    pytest.importorskip("numba_cuda", reason="what a device needs")
    from livem.kernels.cuda import tracking

    def fails(detector):
        raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(tracking, "CudaDetector", fails)
    finder = detector_on(CARD, here, least_pixels=1)
    assert isinstance(finder, OnDevice)
    assert finder.detect(frame).tobytes() == here.detect(frame).tobytes()
    assert "has no memory" in finder.alarm
    assert "has no memory" in devices.warm_up(CARD)
