"""Payloads that no consumer could decode as they are, decoded at the door: other byte orders, odd shuffles.

Bounded by what the caller expects; wrong bytes give None, never an exception.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress

from ...messages import BSLZ4_HEADER, BSLZ4_LARGEST_BLOCK

Algorithm = Literal["raw", "bslz4", "lz4"]
Buffer = memoryview | bytes
MAX_ELEMENT = 8


def unpack(
    payload: Buffer, algorithm: Algorithm, element_bytes: int, dtype: np.dtype[Any], raw_bytes: int
) -> npt.NDArray[Any] | None:
    """The numbers in a payload, little-endian.

    Parameters
    ----------
    payload : buffer
        Raw, or an HDF5 bitshuffle-LZ4 or LZ4 chunk.
    element_bytes : int
        Width of the bit shuffle; only for bslz4.
    dtype : dtype
        As they are in the payload, byte order included.
    raw_bytes : int
        Decoded; nothing larger is ever allocated.

    Returns
    -------
    (n,) array or None
        A view of the payload where nothing has to be decoded; None for bytes that do not decode to this size.
    """
    if raw_bytes <= 0 or raw_bytes % dtype.itemsize:
        return None
    raw = payload if algorithm == "raw" else _decompressed(payload, algorithm, element_bytes, raw_bytes)
    if raw is None or len(raw) != raw_bytes:
        return None
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("<"), copy=False)


def _decompressed(payload: Buffer, algorithm: str, element_bytes: int, raw_bytes: int) -> bytes | None:
    """The header is judged here: to the decoder a size of 2^40 is a MemoryError, 2^63 a SystemError."""
    if len(payload) < BSLZ4_HEADER.size:
        return None
    raw, block = BSLZ4_HEADER.unpack_from(payload)
    shuffled = algorithm == "bslz4"
    largest = BSLZ4_LARGEST_BLOCK if shuffled else max(raw_bytes, BSLZ4_LARGEST_BLOCK)
    if raw != raw_bytes or not 0 < block <= largest:
        return None
    if shuffled and (not 0 < element_bytes <= MAX_ELEMENT or block % (8 * element_bytes)):
        return None
    try:
        decoded: bytes = decompress(payload, algorithm, elem_size=element_bytes)
    except (RuntimeError, ValueError, MemoryError, SystemError):
        return None
    return decoded
