"""What virtual detectors can hold: checked before any memory is taken for it."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import PipelineError
from ...kernels.calibrate import MIN_SIDE
from ...stream.series import Series
from .detectors import FittedDetector
from .showing import PATTERN

MAX_SCAN_PIXELS = 1 << 24
"""4096 x 4096: 128 MiB for a sum, and a centre of mass of it still fits one message of the result bus."""
MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192: a mask takes 64 MiB; an announced 65536 x 65536 would take 4 GiB before any frame comes."""
MAX_IMAGE_BYTES = 4 << 30
"""Of all images of one consumer: 32 sums of 4096 x 4096."""
MAX_NAME = 64


def check_series(where: str, series: Series) -> None:
    """PipelineError where frames or scan are too large to be kept."""
    h, w = series.shape
    if h * w > MAX_FRAME_PIXELS:
        raise PipelineError(
            f"{where}: frames of {h} x {w} pixels; it takes up to {MAX_FRAME_PIXELS} "
            "pixels (8192 x 8192): bin them on the detector"
        )
    scan = series.scan
    if scan is None or 0 < scan.shape[0] * scan.shape[1] <= MAX_SCAN_PIXELS:
        return
    raise PipelineError(
        f"{where}: a scan of {scan.shape[0]} x {scan.shape[1]} pixels; it takes 1 to "
        f"{MAX_SCAN_PIXELS} pixels (4096 x 4096): give the scan in smaller fields"
    )


def check_detectors(where: str, series: Series, detectors: Mapping[str, FittedDetector]) -> None:
    """PipelineError where the images of all detectors together are too large."""
    if series.scan is None:
        return
    images = sum(2 if one.is_vector else max(len(one.regions), 1) for one in detectors.values())
    pixels = series.scan.shape[0] * series.scan.shape[1]
    if images * pixels * 8 > MAX_IMAGE_BYTES:
        raise PipelineError(
            f"{where}: {images} images (a centre of mass is two, segments one each) of {pixels} scan pixels "
            f"take {images * pixels * 8 >> 20} MiB; the limit is {MAX_IMAGE_BYTES >> 20} MiB: take fewer"
        )


def checked_name(where: str, detector: str, has_pattern: bool | None) -> str:
    """A name that serves for results; PipelineError otherwise."""
    if not 0 < len(detector) <= MAX_NAME or "." in detector or not detector.isprintable():
        raise PipelineError(
            f"{where}: detector name {detector!r}; it must be 1 to {MAX_NAME} printable "
            "characters without a dot (results are called CONSUMER.DETECTOR)"
        )
    if detector == PATTERN and has_pattern:
        raise PipelineError(f"{where}: a detector is called {PATTERN!r}, as the mean pattern is; rename it")
    return detector


def has_pattern(series: Series) -> bool:
    """Whether a mean pattern is made without being asked for: of scans of whole diffraction patterns."""
    return series.scan is not None and min(series.shape) >= MIN_SIDE
