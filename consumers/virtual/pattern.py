"""The mean diffraction pattern of a series (PACBED) and the bright-field disk in it.

Of a few frames that are chosen by their numbers, so that a live session, a replay and an offline run take the
same ones whenever they come. Knows frames; not what follows the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...kernels.calibrate import Disk, NoDisk, bright_field_disk
from ...kernels.electrons import semi_convergence_mrad
from ...kernels.masks import Mask
from ...kernels.phase import estimate_rotation, integrate
from ...stream.series import IndexArray, Series
from ..base import Encoded, Frames
from ..frame_set import FrameSet
from .accumulators import Arrays

SPAN = 1024
"""Frames from the first one on of which the pattern is made: 20 ms of a fast detector."""
FRAMES = 64
"""As many of them: at 60 us to decode one, 4 ms a series."""
MOST_BYTES = 64 << 20
"""Of all these frames: larger ones are fewer, but at least 4."""
SPAN_BYTES = 128 << 20
"""Of all frames of a span as they are decoded, 1,024 of 256 x 256 uint16: what follows the disk is measured
again from the first frame on, which a ring of 512 MiB, or a smaller one of compressed frames, has then."""
PATIENCE = 2
"""Spans after which, or at the end, the disk is sought in what is there: chosen frames were lost."""

Seen: TypeAlias = "tuple[MeanPattern, IndexArray, npt.NDArray[Any]]"
"""Chosen frames (n, h, w), their numbers, and for which pattern."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Frames ``first``, ``first + step``, ... below ``stop``."""

    first: int
    stop: int
    step: int

    @classmethod
    def of(cls, series: Series, first: int = 0) -> Choice:
        """Every 16th of 1,024 frames; of a shorter series, or of large frames, more of fewer."""
        announced = series.count or (series.scan.frame_count if series.scan is not None else None)
        nbytes = max(series.frame_bytes, 1)
        most = max(4, min(FRAMES, MOST_BYTES // nbytes))
        span = min(announced or SPAN, SPAN, max(most, SPAN_BYTES // nbytes))
        return cls(first, first + span, -(-span // most))

    def __len__(self) -> int:
        return len(range(self.first, self.stop, self.step))

    def among(self, indices: IndexArray) -> IndexArray:
        """Places of the chosen frames in ``indices`` (n,), which increase."""
        if not len(indices) or indices[0] >= self.stop or indices[-1] < self.first:
            return np.empty(0, np.int64)
        inside = (indices >= self.first) & (indices < self.stop)
        return np.flatnonzero(inside & ((indices - self.first) % self.step == 0))


class MeanPattern:
    """Sum of the chosen frames of a series, each once, and the disk found in their mean."""

    def __init__(self, series: Series, live: Mask | None, choice: Choice) -> None:
        self.choice = choice
        self.found: Disk | NoDisk | None = None
        """None until it was sought."""
        self.is_complete = False
        """No more frames are wanted."""
        self._newest = -1
        self._sought_in = 0
        """Frames that it was sought in."""
        kind = series.numpy_dtype.kind
        self._sum = np.zeros(series.shape, np.float64 if kind == "f" else np.int64)
        self._live = live
        self._seen = FrameSet()

    def __len__(self) -> int:
        return len(self._seen)

    def wanted(self, indices: IndexArray) -> IndexArray:
        """Places of frames that are still to be added; for a block of others 0.5 us."""
        return np.empty(0, np.int64) if self.is_complete else self.choice.among(indices)

    def taken_from(self, frames: Frames) -> Seen | None:
        """Copies of the wanted ones among decoded frames."""
        places = self.wanted(frames.indices)
        return (self, frames.indices[places], frames.data[places]) if len(places) else None

    def decoded_from(self, encoded: Encoded, status: npt.NDArray[np.int8]) -> Seen | None:
        """The same of compressed frames, of which only these are decoded; ``status`` 0 where they can be."""
        places = [place for place in self.wanted(encoded.indices).tolist() if status[place] == 0]
        found = [_copy(encoded.decoded(place, place + 1)) for place in places]
        if not found:
            return None
        return self, np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])

    def add(self, indices: IndexArray, frames: npt.NDArray[Any]) -> None:
        """Add chosen frames (n, h, w); those that were added before change nothing."""
        new = self._seen.add(indices)
        if new.any():
            self._sum += frames[new].sum(axis=0, dtype=self._sum.dtype)
        self.is_complete = len(self._seen) == len(self.choice)

    def came(self, newest: int) -> None:
        """A block came since the pattern began, of chosen frames or others."""
        self._newest = max(self._newest, newest)

    @property
    def is_due(self) -> bool:
        """Whether to look for the disk now."""
        return self.is_due_at_end and (self.is_complete or self._is_late)

    @property
    def is_due_at_end(self) -> bool:
        """The same where no more frames will come: whether the disk depends on them alone, and not on when
        they came."""
        return self._sought_in < len(self)

    @property
    def is_missed(self) -> bool:
        """Whether none of the chosen frames came in time: the series began later, or so did the pattern."""
        return self._is_late and not len(self)

    @property
    def _is_late(self) -> bool:
        return self._newest >= self.choice.first + PATIENCE * (self.choice.stop - self.choice.first)

    def find(self, background: npt.NDArray[np.float64] | None) -> Disk | NoDisk:
        """Look for the disk in what was added so far."""
        self.is_complete |= self._is_late
        self._sought_in = len(self)
        self.found = bright_field_disk(self.mean(background), self._live)
        return self.found

    def mean(self, background: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
        """(h, w) mean counts a frame, the background taken off; NaN while there is none, and where dead."""
        mean: npt.NDArray[np.float64] = np.full(self._sum.shape, np.nan)
        if len(self):
            mean = self._sum.astype(np.float64) / len(self)
        if background is not None:
            mean = mean - background
        return mean if self._live is None else np.where(self._live, mean, np.nan)

    def arrays(self, background: npt.NDArray[np.float64] | None) -> Arrays:
        image = self.mean(background)
        return {"image": image, "valid": np.isfinite(image)}

    def attrs(self, mrad_per_px: float | None) -> Mapping[str, Any]:
        """The disk, or why there is none."""
        attrs: dict[str, Any] = {"frames": len(self)}
        found = self.found
        if not isinstance(found, Disk):
            waits = f"{len(self)} of the {len(self.choice)} frames that it is sought in have come"
            return attrs | {"no_disk": waits if found is None else found.reason}
        attrs |= {
            "disk_center": [float(place) for place in found.center],
            "disk_radius": float(found.radius),
            "disk_radius_error": float(found.sigma),
            "disk_confidence": float(found.confidence),
        }
        if mrad_per_px is not None:
            attrs["mrad_per_px"] = mrad_per_px
            attrs["semi_convergence_mrad"] = semi_convergence_mrad(found.radius, mrad_per_px)
        return attrs


def _copy(frames: Frames) -> tuple[IndexArray, npt.NDArray[Any]]:
    """Decoded frames last until the next ones are decoded."""
    return frames.indices.copy(), frames.data.copy()


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Compile what is looked for in patterns and fields, or load it, on small ones: once a process."""
    for side in (40, 300):  # the larger one is binned
        y, x = np.indices((side, side)) - side / 2
        bright_field_disk(np.where(np.hypot(y, x) < side / 5, 100.0, 1.0))
    field = np.random.default_rng(0).normal(size=(8, 8, 2))
    field[3, 4] = np.nan
    integrate(field)
    estimate_rotation(field)
