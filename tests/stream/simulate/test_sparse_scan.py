"""The simulated sparse scan samples the crystal where it says it does."""

from __future__ import annotations

import numpy as np
import pytest

from livem.kernels.scan_patterns import PATTERNS
from livem.stream.simulate.sparse_scan import SparseScan


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (7, 5), (1, 1)])
@pytest.mark.parametrize("fraction", [0.05, 0.25, 1.0, 2.0])
def test_paths_give_as_many_positions_as_asked_all_inside(
    pattern: str, shape: tuple[int, int], fraction: float
) -> None:
    n = max(1, round(shape[0] * shape[1] * fraction))
    positions = PATTERNS[pattern](shape, n, np.random.default_rng(1))
    assert positions.shape == (n, 2)
    assert positions.dtype == np.float32
    assert (positions >= -0.5).all()
    assert (np.floor(positions + 0.5) < shape).all()


@pytest.mark.parametrize(("pattern", "at_least"), [("spiral", 0.24), ("lissajous", 0.15), ("line_hop", 0.25)])
def test_a_quarter_of_the_samples_reaches_about_a_quarter_of_the_pixels(
    pattern: str, at_least: float
) -> None:
    scan = SparseScan.open(f"scan=128x128&pattern={pattern}")
    assert scan.count is not None
    pixels = scan.scan.pixels(np.arange(scan.count), scan.positions(0, scan.count))  # type: ignore[union-attr]
    assert len(np.unique(pixels)) / 128**2 >= at_least


def test_random_visits_no_pixel_twice() -> None:
    scan = SparseScan.open("scan=32x32&pattern=random&fraction=1")
    assert len(np.unique(scan.positions(0, 1024), axis=0)) == 1024


def test_values_follow_the_truth_at_their_positions() -> None:
    scan = SparseScan.open("scan=96x96&dose=3000&pattern=random")
    assert scan.count == 2304
    y, x = scan.positions(0, 2304).astype(int).T
    expected = scan.truth()["haadf"][y, x]
    residual = (scan.frames(0, 2304).ravel() - expected) / np.sqrt(expected)
    assert residual.mean() == pytest.approx(0, abs=0.1)
    assert residual.std() == pytest.approx(1, abs=0.1)


def test_passes_have_their_own_positions_and_the_vacancy_hops() -> None:
    scan = SparseScan.open("scan=64x64&repeats=3&pattern=random")
    n = scan.samples_per_pass
    assert scan.count == 3 * n
    assert not np.array_equal(scan.positions(0, n), scan.positions(n, n))
    truth = scan.truth()
    assert truth["haadf"].shape == (3, 64, 64)
    steps = np.linalg.norm(np.diff(truth["vacancy"], axis=0), axis=1)
    assert ((steps > 0) & (steps < 1.3 * scan.options.spacing)).all()


def test_seeds_and_cycling() -> None:
    first, again, other = (SparseScan.open(f"scan=32x32&seed={seed}") for seed in (1, 1, 2))
    assert np.array_equal(first.frames(0, 256), again.frames(0, 256))
    assert not np.array_equal(first.frames(0, 256), other.frames(0, 256))
    assert first.shape == (1, 1)
    assert first.dtype == "uint16"
    assert np.array_equal(first.positions(250, 10)[6:], first.positions(0, 4))
