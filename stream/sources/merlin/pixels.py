"""How a Merlin's pixels lie on the wire, and how they become frames: big-endian integers, or the chips' own
order.

Arrays and addresses only; knows no socket and no series. The layouts are those of LiberTEM's reader of .mib
files, against which the tests hold this.

Raw frames ("R64") are what the chips shifted out: 64-bit words with their pixels in reverse, one chip row
after another. 24-bit frames of one chip are two 12-bit ones, the high half first; of four, see `orders`. Four
chips shift out together: a row of the bottom right, the bottom left, the top right, the top left; the lower
two stand on their heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ...messages import Fault, Reason
from ...series import DTYPES, MAX_DIM
from .header import FrameHeader
from .orders import CHIP, ONE_CHIP, Order

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

GAP = 2
"""Pixels that stand for the gap between chips in a layout with G."""
_PROCESSED = {"U01": "uint8", "U08": "uint8", "U16": "uint16", "U32": "uint32"}
_RAW = {1: ("uint8", 64), 6: ("uint8", 8), 12: ("uint16", 4), 24: ("uint32", 4)}
"""By counter depth: what holds a pixel, and how many of them a 64-bit word has on the wire."""


@dataclass(frozen=True)
class PixelFormat:
    """Where the pixels of a frame are on the wire."""

    kind: str
    depth: int
    """Of raw counters; 0 for processed pixels."""
    shape: tuple[int, int]
    dtype: str
    wire_bytes: int
    """Bytes of a frame's pixels on the wire."""
    quad: bool = False
    """Four raw chips that are to be put together."""
    gap: int = 0
    order: Order | None = None
    """Of the halves of raw 24-bit counts; None: of frames that have none, or not known."""

    @property
    def frame_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * DTYPES[self.dtype].itemsize

    @property
    def needs_order(self) -> bool:
        """Whether the order of the halves has to be told or found."""
        return self.quad and self.depth == 24

    def ordered(self, order: Order | None) -> PixelFormat:
        """The same with this order of its halves."""
        return replace(self, order=order)

    def unpack(self, buffer: Bytes, places: Places) -> Bytes:
        """Pixels of frames, little-endian and in order.

        Parameters
        ----------
        buffer : (bytes,) uint8
        places : (n,) int64
            Where the pixels of each frame begin; all of them must lie in the buffer.

        Returns
        -------
        (n * frame_bytes,) uint8
            Memory of its own, read-only. Zeros where an order of halves is needed and not known: for blank
            frames, which are alike in all orders.
        """
        frames = self.read_out(buffer, places)
        if self.quad:
            frames = self._put_together(frames)
        frames.flags.writeable = False
        return frames.reshape(-1).view(np.uint8)

    def read_out(self, buffer: Bytes, places: Places) -> npt.NDArray[Any]:
        """(n, pixels) as they come: four chips with their rows side by side. See `unpack`."""
        height, width = self.shape
        pixels = (height - self.gap) * (width - self.gap)
        if self.needs_order and self.order is None:
            return np.zeros((len(places), pixels), DTYPES[self.dtype])
        frames = np.empty((len(places), pixels), DTYPES[self.dtype])
        if self.order is not None:
            _unpack24(buffer, places, frames, self.order)
        else:
            _KERNELS[self.kind, self.depth](buffer, places, frames)
        return frames

    def _put_together(self, lines: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Four chips that were read out side by side as one frame; the gap between them is 0."""
        make = np.zeros if self.gap else np.empty
        frames = make((len(lines), *self.shape), lines.dtype)
        chip = (self.shape[1] - self.gap) // 2
        _put_together(lines.reshape(len(lines), -1, 4, chip), self.gap, frames)
        return frames

    def gap_mask(self, layout: str, chips: int) -> npt.NDArray[np.uint32] | None:
        """(h, w) uint32, 1 in the gaps between the chips; None where there are none."""
        height, width = self.shape
        columns, rows = (2, 2) if layout.startswith("2x2") else (chips, 1)
        if not layout.endswith("G"):
            return None
        mask = np.zeros(self.shape, np.uint32)
        mask[:, _in_gap(width, columns)] = 1
        mask[_in_gap(height, rows), :] = 1
        return mask if mask.any() else None


def _in_gap(length: int, chips: int) -> npt.NDArray[np.bool_]:
    """Which of ``length`` pixels lie between ``chips`` equal chips."""
    chip = (length - GAP * (chips - 1)) // max(chips, 1)
    return np.arange(length) % (chip + GAP) >= chip if chip > 0 else np.zeros(length, np.bool_)


def pixel_format(header: FrameHeader) -> PixelFormat | Fault:
    """Understand a frame's type and layout; a fault for what is not known for certain."""
    if not (1 <= header.width <= MAX_DIM and 1 <= header.height <= MAX_DIM):
        return Reason.BAD_SHAPE, f"a frame of {header.height} x {header.width} pixels"
    if header.kind == "R64":
        return _raw_format(header)
    if header.kind not in _PROCESSED:
        return Reason.BAD_DTYPE, f"pixels of type {header.kind!r}; known: {', '.join(_PROCESSED)}, R64"
    dtype = _PROCESSED[header.kind]
    pixels = header.width * header.height
    return PixelFormat(header.kind, 0, (header.height, header.width), dtype, pixels * DTYPES[dtype].itemsize)


def _raw_format(header: FrameHeader) -> PixelFormat | Fault:
    if header.depth not in _RAW:
        return Reason.BAD_DTYPE, f"raw pixels of {header.depth} bit; known: {', '.join(map(str, _RAW))}"
    dtype, word = _RAW[header.depth]
    height, width = header.height, header.width
    wire_bytes = width * height * 8 // word
    quad = header.chips == 4 and header.layout.startswith("2x2")
    if header.chips != 1 and not quad:
        return Reason.BAD_SHAPE, (
            f"raw pixels of {header.chips} chips in layout {header.layout!r}; raw is read from one chip or "
            "2x2: switch the detector to processed pixels"
        )
    if header.depth == 24:
        size = _readout24(height, width, header.chips)
        if size is None:
            return Reason.BAD_SHAPE, (
                f"raw 24-bit pixels read out as {height} x {width} from {header.chips} chips; they are read "
                f"from one chip, {2 * CHIP} columns wide, or from four, {4 * CHIP} or {8 * CHIP}: switch the "
                "detector to processed pixels"
            )
        height, width = size
        wire_bytes = 4 * height * width
    if (width // (4 if quad else 1)) % word or (quad and width % 4):
        return Reason.BAD_SHAPE, f"raw {header.depth}-bit rows of {width} pixels are no whole words"
    gap = GAP if quad and header.layout.endswith("G") else 0
    shape = (2 * height + gap, width // 2 + gap) if quad else (height, width)
    if max(shape) > MAX_DIM:
        return Reason.BAD_SHAPE, f"a frame of {shape[0]} x {shape[1]} pixels, put together from four chips"
    order = ONE_CHIP if header.depth == 24 and not quad else None
    return PixelFormat("R64", header.depth, shape, dtype, wire_bytes, quad, gap, order)


def _readout24(height: int, width: int, chips: int) -> tuple[int, int] | None:
    """(rows, columns) of counts in a readout whose header may count their halves along either side."""
    whole = (4 if chips == 4 else 1) * CHIP
    if width == 2 * whole:
        return height, whole
    if chips != 4 or width != whole:
        return None
    if height <= CHIP:
        return height, whole
    return None if height % 2 else (height // 2, whole)


# -- compiled ----------------------------------------------------------------------------------------------


# Indices into slices are unsigned, and the pixels of a word a loop of constant length: then LLVM makes vector
# shuffles of them, 3 us for 256 x 256 pixels of 16 bit in place of 40 us.

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").view(np.uint64)[
    :, 0
]
"""By byte: its eight bits as a byte each, the lowest first."""
_1, _2, _3, _4, _7, _8 = (np.uint64(number) for number in (1, 2, 3, 4, 7, 8))


@njit("void(uint8[::1], int64[::1], uint8[:, ::1])", nogil=True, cache=True)
def _copy8(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + len(frame)]
        for pixel in range(len(frame)):
            frame[pixel] = wire[pixel]


@njit("void(uint8[::1], int64[::1], uint16[:, ::1])", nogil=True, cache=True)
def _swap16(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + 2 * len(frame)]
        for pixel in range(len(frame)):
            at = _2 * np.uint64(pixel)
            frame[pixel] = np.uint16(wire[at]) << 8 | wire[at + _1]


@njit("void(uint8[::1], int64[::1], uint32[:, ::1])", nogil=True, cache=True)
def _swap32(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + 4 * len(frame)]
        for pixel in range(len(frame)):
            at = _4 * np.uint64(pixel)
            high = np.uint32(wire[at]) << 8 | wire[at + _1]
            low = np.uint32(wire[at + _2]) << 8 | wire[at + _3]
            frame[pixel] = high << 16 | low


@njit("void(uint8[::1], int64[::1], uint8[:, ::1])", nogil=True, cache=True)
def _raw1(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + len(frame) // 8]
        eights = frame.view(np.uint64)
        for number in range(len(wire)):
            eights[number] = _BITS[wire[np.uint64(number) ^ _7]]


@njit("void(uint8[::1], int64[::1], uint8[:, ::1])", nogil=True, cache=True)
def _raw6(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + len(frame)]
        for word in range(len(frame) // 8):
            at = _8 * np.uint64(word)
            for pixel in range(8):
                frame[at + np.uint64(pixel)] = wire[at + np.uint64(7 - pixel)]


@njit("void(uint8[::1], int64[::1], uint16[:, ::1])", nogil=True, cache=True)
def _raw12(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + 2 * len(frame)]
        for word in range(len(frame) // 4):
            to = _4 * np.uint64(word)
            for pixel in range(4):
                at = _2 * (to + np.uint64(3 - pixel))
                frame[to + np.uint64(pixel)] = np.uint16(wire[at]) << 8 | wire[at + _1]


@njit("void(uint8[::1], int64[::1], uint32[:, ::1], int64, boolean)", nogil=True, cache=True)
def _raw24(buffer: Any, places: Any, frames: Any, stretch: Any, high_first: Any) -> None:
    """Halves of 12 bits, ``stretch`` high ones and as many low ones by turns."""
    for i in range(len(places)):
        for begin in range(0, frames.shape[1], stretch):
            frame = frames[i, begin : begin + stretch]
            at = places[i] + 4 * begin
            highs, lows = buffer[at : at + 2 * stretch], buffer[at + 2 * stretch : at + 4 * stretch]
            if not high_first:
                highs, lows = lows, highs
            for word in range(len(frame) // 4):
                to = _4 * np.uint64(word)
                for pixel in range(4):
                    at_pixel = _2 * (to + np.uint64(3 - pixel))
                    high = np.uint32(highs[at_pixel]) << 8 | highs[at_pixel + _1]
                    low = np.uint32(lows[at_pixel]) << 8 | lows[at_pixel + _1]
                    frame[to + np.uint64(pixel)] = (high << 12) + low


@njit("void(uint8[::1], int64[::1], uint32[:, ::1])", nogil=True, cache=True)
def _raw24_words(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        frame = frames[i]
        wire = buffer[places[i] : places[i] + 4 * len(frame)]
        for word in range(len(frame) // 4):
            to = _4 * np.uint64(word)
            for pixel in range(4):
                at = _4 * (to + np.uint64(3 - pixel))
                high = np.uint32(wire[at]) << 8 | wire[at + _1]
                low = np.uint32(wire[at + _2]) << 8 | wire[at + _3]
                frame[to + np.uint64(pixel)] = high << 16 | low


def _unpack24(buffer: Bytes, places: Places, frames: npt.NDArray[Any], order: Order) -> None:
    if order.whole_words:
        _raw24_words(buffer, places, frames)
    else:
        _raw24(buffer, places, frames, order.stretch or frames.shape[1], order.high_first)


@njit(
    [
        "void(uint8[:, :, :, ::1], int64, uint8[:, :, ::1])",
        "void(uint16[:, :, :, ::1], int64, uint16[:, :, ::1])",
        "void(uint32[:, :, :, ::1], int64, uint32[:, :, ::1])",
    ],
    nogil=True,
    cache=True,
)
def _put_together(lines: Any, gap: Any, frames: Any) -> None:
    """(n, rows, 4, chip) chip rows become (n, h, w) frames."""
    n, rows, _, chip = lines.shape
    for i in range(n):
        for row in range(rows):
            top, bottom = frames[i, row], frames[i, frames.shape[1] - 1 - row]
            left, right = top[:chip], top[chip + gap :]
            turned_left, turned_right = bottom[:chip], bottom[chip + gap :]
            for pixel in range(chip):
                back = np.uint64(chip - 1) - np.uint64(pixel)
                turned_right[back] = lines[i, row, 0, pixel]
                turned_left[back] = lines[i, row, 1, pixel]
                right[pixel] = lines[i, row, 2, pixel]
                left[pixel] = lines[i, row, 3, pixel]


_KERNELS: dict[tuple[str, int], Callable[..., None]] = {
    ("U01", 0): _copy8,
    ("U08", 0): _copy8,
    ("U16", 0): _swap16,
    ("U32", 0): _swap32,
    ("R64", 1): _raw1,
    ("R64", 6): _raw6,
    ("R64", 12): _raw12,
}
"""By type and depth, but for raw 24 bit (`_unpack24`); raw frames of four chips come out with the chips side
by side."""
