"""How a Merlin's pixels lie on the wire, and how they become frames: big-endian integers, or the chips' own
order.

Arrays and addresses only; knows no socket and no series. The layouts are those of LiberTEM's reader of .mib
files, against which the tests hold this.

Raw frames ("R64") are what the chips shifted out: 64-bit words with their pixels in reverse, one chip row
after another. 24-bit frames are two 12-bit ones, the high half first. Four chips shift out together: a row of
the bottom right, the bottom left, the top right, the top left; the lower two stand on their heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ..messages import Fault, Reason
from ..series import DTYPES, MAX_DIM
from .merlin_header import FrameHeader

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

CHIP = 256
"""Columns of a Medipix3 chip."""
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

    @property
    def frame_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * DTYPES[self.dtype].itemsize

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
            Memory of its own, read-only.
        """
        height, width = self.shape
        make = np.zeros if self.gap and self.kind == "R64" else np.empty
        frames = make((len(places), height * width), DTYPES[self.dtype])
        if self.kind == "R64":
            _RAW_KERNELS[self.depth](buffer, places, self._strips, self._strip_pixels, frames)
        else:
            _KERNELS[self.dtype](buffer, places, frames)
        frames.flags.writeable = False
        return frames.reshape(-1).view(np.uint8)

    @property
    def _strip_pixels(self) -> int:
        height, width = self.shape
        return (width - self.gap) // 2 if self.quad else height * width

    @cached_property
    def _strips(self) -> Places:
        """(k, 3): first byte of a strip of pixels, its first pixel in the frame, and the step from there."""
        if not self.quad:
            return np.array([[0, 0, 1]], np.int64)
        height, width = self.shape
        chip, rows = self._strip_pixels, (height - self.gap) // 2
        row, quarter = np.divmod(np.arange(4 * rows, dtype=np.int64), 4)
        right, top = quarter % 2 == 0, quarter >= 2
        line = np.where(top, row, height - 1 - row)
        column = np.where(right, chip + self.gap, 0) + np.where(top, 0, chip - 1)
        strip_bytes = self.wire_bytes // (4 * rows)
        return np.stack(
            [np.arange(4 * rows) * strip_bytes, line * width + column, np.where(top, 1, -1)], axis=1
        ).astype(np.int64)

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
        if quad or width != 2 * CHIP:
            return Reason.BAD_SHAPE, (
                f"raw 24-bit pixels read out as {height} x {width} from {header.chips} chips; they are read "
                f"from one chip, {2 * CHIP} columns wide: switch the detector to processed pixels"
            )
        width //= 2
    if (width // (4 if quad else 1)) % word or (quad and width % 4):
        return Reason.BAD_SHAPE, f"raw {header.depth}-bit rows of {width} pixels are no whole words"
    gap = GAP if quad and header.layout.endswith("G") else 0
    shape = (2 * height + gap, width // 2 + gap) if quad else (height, width)
    return PixelFormat("R64", header.depth, shape, dtype, wire_bytes, quad, gap)


# -- compiled ----------------------------------------------------------------------------------------------


@njit("void(uint8[::1], int64[::1], uint8[:, ::1])", nogil=True, cache=True)
def _copy8(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        at = places[i]
        for pixel in range(frames.shape[1]):
            frames[i, pixel] = buffer[at + pixel]


@njit("void(uint8[::1], int64[::1], uint16[:, ::1])", nogil=True, cache=True)
def _swap16(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        at = places[i]
        for pixel in range(frames.shape[1]):
            frames[i, pixel] = (np.uint16(buffer[at + 2 * pixel]) << 8) | buffer[at + 2 * pixel + 1]


@njit("void(uint8[::1], int64[::1], uint32[:, ::1])", nogil=True, cache=True)
def _swap32(buffer: Any, places: Any, frames: Any) -> None:
    for i in range(len(places)):
        at = places[i]
        for pixel in range(frames.shape[1]):
            high = (np.uint32(buffer[at + 4 * pixel]) << 8) | buffer[at + 4 * pixel + 1]
            low = (np.uint32(buffer[at + 4 * pixel + 2]) << 8) | buffer[at + 4 * pixel + 3]
            frames[i, pixel] = (high << 16) | low


@njit("void(uint8[::1], int64[::1], int64[:, ::1], int64, uint8[:, ::1])", nogil=True, cache=True)
def _raw1(buffer: Any, places: Any, strips: Any, pixels: Any, frames: Any) -> None:
    for i in range(len(places)):
        for strip in range(strips.shape[0]):
            at, to, step = places[i] + strips[strip, 0], strips[strip, 1], strips[strip, 2]
            for pixel in range(pixels):
                byte = buffer[at + (pixel // 64) * 8 + 7 - (pixel % 64) // 8]
                frames[i, to + step * pixel] = (byte >> (pixel % 8)) & 1


@njit("void(uint8[::1], int64[::1], int64[:, ::1], int64, uint8[:, ::1])", nogil=True, cache=True)
def _raw6(buffer: Any, places: Any, strips: Any, pixels: Any, frames: Any) -> None:
    for i in range(len(places)):
        for strip in range(strips.shape[0]):
            at, to, step = places[i] + strips[strip, 0], strips[strip, 1], strips[strip, 2]
            for pixel in range(pixels):
                frames[i, to + step * pixel] = buffer[at + (pixel | 7) - (pixel & 7)]


@njit("void(uint8[::1], int64[::1], int64[:, ::1], int64, uint16[:, ::1])", nogil=True, cache=True)
def _raw12(buffer: Any, places: Any, strips: Any, pixels: Any, frames: Any) -> None:
    for i in range(len(places)):
        for strip in range(strips.shape[0]):
            at, to, step = places[i] + strips[strip, 0], strips[strip, 1], strips[strip, 2]
            for pixel in range(pixels):
                word = at + 2 * ((pixel | 3) - (pixel & 3))
                frames[i, to + step * pixel] = (np.uint16(buffer[word]) << 8) | buffer[word + 1]


@njit("void(uint8[::1], int64[::1], int64[:, ::1], int64, uint32[:, ::1])", nogil=True, cache=True)
def _raw24(buffer: Any, places: Any, strips: Any, pixels: Any, frames: Any) -> None:
    for i in range(len(places)):
        for strip in range(strips.shape[0]):
            at, to, step = places[i] + strips[strip, 0], strips[strip, 1], strips[strip, 2]
            for pixel in range(pixels):
                word = at + 2 * ((pixel | 3) - (pixel & 3))
                high = (np.uint32(buffer[word]) << 8) | buffer[word + 1]
                word += 2 * pixels
                low = (np.uint32(buffer[word]) << 8) | buffer[word + 1]
                frames[i, to + step * pixel] = (high << 12) + low


Kernel = Callable[..., None]
_KERNELS: dict[str, Kernel] = {"uint8": _copy8, "uint16": _swap16, "uint32": _swap32}
_RAW_KERNELS: dict[int, Kernel] = {1: _raw1, 6: _raw6, 12: _raw12, 24: _raw24}
