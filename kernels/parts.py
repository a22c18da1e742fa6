"""Which kernel reduces which regions, and the tables that each needs.

A part is some regions (or the profile) made ready for one kernel; all parts see each piece of a block while
it is in cache. Knows the kernels; not what a reduction looks like to callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from . import lanes, runs
from .cells import HOPELESS, RunTable, count_cell_runs, frozen, label_layers, own_runs, shared_cells
from .masks import Center, Mask, RadialBins, Shape
from .run_sums import MAX_NARROW_WEIGHT, levers
from .vector import BIAS

Weights: TypeAlias = npt.NDArray[Any]
Columns: TypeAlias = npt.NDArray[np.intp]
Family: TypeAlias = Literal["narrow", "wide", "float"]
"""Pixel types that the same tables serve: integers of 8 and 16 bit, of 32 bit, floats."""

RAGGED = 20
"""Pixels of the frame a run below which labels are faster. 256 x 256 uint16: runs cost 3 us a frame and 3 ns
each, labels 8 to 12 us."""
DIGIT_BITS = MAX_NARROW_WEIGHT.bit_length()
LEVERS = levers()


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of a frame that are reduced together."""

    mask: Mask
    """(h, w) bool."""
    center: Center | None = None
    """Not None: the centre of mass is wanted, relative to this point (y, x) in px."""
    weights: Weights | None = None
    """(h, w) of what each pixel counts, instead of 1: integers for exact sums, or finite floats."""

    @property
    def is_exact(self) -> bool:
        """Whether sums over integer frames are integers."""
        return self.weights is None or self.weights.dtype.kind != "f"


@dataclass(slots=True)
class Arrays:
    """What n frames and d regions reduce to, while the parts fill it in."""

    sums: npt.NDArray[Any]
    """(n, d) int64, uint64 or float64."""
    moments: npt.NDArray[np.float64]
    """(n, d, 2) sums of y and of x times the pixel."""
    excluded: npt.NDArray[np.int64]
    """(n, d) pixels that were not finite."""
    profile: npt.NDArray[Any]
    """(n, bins) int64, uint64 or float64."""
    profile_excluded: npt.NDArray[np.int64]
    """(n, bins) pixels that were not finite."""

    def piece(self, start: int, stop: int) -> Arrays:
        """Of some of the frames; views."""
        names = ("sums", "moments", "excluded", "profile", "profile_excluded")
        return Arrays(*[getattr(self, name)[start:stop] for name in names])


class Part(Protocol):
    """Some regions made ready for one kernel."""

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        """Fill in the columns of this part's regions for frames (n, h, w)."""


def family(pixel: np.dtype[Any]) -> Family:
    """Which tables pixels of a type need."""
    if pixel.kind == "f":
        return "float"
    return "narrow" if pixel.itemsize <= 2 else "wide"


def parts_for(
    kind: Family, shape: Shape, regions: Sequence[Region], profile: RadialBins | None
) -> tuple[Part, ...]:
    """All regions and the profile, each by what is fastest for pixels of this kind."""
    plain = [i for i, region in enumerate(regions) if region.weights is None]
    exact = [i for i, region in enumerate(regions) if region.weights is not None and region.is_exact]
    inexact = [i for i, region in enumerate(regions) if not region.is_exact]
    found: list[Part] = []
    if kind == "float":
        found += [OwnRuns.of(regions, plain)] if plain else []
        found += [FloatProfile.of(profile)] if profile else []
        inexact = sorted(exact + inexact)
    else:
        smooth, ragged = _by_raggedness(shape, regions, plain)
        found += [Cells.of(shape, regions, smooth)] if smooth else []
        found += [Labels.of(shape, regions, ragged, profile)] if ragged or profile else []
        found += [ExactWeights.of(kind, regions, exact)] if exact else []
    found += [FloatWeights.of(regions, inexact)] if inexact else []
    return tuple(found)


def _by_raggedness(
    shape: Shape, regions: Sequence[Region], plain: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Regions for runs and regions for labels, which have no first moments."""
    masks, wanted = _chosen(regions, plain)
    pixels = shape[0] * shape[1]
    if pixels < lanes.TILE or _has_few_runs(shape, masks, wanted):
        return list(plain), []
    smooth = [i for i in plain if regions[i].center is not None]
    return smooth, [i for i in plain if i not in smooth]


def _has_few_runs(shape: Shape, masks: Sequence[Mask], wanted: Sequence[bool]) -> bool:
    pixels = shape[0] * shape[1]
    if count_cell_runs(shape, masks) * HOPELESS > pixels:
        return False
    return len(shared_cells(shape, masks, wanted).runs) * RAGGED <= pixels


def _chosen(regions: Sequence[Region], columns: Sequence[int]) -> tuple[list[Mask], list[bool]]:
    """Masks, and whether first moments are wanted."""
    return [regions[i].mask for i in columns], [regions[i].center is not None for i in columns]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Sums and first moments of integers, every pixel read once."""

    columns: Columns
    table: RunTable
    wanted: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, shape: Shape, regions: Sequence[Region], columns: Sequence[int]) -> Cells:
        masks, wanted = _chosen(regions, columns)
        return cls(np.array(columns), shared_cells(shape, masks, wanted), frozen(wanted, np.bool_))

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        n, d, table = len(block), len(self.columns), self.table
        sums, moments = np.zeros((n, d), np.int64), np.zeros((n, d, 2))
        cells = np.empty((len(table.moments), 5), np.int64)
        runs.integer_regions(
            block,
            LEVERS,
            table.runs,
            table.keep,
            table.moments,
            table.offsets,
            table.members,
            cells,
            self.wanted,
            sums,
            moments,
        )
        into.sums[:, self.columns] = sums.view(_integer_type(block.dtype))
        into.moments[:, self.columns] = moments


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Sums of integers by label: ragged masks, and the profile as the last layer."""

    columns: Columns
    table: lanes.LabelTable
    inside: tuple[npt.NDArray[np.bool_], ...]
    """(labels, masks) of each layer of masks."""
    bins: int

    @classmethod
    def of(
        cls, shape: Shape, regions: Sequence[Region], columns: Sequence[int], profile: RadialBins | None
    ) -> Labels:
        found = label_layers(shape, _chosen(regions, columns)[0]) if columns else []
        layers, counts = [labels for labels, _ in found], [len(inside) for _, inside in found]
        if profile is not None:
            layers, counts = [*layers, profile.index.ravel()], [*counts, profile.count]
        return cls(
            np.array(columns, np.intp),
            lanes.label_table(layers, counts),
            tuple(inside for _, inside in found),
            0 if profile is None else profile.count,
        )

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        by_label = lanes.sum_by_label(block, self.table)
        first, done = self.table.first, 0
        for layer, inside in enumerate(self.inside):
            columns = self.columns[done : done + inside.shape[1]]
            of_layer = by_label[:, first[layer] : first[layer + 1]]
            sums = np.stack([of_layer[:, chosen].sum(axis=1) for chosen in inside.T], axis=1)
            into.sums[:, columns] = sums.view(_integer_type(block.dtype))
            done += len(columns)
        if self.bins:
            of_profile = np.ascontiguousarray(by_label[:, first[-2] : first[-1]])
            into.profile[:] = of_profile.view(_integer_type(block.dtype))


@dataclass(frozen=True, slots=True, eq=False)
class ExactWeights:
    """Sums of integers times integer weights.

    Narrow pixels take weights of `DIGIT_BITS` bits at once; larger weights are several of those, weighed
    again, so that one kernel does for all.
    """

    columns: Columns
    table: RunTable
    weights: npt.NDArray[Any]
    """(k, h * w) int16 for narrow pixels, else int64."""
    totals: npt.NDArray[np.int64]
    """(k,) of the weights."""
    digits: int
    """Rows of ``weights`` a region, those of the lowest bits of all regions first."""

    @classmethod
    def of(cls, kind: Family, regions: Sequence[Region], columns: Sequence[int]) -> ExactWeights:
        weights = _weights(regions, columns, np.int64)
        rows = _digits(weights) if kind == "narrow" else [weights]
        masks, wanted = _chosen(regions, columns)
        return cls(
            np.array(columns),
            own_runs(masks * len(rows), wanted * len(rows)),
            frozen(np.concatenate(rows), np.int16 if kind == "narrow" else np.int64),
            np.concatenate(rows).sum(axis=1),
            len(rows),
        )

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        bias = BIAS if block.dtype == np.uint16 else 0
        sums = np.tile(self.totals * bias, (len(block), 1))
        runs.weighted_integers(block, self.weights, self.table.runs, bias, sums)
        of_digits = sums.reshape(len(block), self.digits, -1)
        factors = np.int64(1) << DIGIT_BITS * np.arange(self.digits)
        into.sums[:, self.columns] = np.sum(of_digits * factors[:, None], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class OwnRuns:
    """Sums and first moments of floats, each region in its own order."""

    columns: Columns
    table: RunTable

    @classmethod
    def of(cls, regions: Sequence[Region], columns: Sequence[int]) -> OwnRuns:
        return cls(np.array(columns), own_runs(*_chosen(regions, columns)))

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        n, d = len(block), len(self.columns)
        sums, moments, excluded = np.zeros((n, d)), np.zeros((n, d, 2)), np.zeros((n, d), np.int64)
        runs.float_regions(block, LEVERS, self.table.runs, self.table.moments, sums, moments, excluded)
        into.sums[:, self.columns] = sums
        into.moments[:, self.columns] = moments
        into.excluded[:, self.columns] = excluded


@dataclass(frozen=True, slots=True, eq=False)
class FloatWeights:
    """Sums of pixels times weights in float64."""

    columns: Columns
    table: RunTable
    weights: npt.NDArray[np.float64]
    """(k, h * w)"""

    @classmethod
    def of(cls, regions: Sequence[Region], columns: Sequence[int]) -> FloatWeights:
        weights = frozen(_weights(regions, columns, np.float64), np.float64)
        return cls(np.array(columns), own_runs(*_chosen(regions, columns)), weights)

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        n, d = len(block), len(self.columns)
        sums, excluded = np.zeros((n, d)), np.zeros((n, d), np.int64)
        runs.weighted_floats(block, self.weights, self.table.runs, sums, excluded)
        into.sums[:, self.columns] = sums
        into.excluded[:, self.columns] = excluded


@dataclass(frozen=True, slots=True, eq=False)
class FloatProfile:
    """Radial profile of floats; a bin whose pixels are all left out is NaN."""

    table: lanes.LabelTable
    pixels: npt.NDArray[np.int64] = field(repr=False)
    """(bins,)"""

    @classmethod
    def of(cls, profile: RadialBins) -> FloatProfile:
        return cls(lanes.label_table([profile.index.ravel()], [profile.count]), profile.pixels)

    def reduce(self, block: npt.NDArray[Any], into: Arrays) -> None:
        sums, excluded = (np.zeros((len(block), self.table.count), kind) for kind in (np.float64, np.int64))
        lanes.scatter_floats(block.reshape(len(block), -1), self.table.labels, sums, excluded)
        blind = (excluded[:, :-1] == self.pixels) & (self.pixels > 0)
        into.profile[:] = np.where(blind, np.nan, sums[:, :-1])
        into.profile_excluded[:] = excluded[:, :-1]


def _weights(regions: Sequence[Region], columns: Sequence[int], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """(k, h * w), 0 outside of the masks."""
    found = [np.where(regions[i].mask, np.asarray(regions[i].weights), 0).ravel() for i in columns]
    return np.stack(found).astype(kind)


def _digits(weights: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Weights by digits of `DIGIT_BITS` bits, lowest first; each with the weight's sign."""
    sign, rest = np.sign(weights), np.abs(weights)
    digits = [sign * (rest & MAX_NARROW_WEIGHT)]
    while (rest := rest >> DIGIT_BITS).any():
        digits.append(sign * (rest & MAX_NARROW_WEIGHT))
    return digits


def _integer_type(pixel: np.dtype[Any]) -> np.dtype[Any]:
    """Of sums; those of uint32 frames need all of 64 bits, and are kept as int64 modulo 2^64 till here."""
    return np.dtype(np.uint64 if pixel == np.uint32 else np.int64)
