"""How a SIMPLON detector stores pixels, and how such a payload travels on.

Most travel as they are. A bare LZ4 block gets HDF5's frame around it; pixels that no HDF5 filter knows as
they are (big-endian, a bit shuffle of another width than the pixel's) are decoded here and travel raw.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress

from ...messages import BSLZ4_HEADER, NO_HEADER, Reason
from ...series import Encoding, Series
from ...wire_fields import Refusal, refuse
from .lz4_block import decode_lz4_block

Bytes = npt.NDArray[np.uint8]

LZ4_HEADER = struct.Struct(">QII")
"""HDF5 LZ4 with one block: raw bytes of the frame, of a block, and stored bytes of that block."""
BITSHUFFLE_BLOCK = 8192
"""Bytes of a block where the header is all zeros."""
_SPELLING = re.compile(r"(?:(bs(8|16|32)-)?(lz4))?([<>])")


@dataclass(frozen=True, slots=True)
class Coding:
    """What an image's ``encoding`` says."""

    algorithm: Encoding
    element_bytes: int = 0
    """Width of the bit shuffle; 0 where there is none."""
    big_endian: bool = False
    framed: bool = False
    """LZ4 comes with HDF5's frame (stream v2); else as a bare block (v1)."""

    def travels_as(self, pixel_bytes: int) -> Encoding:
        """The encoding under which such a payload goes on."""
        foreign = self.algorithm == "bslz4" and self.element_bytes != pixel_bytes
        return "raw" if foreign or (self.big_endian and pixel_bytes > 1) else self.algorithm


def parse_coding(text: object) -> Coding:
    """Read v1's ``[bsBITS-][lz4]`` and ``<`` or ``>``; raises Refusal."""
    match = _SPELLING.fullmatch(text) if type(text) is str else None
    if match is None:
        refuse(Reason.BAD_ENCODING, "'encoding'", text, "<, lz4<, bs8-lz4<, bs16-lz4<, bs32-lz4< (or with >)")
    shuffle, bits, lz4, order = match.groups()
    algorithm: Encoding = "bslz4" if shuffle else "lz4" if lz4 else "raw"
    return Coding(algorithm, int(bits or 0) // 8, order == ">")


def announces(payload: memoryview, coding: Coding, nbytes: int) -> bool:
    """Whether a payload says of itself, as far as it says, that it holds a frame of ``nbytes`` bytes."""
    if coding.algorithm == "raw":
        return len(payload) == nbytes
    if coding.algorithm == "lz4" and not coding.framed:
        return len(payload) > 0
    if len(payload) < BSLZ4_HEADER.size:
        return False
    header = BSLZ4_HEADER.unpack_from(payload)
    return header == NO_HEADER or header[0] == nbytes


def travelling(payload: memoryview, coding: Coding, series: Series) -> Bytes:
    """The payload as it goes on under ``series.encoding``; Refusal where it must be decoded and is broken.

    A view of ``payload`` where nothing has to be done.
    """
    nbytes = series.frame_bytes
    if series.encoding == "raw" and (coding.algorithm != "raw" or coding.big_endian):
        return _little_endian(_decoded(payload, coding, nbytes), coding, series)
    if series.encoding == "lz4" and not coding.framed:
        return _framed(payload, nbytes)
    return np.frombuffer(payload, np.uint8)


def _framed(block: memoryview, nbytes: int) -> Bytes:
    """HDF5 reads a block that is as long as its contents as stored: such a one must really be."""
    stored: Any = decode_or_refuse(block, nbytes) if len(block) == nbytes else block
    header = LZ4_HEADER.pack(nbytes, nbytes, len(block))
    return np.frombuffer(header + bytes(stored), np.uint8)


def decode_or_refuse(block: memoryview, nbytes: int) -> Bytes:
    decoded = decode_lz4_block(block, nbytes)
    if decoded is None:
        raise Refusal(Reason.BAD_PAYLOAD, f"LZ4 block of {len(block):,} bytes, no frame of {nbytes:,}")
    return decoded


def _decoded(payload: memoryview, coding: Coding, nbytes: int) -> Bytes:
    if not announces(payload, coding, nbytes):
        raise Refusal(
            Reason.PAYLOAD_SIZE, f"{len(payload):,} bytes do not hold the announced frame of {nbytes:,} bytes"
        )
    if coding.algorithm == "raw":
        return np.frombuffer(payload, np.uint8)
    if coding.algorithm == "lz4" and not coding.framed:
        return decode_or_refuse(payload, nbytes)
    stream = bytes(payload)
    if BSLZ4_HEADER.unpack_from(stream) == NO_HEADER:
        stream = BSLZ4_HEADER.pack(nbytes, BITSHUFFLE_BLOCK) + stream[BSLZ4_HEADER.size :]
    try:
        raw = decompress(stream, coding.algorithm, elem_size=max(1, coding.element_bytes))
    except (RuntimeError, ValueError, MemoryError, SystemError) as error:
        raise Refusal(Reason.BAD_PAYLOAD, f"{coding.algorithm} payload does not decode: {error}") from error
    if len(raw) != nbytes:
        raise Refusal(Reason.BAD_PAYLOAD, f"decoded to {len(raw):,} bytes, announced are {nbytes:,}")
    return np.frombuffer(raw, np.uint8)


def _little_endian(raw: Bytes, coding: Coding, series: Series) -> Bytes:
    if not coding.big_endian:
        return raw
    return raw.view(series.numpy_dtype.newbyteorder(">")).astype(series.numpy_dtype).view(np.uint8)
