"""Sums, centres of mass and radial profiles of frames, for blocks of frames.

One call reduces a block with every region while each frame is in cache. Knows arrays only: what the regions
mean, and where a frame belongs in a scan, is the consumer's business. Which kernel does it is up to `parts`:
no integer result depends on that.

Exactness: integer frames are summed in 64 bit, which no frame of 65536 x 65536 pixels overflows, also times
integer weights. First moments are exact integers too, rounded once to float64. Float frames and float
weights are summed in float64, by 64 bytes of each row of the region and then along its rows: always in the
same order, on every machine, however frames are split into blocks and whatever other regions there are.

NaN and Inf: pixels that are not finite are left out and counted in ``Reduction.excluded``; a region or bin
whose pixels are all left out sums to NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .cells import frozen
from .masks import Center, Mask, RadialBins, frame_center, radial_bins
from .parts import Arrays, Family, Part, Region, family, parts_for

__all__ = [
    "DTYPES",
    "MAX_SIDE",
    "Reduction",
    "Region",
    "Regions",
    "center_of_mass",
    "compile_regions",
    "detector_sums",
    "reduce_block",
    "relative_centers",
    "warm_up",
]

DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
"""Pixel types that every kernel here takes."""
MAX_SIDE = 65_536
"""Pixels in a row or column that the accumulators are sure to hold."""


MAX_WEIGHT = 1 << 31
"""Sum of the magnitudes of integer weights: times pixels of 32 bit they stay in 63 bit."""
CACHED_BYTES = 2 << 20
"""Of frames that one kernel after the other takes: a share of a core in the last-level cache, 16 frames of
256 x 256 uint16."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Regions made ready for the kernels; immutable, to be shared between threads."""

    shape: tuple[int, int]
    regions: tuple[Region, ...]
    profile: RadialBins | None
    centers: npt.NDArray[np.float64]
    """(d, 2) y, x in px; NaN where no centre of mass is wanted."""
    sizes: npt.NDArray[np.int64]
    """(d,) pixels of each region."""
    _parts: dict[Family, tuple[Part, ...]] = field(default_factory=dict, repr=False)
    """Made when the first block of such pixels comes."""

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def is_exact(self) -> bool:
        """Whether all sums over integer frames are integers: false with float weights."""
        return all(region.is_exact for region in self.regions)

    def parts(self, pixel: np.dtype[Any]) -> tuple[Part, ...]:
        """How pixels of a type are reduced. Two threads may both make it; either's will do."""
        kind = family(pixel)
        if kind not in self._parts:
            self._parts[kind] = parts_for(kind, self.shape, self.regions, self.profile)
        return self._parts[kind]


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """What n frames and d regions reduce to."""

    sums: npt.NDArray[Any]
    """(n, d) counts: int64, uint64 (uint32 frames, no weights) or float64 (float frames, or any region with
    float weights: integers are exact to 2^53 then)."""
    com: npt.NDArray[np.float64]
    """(n, d, 2) centre of mass (y, x) in px relative to the region's centre; NaN where its sum is zero (an
    empty frame has no centre: see ``empty``) and for regions that do not want one."""
    excluded: npt.NDArray[np.int64]
    """(n, d) pixels left out because they were not finite; zero for integer frames."""
    profile: npt.NDArray[Any]
    """(n, bins) counts of each ring: int64, uint64 (uint32 frames) or float64 (float frames); (n, 0) where
    no profile is wanted."""
    profile_excluded: npt.NDArray[np.int64]
    """(n, bins) pixels of each ring left out because they were not finite; zero for integer frames."""

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """(n, d) whether a region summed to nothing, or had no finite pixel: it has no centre of mass."""
        return np.asarray((self.sums == 0) | np.isnan(self.sums))


def compile_regions(
    shape: tuple[int, int], regions: Sequence[Region], profile: RadialBins | None = None
) -> Regions:
    """Check regions and make them ready, once per change of a detector.

    Parameters
    ----------
    shape : (h, w) of the frames in pixels.
    regions : any number; they may overlap.
    profile : sums of rings that are wanted beside them; `masks.radial_bins` makes them.

    Raises
    ------
    ValueError
        When a mask, weights or profile have another shape than the frame, weights are not numbers or together
        too large, or the frame has more than 65536 pixels in a row or column.
    """
    if max(shape) > MAX_SIDE:
        raise ValueError(f"frames of {shape}: the kernels take up to {MAX_SIDE} pixels a side")
    for number, region in enumerate(regions):
        _check_region(number, region, shape)
    if profile is not None and profile.index.shape != shape:
        raise ValueError(f"profile of shape {profile.index.shape} for frames of shape {shape}")
    centers = [(np.nan, np.nan) if region.center is None else region.center for region in regions]
    return Regions(
        shape,
        tuple(regions),
        profile,
        frozen(np.array(centers).reshape(-1, 2), np.float64),
        frozen([np.count_nonzero(region.mask) for region in regions], np.int64),
    )


def reduce_block(block: npt.NDArray[Any], regions: Regions) -> Reduction:
    """Sum every region of every frame, with centres of mass and profile where wanted.

    Parameters
    ----------
    block : (n, h, w) of one of `DTYPES`, C order, aligned; may be read-only.
    regions : made by `compile_regions` for frames of shape (h, w).

    Raises
    ------
    ValueError
        When the block has another shape, dtype, order or alignment.
    """
    _check(block, regions.shape)
    block, parts = _read_only(block), regions.parts(block.dtype)
    arrays = _arrays(block, regions)
    step = len(block)
    if len(parts) > 1:
        step = max(CACHED_BYTES // max(block[:1].nbytes, 1), 1)
    for start in range(0, len(block), max(step, 1)):
        piece = arrays.piece(start, start + step)
        for part in parts:
            part.reduce(block[start : start + step], piece)
    com = relative_centers(arrays.moments, arrays.sums, regions.centers)
    if block.dtype.kind == "f":
        arrays.sums[(arrays.excluded == regions.sizes) & (arrays.excluded > 0)] = np.nan
    return Reduction(arrays.sums, com, arrays.excluded, arrays.profile, arrays.profile_excluded)


def relative_centers(
    moments: npt.NDArray[Any], sums: npt.NDArray[Any], centers: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Centres of mass from first moments: for whoever has moments from elsewhere, the very same bits.

    Parameters
    ----------
    moments : (n, d, 2) sums of y and of x times the counts; int64 or float64.
    sums : (n, d) counts.
    centers : (d, 2) as `Regions.centers`.

    Returns
    -------
    (n, d, 2) (y, x) in px; NaN where the sum is zero.
    """
    found = np.full(moments.shape, np.nan)
    wanted = np.flatnonzero(~np.isnan(centers[:, 0]))
    if len(wanted):  # 0.9 us a frame for nothing where no region wants one
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            com = moments[:, wanted] / sums[:, wanted, None] - centers[wanted]
        found[:, wanted] = np.where(np.isfinite(com), com, np.nan)
    return found


def detector_sums(block: npt.NDArray[Any], masks: Sequence[Mask]) -> npt.NDArray[Any]:
    """Sum of each mask in each frame, (n, k); see `reduce_block`."""
    return reduce_block(block, compile_regions(block.shape[1:], [Region(mask) for mask in masks])).sums


def center_of_mass(
    block: npt.NDArray[Any], center: Center | None = None, mask: Mask | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Centre of mass (n, 2) as (y, x) in px relative to ``center``, and the sums (n,) behind it."""
    shape = block.shape[1:]
    whole = np.ones(shape, bool) if mask is None else mask
    region = Region(whole, frame_center(shape) if center is None else center)
    reduction = reduce_block(block, compile_regions(shape, [region]))
    return reduction.com[:, 0], reduction.sums[:, 0]


def warm_up(dtype: npt.DTypeLike) -> None:
    """Compile all kernels for one pixel type, or load them from numba's cache, by reducing a small block.

    Per dtype and not for all seven at import: compiling costs 1 s (floats) to 2 s each, a load 30 ms.
    """
    shape = (16, 16)
    ragged = np.random.default_rng(0).random(shape) < 0.5
    whole, weights = np.ones(shape, bool), np.ones(shape, np.int16)
    regions = [Region(whole, (0.0, 0.0)), Region(ragged), Region(whole, weights=weights * 0.5)]
    for most in (1, 1 << 20):
        exact = Region(whole, weights=weights * np.int32(most))
        compiled = compile_regions(shape, [*regions, exact], radial_bins(shape))
        for frames in (1, 16):
            reduce_block(np.zeros((frames, *shape), dtype), compiled)


def _check_region(number: int, region: Region, shape: tuple[int, int]) -> None:
    if region.mask.shape != shape:
        raise ValueError(f"mask of shape {region.mask.shape} for frames of shape {shape}")
    weights = region.weights
    if weights is None:
        return
    if weights.shape != shape or weights.dtype.kind not in "iuf":
        raise ValueError(
            f"region {number}: weights {weights.dtype} of shape {weights.shape} for frames of shape {shape}: "
            "wants integers or floats of that shape"
        )
    if region.center is not None:
        raise ValueError(
            f"region {number} has weights and a centre: of weighted pixels, take y and x times the weights "
            "as regions of their own"
        )
    total = float(np.abs(weights[region.mask].astype(np.float64)).sum())
    if not total < (MAX_WEIGHT if region.is_exact else np.inf):
        raise ValueError(
            f"region {number}: magnitudes of its {weights.dtype} weights sum to {total:g}: integers may to "
            f"below {MAX_WEIGHT:g}, to be exact in 64 bit, and floats must be finite"
        )


def _arrays(block: npt.NDArray[Any], regions: Regions) -> Arrays:
    n, d, pixel = len(block), len(regions), block.dtype
    counts = np.dtype("f8" if pixel.kind == "f" else "u8" if pixel == np.uint32 else "i8")
    weighted = any(region.weights is not None for region in regions.regions)
    sums = counts
    if weighted and pixel.kind != "f":
        sums = np.dtype("i8" if regions.is_exact else "f8")
    bins = 0 if regions.profile is None else regions.profile.count
    return Arrays(
        np.zeros((n, d), sums),
        np.zeros((n, d, 2)),
        np.zeros((n, d), np.int64),
        np.zeros((n, bins), counts),
        np.zeros((n, bins), np.int64),
    )


def _check(block: npt.NDArray[Any], shape: tuple[int, int]) -> None:
    if block.ndim != 3 or block.shape[1:] != shape:
        raise ValueError(f"block of shape {block.shape} for regions of frames {shape}: wants (n, h, w)")
    if block.dtype.name not in DTYPES or not block.dtype.isnative:
        raise ValueError(f"pixels of type {block.dtype.str}: one of {', '.join(DTYPES)} (native byte order)")
    if not (block.flags.c_contiguous and block.flags.aligned):
        raise ValueError("block is not C-contiguous and aligned: copy it first (numpy.require)")


def _read_only(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of one type for the dispatcher, whoever owns the frames."""
    view = block.view()
    view.flags.writeable = False
    return view
