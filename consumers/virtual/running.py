"""One series being measured: its detectors fitted, their plan and images, the disk that some of them follow.

Replaced as a whole when something changes for all detectors. Knows what was asked for as checked values; the
consumer says when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.calibrate import Disk
from ...stream.series import Series
from ..base import Output
from ..dead_pixels import PixelMask
from ..dose import Dose
from .background import Background
from .derived import Derived, Steps, derive, is_corrected, is_derived
from .detectors import CORRECTIONS, Calibration, DetectorSpec, FittedDetector, fit
from .fresh import Clock
from .measuring import Partial, Plan, compile_detectors
from .options import Options
from .pattern import Choice, MeanPattern
from .series_state import SeriesState
from .showing import PATTERN, Scene
from .sizes import check_detectors, has_pattern

Specs = Mapping[str, DetectorSpec]
NOT_MEASURED = (*CORRECTIONS, "counts_per_electron")
"""Keys that change how something is shown and not what is measured; those of segments are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What concerns all detectors of a series."""

    where: str
    """For messages: which consumer."""
    series: Series
    mask: PixelMask
    background: Background | None
    options: Options

    @property
    def dark(self) -> npt.NDArray[np.float64] | None:
        """(h, w) counts of the background."""
        return None if self.background is None else self.background.pixels

    def counts_like(self, other: Setting) -> bool:
        """Whether the same pixels count, and the same background is taken off them."""
        return _same(self.mask.live, other.mask.live) and _same(self.dark, other.dark)


class Running:
    """A series with its detectors; raises PipelineError, and is not there, where they do not fit it."""

    def __init__(
        self,
        setting: Setting,
        specs: Specs,
        calibration: Calibration,
        versions: Iterator[int],
        newest: int = -1,
    ) -> None:
        """``newest``: the frame up to which the series has come already."""
        self.setting, self.specs, self.calibration = setting, specs, calibration
        self.misfits: tuple[str, ...] = ()
        """Why detectors do not follow the disk that was found."""
        self._versions = versions
        self.derived = _derived(specs, setting.series)
        self.plan = self._plan(self._fitted(specs), {})
        self.state = SeriesState(setting.series, setting.options.passes == "mean")
        self.state.adopt(self.plan)
        self.state.newest = newest
        self.pattern: MeanPattern | None = None
        self.seek_again()

    def begin_pattern(self, first: int) -> None:
        """Gather a mean pattern from frame ``first`` on, where one is wanted."""
        series, wanted = self.setting.series, self.setting.options.pattern
        follows = any(spec.follows_disk for spec in self.specs.values())
        if follows or (has_pattern(series) if wanted is None else wanted):
            self.pattern = MeanPattern(series, self.setting.mask.live, Choice.of(series, first))

    def seek_again(self) -> bool:
        """Gather a pattern of the newest frames, and seek the disk in it; False where there is none."""
        self.begin_pattern(max(0, self.state.newest + 1 - Choice.of(self.setting.series).stop))
        return self.pattern is not None

    def show_pattern(self, options: Options) -> bool:
        """Show the mean pattern, or show it no longer; True where one has to be gathered for that."""
        self.setting = replace(self.setting, options=options)
        return self.pattern is None and self.seek_again()

    def add(self, partial: Partial) -> bool:
        """Take a block's results; True when the disk was found and some detectors began anew for it."""
        self.state.add(partial)
        pattern = self.pattern
        if pattern is None:
            return False
        if partial.seen is not None and partial.seen[0] is pattern:
            pattern.add(*partial.seen[1:])
        if len(partial.indices):
            pattern.came(int(partial.indices[-1]))
        if pattern.is_missed:
            self.begin_pattern(self.state.newest + 1)
        return pattern.is_due and self._calibrate(pattern)

    def at_end(self) -> bool:
        """No more frames will come; True when some detectors began anew for the disk in what came."""
        pattern = self.pattern
        return pattern is not None and pattern.is_due_at_end and self._calibrate(pattern)

    def change(self, name: str, specs: Specs) -> bool:
        """Take a detector of this name, or another one; False where only what is shown changes, and nothing
        has to be measured anew."""
        spec, detectors = specs[name], dict(self.plan.detectors)
        derived, changed = _derived(specs, self.setting.series), self._fitted({name: spec})
        if not changed:
            detectors.pop(name, None)
        alike = name in detectors and _measures_alike(self.specs[name], spec)
        alike = alike and _covers_alike(self.plan.detectors[name], changed[name])
        plan = self._plan(
            {each: (detectors | changed)[each] for each in specs if each in detectors | changed},
            {each: version for each, version in self.plan.versions.items() if each != name or alike},
        )
        self._adopt(specs, derived, plan)
        return bool(changed) and not alike

    def remove(self, name: str, specs: Specs) -> None:
        """Measure and show this detector no longer."""
        detectors = {each: fitted for each, fitted in self.plan.detectors.items() if each != name}
        self._adopt(specs, _derived(specs, self.setting.series), self._plan(detectors, self.plan.versions))

    def _adopt(self, specs: Specs, derived: dict[str, Derived], plan: Plan) -> None:
        self.specs, self.derived, self.plan = specs, derived, plan
        self.state.adopt(plan)
        if self.pattern is None:
            self.seek_again()

    def outputs(self, doses: Mapping[str, Dose], clock: Clock) -> tuple[Output, ...]:
        """Of what there is now, to be made again when a detector changes."""
        setting = self.setting
        shows = setting.options.pattern is not False and PATTERN not in self.specs
        return Scene(
            self.state,
            self.specs,
            self.plan.detectors,
            self.derived,
            doses,
            self.pattern if shows else None,
            self.calibration,
            setting.background,
            setting.mask.attrs,
            clock,
        ).outputs()

    def _calibrate(self, pattern: MeanPattern) -> bool:
        """Look for the disk, and fit to it what follows it; True when something changed for that."""
        found = pattern.find(self.setting.dark)
        if not isinstance(found, Disk):
            return False
        self.calibration = Calibration.of(self.setting.series.meta, found)
        changed: dict[str, FittedDetector] = {}
        misfits: list[str] = []
        for name in [name for name, spec in self.specs.items() if spec.follows_disk]:
            try:
                changed |= self._fitted({name: self.specs[name]})
            except PipelineError as error:
                misfits.append(f"{error} (it stays where it was)")
        self.misfits = tuple(misfits)
        kept = {name: version for name, version in self.plan.versions.items() if name not in changed}
        self.plan = self._plan({**self.plan.detectors, **changed}, kept)
        self.state.adopt(self.plan)
        return bool(changed or misfits)

    def _fitted(self, specs: Specs) -> dict[str, FittedDetector]:
        shape, live = self.setting.series.shape, self.setting.mask.live
        return {
            name: fit(spec, shape, live, self.calibration)
            for name, spec in specs.items()
            if not is_derived(spec)
        }

    def _plan(self, detectors: Mapping[str, FittedDetector], kept: Mapping[str, int]) -> Plan:
        """Compile; detectors without a version that is kept begin anew."""
        setting = self.setting
        check_detectors(setting.where, setting.series, detectors)
        version = next(self._versions)
        versions = {name: kept.get(name, version) for name in detectors}
        shape, dtype = setting.series.shape, setting.series.numpy_dtype
        return compile_detectors(shape, dtype, detectors, versions, setting.mask.live, setting.background)


def _measures_alike(one: DetectorSpec, other: DetectorSpec) -> bool:
    """Whether two tables count the same pixels in the same way."""
    if one.kind != other.kind or one.kind == "segments":
        return one == other
    measured = [
        {key: value for key, value in spec.values.items() if key not in NOT_MEASURED} for spec in (one, other)
    ]
    return measured[0] == measured[1]


def _covers_alike(one: FittedDetector, other: FittedDetector) -> bool:
    """Whether two fits have the same pixels: a mask file may have been written anew."""
    return _same(one.region.mask, other.region.mask) and _same(one.region.weights, other.region.weights)


def _same(one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def _derived(specs: Specs, series: Series) -> dict[str, Derived]:
    """Derived and corrected images, by name; none without a scan."""
    if series.scan is None:
        return {}
    scan, steps = series.scan.shape, Steps.of(series.meta)
    return {
        name: derive(spec, specs, scan, steps)
        for name, spec in specs.items()
        if is_derived(spec) or is_corrected(spec)
    }
