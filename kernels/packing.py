"""Arrays made smaller for a slow line, and made again to the last bit: bitshuffle and LZ4, as HDF5 has them.

Shuffled bits (Masui et al., Astron. Comput. 12 (2015) 181) let LZ4 find what is alike in counts and in
their means, where it finds nothing in the bytes themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .bslz4 import Status, decode_into, encode, frame_header

WORTH = 2048
"""Bytes below which packing saves less than it costs: 0.3 ms a call."""
ITEM_SIZES = (1, 2, 4, 8)


def pack(array: npt.NDArray[Any]) -> bytes | None:
    """All values of an array of 1, 2, 4 or 8 bytes each, packed; None where that makes nothing smaller.

    Its shape and type are not in it.
    """
    size = array.dtype.itemsize
    if array.nbytes < WORTH or size not in ITEM_SIZES or array.dtype.kind not in "biuf":
        return None
    packed = encode(np.ascontiguousarray(array).reshape(-1).view(f"u{size}"))
    return packed if len(packed) < array.nbytes else None


def unpack(packed: Any, item_size: int, most: int) -> npt.NDArray[np.uint8] | None:
    """The bytes that were packed (n,); None where these are none, or would be more than ``most``.

    ``packed`` is whatever offers the buffer protocol; it may come from anywhere.
    """
    blob = np.frombuffer(packed, np.uint8)
    header = frame_header(blob)
    if header is None or item_size not in ITEM_SIZES or header[0] > most or header[0] % item_size:
        return None
    values = np.empty(header[0] // item_size, f"u{item_size}")
    return values.view(np.uint8) if decode_into(blob, values) is Status.OK else None
