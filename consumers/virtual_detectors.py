"""Virtual detectors: what regions of each frame measure, as scan images or traces, and what follows from it.

The consumer itself: what was asked for, and what has to begin anew when that changes. Placement comes from
the scan and each frame's own identity, never from arrival order; a frame that is missing leaves NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..stream.series import Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKED, MASKING, Masking
from .dose import Dose
from .parameters import Parameter, described
from .virtual.derived import check_sources
from .virtual.detector_values import described as described_value
from .virtual.detectors import (
    KEYS,
    LENGTHS,
    Calibration,
    DetectorSpec,
    default_detectors,
    fixed,
    parse_detector,
)
from .virtual.fresh import Clock
from .virtual.measuring import Partial
from .virtual.options import OPTIONS, SHARED, Options
from .virtual.running import Running, Setting
from .virtual.self_check import reduce_encoded
from .virtual.showing import PATTERN
from .virtual.sizes import check_series, checked_name
from .virtual.warming import warm_up

REMOVE = "remove"
"""As a detector's table: take it away; so does None, which TOML does not have."""
OF_FILES = ("dead_pixels", "background")
"""Options that may be files, and those may have been measured anew under the same name."""


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
    reduces_regions: ClassVar[bool] = True

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
        self._specs: Mapping[str, DetectorSpec] = self._parsed(detectors)
        self._by_default = not detectors
        self._running: Running | None = None
        self._versions = count(1)
        self._doses: dict[str, Dose] = {}
        self._clock = Clock()
        self._outputs: tuple[Output, ...] = ()
        self._restarted = False

    def open(self, series: Series) -> None:
        check_series(self._where, series)
        specs, former = self._specs, self._running
        if self._by_default and not _alike(former, series):
            added = self._specs if former is None else {}
            specs = {**default_detectors(self._where, series.shape, series.scan is not None), **added}
        warm_up(series)
        setting = self._setting(series, self._masking, self._options)
        running = Running(setting, specs, Calibration.of(series.meta), self._versions)
        self._doses = _doses(self._doses, former, series, specs)
        self._restarted = False
        self._show(running)

    def process(self, frames: Frames) -> Partial:
        running = self._opened()
        plan, pattern, series = running.plan, running.pattern, frames.series
        reductions = frames.reduce(plan.regions, *plan.others)
        return Partial(
            plan,
            frames.indices,
            None if series.scan is None else series.scan.pixels(frames.indices, frames.positions),
            plan.values(reductions[0]),
            plan.excluded(reductions[0]) if series.numpy_dtype.kind == "f" else {},
            plan.profiles_of(reductions),
            None if pattern is None else pattern.taken_from(frames),
        )

    def process_encoded(self, encoded: Encoded) -> tuple[Partial, npt.NDArray[np.int8]] | None:
        running = self._opened()
        plan, pattern = running.plan, running.pattern
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
        running = self._opened()
        pattern, again = running.pattern, running.add(partial)
        self._restarted |= again
        if again or running.pattern is not pattern:
            self._show(running)
        self._clock.tick()
        return self._outputs

    def outputs(self) -> Sequence[Output] | None:
        return None if self._running is None else self._outputs

    def restarted(self) -> bool:
        was, self._restarted = self._restarted, False
        return was

    def set(self, name: str, value: Any) -> bool:
        """Change ``detectors.NAME`` (a table) or ``detectors.NAME.KEY``, and that detector starts anew;
        ``pixel_mask``, ``dead_pixels``, ``background``, ``pattern`` or ``passes``, and all do. A new NAME
        adds a detector, None (or "remove") takes one away. Seek the disk again with ``calibrate``, begin a
        dose map at 0 with ``detectors.NAME.reset``."""
        if name in MASKING or name in OPTIONS:
            return self._set_for_all(name, value)
        if name == "calibrate":
            return self._set_calibrate(value)
        head, _, rest = name.partition(".")
        detector, _, key = rest.partition(".")
        if head == "detectors" and not key and detector not in self._specs and isinstance(value, Mapping):
            return self._add_detector(detector, value)
        if head != "detectors" or detector not in self._specs:
            raise self.unknown_parameter(name)
        if not key and value in (None, REMOVE):
            return self._remove_detector(detector)
        if key == "reset" and self._specs[detector].kind == "dose":
            return self._reset_dose(detector, value)
        return self._set_detector(detector, key, value)

    def parameters(self) -> Mapping[str, Any]:
        known = self._masking.parameters | self._options.parameters | {"calibrate": False}
        fitted = self._running.plan.detectors if self._running else {}
        for name, spec in self._specs.items():
            values = {**(fitted[name].attrs if name in fitted else {}), **spec.table}
            known[f"detectors.{name}"] = dict(spec.table)
            known.update({f"detectors.{name}.{key}": values[key] for key in KEYS[spec.kind] if key in values})
            if spec.kind == "dose":
                known[f"detectors.{name}.reset"] = False
        return known

    def described(self) -> Sequence[Parameter]:
        values, known = self.parameters(), [*MASKED, *SHARED]
        for name in values:
            _, _, detector = name.partition("detectors.")
            detector, _, key = detector.partition(".")
            if key == "reset":
                known.append(Parameter(name, "action", "begin the dose map at 0"))
            elif key:
                spec = self._specs[detector]
                unit = str(spec.values.get("unit", "px"))
                known.append(described_value(name, key, values[name], spec.kind, unit))
        return described(values, known)

    def alarms(self) -> Sequence[str]:
        if self._running is None:
            return ()
        mask = self._running.setting.mask.alarm
        fitted = self._running.plan.detectors.values()
        blind = [str(detector.attrs["alarm"]) for detector in fitted if detector.is_blind]
        return [*([f"{self._where}: {mask}"] if mask else []), *blind, *self._running.misfits]

    def at_end(self) -> bool:
        running = self._running
        again = running is not None and running.at_end()
        if running is not None:
            self._show(running)
        return again

    def close(self) -> Sequence[Output]:
        return self._outputs

    def _opened(self) -> Running:
        if self._running is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._running

    def _show(self, running: Running) -> None:
        """Take what is measured from now on, and make the outputs for it."""
        self._running, self._specs = running, running.specs
        doses = {name: dose for name, dose in self._doses.items() if name in running.specs}
        running.state.images.after = {
            name: dose.after for name, dose in doses.items() if running.specs[name].kind == "dose"
        }
        self._clock.tick()
        self._outputs = running.outputs(self._doses, self._clock)

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

    def _setting(self, series: Series, masking: Masking, options: Options) -> Setting:
        background = options.background_of(self._where, series.shape)
        return Setting(self._where, series, masking.of(series), background, options)

    def _set_for_all(self, name: str, value: Any) -> bool:
        """Begin anew with another mask or option; False when it is the same one."""
        masking = self._masking.changed(name, value) if name in MASKING else self._masking
        options = self._options.changed(self._where, name, value) if name in OPTIONS else self._options
        is_same, running = (masking, options) == (self._masking, self._options), self._running
        if is_same and (name not in OF_FILES or running is None):
            return False
        if PATTERN in self._specs:
            checked_name(self._where, PATTERN, options.pattern)
        if running is not None and name == "pattern":
            again, self._options = running.show_pattern(options), options
            self._show(running)
            return again
        if running is not None:
            setting = self._setting(running.setting.series, masking, options)
            if is_same and setting.counts_like(running.setting):
                return False
            newest = running.state.newest
            self._show(Running(setting, self._specs, running.calibration, self._versions, newest))
        self._masking, self._options = masking, options
        return True

    def _set_calibrate(self, value: Any) -> bool:
        self._check_switch("calibrate", value)
        running = self._running
        if not value or running is None or not running.seek_again():
            return False
        self._show(running)
        return True

    def _set_detector(self, name: str, key: str, value: Any) -> bool:
        known, running = self._specs[name], self._running
        if not key:
            return self._take(name, parse_detector(known.where, value))
        if known.kind == "preset" and key in LENGTHS and running is not None:
            known = fixed(known, running.plan.detectors[name])
        return self._take(name, known.changed(key, value))

    def _add_detector(self, name: str, table: Mapping[str, Any]) -> bool:
        checked_name(self._where, name, self._options.pattern)
        return self._take(name, parse_detector(f"{self._where}: detector {name!r}", table))

    def _take(self, name: str, spec: DetectorSpec) -> bool:
        """Measure with this detector from now on."""
        specs, running = {**self._specs, name: spec}, self._running
        check_sources(specs)
        if running is None:
            self._specs = specs
            return True
        again = running.change(name, specs)
        if spec.kind == "dose" and name not in self._doses:
            self._doses[name] = Dose()
            self._doses[name].follow(running.setting.series, None)
        self._show(running)
        return again

    def _remove_detector(self, name: str) -> bool:
        specs, running = {each: spec for each, spec in self._specs.items() if each != name}, self._running
        made_of_it = [each for each, spec in specs.items() if spec.values.get("of") == name]
        if made_of_it:
            raise PipelineError(
                f"{self._where}: detector {name!r} cannot be removed: {', '.join(made_of_it)} is made of it; "
                "remove that first"
            )
        self._specs = specs
        self._doses.pop(name, None)
        if running is not None:
            running.remove(name, specs)
            self._show(running)
        return False

    def _reset_dose(self, name: str, value: Any) -> bool:
        self._check_switch(f"detectors.{name}.reset", value)
        if value and self._running is not None:
            self._doses[name].reset(self._running.state.newest)
            self._running.state.images.clear(name)
            self._show(self._running)
        return False

    def _check_switch(self, name: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise PipelineError(f"{self._where}: {name} = {value!r}; it must be true or false")


def _doses(
    known: Mapping[str, Dose], former: Running | None, series: Series, specs: Mapping[str, DetectorSpec]
) -> dict[str, Dose]:
    """The dose maps of a series that begins: what the one before it added is kept."""
    doses = {name: known.get(name, Dose()) for name, spec in specs.items() if spec.kind == "dose"}
    for name, dose in doses.items():
        ran = former is not None and name in known
        dose.follow(series, former.state.images.totals(name) if ran and former else None)
    return doses


def _alike(former: Running | None, series: Series) -> bool:
    """Whether detectors that were chosen (or dragged) on the former series fit this one."""
    if former is None or former.setting.series.shape != series.shape:
        return False
    return (former.setting.series.scan is None) == (series.scan is None)
