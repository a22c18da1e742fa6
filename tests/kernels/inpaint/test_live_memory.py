"""What a sparse scan keeps between solves is what the table in `samples` says."""

import tracemalloc

import numpy as np
import pytest

from livem.kernels.inpaint.live import LiveInpainter, Plan, warm_up
from livem.kernels.noise import NoiseModel

SIDE = 512


@pytest.mark.parametrize(("uncertainty", "most"), [(False, 37), (True, 49)])
def test_between_solves_it_keeps_what_the_table_says(uncertainty, most):
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
        kept = tracemalloc.get_traced_memory()[0] / SIDE**2
    finally:
        tracemalloc.stop()
    assert kept == pytest.approx(most, abs=1.5)  # held-out samples, and what is small
