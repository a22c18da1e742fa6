"""What virtual detectors show: one output or several for each, computed when somebody looks.

Knows the state of a series and what was asked for; changes neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...stream.results import Kind
from ...stream.series import Series
from ..base import Output
from ..dose import Dose, counts_per_electron, dose_attrs, number_of, step_area
from .background import Background
from .derived import Derived, is_derived
from .detectors import DetectorSpec, FittedDetector
from .fresh import Clock, Fresh, Shown
from .pattern import MeanPattern
from .presets import Calibration
from .series_state import SeriesState

CALIBRATION = ("pixel_size", "pixel_unit", "scan_step", "scan_unit")
PATTERN = "pattern"
PATTERN_HZ = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that outputs are made of, as long as no detector changes."""

    state: SeriesState
    specs: Mapping[str, DetectorSpec]
    detectors: Mapping[str, FittedDetector]
    derived: Mapping[str, Derived]
    """Also centres of mass that are shown corrected."""
    doses: Mapping[str, Dose]
    pattern: MeanPattern | None
    """None: not to be shown."""
    calibration: Calibration
    background: Background | None
    attrs: Mapping[str, Any]
    """Of every output: what is said about masked pixels."""
    clock: Clock

    @property
    def series(self) -> Series:
        return self.state.series

    def outputs(self) -> tuple[Output, ...]:
        """All of them; their arrays and attrs are computed at most once a change, when looked at."""
        return tuple(output for name in self.specs for output in self._of(name)) + tuple(self._pattern())

    def _of(self, name: str) -> Iterator[Output]:
        spec, detector = self.specs[name], self.detectors.get(name)
        if is_derived(spec) or detector is None:
            if name in self.derived:
                yield self._derived(name, self.derived[name])
        elif spec.kind == "profile":
            yield self._profile(name, detector)
        elif spec.kind == "dose" and self.series.scan is not None:
            yield self._dose(name, detector)
        elif spec.kind == "segments":
            for part, ending in enumerate(detector.names):
                yield self._measured(name, detector, f"{name}.{ending}", part)
        elif name in self.derived:
            yield self._derived(name, self.derived[name])
            yield self._measured(name, detector, f"{name}.raw")
        else:
            yield self._measured(name, detector, name)

    def _output(
        self, name: str, kind: Kind, units: Mapping[str, str], compute: Callable[[], Shown]
    ) -> Output:
        once = self.clock.once(compute)
        return Output(name, kind, Fresh(once, 0), units, Fresh(once, 1))

    def _measured(self, name: str, detector: FittedDetector, topic: str, part: int | None = None) -> Output:
        images, scale = self.state.images, self._electrons(name)
        fixed = self._attrs(detector) | self._noise(detector, part)
        if part is not None:
            fixed |= {"segment": part, "direction": detector.attrs["directions"][part]}

        def compute() -> Shown:
            arrays = images.arrays(name, part)
            if scale != 1.0:
                arrays = {**arrays, "y": arrays["y"] / scale}
            return arrays, fixed | self._changing(name)

        unit = "px" if detector.is_vector else "e" if self.specs[name].kind == "dose" else "counts"
        scanned = self.series.scan is not None
        units = {"image": unit} if scanned else {"x": "", "y": unit}
        return self._output(topic, "image" if scanned else "curve", units, compute)

    def _derived(self, name: str, derived: Derived) -> Output:
        source, images = derived.source or name, self.state.images
        attrs = self._attrs(self.detectors[source], geometry=not derived.source)
        table = {key: value for key, value in self.specs[name].table.items() if key != "center"}
        attrs |= table if derived.source else {}

        def compute() -> Shown:
            measured = (
                np.stack(
                    [images.arrays(source, part)["image"] for part in range(len(derived.directions))], axis=-1
                )
                if derived.directions
                else images.arrays(source)["image"]
            )
            arrays, said = derived.compute(measured)
            return arrays, attrs | said

        return self._output(name, "image", {"image": derived.unit}, compute)

    def _dose(self, name: str, detector: FittedDetector) -> Output:
        dose, images, area = self.doses[name], self.state.images, step_area(self.series.meta)
        gain, fixed = self._gain(name), self._attrs(detector)

        def compute() -> Shown:
            running = images.totals(name)
            assert running is not None
            arrays = dose.arrays(running, gain[0])
            return arrays, fixed | dose_attrs(arrays["image"], gain, area) | self._changing(name)

        return self._output(name, "image", {"image": "e"}, compute)

    def _profile(self, name: str, detector: FittedDetector) -> Output:
        profile, angle = self.state.profiles[name], self.calibration.mrad_per_px
        background = None if self.background is None else self.background.rings(profile.bins)
        x = (np.arange(profile.bins.count) + 0.5) * detector.attrs["width"] * (angle or 1.0)
        fixed = self._attrs(detector) | {"x_label": "scattering angle" if angle else "radius"}

        def compute() -> Shown:
            return {"x": x, "y": profile.mean(background)}, fixed | {"frames": len(profile)}

        return self._output(name, "curve", {"x": "mrad" if angle else "px", "y": "counts"}, compute)

    def _pattern(self) -> Iterator[Output]:
        pattern, angle = self.pattern, self.calibration.mrad_per_px
        if pattern is None:
            return
        pixels = None if self.background is None else self.background.pixels
        meta = {key: self.series.meta[key] for key in CALIBRATION[:2] if key in self.series.meta}
        fixed = {**meta, **self.attrs}

        def compute() -> Shown:
            return pattern.arrays(pixels), {**fixed, **pattern.attrs(angle)}

        # 512 KB at 256 x 256, and still the same mean: twice as much as all images of a 128 x 128 scan.
        yield replace(self._output(PATTERN, "image", {"image": "counts"}, compute), hz=PATTERN_HZ)

    def _attrs(self, detector: FittedDetector, geometry: bool = True) -> dict[str, Any]:
        meta = {key: self.series.meta[key] for key in CALIBRATION if key in self.series.meta}
        known = {"background": self.background.path} if self.background is not None else {}
        return {**meta, **known, **self.attrs, **(detector.attrs if geometry else {})}

    def _noise(self, detector: FittedDetector, part: int | None) -> dict[str, Any]:
        """How a sum of whole counts of one frame scatters: as the series says of a pixel, n times.

        Nothing of weighted sums, and nothing where a count may be anything.
        """
        meta, region = self.series.meta, detector.region if part is None else detector.regions[part]
        gain, said_by = counts_per_electron(None, meta)
        whole = self.series.numpy_dtype.kind in "iu" and region.weights is None and not detector.is_vector
        if said_by != "series" or not whole:
            return {}
        offset, read_noise = number_of(meta.get("offset")), number_of(meta.get("read_noise"))
        n = int(np.count_nonzero(region.mask))
        dark = 0.0 if self.background is None else float(self.background.pixels[region.mask].sum())
        model = {"gain": gain, "offset": offset * n - dark, "read_noise": max(read_noise, 0.0) * math.sqrt(n)}
        return {"noise": model}

    def _changing(self, name: str) -> dict[str, Any]:
        attrs = dict(self.state.images.attrs(name))
        excluded = self.state.excluded(name)
        return attrs | ({"frames_with_excluded_pixels": excluded} if excluded else {})

    def _gain(self, name: str) -> tuple[float, str]:
        return counts_per_electron(self.specs[name].values.get("counts_per_electron"), self.series.meta)

    def _electrons(self, name: str) -> float:
        """Counts in one unit of what a trace shows."""
        return self._gain(name)[0] if self.specs[name].kind == "dose" else 1.0
