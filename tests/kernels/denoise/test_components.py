"""Components of stacks: as many as there are, as good as the oracle, whatever the blocks."""

import numpy as np
import pytest

from livem.kernels.denoise.components import Components


def stack(count=600, pixels=200, strengths=(6.0, 3.0, 2.0), seed=0):
    """Patterns without and with noise."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((pixels, len(strengths))))[0].T
    truth = 5 + (rng.standard_normal((count, len(strengths))) * strengths) @ directions
    return truth, (truth + rng.standard_normal(truth.shape)).astype(np.float32)


def learnt(patterns, block):
    components = Components(patterns.shape[1])
    for i in range(0, len(patterns), block):
        components.add(patterns[i : i + block])
    return components


@pytest.mark.parametrize("block", [600, 100, 7])
def test_the_rank_and_the_error_are_those_of_what_is_there(block):
    truth, noisy = stack()
    components = learnt(noisy, block)
    assert components.rank == 3
    error = np.mean((components.denoise(noisy) - truth) ** 2)
    centre = noisy.mean(axis=0)
    u, s, v = np.linalg.svd(noisy - centre, full_matrices=False)
    best = np.mean(((u[:, :3] * s[:3]) @ v[:3] + centre - truth) ** 2)
    assert error < 1.05 * best
    assert error < 0.03


def test_blocks_agree_with_the_whole():
    _, noisy = stack(strengths=(20.0, 12.0, 8.0))
    np.testing.assert_allclose(learnt(noisy, 50).denoise(noisy), learnt(noisy, 600).denoise(noisy), atol=0.1)


def test_new_patterns_are_denoised_too():
    truth, noisy = stack(count=1200)
    components = learnt(noisy[:600], 60)
    assert np.mean((components.denoise(noisy[600:]) - truth[600:]) ** 2) < 0.04


@pytest.mark.parametrize("shape", [(600, 200), (60, 500), (2000, 30)])
def test_noise_has_no_components(shape):
    noise = np.random.default_rng(1).standard_normal(shape, np.float32)
    assert learnt(noise, 20).rank == 0


def test_bad_patterns():
    components = Components(5)
    assert np.isnan(components.denoise(np.zeros((2, 5), np.float32))).all()
    components.add(np.full((3, 5), np.nan, np.float32))
    assert components.count == components.rank == 0
    components.add(np.full((9, 5), 7, np.float32))
    np.testing.assert_allclose(components.denoise(np.full((2, 5), 7, np.float32)), 7)
    with pytest.raises(ValueError, match=r"\(2, 4\): give \(n, 5\)"):
        components.add(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="pixels is 0"):
        Components(0)
