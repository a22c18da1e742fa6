"""A viewer elsewhere, as the relay knows it: what it looks at, what it has, how much it may be sent when.

Knows results and clocks; no sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.cutouts import Cutout
from ..kernels.display import Mode, live_areas
from ..kernels.packing import pack
from ..stream.bus_codec import encode
from ..stream.plain_map import Part
from ..stream.results import CUT, Result, valid_of

PERIOD_S = 1 / 60
BUNDLE_S = 0.25
"""What goes out together takes its line no longer than this, so that a newer picture never waits for long."""
HEARTBEAT_S = 0.2
HOLD_S = 0.4
"""So long a changed view waits for its own picture before it is given the coarse one of everybody."""
KEPT, KEPT_BYTES = 256, 32 << 20
"""Final results and events, and their bytes, that wait for a slow line."""
LEAST_BUDGET = 50_000.0
"""Bytes a second."""


@dataclass(slots=True, eq=False)
class Newest:
    """The newest result of a topic, with what was made of it for viewers: once for all that want the same."""

    result: Result
    number: int
    """Another one for each result."""
    _packed: dict[Cutout | None, Packed] = field(default_factory=dict)

    def packed(self, cutout: Cutout | None) -> Packed:
        """As it travels, as a whole or cut."""
        if cutout not in self._packed:
            chosen = self.result if cutout is None else cut(self.result, cutout)
            self._packed[cutout] = Packed.of(chosen)
        return self._packed[cutout]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A result in its bytes."""

    parts: list[Part]
    """``[topic, header, array, ...]`` as on the bus, but for arrays that are packed."""
    item_sizes: list[int]
    """Of each array: bytes of a value where it is packed, 0 where it is not."""

    @classmethod
    def of(cls, result: Result) -> Packed:
        topic, header, *arrays = encode(result)
        parts: list[Part] = [topic, header]
        sizes = []
        for array, plain in zip(result.arrays.values(), arrays, strict=True):
            packed = pack(array)
            parts.append(plain if packed is None else packed)
            sizes.append(0 if packed is None else array.dtype.itemsize)
        return cls(parts, sizes)

    @property
    def nbytes(self) -> int:
        return sum(memoryview(part).nbytes for part in self.parts)


class Keepsakes(deque[Newest]):
    """Results that nobody should miss, the oldest first; beyond a number, or bytes, the oldest are gone."""

    def __init__(self, kept: Iterable[Newest] = ()) -> None:
        super().__init__(kept)

    def keep(self, kept: Newest) -> None:
        """Add one."""
        self.append(kept)
        while len(self) > KEPT or (len(self) > 1 and sum(one.result.nbytes for one in self) > KEPT_BYTES):
            self.popleft()


def is_frame(result: Result) -> bool:
    """Whether it is a detector's newest frame, made smaller by its preview."""
    return result.kind == "image" and {"factor", "shape"} <= result.attrs.keys()


def can_be_cut(result: Result) -> bool:
    """Whether it is a picture of one value a pixel."""
    image = result.arrays.get("image")
    return result.kind == "image" and image is not None and image.ndim == 2 and image.dtype.kind in "uif"


def cut(result: Result, wanted: Cutout) -> Result:
    """An image result, as a window shows it: a part of it, areas as their mean.

    ``attrs["cut"]`` says what it is: its corner, its factor, and the shape of the whole.
    """
    image = result.arrays["image"]
    shape, cutout = image.shape, wanted.within(image.shape)
    valid = valid_of(result)
    mode: Mode = "max" if result.attrs.get("mode") == "max" and is_frame(result) else "mean"
    small, factor = cutout.take(_native(image), mode, None if valid.all() else valid)
    arrays: dict[str, npt.NDArray[Any]] = {"image": small}
    for name, other in result.arrays.items():
        if name != "image" and other.shape == shape and other.dtype.kind == "b":
            arrays[name] = live_areas(np.ascontiguousarray(other[cutout.place]), factor)
    if "valid" in arrays:
        arrays["valid"] &= np.isfinite(small) if small.dtype.kind == "f" else True
    said: dict[str, Any] = {
        CUT: {"corner": [cutout.top, cutout.left], "factor": factor, "shape": list(shape)}
    }
    if is_frame(result):
        said["factor"] = factor
    return replace(result, arrays=arrays, attrs={**result.attrs, **said})


def _native(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


class Onlooker:
    """One viewer.

    Parameters
    ----------
    kept : results that it must not miss, from before it came.
    clock : monotonic seconds.
    """

    def __init__(self, kept: Iterable[Newest], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept = Keepsakes(kept)
        self._sent: dict[str, tuple[int, Cutout | None]] = {}
        self._turns: dict[str, float] = {}
        self._cutouts: Mapping[str, Cutout] = {}
        self._since: dict[str, float] = {}
        self._budget = LEAST_BUDGET
        self._due = 0.0
        self.asked_at = clock()
        self.question: int | None = None
        """Number of the request that waits for its answer."""

    @property
    def cutouts(self) -> Mapping[str, Cutout]:
        """By topic: what its windows show."""
        return self._cutouts

    def ask(self, question: int, cutouts: Mapping[str, Cutout], budget: float) -> None:
        """It has taken all that it was sent, and wants what is new."""
        now = self._clock()
        for topic, cutout in cutouts.items():
            if self._cutouts.get(topic) != cutout:
                self._since[topic] = now
        self._cutouts, self._budget = cutouts, max(budget, LEAST_BUDGET)
        self.asked_at, self.question = now, question

    def keep(self, kept: Newest) -> None:
        """A final result or an event."""
        self._kept.keep(kept)

    def bundle(
        self, newest: Mapping[str, Newest], viewed: Mapping[tuple[str, Cutout], Newest]
    ) -> list[tuple[Packed, bool]] | None:
        """What to send now, and whether it is one of those that must not be missed; None: not yet.

        An empty one says only that the session is still there.
        """
        now = self._clock()
        if self.question is None:
            return None
        chosen = self._chosen(newest, viewed, now) if now >= self._due else []
        if not chosen and now - self.asked_at < HEARTBEAT_S:
            return None
        nbytes = sum(packed.nbytes for packed, _ in chosen)
        if chosen:
            self._due = max(now + PERIOD_S, now + nbytes / self._budget)
        return chosen

    def _chosen(
        self, newest: Mapping[str, Newest], viewed: Mapping[tuple[str, Cutout], Newest], now: float
    ) -> list[tuple[Packed, bool]]:
        """The topic that has waited for longest first, and no more than the line takes in BUNDLE_S."""
        chosen: list[tuple[Packed, bool]] = []
        room = self._budget * BUNDLE_S
        while self._kept and room > 0:
            packed = self._kept.popleft().packed(None)
            chosen.append((packed, True))
            room -= packed.nbytes
        for topic in sorted(
            newest, key=lambda topic: (newest[topic].result.kind != "status", self._turn(topic))
        ):
            if room <= 0:
                break
            found = self._version(topic, newest[topic], viewed, now)
            if found is None or self._sent.get(topic) == (found[0].number, found[1]):
                continue
            packed = found[0].packed(found[1])
            self._sent[topic], self._turns[topic] = (found[0].number, found[1]), now
            chosen.append((packed, False))
            room -= packed.nbytes
        return chosen

    def _turn(self, topic: str) -> float:
        return self._turns.get(topic, 0.0)

    def _version(
        self, topic: str, base: Newest, viewed: Mapping[tuple[str, Cutout], Newest], now: float
    ) -> tuple[Newest, Cutout | None] | None:
        """The result to send of a topic, and how to cut it; None while its own picture is on the way."""
        wanted = self._cutouts.get(topic)
        if wanted is None or not can_be_cut(base.result):
            return base, None
        if needs_view(base.result, wanted):
            view = viewed.get((topic, wanted))
            if view is not None and view.result.series == base.result.series:
                return view, None
            return None if now - self._since.get(topic, 0.0) < HOLD_S else (base, None)
        if is_frame(base.result) and base.result.attrs["factor"] != 1:
            return base, None
        return base, None if wanted.is_whole(base.result.arrays["image"].shape) else wanted


def needs_view(frame: Result, wanted: Cutout) -> bool:
    """Whether a window shows finer pixels of a frame than its preview has."""
    return is_frame(frame) and wanted.factor < int(frame.attrs["factor"])
