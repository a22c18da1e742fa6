"""Virtual detectors: what regions of each frame measure, as scan images or traces, and what follows from it.

The consumer itself: what was asked for, and what has to begin anew when that changes. Placement comes from
the scan and each frame's own identity, never from arrival order; a frame that is missing leaves NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.calibrate import Disk
from ..kernels.reduce import reduce_block
from ..stream.series import Series
from .background import Background
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKING, Masking, PixelMask
from .derived import Derived, Steps, check_sources, derive, is_corrected, is_derived
from .detectors import KEYS, Calibration, DetectorSpec, FittedDetector, default_detectors, fit, parse_detector
from .dose import Dose
from .fresh import Clock
from .measuring import Partial, Plan, compile_detectors
from .pattern import Choice, MeanPattern
from .self_check import reduce_encoded
from .series_state import SeriesState
from .showing import PATTERN, Scene
from .sizes import check_detectors, check_series, checked_name, has_pattern
from .virtual_options import OPTIONS, Options
from .warming import warm_up

NO_FRAMES: tuple[Output, ...] = ()


class VirtualDetectors(Consumer[Partial]):
    """Scan images (or, for a movie, traces) of any number of virtual detectors in one pass over each frame.

    Parameters
    ----------
    name : the consumer's name.
    detectors : mapping, optional
        Name -> table with a ``kind`` (or a ``preset``) and its keys: `detectors.KEYS`. Default: bf, haadf and
        com scaled to the frame; the total of a movie, a point or a line detector.
    pixel_mask : leave out the pixels that the detector's mask, or ``dead_pixels``, says not to use.
    dead_pixels : pixels that are not to be used beside the detector's own: a list of [y, x], or a table with
        the ``path`` of a mask file, not 0 where a pixel is dead.
    background : table with the ``path`` of a .npy or .tif file of the frame's shape: mean counts of each
        pixel that are taken off every frame; `background.Offset` has the exact definition.
    pattern : show the mean pattern and the bright-field disk in it. Default: for scans of whole frames.
    passes : "newest" or "mean" of what fell on a pixel of a raster or serpentine scan.

    Notes
    -----
    Outputs: sums in counts, centres of mass (y, x) in px relative to their centre; ``showing`` has others.
    Explicit positions: visits are averaged. Sums of integer frames are exact up to 2^53 counts (a sum is a
    float64 from here on). A detector whose pixels are all masked gives NaN.

    What follows the bright-field disk begins on an assumed one. The disk is sought once, in the mean of
    frames chosen by their numbers; ``set("calibrate", True)`` seeks it again in the newest ones.
    """

    type_name: ClassVar[str] = "virtual_detectors"
    default_policy: ClassVar[str] = "lossless"

    def __init__(
        self,
        name: str,
        detectors: Mapping[str, Any] | None = None,
        pixel_mask: bool = True,
        dead_pixels: Any = None,
        background: Any = None,
        pattern: bool | None = None,
        passes: str = "newest",
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r}"
        self._masking = Masking.parse(self._where, pixel_mask, dead_pixels)
        self._options = Options.parse(self._where, background, pattern, passes)
        self._specs = self._parsed(detectors)
        self._by_default = not detectors
        self._mask = PixelMask(None)
        self._background: Background | None = None
        self._calibration = Calibration()
        self._last_version = 0
        self._series: Series | None = None
        self._state: SeriesState | None = None
        self._plan: Plan | None = None
        self._pattern: MeanPattern | None = None
        self._derived: dict[str, Derived] = {}
        self._doses: dict[str, Dose] = {}
        self._clock = Clock()
        self._outputs: tuple[Output, ...] = NO_FRAMES
        self._restarted = False
        self._misfits: tuple[str, ...] = ()

    def open(self, series: Series) -> None:
        check_series(self._where, series)
        specs = self._specs
        if self._by_default and not _alike(self._series, series):
            specs = default_detectors(self._where, series.shape, series.scan is not None)
        mask = self._masking.of(series)
        background = self._options.background_of(self._where, series.shape)
        calibration = Calibration.of(series.meta)
        detectors = _fitted(specs, series, mask, calibration)
        check_detectors(self._where, series, detectors)
        derived = _derived(specs, series)
        warm_up(series)
        self._follow_doses(series, specs)
        self._series, self._specs, self._derived, self._calibration = series, specs, derived, calibration
        self._begin_anew(mask, background, detectors)
        self._begin_pattern(0)
        self._show()

    def process(self, frames: Frames) -> Partial:
        plan, pattern = self._running(), self._pattern
        reduction = reduce_block(frames.data, plan.regions)
        scan = frames.series.scan
        return Partial(
            plan,
            frames.indices,
            None if scan is None else scan.pixels(frames.indices, frames.positions),
            plan.values(reduction),
            plan.excluded(reduction) if frames.series.numpy_dtype.kind == "f" else {},
            plan.profiles_of(frames.data, reduction),
            None if pattern is None else pattern.taken_from(frames),
        )

    def process_encoded(self, encoded: Encoded) -> tuple[Partial, npt.NDArray[np.int8]] | None:
        plan, pattern = self._running(), self._pattern
        if plan.encoded is None or encoded.series.encoding != "bslz4":
            return None
        reduction, status = reduce_encoded(plan.encoded, plan.regions, encoded)
        indices, positions = encoded.indices, encoded.positions
        seen = None if pattern is None else pattern.decoded_from(encoded, status)
        if status.any():
            good = status == 0
            indices, positions = indices[good], None if positions is None else positions[good]
        scan = encoded.series.scan
        pixels = None if scan is None else scan.pixels(indices, positions)
        return Partial(plan, indices, pixels, plan.values(reduction), {}, (), seen), status

    def merge(self, partial: Partial) -> Sequence[Output]:
        if self._state is None:
            return ()
        self._state.add(partial)
        if partial.seen is not None and partial.seen[0] is self._pattern:
            self._pattern.add(*partial.seen[1:])
        if self._pattern is not None and self._pattern.is_due(self._state.newest):
            self._calibrate(self._pattern)
        self._clock.tick()
        return self._outputs

    def restarted(self) -> bool:
        was, self._restarted = self._restarted, False
        return was

    def set(self, name: str, value: Any) -> bool:
        """Change ``detectors.NAME`` (a table) or ``detectors.NAME.KEY``, and that detector starts anew;
        ``pixel_mask``, ``dead_pixels``, ``background`` or ``passes``, and all do; ``pattern``. Seek the disk
        again with ``calibrate``, begin a dose map at 0 with ``detectors.NAME.reset``."""
        if name in MASKING or name in OPTIONS:
            return self._set_for_all(name, value)
        if name == "calibrate":
            return self._set_calibrate(value)
        head, _, rest = name.partition(".")
        detector, _, key = rest.partition(".")
        if head != "detectors" or detector not in self._specs:
            raise self.unknown_parameter(name)
        if key == "reset" and self._specs[detector].kind == "dose":
            return self._reset_dose(detector, value)
        return self._set_detector(detector, key, value)

    def parameters(self) -> Mapping[str, Any]:
        known = self._masking.parameters | self._options.parameters | {"calibrate": False}
        for name, spec in self._specs.items():
            fitted = self._plan.detectors.get(name) if self._plan else None
            values = {**(fitted.attrs if fitted else {}), **spec.table}
            known[f"detectors.{name}"] = dict(spec.table)
            known.update({f"detectors.{name}.{key}": values[key] for key in KEYS[spec.kind] if key in values})
            if spec.kind == "dose":
                known[f"detectors.{name}.reset"] = False
        return known

    def alarms(self) -> Sequence[str]:
        fitted = self._plan.detectors.values() if self._plan else ()
        blind = [str(detector.attrs["alarm"]) for detector in fitted if detector.is_blind]
        mask = [f"{self._where}: {self._mask.alarm}"] if self._mask.alarm else []
        return [*mask, *blind, *self._misfits]

    def close(self) -> Sequence[Output]:
        if self._pattern is not None and self._pattern.found is None and len(self._pattern):
            self._pattern.find(self._dark)  # for its attrs: nothing comes any more that could be fitted to it
            self._clock.tick()
        return self._outputs

    def _running(self) -> Plan:
        if self._plan is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._plan

    @property
    def _dark(self) -> npt.NDArray[np.float64] | None:
        return None if self._background is None else self._background.pixels

    def _parsed(self, detectors: Mapping[str, Any] | None) -> dict[str, DetectorSpec]:
        if detectors is not None and not isinstance(detectors, Mapping):
            raise PipelineError(f"{self._where}: detectors is {detectors!r}; it must be a table of tables")
        specs = {
            checked_name(self._where, name, self._options.pattern): parse_detector(
                f"{self._where}: detector {name!r}", table
            )
            for name, table in (detectors or {}).items()
        }
        check_sources(specs)
        return specs

    def _set_for_all(self, name: str, value: Any) -> bool:
        """Begin anew with another mask or option; False when it is the same one."""
        masking = self._masking.changed(name, value) if name in MASKING else self._masking
        options = self._options.changed(self._where, name, value) if name in OPTIONS else self._options
        if (masking, options) == (self._masking, self._options):
            return False
        if name == "pattern" and PATTERN in self._specs:
            checked_name(self._where, PATTERN, options.pattern)
        if self._series is not None:
            mask = masking.of(self._series)
            background = options.background_of(self._where, self._series.shape)
            detectors = _fitted(self._specs, self._series, mask, self._calibration)
            self._options = options
            if name != "pattern":
                self._begin_anew(mask, background, detectors)
            self._begin_pattern(0)
            self._show()
        self._masking, self._options = masking, options
        return True

    def _set_calibrate(self, value: Any) -> bool:
        """Seek the disk again in the newest frames that are there."""
        if not isinstance(value, bool):
            raise PipelineError(f"{self._where}: calibrate = {value!r}; it must be true or false")
        if not value or self._state is None or self._series is None:
            return False
        span = len(range(Choice.of(self._series).stop))
        self._begin_pattern(max(0, self._state.newest + 1 - span))
        self._show()
        return self._pattern is not None

    def _set_detector(self, name: str, key: str, value: Any) -> bool:
        spec = (
            self._specs[name].changed(key, value) if key else parse_detector(self._specs[name].where, value)
        )
        specs = {**self._specs, name: spec}
        check_sources(specs)
        if self._series is not None and self._plan is not None:
            derived, detectors = _derived(specs, self._series), dict(self._plan.detectors)
            detectors.pop(name, None)
            changed = {} if is_derived(spec) else self._refitted({name: spec})
            detectors = {each: (detectors | changed)[each] for each in specs if each in detectors | changed}
            check_detectors(self._where, self._series, detectors)
            self._derived = derived
            if spec.kind == "dose" and name not in self._doses:
                self._doses[name] = Dose()
                self._doses[name].follow(self._series, None)
            self._specs = specs
            self._adopt(detectors, changed)
            if self._pattern is None:
                self._begin_pattern(0)
            self._show()
        self._specs = specs
        return True

    def _reset_dose(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise PipelineError(
                f"{self._where}: detectors.{name}.reset = {value!r}; it must be true or false"
            )
        if value and self._state is not None and name in self._doses:
            self._doses[name].former = None
            self._state.images.clear(name)
            self._clock.tick()
        return False

    def _refitted(self, specs: Mapping[str, DetectorSpec]) -> dict[str, FittedDetector]:
        assert self._series is not None
        return _fitted(specs, self._series, self._mask, self._calibration)

    def _follow_doses(self, series: Series, specs: Mapping[str, DetectorSpec]) -> None:
        """Take what the last series added into the maps."""
        former, self._doses = self._doses, {}
        for name, spec in specs.items():
            if spec.kind == "dose":
                dose = self._doses[name] = former.get(name, Dose())
                ran = self._state is not None and name in former
                dose.follow(series, self._state.images.totals(name) if ran and self._state else None)

    def _begin_anew(
        self, mask: PixelMask, background: Background | None, detectors: Mapping[str, FittedDetector]
    ) -> None:
        assert self._series is not None
        self._mask, self._background, self._misfits = mask, background, ()
        self._state = SeriesState(self._series, self._options.passes == "mean")
        self._plan = None
        self._adopt(detectors, detectors)

    def _begin_pattern(self, first: int) -> None:
        """Gather a mean pattern from frame ``first`` on, where one is wanted."""
        assert self._series is not None
        follows = any(spec.follows_disk for spec in self._specs.values())
        wanted = has_pattern(self._series) if self._options.pattern is None else self._options.pattern
        choice = Choice.of(self._series, first)
        self._pattern = MeanPattern(self._series, self._mask.live, choice) if wanted or follows else None

    def _calibrate(self, pattern: MeanPattern) -> None:
        """Look for the disk, and fit to it what follows it."""
        assert self._series is not None
        assert self._plan is not None
        found = pattern.find(self._dark)
        if not isinstance(found, Disk):
            return
        self._calibration = Calibration.of(self._series.meta, found)
        changed: dict[str, FittedDetector] = {}
        misfits: list[str] = []
        for name, spec in self._specs.items():
            if spec.follows_disk:
                try:
                    changed |= self._refitted({name: spec})
                except PipelineError as error:
                    misfits.append(f"{error} (it stays where it was)")
        self._misfits = tuple(misfits)
        self._adopt({**self._plan.detectors, **changed}, changed)
        self._restarted = bool(changed or misfits)
        self._show()

    def _adopt(self, detectors: Mapping[str, FittedDetector], changed: Mapping[str, Any]) -> None:
        """Replace the plan; what changed begins anew."""
        assert self._series is not None
        assert self._state is not None
        known = self._plan.versions if self._plan else {}
        self._last_version += 1
        versions = {name: self._last_version if name in changed else known[name] for name in detectors}
        self._plan = compile_detectors(
            self._series.shape,
            self._series.numpy_dtype,
            detectors,
            versions,
            self._mask.live,
            self._background,
        )
        self._state.adopt(self._plan)

    def _show(self) -> None:
        """Make the outputs of what there is now."""
        assert self._state is not None
        assert self._plan is not None
        shows = self._options.pattern is not False and PATTERN not in self._specs
        self._clock.tick()
        self._outputs = Scene(
            self._state,
            self._specs,
            self._plan.detectors,
            self._derived,
            self._doses,
            self._pattern if shows else None,
            self._calibration,
            self._background,
            self._mask.attrs,
            self._clock,
        ).outputs()


def _fitted(
    specs: Mapping[str, DetectorSpec], series: Series, mask: PixelMask, calibration: Calibration
) -> dict[str, FittedDetector]:
    return {
        name: fit(spec, series.shape, mask.live, calibration)
        for name, spec in specs.items()
        if not is_derived(spec)
    }


def _derived(specs: Mapping[str, DetectorSpec], series: Series) -> dict[str, Derived]:
    """Derived and corrected images, by name; none without a scan."""
    if series.scan is None:
        return {}
    scan, steps = series.scan.shape, Steps.of(series.meta)
    return {
        name: derive(spec, specs, scan, steps)
        for name, spec in specs.items()
        if is_derived(spec) or is_corrected(spec)
    }


def _alike(former: Series | None, series: Series) -> bool:
    """Whether detectors that were chosen (or dragged) on the former series fit this one."""
    if former is None or former.shape != series.shape:
        return False
    return (former.scan is None) == (series.scan is None)
