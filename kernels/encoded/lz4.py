"""One LZ4 block into memory, safe against any bytes and fast on what bit planes look like.

The format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md. Frames of counts end each block in a
zero run of thousands of bytes, which decoders that copy from ``offset`` back do 8 bytes at a time; here a run
is recognised and splatted, 64 bytes a store. Knows nothing of planes or frames.

A block is refused wherever liblz4 (LZ4_decompress_safe) refuses it: its last 5 bytes must be literals and no
match may begin in its last 12 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from .vector import (
    address,
    is_zero,
    load16,
    load64,
    load_i64,
    load_u8,
    load_u16,
    put,
    shuffle16,
    store_u8,
    zeros64,
)

SLACK = 64
"""Bytes behind ``size`` that ``dst`` must have: whole vectors are stored."""
TRUNCATED = -1
"""The compressed bytes end within a sequence."""
BAD_OFFSET = -2
"""A match of offset 0, or from before the start of the block."""
BAD_SIZE = -3
"""The block holds more or fewer bytes than asked for."""
BAD_ARGUMENTS = -4
"""``begin``, ``end`` or ``size`` do not fit the arrays."""

LAST_LITERALS = 5
MATCH_LIMIT = 12
"""Bytes before the end of the block behind which no match may begin."""
SHORT_INPUT = 1 + 14 + 8
"""Bytes left from which a short sequence cannot be the last one."""
SHORT_OUTPUT = 14 + 16 + MATCH_LIMIT
"""Bytes to come from which a short sequence breaks no rule of the end."""
REPEAT = np.array([[i % offset if offset else 0 for i in range(16)] for offset in range(17)], np.uint8)
"""(17, 16) byte order that repeats the first ``offset`` bytes of 16."""
STEP = np.array([16 - 16 % offset if offset else 16 for offset in range(16)], np.int64)
"""(16,) bytes after which that repetition begins anew, at most 16."""


@njit(nogil=True, cache=True, forceinline=True)
def _extension(ip: Any, end: Any) -> Any:
    """Rest of a length of 15 or more -> (ip, length); ip is TRUNCATED where the bytes end first."""
    length = np.int64(0)
    while ip + 8 <= end and load_i64(ip) == -1:
        ip += 8
        length += 8 * 255
    while ip < end:
        byte = load_u8(ip)
        ip += 1
        length += byte
        if byte != 255:
            return ip, length
    return np.int64(TRUNCATED), length


@njit(nogil=True, cache=True, forceinline=True)
def _copy_literals(ip: Any, op: Any, length: Any, readable: Any) -> None:
    """Copy; writes up to 15 bytes too many, reads them only where they lie before ``readable``."""
    whole = length & ~63
    for i in range(0, whole, 64):
        put(op + i, load64(ip + i))
    if ip + length + 15 <= readable:
        for i in range(whole, length, 16):
            put(op + i, load16(ip + i))
    else:
        for i in range(whole, length):
            store_u8(op + i, load_u8(ip + i))


@njit(nogil=True, cache=True, forceinline=True)
def _splat(op: Any, stop: Any) -> None:
    """Zeros from ``op`` to ``stop``, and up to 63 behind."""
    while op < stop:
        put(op, zeros64())
        op += 64


@njit(nogil=True, cache=True, forceinline=True)
def _repeat(op: Any, pattern: Any, step: Any, length: Any) -> None:
    stop = op + length
    while op < stop:
        put(op, pattern)
        op += step


@njit(nogil=True, cache=True, forceinline=True)
def _copy_match(op: Any, offset: Any, length: Any) -> None:
    """Copy from 16 or more back; writes up to 63 bytes too many."""
    if offset < 64:
        for i in range(0, length, 16):
            put(op + i, load16(op + i - offset))
    else:
        for i in range(0, length, 64):
            put(op + i, load64(op + i - offset))


@njit(nogil=True, cache=True)
def _ends_in_zeros(ip: Any, end: Any, missing: Any) -> Any:
    """Whether what is left are the last literals, ``missing`` of them, less than 15, and all zero."""
    if missing >= 15 or end - ip != missing + 1 or load_u8(ip) != missing << 4:
        return False
    found = np.int64(0)
    for i in range(ip + 1, end):
        found |= load_u8(i)
    return found == 0


@njit(nogil=True, cache=True, forceinline=True)
def _take_literals(token: Any, ip: Any, end: Any, readable: Any, op: Any, stop: Any) -> Any:
    """Copy the literals of a sequence -> (ip, op), checked; ip is a negative code where they are refused."""
    length = token >> 4
    if length == 15:
        ip, more = _extension(ip, end)
        if ip < 0:
            return ip, op
        length += more
    if length > end - ip:
        return np.int64(TRUNCATED), op
    if length > stop - op:
        return np.int64(BAD_SIZE), op
    _copy_literals(ip, op, length, readable)
    return ip + length, op + length


@njit(nogil=True, cache=True, forceinline=True)
def _take_match_header(token: Any, ip: Any, end: Any, op: Any, start: Any, stop: Any) -> Any:
    """(ip, offset, length), checked; ip is a negative code where the match is refused."""
    length = token & 15
    if end - ip < 2:
        return np.int64(TRUNCATED), length, length
    offset = load_u16(ip)
    ip += 2
    if offset == 0 or offset > op - start:
        return np.int64(BAD_OFFSET), offset, length
    if length == 15:
        ip, more = _extension(ip, end)
        length += more
    length += 4
    if ip >= 0 and (op > stop - MATCH_LIMIT or length > stop - LAST_LITERALS - op):
        return np.int64(BAD_SIZE), offset, length
    return ip, offset, length


@njit(nogil=True, cache=True, forceinline=True)
def _sequence(ip: Any, end: Any, readable: Any, op: Any, start: Any, stop: Any, clean: Any) -> Any:
    """Decode one sequence, checked -> (ip, op, used), see `decode_onto`; ip may be a negative code."""
    token = load_u8(ip)
    ip, op = _take_literals(token, ip + 1, end, readable, op, stop)
    if ip < 0 or ip == end:
        return ip, op, op
    ip, offset, length = _take_match_header(token, ip, end, op, start, stop)
    if ip < 0:
        return ip, op, op
    if offset >= 16:
        _copy_match(op, offset, length)
        return ip, op + length, op
    pattern = shuffle16(load16(op - offset), load16(address(REPEAT) + 16 * offset))
    if not is_zero(pattern):
        _repeat(op, pattern, STEP[offset], length)
    elif _ends_in_zeros(ip, end, stop - op - length):
        _splat(op, min(stop, max(clean, op + SLACK)))
        return end, stop, op
    else:
        _splat(op, op + length)
    return ip, op + length, op


@njit(nogil=True, cache=True, forceinline=True)
def _short_sequences(ip: Any, end: Any, op: Any, start: Any, stop: Any) -> Any:
    """Decode sequences of less than 15 literals and a match of at most 16 bytes, up to one that is not.

    These are nine in ten, and branches on their lengths would be guessed wrong: both copies are of 16 bytes,
    whatever the lengths. Returns (ip, op); ip is a negative code where a sequence is refused.
    """
    repeat = address(REPEAT)
    while ip <= end - SHORT_INPUT and op <= stop - SHORT_OUTPUT:
        token = load_u8(ip)
        length = token & 15
        if (token >= 0xF0) | (length > 12):
            break
        put(op, load16(ip + 1))
        ip += (token >> 4) + 3
        op += token >> 4
        offset = load_u16(ip - 2)
        if (offset == 0) | (offset > op - start):
            return np.int64(BAD_OFFSET), op
        put(op, shuffle16(load16(op - offset), load16(repeat + 16 * min(offset, 16))))
        op += length + 4
    return ip, op


@njit(nogil=True, cache=True)
def decode_onto(ip: Any, end: Any, readable: Any, start: Any, size: Any, dirty: Any) -> Any:
    """Decode a block at addresses, over an older one of at least its size.

    Parameters
    ----------
    ip, end : int64 addresses of the compressed bytes.
    readable : int64 address up to which bytes may be read.
    start : int64 address of the block; SLACK bytes behind its ``size`` may be written.
    dirty : int64, bytes from ``start`` behind which the memory is zero up to ``size``: zeros that end the
        block, most of a frame of counts, need not be written there.

    Returns
    -------
    int64 : bytes of the block behind which all are zero, which is ``dirty`` for the next; or a negative code,
        and the block holds anything.
    """
    op, stop, clean = start, start + size, start + dirty
    used = op
    while ip < end:
        ip, op = _short_sequences(ip, end, op, start, stop)
        if ip < 0:
            return ip
        ip, op, used = _sequence(ip, end, readable, op, start, stop, clean)
        if ip < 0:
            return ip
    if op != stop:
        return np.int64(BAD_SIZE)
    return used - start


@njit(nogil=True, cache=True)
def decode_at(ip: Any, end: Any, readable: Any, start: Any, size: Any) -> Any:
    """`decode_lz4` at addresses: compressed bytes [ip, end), readable up to ``readable``, to ``start``."""
    used = decode_onto(ip, end, readable, start, size, size)
    return size if used >= 0 else used


BYTES = types.Array(types.uint8, 1, "C")
READABLE = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    types.int64(READABLE, types.int64, types.int64, BYTES, types.int64),
    nogil=True,
    cache=True,
)
def decode_lz4(src: Any, begin: Any, end: Any, dst: Any, size: Any) -> Any:
    """Decode one LZ4 block.

    Parameters
    ----------
    src : (b,) uint8, may be read-only; nothing outside of it is read, whatever it holds.
    begin, end : where the compressed bytes lie in ``src``.
    dst : (s,) uint8 with s >= size + SLACK; the bytes behind ``size`` may be overwritten.
    size : bytes that the block must hold, > 0.

    Returns
    -------
    int64 : ``size``, or one of the negative codes above; then ``dst`` holds anything.
    """
    if not (0 <= begin <= end <= src.size and 0 < size <= dst.size - SLACK):
        return np.int64(BAD_ARGUMENTS)
    base = address(src)
    return decode_at(base + begin, base + end, base + src.size, address(dst), size)
