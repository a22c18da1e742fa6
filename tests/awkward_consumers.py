"""For the session's tests: slow, raising, deadly, telling what they were told, or living on others."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from livem.consumers.base import Consumer, Frames, Output
from livem.stream.messages import TABLES
from livem.stream.results import Result
from livem.stream.series import Series


class _Counting(Consumer[int]):
    """Counts the frames that it has seen."""

    type_name: ClassVar[str] = "counting"

    def open(self, series: Series) -> None:
        self.seen = 0

    def process(self, frames: Frames) -> int:
        return len(frames)

    def merge(self, partial: int) -> Sequence[Output]:
        self.seen += partial
        return [Output("seen", "curve", {"x": np.zeros(1), "y": np.full(1, float(self.seen))})]


class Slow(_Counting):
    """Takes its time with every block."""

    def __init__(self, name: str, seconds: float = 0.1) -> None:
        super().__init__(name)
        self._seconds = seconds

    def process(self, frames: Frames) -> int:
        threading.Event().wait(self._seconds)
        return len(frames)


class Raising(_Counting):
    """Cannot bear frames whose number ends in 7."""

    def process(self, frames: Frames) -> int:
        if (frames.indices % 10 == 7).any():
            raise ValueError("a frame that ends in 7")
        return len(frames)


class Deadly(_Counting):
    """Dies of frame 100, without a word."""

    def process(self, frames: Frames) -> int:
        if 100 in frames.indices:
            os._exit(7)
        return len(frames)


class Telling(_Counting):
    """Shows the tables that the detector sent with its series."""

    def open(self, series: Series) -> None:
        super().open(series)
        self.tables = {name: np.array(table) for name in TABLES if (table := series.table(name)) is not None}

    def close(self) -> Sequence[Output]:
        return [Output(name, "image", {"image": np.atleast_2d(table)}) for name, table in self.tables.items()]


class NeverReady(_Counting):
    """Dies before it is ready."""

    def __init__(self, name: str) -> None:
        os._exit(3)


class Unopenable(_Counting):
    """Raises what it should not at the start of a series."""

    def open(self, series: Series) -> None:
        raise RuntimeError("no")


class BadOutput(_Counting):
    """Beside a good output it shows one that no bus can carry."""

    def merge(self, partial: int) -> Sequence[Output]:
        bad = Output("bad", "image", {"image": np.zeros((2, 2)), "valid": np.ones((3, 3), bool)})
        return [bad, *super().merge(partial)]


class BadClose(_Counting):
    """Raises when the series is over."""

    def close(self) -> Sequence[Output]:
        raise RuntimeError("close failed")


class BadParameters(_Counting):
    """Cannot say what its parameters are."""

    def parameters(self) -> dict[str, float]:
        raise RuntimeError("no parameters")


class LongWords(_Counting):
    """Raises errors that are longer than a status may be."""

    def process(self, frames: Frames) -> int:
        raise ValueError(f"{frames.indices[0]} {'y' * 9000}")


class Summing(Consumer[int]):
    """Takes results of another consumer instead of frames, and shows their sum in its own time."""

    type_name: ClassVar[str] = "summing"
    works = True

    def __init__(self, name: str, input: str) -> None:
        super().__init__(name)
        self._input = input

    @property
    def inputs(self) -> Sequence[str]:
        return (self._input,)

    def open(self, series: Series) -> None:
        self._total, self._fed, self._stale = 0.0, 0, False

    def process(self, frames: Frames) -> int:
        return 0

    def merge(self, partial: int) -> Sequence[Output]:
        return ()

    def feed(self, result: Result) -> None:
        self._total = float(np.nansum(result.arrays["image"]))
        self._fed, self._stale = self._fed + 1, True

    def work_in(self) -> float | None:
        return 0.0 if self._stale else None

    def work(self) -> Sequence[Output]:
        self._stale = False
        return self.close()

    def close(self) -> Sequence[Output]:
        image = np.array([[self._total, float(self._fed)]])
        return [Output("total", "image", {"image": image})]
