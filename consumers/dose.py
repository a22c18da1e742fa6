"""The dose map: electrons that hit each scan position, over all passes and all series of one field.

Knows counts over a scan; no frames and no detectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.electrons import LENGTHS
from ..stream.series import Series, SeriesKey
from .virtual.accumulators import Arrays, shown

Counts = tuple[npt.NDArray[np.float64], npt.NDArray[Any]]
"""(pixels,) counts over all visits, and how many visits those were."""


def counts_per_electron(chosen: float | None, meta: Mapping[str, Any]) -> tuple[float, str]:
    """The detector's gain, and who says so: the user, the series, or nobody (1)."""
    if chosen is not None:
        return chosen, "parameter"
    known = meta.get("counts_per_electron")
    if isinstance(known, int | float) and not isinstance(known, bool) and 0 < known < np.inf:
        return float(known), "series"
    return 1.0, "assumed"


def number_of(value: Any) -> float:
    """What a sender says, or 0."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else 0.0


def step_area(meta: Mapping[str, Any]) -> float | None:
    """Square angstroms of a scan position; None where the scan is not calibrated."""
    step, unit = meta.get("scan_step"), meta.get("scan_unit")
    length = LENGTHS.get(unit.strip().lower()) if isinstance(unit, str) else None
    if length is None or isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < np.inf:
        return None
    return (float(step) * length * 1e10) ** 2


@dataclass(slots=True)
class Dose:
    """What former series left on the positions of one field."""

    shape: tuple[int, int] | None = None
    key: SeriesKey | None = None
    """The running series."""
    former: Counts | None = None
    after: int = -1
    """Frames of the running series up to this one came before a reset, and do not count."""

    def follow(self, series: Series, last: Counts | None) -> None:
        """A series begins; ``last`` is what the one before it added.

        Another scan shape begins a new map. The same series once more (its sender came back) is one series:
        what it had added is measured again.
        """
        shape = None if series.scan is None else series.scan.shape
        if shape != self.shape:
            self.former = None
        elif last is not None and series.key != self.key:
            self.former = _added(self.former or (0.0, 0), last)
        if series.key != self.key:
            self.after = -1
        self.shape, self.key = shape, series.key

    def reset(self, newest: int) -> None:
        """Forget what came up to the frame ``newest``, also when it is looked at again."""
        self.former, self.after = None, newest

    def arrays(self, running: Counts, gain: float) -> Arrays:
        """Electrons per position; NaN where none was ever measured."""
        counts, visits = running if self.former is None else _added(self.former, running)
        assert self.shape is not None
        electrons = np.where(visits > 0, counts / gain, np.nan)
        return shown(electrons[None], self.shape)


def dose_attrs(
    electrons: npt.NDArray[np.float64], gain: tuple[float, str], area: float | None
) -> dict[str, Any]:
    """Totals for people: electrons, and electrons per square angstrom where the scan is calibrated."""
    known = electrons[np.isfinite(electrons)]
    attrs: dict[str, Any] = {
        "counts_per_electron": gain[0],
        "counts_per_electron_from": gain[1],
        "total_electrons": float(known.sum()),
    }
    if area is not None and known.size:
        attrs["electrons_per_A2_mean"] = float(known.mean()) / area
        attrs["electrons_per_A2_most"] = float(known.max()) / area
    return attrs


def _added(one: Counts | tuple[float, int], other: Counts) -> Counts:
    """A copy: what is running goes on."""
    return one[0] + other[0], one[1] + other[1]
