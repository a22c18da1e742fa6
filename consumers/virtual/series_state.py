"""What virtual detectors know of the running series: images, profiles, and which frames had broken pixels.

Knows plans and partial results; not how they are shown, nor what the user asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.masks import RadialBins
from ...stream.series import IndexArray, Series
from ..frame_set import FrameSet
from .images import Images
from .measuring import Partial, Plan


class ProfileSum:
    """Sum of the radial profiles of all frames, each once: whole numbers stay exact to 2^63."""

    def __init__(self, version: int, bins: RadialBins, is_float: bool) -> None:
        self.version, self.bins = version, bins
        self.total = np.zeros(bins.count, np.float64 if is_float else np.int64)
        self._excluded = np.zeros(bins.count, np.int64)
        self._seen = FrameSet()

    def __len__(self) -> int:
        """Frames in the sum."""
        return len(self._seen)

    def add(self, indices: IndexArray, profiles: npt.NDArray[Any], excluded: npt.NDArray[np.int64]) -> None:
        """Add (n, rings), of which pixels were left out; rings of which no pixel was finite add nothing."""
        fresh = self._seen.add(indices)
        new = profiles[fresh]
        self._excluded += excluded[fresh].sum(axis=0)
        if new.dtype.kind == "f":
            new = np.nan_to_num(new, nan=0.0, posinf=0.0, neginf=0.0)
        self.total += new.sum(axis=0, dtype=self.total.dtype)

    def mean(self, background: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
        """(rings,) mean counts of a finite pixel in a frame; NaN for rings without any, and before any frame.

        The background is taken off as if every pixel of a ring had been finite as often as the others.
        """
        pixels = self.bins.pixels
        with np.errstate(invalid="ignore", divide="ignore"):
            frames = (len(self) * pixels - self._excluded) / pixels
            mean = self.total / frames
            if background is not None:
                mean = mean - background
            return np.where(frames > 0, mean / pixels, np.nan)


class _Excluded:
    """Frames of which a detector lacked pixels."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.frames = FrameSet()


class SeriesState:
    """State over one series; a detector that changes begins anew, the others stay."""

    def __init__(self, series: Series, mean: bool) -> None:
        self.series = series
        self.images = Images(series.scan, mean)
        self.profiles: dict[str, ProfileSum] = {}
        self.newest = -1
        """Highest frame number that was merged."""
        self._excluded: dict[str, _Excluded] = {}

    def adopt(self, plan: Plan) -> None:
        self.images.adopt(plan.layout)
        is_float = self.series.numpy_dtype.kind == "f"
        profiles, self.profiles = self.profiles, {}
        for name in plan.profiles:
            bins, version = plan.detectors[name].profile, plan.versions[name]
            assert bins is not None
            known = profiles.get(name)
            is_same = known is not None and known.version == version
            self.profiles[name] = known if known and is_same else ProfileSum(version, bins, is_float)
        kept = {
            name: past for name, past in self._excluded.items() if plan.versions.get(name) == past.version
        }
        self._excluded = kept

    def add(self, partial: Partial) -> None:
        """Take a block's results; those of a detector that has changed since are left out."""
        plan, indices = partial.plan, partial.indices
        self.images.add(plan.layout, indices, partial.pixels, partial.values)
        for name, found in zip(plan.profiles, partial.profiles, strict=True):
            profile = self.profiles.get(name)
            if profile is not None and profile.version == plan.versions[name]:
                profile.add(indices, *found)
        for name, lacking in partial.excluded.items():
            if lacking.any():
                self._note_excluded(name, plan.versions[name], indices[lacking])
        if len(indices):
            self.newest = max(self.newest, int(indices[-1]))

    def excluded(self, name: str) -> int:
        """Frames of which this detector lacked pixels that were NaN or Inf."""
        return len(self._excluded[name].frames) if name in self._excluded else 0

    def _note_excluded(self, name: str, version: int, indices: IndexArray) -> None:
        channel = self.images.channel(name)
        if channel is None or channel.version != version:
            return
        if name not in self._excluded:
            self._excluded[name] = _Excluded(version)
        self._excluded[name].frames.add(indices)
