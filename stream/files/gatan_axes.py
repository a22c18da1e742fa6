"""Which axes of a DigitalMicrograph array (.dm3, .dm4) are a frame's: what rosettasciio cannot tell.

rosettasciio takes the last two axes. A 4D-STEM scan of GMS, unless it is tagged ``Data Order Swapped``, is
stored with the scan as the last two and the frame's pixels before; a spectrum image with the energy first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Signal = Mapping[str, Any]
Axes = list[dict[str, Any]]

ANGLES = ("rad", "mrad", "µrad", "urad", "deg", "°")


def with_frame_axes(signal: Signal) -> Signal:
    """The signal with ``navigate`` marked as its tags, or else its units, say.

    LiberTEM's rule: the tag decides; four dimensions without a tag are in GMS's older order.
    """
    axes: Axes = [dict(axis) for axis in signal["axes"]]
    about = _tags(signal).get("Meta Data", {})
    if len(axes) == 4 and not _frame_is_last(about, axes):
        _mark(axes, frame=(0, 1))
    elif len(axes) > 2 and about.get("Format") == "Spectrum image":
        _mark(axes, frame=(0,))
    return {**signal, "axes": axes}


def _tags(signal: Signal) -> Mapping[str, Any]:
    images = signal["original_metadata"].get("ImageList", {})
    tags: Mapping[str, Any] = images.get("TagGroup0", {}).get("ImageTags", {})
    return tags


def _frame_is_last(about: Mapping[str, Any], axes: Axes) -> bool:
    swapped = about.get("Data Order Swapped")
    if swapped is not None:
        return bool(int(swapped))  # a flag, or "0" and "1"
    return _reciprocal(axes[-1]) and not _reciprocal(axes[0])


def _reciprocal(axis: Mapping[str, Any]) -> bool:
    """Whether an axis counts scattering angles or spatial frequencies."""
    units = str(axis.get("units")).replace(" ", "")
    return units.startswith("1/") or units.endswith("^-1") or units in ANGLES


def _mark(axes: Axes, frame: tuple[int, ...]) -> None:
    for number, axis in enumerate(axes):
        axis["navigate"] = number not in frame
