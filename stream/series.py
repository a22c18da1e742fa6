"""The field's nouns as frozen values: a series, its scan, and a block of its frames.

Everything that travels carries its own identity (epoch, series, frame index); nothing here knows
how frames arrive, where they are kept or what is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Order = Literal["raster", "serpentine", "positions"]
Encoding = Literal["raw", "bslz4", "lz4"]
ORDERS: tuple[str, ...] = get_args(Order)
ENCODINGS: tuple[str, ...] = get_args(Encoding)

# Closed table: np.dtype() of a hostile string can take 193 ms, so no string from a wire reaches it.
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        name: np.dtype(name).newbyteorder("<")
        for name in ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
    }
)
MAX_DIM = 65_536

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What names a series beyond doubt: (sender process, series number)."""

    epoch: bytes
    """8 random bytes of the sender process; a restarted sender has another."""
    number: int
    """Series number, increasing within an epoch."""

    def __str__(self) -> str:
        return f"{self.number} (epoch {self.epoch.hex()})"


@dataclass(frozen=True, slots=True)
class Scan:
    """The pattern that maps a frame index to a scan pixel (y, x)."""

    shape: tuple[int, int]
    """(ny, nx) in scan pixels."""
    order: Order = "raster"
    skip: int = 0
    """Flyback frames at the end of each line; they belong to no pixel."""
    repeats: int = 1
    """How often the pattern is scanned; 0 = endless."""

    @property
    def frames_per_pass(self) -> int:
        """Frames of one pass, flyback included; for explicit positions the number of pixels."""
        ny, nx = self.shape
        return ny * (nx + self.skip)

    @property
    def frame_count(self) -> int | None:
        """Frames of all passes; None when endless or when the positions decide."""
        if self.order == "positions" or self.repeats == 0:
            return None
        return self.frames_per_pass * self.repeats

    def pixels(
        self, indices: IndexArray, positions: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.int64]:
        """Flat scan pixel of each frame, from the frame's own identity.

        Parameters
        ----------
        indices : (n,) int64
            0-based frame numbers in the series.
        positions : (n, 2) float32, optional
            (y, x) in scan pixels, (0, 0) = centre of the first pixel; required for order "positions".

        Returns
        -------
        (n,) int64
            ``y * nx + x``, or -1 where the frame belongs to no pixel (flyback, outside the field,
            beyond the last pass, a position that is not finite).
        """
        ny, nx = self.shape
        if self.order == "positions":
            if positions is None:
                return np.full(len(indices), -1, np.int64)
            rounded = np.floor(positions.astype(np.float64) + 0.5)
            with np.errstate(invalid="ignore"):
                inside = (
                    (rounded[:, 0] >= 0) & (rounded[:, 0] < ny) & (rounded[:, 1] >= 0) & (rounded[:, 1] < nx)
                )
            safe = np.where(inside[:, None], rounded, 0.0).astype(np.int64)
            return np.where(inside, safe[:, 0] * nx + safe[:, 1], -1)
        line, column = np.divmod(indices % self.frames_per_pass, nx + self.skip)
        flyback = column >= nx
        if self.order == "serpentine":
            column = np.where(line % 2 == 1, nx - 1 - column, column)
        outside = flyback | (indices < 0)
        if self.repeats:
            outside |= indices >= self.frames_per_pass * self.repeats
        return np.where(outside, -1, line * nx + column)

    def passes(self, indices: IndexArray) -> IndexArray:
        """Which repeat (0-based) each frame belongs to; 0 for explicit positions."""
        if self.order == "positions":
            return np.zeros(len(indices), np.int64)
        return indices // self.frames_per_pass


@dataclass(frozen=True, slots=True)
class Series:
    """One acquisition, as its sender announced it."""

    key: SeriesKey
    shape: tuple[int, int]
    """(h, w) of a frame in detector pixels; (1, 1) for a point detector."""
    dtype: str
    """numpy name, one of DTYPES; little-endian on the wire and in the ring."""
    encoding: Encoding = "raw"
    count: int | None = None
    """Announced number of frames; None = open-ended."""
    scan: Scan | None = None
    """None for a movie."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Free; known keys: pixel_size, pixel_unit, scan_step, scan_unit, frame_time (s), counts_per_electron,
    offset, read_noise, saturation (counts), beam_energy (keV), detector, sample, title."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Name to .npy file of the arrays that belong to the series (see messages.TABLES); set by ingest alone,
    no sender can name a file."""

    def table(self, name: str) -> npt.NDArray[Any] | None:
        """One of the series' arrays, read-only; None when the detector sent none."""
        path = self.tables.get(name)
        return None if path is None else np.load(path, mmap_mode="r", allow_pickle=False)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return DTYPES[self.dtype]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.shape[0] * self.shape[1] * self.numpy_dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive frames of one series that travel together, still encoded.

    The arrays are views into the ring: they are valid only while the lease that gave the block lasts.
    """

    series: Series
    first: int
    """Index of the first frame; the others follow without a gap."""
    count: int
    payload: npt.NDArray[np.uint8]
    """The n payloads back to back, as the detector sent them; read-only."""
    sizes: npt.NDArray[np.int64] | None
    """Bytes of each payload; None when raw (all alike)."""
    positions: npt.NDArray[np.float32] | None
    """(n, 2) (y, x) in scan pixels; only for scan order "positions"."""
    time_ns: int | None
    """Sender's clock at the first frame (ns since the Unix epoch): a label, never used to order."""
    arrival_ns: int
    """time.monotonic_ns() when the first frame of the block had been received here."""
    ordinal: int
    """Frames of this series that entered the ring before this block: differences count what was skipped."""
    late: bool = False
    """Frames behind ones already delivered; a consumer that needs order does not get them."""
    seq: int = -1
    """Number of the block in its ring; -1 when it never was in one."""

    @property
    def indices(self) -> IndexArray:
        return np.arange(self.first, self.first + self.count, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        return int(self.payload.nbytes)
