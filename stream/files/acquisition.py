"""What a simulated microscope or a file offers: frames by number, positions, what a recording kept, truth.

Knows no socket and no wire format; simulate/catalogue.py opens one by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..series import Encoding, IndexArray, Scan

Array = npt.NDArray[Any]
Positions = npt.NDArray[np.float32]


class Stack(Protocol):
    """(k, h, w) frames that may stay on disk until they are asked for; every numpy array is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, which: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class FrameBank:
    """Frames that are there in advance, and the order in which they are played, for ever."""

    stock: Stack
    """(k, h, w), C-contiguous, in a dtype of the wire. Slices must work; index arrays only where ``order``
    is given."""
    order: IndexArray | None = None
    """(period,) stock index of each frame of one cycle; None = 0 .. k-1."""

    @property
    def period(self) -> int:
        """Frames until the cycle begins again."""
        return len(self.stock) if self.order is None else len(self.order)

    def stock_indices(self, first: int, n: int) -> IndexArray:
        """Which stock frames the frames ``first .. first + n - 1`` are."""
        cycle = np.arange(first, first + n, dtype=np.int64) % self.period
        return cycle if self.order is None else self.order[cycle]

    def take(self, first: int, n: int) -> Array:
        """(n, h, w) frames; a view where they lie together in memory."""
        if self.order is not None:
            return np.asarray(self.stock[self.stock_indices(first, n)])
        start, pieces = first % self.period, []
        while n > 0:
            piece = np.asarray(self.stock[start : start + n])
            pieces.append(piece)
            start, n = 0, n - len(piece)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


class Acquisition(ABC):
    """A source of frames whose content is decided in advance: every frame can be asked for again."""

    name: str
    """How messages and files call it."""
    bank: FrameBank
    count: int | None
    """Frames of one series; None = endless."""
    scan: Scan | None
    """None for a movie."""
    meta: Mapping[str, Any]
    """The known keys of Series.meta that apply; ``frame_time`` (s) sets the default rate."""

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) in detector pixels."""
        _, height, width = self.bank.stock.shape
        return height, width

    @property
    def dtype(self) -> str:
        """numpy name, one of DTYPES."""
        return str(self.bank.stock.dtype.name)

    def frames(self, first: int, n: int) -> Array:
        """(n, h, w) C-contiguous frames, read-only, a view where possible; behind the end they begin
        again."""
        return self.bank.take(first, n)

    def positions(self, first: int, n: int) -> Positions | None:
        """(n, 2) float32 (y, x) in scan pixels; None unless the scan is one of explicit positions."""
        return None

    files: Sequence[Path] = ()
    """Where its frames are read from; not to be overwritten meanwhile. Simulators have none."""

    # What a recording knows beyond its pixels; simulators and plain files leave these alone.

    encoding: Encoding = "raw"
    """How ``payloads`` are encoded."""

    def payloads(self, first: int, n: int) -> Sequence[bytes | memoryview] | None:
        """n payloads exactly as they were received (an absent frame's is empty); None when only decoded
        frames are there."""
        return None

    def joined(self, first: int, n: int) -> tuple[npt.NDArray[np.uint8], IndexArray] | None:
        """The same n payloads back to back, and the bytes of each; for whoever takes many at once."""
        payloads = self.payloads(first, n)
        if payloads is None:
            return None
        sizes = np.fromiter((memoryview(payload).nbytes for payload in payloads), np.int64, n)
        return np.frombuffer(b"".join(payloads), np.uint8), sizes

    def present(self, first: int, n: int) -> npt.NDArray[np.bool_] | None:
        """(n,) which frames there are; None = all of them."""
        return None

    def recorded(self, first: int, n: int) -> npt.NDArray[np.bool_] | None:
        """The same as far as it is known without reading frames: some of these may turn out damaged."""
        return self.present(first, n)

    def times(self, first: int, n: int) -> npt.NDArray[np.int64] | None:
        """(n,) sender's clock at each frame, ns since the Unix epoch; None when unknown."""
        return None

    def tables(self) -> Mapping[str, Array]:
        """Arrays that belong to the series, by messages.TABLES' names."""
        return {}

    def clean(self, first: int, n: int) -> Array | None:
        """(n, h, w) expected values of frames, without their noise; None when unknown."""
        return None

    @abstractmethod
    def truth(self) -> Mapping[str, Array]:
        """Ground truth by name: images (ny, nx), tables as structured arrays; empty when unknown."""
