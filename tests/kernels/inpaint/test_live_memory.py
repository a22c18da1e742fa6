"""What a sparse scan keeps between solves is what the table in `samples` says."""

import tracemalloc

import numpy as np
import pytest

from livem.kernels.inpaint.live import LiveInpainter, Plan, warm_up
from livem.kernels.noise import NoiseModel

SIDE = 512


@pytest.mark.parametrize(("uncertainty", "most", "peaks"), [(False, 33, (67, 67)), (True, 41, (85, 98))])
def test_it_keeps_and_takes_what_the_table_says(uncertainty, most, peaks):
    """Between solves, while pictures are made and doubted, and while the last one is."""
    warm_up()
    rng = np.random.default_rng(0)
    positions, values = rng.random((20_000, 2)) * SIDE - 0.5, rng.poisson(20, 20_000)
    plan = Plan("thin_plate", 0.5, NoiseModel(), uncertainty)
    tracemalloc.start()
    try:
        live = LiveInpainter((SIDE, SIDE), 1, plan)
        live.add(positions, values)
        live.refresh()
        while live.is_pondering:
            live.ponder()
        live.refresh()
        kept, high = (each / SIDE**2 for each in tracemalloc.get_traced_memory())
        tracemalloc.reset_peak()
        live.settle()
        highest = tracemalloc.get_traced_memory()[1] / SIDE**2
    finally:
        tracemalloc.stop()
    assert kept == pytest.approx(most, abs=1.5)  # held-out samples, and what is small
    assert high <= peaks[0]
    assert highest <= peaks[1]
