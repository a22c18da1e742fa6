"""Particles on the GPU of this machine: the processor's, at sizes of real frames."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from tracking_cases import assert_alike, crowd

from livem.benchmarks import gpu_tracking
from livem.kernels.device import choose_device, find_cuda
from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.devices import OnDevice, detector_on, warm_up
from livem.kernels.tracking.options import DetectorOptions

FOUND = find_cuda()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(FOUND.name is None or "SIMULATOR" in FOUND.name.upper(), reason=FOUND.text),
]


def both(shape: tuple[int, int], **options):
    from livem.kernels.cuda.tracking import CudaDetector

    here = Detector(shape, DetectorOptions(**options))
    return CudaDetector(here), here


@pytest.mark.parametrize(("count", "radius"), [(0, 4.0), (200, 4.0), (770, 3.0), (3000, 3.0)])
def test_the_gpu_finds_what_the_processor_finds(count, radius):
    """Of those that barely reach the second search's threshold some are on the other side of it."""
    there, here = both((512, 500), radius=radius)
    for seed in range(3):
        assert_alike(there, here, crowd((512, 500), count, radius, seed), missing=2 + count // 100)


def test_several_sizes_of_both_kinds():
    there, here = both((512, 512), radius=8.0, spread=0.8, polarity="both")
    assert_alike(there, here, crowd((512, 512), 60, 8.0), missing=10)


def test_equal_frames_give_equal_bits():
    there, _ = both((512, 512), radius=3.0)
    frame = crowd((512, 512), 2000, 3.0)
    first = there.examine(frame, keep_rest=True)
    for _ in range(20):
        again = there.examine(frame, keep_rest=True)
        assert again.detections.tobytes() == first.detections.tobytes()
        np.testing.assert_array_equal(again.rest, first.rest)


def test_it_warms_up_and_is_chosen():
    device = choose_device("cuda")
    assert warm_up(device) == ""
    here = Detector((512, 512), DetectorOptions())
    finder = detector_on(device, here)
    assert isinstance(finder, OnDevice)
    assert len(finder.detect(crowd((512, 512), 100, 4.0))) > 50
    assert not finder.alarm


def test_the_benchmark():
    measured = gpu_tracking.measure(gpu_tracking.Plan(((512, 200),), 2))
    assert len(measured["rows"]) == 1
    assert all(gate["ok"] for gate in measured["gates"])
