"""What a Merlin writes: the texts of acquisitions and frames, and pixels in its own order. For simulators and
tests.

The mirror image of sources/merlin/header.py and pixels.py, written in numpy and apart from them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KINDS = {"uint8": "U08", "uint16": "U16", "uint32": "U32"}
DEPTHS = {"uint8": 6, "uint16": 12, "uint32": 24}
"""Bits of the counters whose frames have such pixels."""
WORDS = {1: 64, 6: 8, 12: 4, 24: 4}
"""Pixels of a 64-bit word, by counter depth."""
CHIPS = {"1x1": 1, "2x2": 4, "2x2G": 4}
RAW24 = ("halves", "halves-low", "rows", "rows-low", "chips", "chips-low", "words")
"""The names of sources/merlin/orders.py."""
GAP = 2
HEADER_BYTES = {1: 384, 4: 768}
_THRESHOLDS = "1.200000E+2,5.110000E+2" + 6 * ",0.000000E+0"
_DACS = (
    "3RX,175,511,000,000,000,000,000,000,125,255,125,125,100,100,082,100,087,030,128,004,255,129,128,176,"
    "168,511,511"
)


@dataclass(frozen=True, slots=True)
class Readout:
    """How a detector is set up to write its frames."""

    dtype: str
    shape: tuple[int, int]
    """(h, w) of a whole frame, gap included."""
    raw: bool = False
    depth: int | None = None
    """Bits of a counter; None = what the type holds."""
    layout: str = "1x1"
    raw24: str = "halves"
    """How the halves of raw 24-bit counts of four chips follow each other, by RAW24."""

    @property
    def counter_depth(self) -> int:
        return self.depth or DEPTHS[self.dtype]

    @property
    def chips(self) -> int:
        return CHIPS[self.layout]

    @property
    def kind(self) -> str:
        return "R64" if self.raw else KINDS[self.dtype]

    @property
    def gap(self) -> int:
        return GAP if self.layout.endswith("G") else 0

    @property
    def readout_shape(self) -> tuple[int, int]:
        """(h, w) as headers say it: raw chips side by side, 24-bit ones twice as wide."""
        height, width = self.shape
        if self.raw and self.chips == 4:
            height, width = (height - self.gap) // 2, 2 * (width - self.gap)
        return height, 2 * width if self.raw and self.counter_depth == 24 else width


def message(payload_bytes: int) -> bytes:
    """What stands before a payload of this length: the number counts the comma behind it."""
    return b"MPX,%010d," % (payload_bytes + 1)


def acquisition_text(fields: Mapping[str, object], padded_to: int = 0) -> bytes:
    """An HDR text of ``Key:<tab>value`` lines."""
    lines = ["HDR,\t", *(f"{key}:\t{value}" for key, value in fields.items()), "End\t"]
    return "\r\n".join(lines).encode("latin-1").ljust(padded_to)


def frame_text(readout: Readout, sequence: int, time_ns: int, exposure_ns: int = 1_000_000) -> bytes:
    """The MQ1 text before a frame's pixels, padded to its length."""
    height, width = readout.readout_shape
    seconds, ns = divmod(time_ns, 1_000_000_000)
    clock = time.gmtime(seconds)
    chips = readout.chips
    text = (
        f"MQ1,{sequence:06d},{HEADER_BYTES[chips]:05d},{chips:02d},{width:04d},{height:04d},{readout.kind},"
        f"{readout.layout:>6},{(1 << chips) - 1:02X},"
        f"{time.strftime('%Y-%m-%d %H:%M:%S', clock)}.{ns // 1000:06d},{exposure_ns * 1e-9:.6f},0,0,0,"
        f"{_THRESHOLDS},{','.join([_DACS] * chips)},"
        f"MQ1A,{time.strftime('%Y-%m-%dT%H:%M:%S', clock)}.{ns:09d}Z,{exposure_ns}ns,{readout.counter_depth},"
    )
    return text.encode().ljust(HEADER_BYTES[chips], b"\0")


def pixel_bytes(frame: Array, readout: Readout) -> bytes:
    """A frame (h, w) as the detector writes it. Counts beyond a raw counter's depth are cut off."""
    if not readout.raw:
        return bytes(frame.astype(frame.dtype.newbyteorder(">"), copy=False).tobytes())
    rows = _shifted_out(frame, readout) if readout.chips == 4 else frame
    depth = readout.counter_depth
    if depth == 24 and readout.chips == 4:
        return _halves(rows, readout.raw24)
    if depth == 24:
        return _words(rows >> 12, 12) + _words(rows & 0xFFF, 12)
    return _words(rows & ((1 << depth) - 1), depth)


def _shifted_out(frame: Array, readout: Readout) -> Array:
    """The four chips side by side: bottom right, bottom left, top right, top left; the lower ones turned."""
    (height, width), gap = frame.shape, readout.gap
    rows, columns = (height - gap) // 2, (width - gap) // 2
    top, bottom = frame[:rows], frame[rows + gap :][::-1, ::-1]
    return np.hstack([bottom[:, :columns], bottom[:, columns + gap :], top[:, -columns:], top[:, :columns]])


def _halves(rows: Array, raw24: str) -> bytes:
    """24-bit counts (rows, 4 chips side by side) as two words each, in this order."""
    if raw24 == "words":
        return rows.astype(">u4").reshape(-1, 4)[:, ::-1].tobytes()
    stretches = {"halves": 1, "rows": len(rows), "chips": 4 * len(rows)}[raw24.removesuffix("-low")]
    halves = [(half & 0xFFF).reshape(stretches, -1) for half in (rows >> 12, rows)]
    if raw24.endswith("-low"):
        halves.reverse()
    return _words(np.hstack(halves), 12)


def _words(rows: Array, depth: int) -> bytes:
    """Pixels in reverse within each 64-bit word."""
    if depth == 1:
        bits = np.packbits(rows.astype(np.uint8).reshape(-1, 64), axis=1, bitorder="little")
        return bits[:, ::-1].tobytes()
    wide = rows.astype(np.uint8 if depth == 6 else ">u2")
    return wide.reshape(-1, WORDS[depth])[:, ::-1].tobytes()
