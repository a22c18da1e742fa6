"""Blocks and regions that a device and the processor have to agree on; used in the simulator and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.kernels import reference
from livem.kernels.masks import radial_bins
from livem.kernels.reduce import Reduction, Region, Regions, compile_regions, reduce_block


def a_block(dtype: str, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Full range of the type; the second frame is empty, the third saturated; of floats the fourth is all
    NaN, and a few pixels of the others are not finite."""
    kind, rng = np.dtype(dtype), np.random.default_rng(seed)
    if kind.kind == "f":
        block = (rng.normal(size=shape) * 1000).astype(kind)
        block[rng.random(shape) < 0.05] = np.nan
        block[rng.random(shape) < 0.05] = -np.inf
        top: Any = np.finfo(np.float32).max
    else:
        info = np.iinfo(kind)
        block = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        top = info.max
    for place, value in ((1, 0), (2, top), (3, np.nan if kind.kind == "f" else info_min(kind))):
        if place < len(block):
            block[place] = value
    return block


def info_min(kind: np.dtype) -> int:
    return int(np.iinfo(kind).min)


def region_sets(shape: tuple[int, int], seed: int = 0, dead: float = 0.1) -> list[Regions]:
    """No pixel, some, and all that are not dead, with moments and a profile; weights of both kinds; only a
    profile; nothing at all."""
    rng = np.random.default_rng(seed)
    live = rng.random(shape) >= dead
    masks = [np.zeros(shape, bool), (rng.random(shape) < 0.4) & live, live]
    moments = [Region(mask, (1.5, 2.25)) for mask in masks]
    whole = rng.integers(-9, 9, shape)
    weighted = [Region(masks[1], weights=whole), Region(masks[2], weights=rng.normal(size=shape))]
    bins = radial_bins(shape, live=live)
    return [
        compile_regions(shape, moments, bins),
        compile_regions(shape, [Region(masks[2], weights=whole), moments[1]]),
        compile_regions(shape, [*weighted, moments[1]]),
        compile_regions(shape, [], bins),
        compile_regions(shape, []),
    ]


def assert_agrees(got: Reduction, block: np.ndarray, regions: Regions) -> None:
    """With the kernels of the processor: integers to the bit; and sums with the plain reference."""
    expected = reduce_block(block, regions)
    for name in ("sums", "com", "excluded", "profile"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
        if ours.dtype.kind == "f" and not (name == "com" and block.dtype.kind != "f" and regions.is_exact):
            scale = max(1.0, float(np.abs(np.where(np.isfinite(block), block, 0)).max(initial=0)))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9 * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    for d, region in enumerate(regions.regions):
        if block.dtype.kind != "f" and region.weights is None and got.sums.dtype.kind != "f":
            sums = reference.detector_sum(block, region.mask)
            np.testing.assert_array_equal(got.sums[:, d].astype(np.int64), sums)
