"""A set of detectors made ready for the kernels, and what a block of frames becomes with them.

Detectors become regions (those of the same pixels share one) and columns of values. Replaced as a whole when
a detector changes. Knows detectors and kernels; no series, no images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.encoded.plan import EncodedPlan, compile_plan
from ...kernels.masks import Mask, Shape
from ...kernels.reduce import Reduction, Region, Regions, compile_regions
from ...stream.series import IndexArray
from .accumulators import Values
from .background import Background, Offset
from .detectors import FittedDetector
from .images import Channel, Layout
from .pattern import Seen

ColumnOf = npt.NDArray[np.intp]
Rings = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]
"""(n, rings) counts, and how many pixels were left out of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Detectors ready for the kernels."""

    detectors: Mapping[str, FittedDetector]
    versions: Mapping[str, int]
    layout: Layout
    profiles: tuple[str, ...]
    """Detectors that want radial profiles: no column, but a row of rings a frame."""
    regions: Regions
    others: tuple[Regions, ...]
    """Of all profiles but the first: a compiled reduction has one."""
    encoded: EncodedPlan | None
    """The same on compressed frames; None where they have to be decoded."""
    offset: Offset | None
    """What the background takes off each region."""
    vectors: ColumnOf
    """Regions whose centres of mass are the first columns."""
    sums: ColumnOf
    """Regions whose sums are the other columns."""
    blind: ColumnOf
    """Columns of detectors without a live pixel."""

    def values(self, reduction: Reduction) -> Values:
        """(n, c) of what every detector measures: (y, x) of centres of mass, then sums; NaN where unknown."""
        sums, com = reduction.sums, reduction.com
        if self.offset is not None:
            sums, com = self.offset.taken_off(sums, com)
        n, first = len(sums), 2 * len(self.vectors)
        values = np.empty((n, first + len(self.sums)))
        values[:, :first] = com[:, self.vectors].reshape(n, first)
        values[:, first:] = sums[:, self.sums]
        if len(self.blind):
            values[:, self.blind] = np.nan
        return values

    def excluded(self, reduction: Reduction) -> Mapping[str, npt.NDArray[np.bool_]]:
        """By detector, (n,) frames of which pixels were left out, being NaN or Inf."""
        left_out = reduction.excluded > 0
        found: dict[str, npt.NDArray[np.bool_]] = {}
        for name, channel in self.layout.channels.items():
            start, stop, first = channel.columns.start, channel.columns.stop, 2 * len(self.vectors)
            vector = channel.is_vector
            regions = (
                self.vectors[start // 2 : stop // 2] if vector else self.sums[start - first : stop - first]
            )
            found[name] = np.asarray(left_out[:, regions].any(axis=1))
        return found

    def profiles_of(self, reductions: Sequence[Reduction]) -> tuple[Rings, ...]:
        """Of each profile, from the reductions by ``regions`` and ``others``."""
        return tuple((one.profile, one.profile_excluded) for one in reductions) if self.profiles else ()


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """What a block of frames reduces to."""

    plan: Plan
    indices: IndexArray
    pixels: IndexArray | None
    """(n,) flat scan pixels, -1 for none; None without a scan."""
    values: Values
    """(n, c), as the plan's layout says."""
    excluded: Mapping[str, npt.NDArray[np.bool_]]
    """By detector: (n,) frames of which pixels were left out; empty for integer frames."""
    profiles: tuple[Rings, ...]
    """Of each of the plan's profiles."""
    seen: Seen | None
    """Frames for the mean pattern; None where none of them is wanted."""

    def of(self, name: str) -> Values:
        """(n, c) of one detector."""
        return self.values[:, self.plan.layout.channels[name].columns]


def compile_detectors(
    shape: Shape,
    dtype: np.dtype[Any],
    detectors: Mapping[str, FittedDetector],
    versions: Mapping[str, int],
    live: Mask | None,
    background: Background | None,
) -> Plan:
    """Make a plan, once per change of a detector; ``versions`` tell which are no longer the same."""
    table = _Regions()
    vectors: list[int] = []
    sums: list[int] = []
    channels: dict[str, Channel] = {}
    profiles: list[str] = []
    measured = sorted(detectors.items(), key=lambda item: not item[1].is_vector)
    column = 0
    for name, detector in measured:
        if detector.profile is not None:
            profiles.append(name)
            continue
        places = [table.place(region) for region in detector.regions or (detector.region,)]
        (vectors if detector.is_vector else sums).extend(places)
        width = 2 if detector.is_vector else len(places)
        total = detector.attrs["kind"] == "dose"
        columns = slice(column, column + width)
        channels[name] = Channel(name, versions[name], columns, detector.is_vector, total)
        column += width
    regions = table.regions
    rings = [detectors[name].profile for name in profiles]
    compiled = compile_regions(shape, regions, rings[0] if rings else None)
    return Plan(
        detectors,
        versions,
        Layout(channels),
        tuple(profiles),
        compiled,
        tuple(compile_regions(shape, [], ring) for ring in rings[1:]),
        None if rings else compile_plan(shape, dtype, regions, live),
        None if background is None else background.of(compiled),
        np.array(vectors, np.intp),
        np.array(sums, np.intp),
        _blind(detectors, channels),
    )


class _Regions:
    """Regions without repetition: a dose, a total and a whole frame's centre of mass cost as much as one."""

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self._pixels: list[int] = []

    def place(self, region: Region) -> int:
        pixels = int(np.count_nonzero(region.mask))
        for i, known in enumerate(self.regions):
            if self._pixels[i] == pixels and _serves(known, region):
                return i
        self.regions.append(region)
        self._pixels.append(pixels)
        return len(self.regions) - 1


def _serves(known: Region, region: Region) -> bool:
    if known.weights is not None or region.weights is not None:
        return False
    return region.center in (None, known.center) and np.array_equal(known.mask, region.mask)


def _blind(detectors: Mapping[str, FittedDetector], channels: Mapping[str, Channel]) -> ColumnOf:
    blind: list[Sequence[int]] = []
    for name, channel in channels.items():
        columns = range(channel.columns.start, channel.columns.stop)
        parts = detectors[name].regions or (detectors[name].region,)
        if detectors[name].is_blind:
            blind.append(columns)
        elif len(parts) > 1:
            blind.append([c for c, part in zip(columns, parts, strict=True) if not part.mask.any()])
    return np.array([column for columns in blind for column in columns], np.intp)
