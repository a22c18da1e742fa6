"""Virtual detectors: sums and centres of mass of detector regions, as scan images or traces.

Placement comes from the scan and each frame's own identity, never from arrival order; a frame that is
missing leaves NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.encoded.plan import EncodedPlan, compile_plan
from ..kernels.reduce import Reduction, Regions, compile_regions, reduce_block, warm_up
from ..stream.series import IndexArray, Series
from .accumulators import Accumulator, Values, accumulator
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKING, Masking, PixelMask
from .detectors import KEYS, DetectorSpec, FittedDetector, default_detectors, fit, parse_detector
from .frame_set import FrameSet
from .self_check import reduce_encoded

MAX_SCAN_PIXELS = 1 << 24
"""4096 x 4096: 272 MiB for a sum, and a centre of mass of it still fits one message of the result bus."""
MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192: a mask takes 64 MiB; an announced 65536 x 65536 would take 4 GiB before any frame comes."""
MAX_NAME = 64
CALIBRATION = ("pixel_size", "pixel_unit", "scan_step", "scan_unit")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The detectors made ready for the kernel; replaced as a whole when one changes."""

    detectors: Mapping[str, FittedDetector]
    versions: Mapping[str, int]
    """Of each detector: a partial made with another version is stale."""
    regions: Regions
    encoded: EncodedPlan | None
    """The same on compressed frames; None where they have to be decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """What a block of frames reduces to."""

    indices: IndexArray
    pixels: IndexArray | None
    """(n,) flat scan pixels, -1 for none; None without a scan."""
    versions: Mapping[str, int]
    values: Mapping[str, Values]
    """By detector: (n,) sums or (n, 2) centres of mass."""
    excluded: Mapping[str, npt.NDArray[np.bool_]]
    """By detector: (n,) frames of which pixels were left out; empty for integer frames."""


@dataclass(slots=True)
class _State:
    """One detector's images of the running series."""

    version: int
    accumulator: Accumulator
    excluded: FrameSet


class VirtualDetectors(Consumer[Partial]):
    """Scan images (or, for a movie, traces) of any number of virtual detectors in one pass over each frame.

    Parameters
    ----------
    name : the consumer's name.
    detectors : mapping, optional
        Name -> table with ``kind`` disk (radius), annulus (inner, outer), rectangle (top, left, height,
        width, or center, size), mask (path), com (optionally radius) or total; lengths in px,
        ``center = [y, x]`` optional. Default: bf, haadf and com scaled to the frame; the total ("value") of a
        point or line detector.
    pixel_mask : leave out the pixels that the detector's mask, or ``dead_pixels``, says not to use.
    dead_pixels : pixels that are not to be used beside the detector's own: a list of [y, x], or a table with
        the ``path`` of a mask file, not 0 where a pixel is dead.

    Notes
    -----
    Outputs: sums in counts, centres of mass (y, x) in px relative to their centre. Raster and serpentine: a
    later pass replaces a pixel. Explicit positions: visits are averaged. Sums of integer frames are exact up
    to 2^53 counts (a sum is a float64 from here on). A detector whose pixels are all masked gives NaN.
    """

    type_name: ClassVar[str] = "virtual_detectors"
    default_policy: ClassVar[str] = "lossless"

    def __init__(
        self,
        name: str,
        detectors: Mapping[str, Any] | None = None,
        pixel_mask: bool = True,
        dead_pixels: Any = None,
    ) -> None:
        super().__init__(name)
        self._masking = Masking.parse(f"consumer {name!r}", pixel_mask, dead_pixels)
        self._mask = PixelMask(None)
        self._last_version = 0
        self._series: Series | None = None
        self._plan: Plan | None = None
        self._states: dict[str, _State] = {}
        self._specs: dict[str, DetectorSpec] = {}
        self._by_default = not detectors
        if detectors is not None and not isinstance(detectors, Mapping):
            raise PipelineError(
                f"consumer {name!r}: detectors is {detectors!r}; it must be a table of tables"
            )
        for key, table in (detectors or {}).items():
            self._specs[self._checked_name(key)] = parse_detector(self._where(key), table)

    def open(self, series: Series) -> None:
        self._check_size(series)
        if self._by_default and not _alike(self._series, series):
            self._specs = default_detectors(f"consumer {self.name!r}", series.shape, series.scan is not None)
        mask = self._masking.of(series)
        detectors = self._fitted(series, mask)
        warm_up(series.numpy_dtype)
        self._series, self._mask, self._states = series, mask, {}
        self._adopt_all(detectors)

    def process(self, frames: Frames) -> Partial:
        plan = self._plan
        if plan is None:
            raise RuntimeError(f"consumer {self.name!r} got frames before open()")
        reduction = reduce_block(frames.data, plan.regions)
        return _partial(plan, frames.series, frames.indices, frames.positions, reduction)

    def process_encoded(self, encoded: Encoded) -> tuple[Partial, npt.NDArray[np.int8]] | None:
        plan = self._plan
        if plan is None or plan.encoded is None or encoded.series.encoding != "bslz4":
            return None
        reduction, status = reduce_encoded(plan.encoded, plan.regions, encoded)
        good, positions = status == 0, encoded.positions
        indices = encoded.indices
        if not good.all():
            indices, positions = indices[good], None if positions is None else positions[good]
        return _partial(plan, encoded.series, indices, positions, reduction), status

    def merge(self, partial: Partial) -> Sequence[Output]:
        for name, state in self._states.items():
            if partial.versions.get(name) != state.version:
                continue
            state.accumulator.add(partial.indices, partial.pixels, partial.values[name])
            if name in partial.excluded:
                state.excluded.add(partial.indices[partial.excluded[name]])
        return self._outputs()

    def set(self, name: str, value: Any) -> bool:
        """Change ``detectors.NAME`` (a table) or ``detectors.NAME.KEY``, and that detector starts anew; or
        ``pixel_mask`` or ``dead_pixels``, and all do."""
        if name in MASKING:
            return self._mask_anew(self._masking.changed(name, value))
        detector, spec = self._changed(name, value)
        if self._series is not None and self._plan is not None:
            fitted = fit(spec, self._series.shape, self._mask.live)
            self._adopt(
                {**self._plan.detectors, detector: fitted},
                {**self._plan.versions, detector: self._new_version()},
            )
        self._specs[detector] = spec
        return True

    def parameters(self) -> Mapping[str, Any]:
        known = self._masking.parameters
        for name, spec in self._specs.items():
            fitted = self._plan.detectors.get(name) if self._plan else None
            values = spec.table if fitted is None else fitted.attrs
            known[f"detectors.{name}"] = dict(spec.table)
            known.update({f"detectors.{name}.{key}": values[key] for key in KEYS[spec.kind] if key in values})
        return known

    def alarms(self) -> Sequence[str]:
        fitted = self._plan.detectors.values() if self._plan else ()
        blind = [str(detector.attrs["alarm"]) for detector in fitted if detector.is_blind]
        return [f"consumer {self.name!r}: {self._mask.alarm}", *blind] if self._mask.alarm else blind

    def close(self) -> Sequence[Output]:
        return self._outputs()

    def _mask_anew(self, masking: Masking) -> bool:
        """Begin anew with other pixels; False when they are the same ones."""
        if masking == self._masking:
            return False
        if self._series is not None:
            mask = masking.of(self._series)
            detectors = self._fitted(self._series, mask)
            self._mask = mask
            self._adopt_all(detectors)
        self._masking = masking
        return True

    def _fitted(self, series: Series, mask: PixelMask) -> dict[str, FittedDetector]:
        return {name: fit(spec, series.shape, mask.live) for name, spec in self._specs.items()}

    def _adopt_all(self, detectors: Mapping[str, FittedDetector]) -> None:
        self._adopt(detectors, {name: self._new_version() for name in detectors})

    def _changed(self, name: str, value: Any) -> tuple[str, DetectorSpec]:
        """The detector that a parameter's name means, and what it becomes."""
        head, _, rest = name.partition(".")
        detector, _, key = rest.partition(".")
        if head != "detectors" or detector not in self._specs:
            raise self.unknown_parameter(name)
        if not key:
            return detector, parse_detector(self._where(detector), value)
        return detector, self._specs[detector].changed(key, value)

    def _new_version(self) -> int:
        self._last_version += 1
        return self._last_version

    def _adopt(self, detectors: Mapping[str, FittedDetector], versions: Mapping[str, int]) -> None:
        """Replace the plan, and begin anew where a detector changed."""
        assert self._series is not None
        regions = [detector.region for detector in detectors.values()]
        shape, dtype = self._series.shape, self._series.numpy_dtype
        encoded = compile_plan(shape, dtype, regions, self._mask.live)
        self._plan = Plan(detectors, versions, compile_regions(shape, regions), encoded)
        self._states = {
            name: self._state(name, versions[name], (2,) if detector.is_vector else ())
            for name, detector in detectors.items()
        }

    def _state(self, name: str, version: int, channels: tuple[int, ...]) -> _State:
        known = self._states.get(name)
        if known is not None and known.version == version:
            return known
        assert self._series is not None
        return _State(version, accumulator(self._series.scan, channels), FrameSet())

    def _outputs(self) -> Sequence[Output]:
        if self._plan is None:
            return ()
        return [self._output(name, detector) for name, detector in self._plan.detectors.items()]

    def _output(self, name: str, detector: FittedDetector) -> Output:
        assert self._series is not None
        state = self._states[name]
        unit = "px" if detector.is_vector else "counts"
        meta = {key: self._series.meta[key] for key in CALIBRATION if key in self._series.meta}
        attrs = {**meta, **self._mask.attrs, **detector.attrs, **state.accumulator.attrs()}
        if len(state.excluded):
            attrs["frames_with_excluded_pixels"] = len(state.excluded)
        units = {"image": unit} if state.accumulator.kind == "image" else {"x": "", "y": unit}
        return Output(name, state.accumulator.kind, state.accumulator.arrays(), units, attrs)

    def _check_size(self, series: Series) -> None:
        h, w = series.shape
        if h * w > MAX_FRAME_PIXELS:
            raise PipelineError(
                f"consumer {self.name!r}: frames of {h} x {w} pixels; it takes up to {MAX_FRAME_PIXELS} "
                "pixels (8192 x 8192): bin them on the detector"
            )
        scan = series.scan
        if scan is None or 0 < scan.shape[0] * scan.shape[1] <= MAX_SCAN_PIXELS:
            return
        raise PipelineError(
            f"consumer {self.name!r}: a scan of {scan.shape[0]} x {scan.shape[1]} pixels; it takes 1 to "
            f"{MAX_SCAN_PIXELS} pixels (4096 x 4096): give the scan in smaller fields"
        )

    def _checked_name(self, detector: str) -> str:
        if not 0 < len(detector) <= MAX_NAME or "." in detector or not detector.isprintable():
            raise PipelineError(
                f"consumer {self.name!r}: detector name {detector!r}; it must be 1 to {MAX_NAME} printable "
                "characters without a dot (results are called CONSUMER.DETECTOR)"
            )
        return detector

    def _where(self, detector: str) -> str:
        return f"consumer {self.name!r}: detector {detector!r}"


def _partial(
    plan: Plan,
    series: Series,
    indices: IndexArray,
    positions: npt.NDArray[np.float32] | None,
    reduction: Reduction,
) -> Partial:
    values: dict[str, Values] = {}
    excluded: dict[str, npt.NDArray[np.bool_]] = {}
    for i, (name, detector) in enumerate(plan.detectors.items()):
        values[name] = _values(detector, reduction, i)
        if series.numpy_dtype.kind == "f":
            excluded[name] = reduction.excluded[:, i] > 0
    pixels = None if series.scan is None else series.scan.pixels(indices, positions)
    return Partial(indices, pixels, plan.versions, values, excluded)


def _values(detector: FittedDetector, reduction: Reduction, i: int) -> Values:
    """Of the region ``i``: (n,) sums or (n, 2) centres of mass; NaN where the detector is blind."""
    if detector.is_vector:
        return reduction.com[:, i]
    sums = reduction.sums[:, i].astype(np.float64)
    return np.full_like(sums, np.nan) if detector.is_blind else sums


def _alike(former: Series | None, series: Series) -> bool:
    """Whether detectors that were chosen (or dragged) on the former series fit this one."""
    if former is None or former.shape != series.shape:
        return False
    return (former.scan is None) == (series.scan is None)
