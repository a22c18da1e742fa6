"""Compressed frames of files to pixels: each header is held against what is announced before it is believed.

For looking at files and for sending them raw; the kernels decode what is live. HDF5's own bitshuffle filter
is avoided where that is possible: a corrupt chunk makes it read beyond its buffer (seen: a segmentation fault
with hdf5plugin 7.1).
"""

from __future__ import annotations

import struct

from ..messages import BSLZ4_HEADER, BSLZ4_LARGEST_BLOCK, NO_HEADER
from ..series import Encoding

BITSHUFFLE_BLOCK = 8192
"""Bytes of a block where a blob has zeros in place of its header: bitshuffle's default."""


def decode_chunk(blob: bytes, encoding: Encoding, nbytes: int, element: int) -> bytes:
    """The ``nbytes`` of an HDF5 chunk of bitshuffle-LZ4 (elements of that many bytes) or of LZ4.

    Raises
    ------
    ValueError
        A header that contradicts ``nbytes``, or bytes that do not decode.
    """
    from dectris.compression import decompress

    if encoding == "raw":
        return _of_size(blob, nbytes)
    if len(blob) < BSLZ4_HEADER.size:
        raise ValueError(f"a blob of {len(blob)} bytes is shorter than its header")
    header = BSLZ4_HEADER.unpack_from(blob)
    if header == NO_HEADER and encoding == "bslz4":
        blob = BSLZ4_HEADER.pack(nbytes, BITSHUFFLE_BLOCK) + blob[BSLZ4_HEADER.size :]
    elif header[0] != nbytes or not 1 <= header[1] <= max(nbytes, BSLZ4_LARGEST_BLOCK):
        raise ValueError(
            f"a blob says {header[0]:,} bytes in blocks of {header[1]:,}; {nbytes:,} are announced"
        )
    try:
        return _of_size(bytes(decompress(blob, encoding, elem_size=element)), nbytes)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def decode_lz4_block(blob: bytes, nbytes: int) -> bytes:
    """The ``nbytes`` of one bare LZ4 block: with a frame around it, it is HDF5's. Raises ValueError."""
    return decode_chunk(struct.pack(">QII", nbytes, nbytes, len(blob)) + blob, "lz4", nbytes, 1)


def _of_size(raw: bytes, nbytes: int) -> bytes:
    if len(raw) != nbytes:
        raise ValueError(f"a frame has {len(raw):,} bytes, {nbytes:,} are announced")
    return raw
