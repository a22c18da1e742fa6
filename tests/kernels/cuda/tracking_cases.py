"""Particles that a device and the processor have to find alike; used in the simulator and on a GPU."""

from __future__ import annotations

import numpy as np

from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.verdict import Found

CLOSE = 1e-3
"""px, and of radii, scores, masses, heights and moments their share: rounding in float32, carried through two
fits. Measured in the simulator: 1e-7 px."""
RELATIVE = ("mass", "score", "var_y", "var_x", "var_radius", "area", "diameter", "contrast", "background")
ABSOLUTE = ("y", "x", "radius", "cov_yx", "ellipticity")


def a_scene(
    shape: tuple[int, int], particles: list[tuple[float, float, float]], counts: float = 150.0, seed: int = 0
) -> np.ndarray:
    """Counts (h, w) of dark particles (y, x, radius) on a background that rises to the right."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    depth = np.zeros(shape)
    for py, px, radius in particles:
        square = (y - py) ** 2 + (x - px) ** 2
        depth += np.sqrt(np.maximum(1 - square / (radius + 0.5) ** 2, 0)) * radius / 3
    level = counts * (1 + 0.3 * x / shape[1]) * np.exp(-0.5 * depth)
    return np.random.default_rng(seed).poisson(level).astype(np.float32)


def crowd(shape: tuple[int, int], count: int, radius: float, seed: int = 0) -> np.ndarray:
    """Particles anywhere, overlapping or not."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (count, 2)) * np.array(shape)
    radii = radius * np.exp(0.18 * rng.normal(size=count))
    return a_scene(shape, [(*place, r) for place, r in zip(places, radii, strict=True)], seed=seed)


def assert_alike(there, here: Detector, frame: np.ndarray, missing: int = 0) -> Found:
    """That a detector of a device finds what the processor's finds, but for ``missing`` of either."""
    found, expected = there.examine(frame, keep_rest=True), here.examine(frame, keep_rest=True)
    assert found.noise == (pytest_close(expected.noise) if expected.noise else 0)
    assert found.threshold == pytest_close(expected.threshold)
    assert found.weak_threshold == pytest_close(expected.weak_threshold)
    assert (found.invalid_pixels, found.truncated) == (expected.invalid_pixels, expected.truncated)
    ours, theirs = (one.detections[np.lexsort((one.detections["x"], one.detections["y"]))]
                    for one in (found, expected))  # fmt: skip
    if missing:
        near = np.hypot(ours["y"][:, None] - theirs["y"], ours["x"][:, None] - theirs["x"]) < CLOSE
        assert len(ours) - near.any(axis=1).sum() <= missing
        assert len(theirs) - near.any(axis=0).sum() <= missing
        return found
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours["flags"], theirs["flags"])
    for name in RELATIVE:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=CLOSE, atol=1e-6, err_msg=name)
    for name in ABSOLUTE:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=CLOSE, err_msg=name)
    assert found.rest is not None
    assert expected.rest is not None
    assert np.abs(found.rest.astype(int) - expected.rest).max(initial=0) <= 1
    return found


def pytest_close(value: float):
    """As close as sums in another order are."""
    import pytest

    return pytest.approx(value, rel=CLOSE)
