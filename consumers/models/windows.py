"""Frames that wait for a model, each with those before it that it sees too. Knows no pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Frames in the order of their indices."""

    indices: Indices
    """(n,)"""
    frames: Values
    """(n, h, w) in the detector's values."""

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, which: slice | npt.NDArray[np.bool_]) -> Shots:
        return Shots(self.indices[which], self.frames[which])


class Windows:
    """Frames of one series, some of which wait.

    Parameters
    ----------
    length : frames that the model sees at once. At the beginning the first one stands for those before it.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._newest = -1
        self._kept: Shots | None = None
        """``length - 1`` frames before those that wait, and these."""

    def __len__(self) -> int:
        """Frames that wait."""
        return 0 if self._kept is None else len(self._kept) - self._length + 1

    def add(self, newer: Shots) -> None:
        """Frames that wait from now on; those that came before count once."""
        newer = newer[newer.indices > self._newest]
        if not len(newer):
            return
        self._newest = int(newer.indices[-1])
        if self._kept is None:
            before = np.zeros(self._length - 1, np.int64)
            self._kept = Shots(newer.indices[before], newer.frames[before])
        self._kept = Shots(
            np.concatenate([self._kept.indices, newer.indices]),
            np.concatenate([self._kept.frames, newer.frames]),
        )

    def skip(self) -> None:
        """Let the newest alone wait."""
        if self._kept is not None and len(self) > 1:
            self._kept = self._kept[-self._length :]

    def take(self, most: int) -> Shots:
        """The oldest that wait, at most so many, with the ``length - 1`` before them; they wait no more.

        Raises ValueError where none waits.
        """
        if self._kept is None or not len(self):
            raise ValueError("no frame waits")
        count = min(most, len(self))
        taken = self._kept[: count + self._length - 1]
        self._kept = self._kept[count:]
        return taken
