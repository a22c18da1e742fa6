"""Pixels that are not to be used: what the detector says of its own, and what the user says beside it.

Knows masks only. What a consumer does without these pixels is its own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PipelineError
from ..kernels.masks import Mask
from ..stream.messages import PIXEL_MASK
from ..stream.series import Series
from .parameters import Parameter
from .virtual.detectors import Shape, load_mask

MAX_LISTED = 4096
"""Pixels of a list in a pipeline file; more belong into a mask file. All of them travel with `parameters`."""
MAX_PLACE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class DeadPixels:
    """The user's choice: a mask file or a list; the frame is not known yet."""

    where: str
    """For messages: which parameter of which consumer."""
    path: str | None = None
    pixels: tuple[tuple[int, int], ...] = ()
    """(y, x) each."""

    @property
    def value(self) -> Any:
        """As a pipeline file would say it; [] for none."""
        return [list(pixel) for pixel in self.pixels] if self.path is None else {"path": self.path}

    def mask(self, shape: Shape) -> Mask | None:
        """True where dead, (h, w); None without a choice. PipelineError where it does not fit the frame."""
        if self.path is not None:
            return load_mask(self.where, Path(self.path), shape)
        if not self.pixels:
            return None
        places = np.array(self.pixels)
        outside = (places < 0).any(axis=1) | (places >= shape).any(axis=1)
        if outside.any():
            y, x = places[outside][0]
            raise PipelineError(
                f"{self.where} names the pixel [{y}, {x}]; frames have {shape[0]} x {shape[1]} pixels, "
                f"[y, x] goes from [0, 0] to [{shape[0] - 1}, {shape[1] - 1}]"
            )
        mask = np.zeros(shape, bool)
        mask[places[:, 0], places[:, 1]] = True
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class PixelMask:
    """The pixels of a series that count, by all that is known."""

    live: Mask | None
    """(h, w) bool; None when every pixel counts."""
    known: int = 0
    """How many pixels are known to be dead, used or not."""
    alarm: str = ""
    """Why the detector's own mask could not be used; empty when it could, and when there is none."""

    @property
    def attrs(self) -> dict[str, Any]:
        """What every output says of it."""
        return {"alarm": self.alarm} if self.alarm else {}


def parse_dead_pixels(where: str, value: Any) -> DeadPixels:
    """Check ``{ path = "mask.npy" }`` or a list of [y, x]; None and [] mean none."""
    if value is None:
        return DeadPixels(where)
    if isinstance(value, Mapping):
        path = value.get("path")
        if set(value) != {"path"} or not isinstance(path, str) or not path:
            raise PipelineError(f'{where} is {dict(value)!r}; as a table it must be {{ path = "FILE" }}')
        return DeadPixels(where, path)
    if not isinstance(value, list | tuple) or len(value) > MAX_LISTED:
        many = f"{len(value)} pixels" if isinstance(value, list | tuple) else repr(value)
        raise PipelineError(
            f'{where} is {many}; it must be a list of up to {MAX_LISTED} [y, x], or {{ path = "FILE" }} of a '
            "mask that is not 0 where a pixel is dead"
        )
    return DeadPixels(where, None, tuple(_pixel(where, pixel) for pixel in value))


@dataclass(frozen=True, slots=True)
class Masking:
    """The parameters ``pixel_mask`` and ``dead_pixels`` of a consumer."""

    where: str
    """For messages: which consumer."""
    use: bool
    """False: every pixel counts."""
    chosen: DeadPixels
    """What the user says beside the detector's own mask."""

    @classmethod
    def parse(cls, where: str, use: Any, dead_pixels: Any) -> Masking:
        """Check both; PipelineError names the wrong one."""
        if not isinstance(use, bool):
            raise PipelineError(f"{where}: pixel_mask = {use!r}; it must be true or false")
        return cls(where, use, parse_dead_pixels(f"{where}: dead_pixels", dead_pixels))

    @property
    def parameters(self) -> dict[str, Any]:
        """Both by name, as plain TOML values."""
        return {"pixel_mask": self.use, "dead_pixels": self.chosen.value}

    def changed(self, name: str, value: Any) -> Masking:
        """The same with one of its parameters changed."""
        known = self.parameters | {name: value}
        return Masking.parse(self.where, known["pixel_mask"], known["dead_pixels"])

    def of(self, series: Series) -> PixelMask:
        """The pixels of a series that count: not masked by its table ``pixel_mask`` nor by the user.

        Raises
        ------
        PipelineError
            When the user's pixels do not fit the frame. A mask of the detector's that does not fit is only
            said (``alarm``): it must not stop a scan.
        """
        by_user, (by_detector, alarm) = self.chosen.mask(series.shape), _detectors_mask(series)
        masks = [mask for mask in (by_user, by_detector) if mask is not None]
        alarm = alarm if self.use else ""
        if not masks:
            return PixelMask(None, alarm=alarm)
        dead = np.logical_or.reduce(masks)
        known = int(np.count_nonzero(dead))
        return PixelMask(~dead if known and self.use else None, known, alarm)


MASKED = (
    Parameter("pixel_mask", "switch", "leave out pixels that the detector's mask, or dead_pixels, excludes"),
    Parameter(
        "dead_pixels", "other", "pixels [y, x], or a mask file, that are left out beside the detector's"
    ),
)
MASKING = tuple(one.name for one in MASKED)
"""Names of a Masking's parameters."""


def _detectors_mask(series: Series) -> tuple[Mask | None, str]:
    """True where dead; or None and what is wrong with the mask."""
    try:
        table = series.table(PIXEL_MASK)
    except (OSError, ValueError, EOFError) as error:
        return None, f"the detector's pixel mask cannot be read and is not used: {error}"
    if table is None:
        return None, ""
    if table.shape != series.shape or table.dtype.kind not in "buif":
        return None, (
            f"the detector's pixel mask holds {table.dtype} of shape {table.shape}, frames are "
            f"{series.shape}: it is not used; check the detector's region of interest, or give dead_pixels"
        )
    return np.asarray(table != 0), ""


def _pixel(where: str, value: Any) -> tuple[int, int]:
    match value:
        case [int(y), int(x)] if not isinstance(y, bool) and not isinstance(x, bool):
            if max(abs(y), abs(x)) <= MAX_PLACE:
                return y, x
    raise PipelineError(f"{where} holds {value!r}; a pixel must be [y, x] in whole numbers")
