"""DECTRIS stream v2 images found in a burst by compiled code: where the pixels lie, and whether they are as
expected. Nothing is built and nothing decoded.

What it does not know it does not judge: cbor_values.py reads that message again, in words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types

from ...messages import BSLZ4_LARGEST_BLOCK
from ...raw_memory import move_bytes
from .cbor_scan import (
    ARRAY,
    BUFFER,
    BYTES,
    EDGES,
    INT,
    MAP,
    TAG,
    TEXT,
    UNSIGNED,
    Bytes,
    Table,
    number,
    real,
    same,
    skip,
    string,
    which,
    words_of,
)

_row = INT[::1]
_pair = types.float64[::1]

DATE, ROW_MAJOR, COMPRESSED = 0, 40, 56500
"""Tags."""
MAX_FIELDS = 64
MAX_ITEMS = 4096
"""Values that are stepped over in one image; an image has about 40."""
MAX_KEY = 64
MAX_CHANNELS = 16
RAW, BSLZ4, LZ4 = range(3)
HEADER_BYTES = 12
"""Raw size and block size before the blocks of bslz4 and lz4."""

# Columns of a row: one image that was found.
ID, START, BASE, DATE_AT, DATE_SIZE, PIXELS = range(6)
"""image_id, its exposure's start (ticks, ticks a second), where its date is, then (offset, size) of each
channel's payload."""

# What an image is expected to be; see ``expectation``.
E_SERIES, E_ROWS, E_COLUMNS, E_TYPE, E_ALGORITHM, E_ELEMENT, E_POSITION, E_RAW, E_BLOCK = range(9)

# The keys of an image that are looked at.
K_TYPE, K_SERIES, K_UNIQUE, K_ID, K_START, K_DATE, K_USER, K_DATA = range(8)
KEYS, KEY_EDGES = words_of(
    "type", "series_id", "series_unique_id", "image_id", "start_time", "series_date", "user_data", "data"
)
NEEDED = 1 << K_TYPE | 1 << K_SERIES | 1 << K_ID | 1 << K_DATA
IMAGE, _ = words_of("image")
ALGORITHMS, ALGORITHM_EDGES = words_of("bslz4", "lz4")
POSITION, POSITION_EDGES = words_of("position")


def channel_words(names: tuple[str, ...]) -> tuple[Bytes, Table]:
    """Channel names as ``scan_images`` takes them."""
    return words_of(*names)


def expectation(
    series_id: int,
    shape: tuple[int, int],
    type_tag: int,
    algorithm: int,
    element_bytes: int,
    channel_bytes: int,
    *,
    positions: bool = False,
    block_bytes: int | None = None,
) -> Table:
    """What ``scan_images`` holds each image against.

    Parameters
    ----------
    shape : (rows, columns) of one channel.
    type_tag : int
        RFC 8746 tag of the pixels.
    algorithm : RAW, BSLZ4 or LZ4
    element_bytes : int
        As the compression tag says it; 0 when raw.
    channel_bytes : int
        Of one channel, decoded.
    positions : bool
        Whether every image must say where in the scan it was taken.
    block_bytes : int, optional
        Of the blocks of every channel, where channels are joined without decoding; None = any that is sane.
    """
    block = -1 if block_bytes is None else block_bytes
    values = (series_id, *shape, type_tag, algorithm, element_bytes, int(positions), channel_bytes, block)
    return np.array(values, np.int64)


@njit(INT(BUFFER, INT, INT, _row), nogil=True, cache=True)
def _time(buf: Any, at: Any, end: Any, row: Any) -> Any:
    """``[ticks, ticks a second]`` into the row; returns where it ends."""
    size, at = number(buf, at, end, ARRAY)
    if at < 0 or size != 2:
        return -1
    row[START], at = number(buf, at, end, UNSIGNED)
    if at >= 0:
        row[BASE], at = number(buf, at, end, UNSIGNED)
    return at


@njit(INT(BUFFER, INT, INT, _pair), nogil=True, cache=True)
def _place(buf: Any, at: Any, end: Any, place: Any) -> Any:
    """``{"position": [y, x], ...}`` into ``place``; returns where user data ends, whatever they are."""
    stop = skip(buf, at, end, MAX_ITEMS)
    size, at = number(buf, at, end, MAP)
    if stop < 0 or at < 0:
        return stop
    for _ in range(size):
        key, length, at = string(buf, at, stop, TEXT)
        if at < 0:
            return stop
        if which(buf, key, length, POSITION, POSITION_EDGES) == 0:
            length, at = number(buf, at, stop, ARRAY)
            if at < 0 or length != 2:
                return stop
            y, at = real(buf, at, stop)
            if at >= 0:
                x, at = real(buf, at, stop)
            if at >= 0:
                place[0], place[1] = y, x
            return stop
        at = skip(buf, at, stop, MAX_ITEMS)
    return stop


@njit(INT(BUFFER, INT, INT, EDGES), nogil=True, cache=True)
def _array(buf: Any, at: Any, end: Any, expected: Any) -> Any:
    """``40([[rows, columns], type(``, all as expected; returns what is behind it, -1 otherwise."""
    tag, at = number(buf, at, end, TAG)
    if at < 0 or tag != ROW_MAJOR:
        return -1
    for _ in range(2):
        size, at = number(buf, at, end, ARRAY)
        if at < 0 or size != 2:
            return -1
    for place in (E_ROWS, E_COLUMNS):
        dim, at = number(buf, at, end, UNSIGNED)
        if at < 0 or dim != expected[place]:
            return -1
    tag, at = number(buf, at, end, TAG)
    return at if tag == expected[E_TYPE] else -1


@njit(INT(BUFFER, INT, INT, EDGES), nogil=True, cache=True)
def _compression(buf: Any, at: Any, end: Any, expected: Any) -> Any:
    """``56500([algorithm, element size,`` as expected; returns what is behind it, -1 otherwise."""
    tag, at = number(buf, at, end, TAG)
    if at < 0 or tag != COMPRESSED:
        return -1
    size, at = number(buf, at, end, ARRAY)
    if at < 0 or size != 3:
        return -1
    word, size, at = string(buf, at, end, TEXT)
    if at < 0 or which(buf, word, size, ALGORITHMS, ALGORITHM_EDGES) + 1 != expected[E_ALGORITHM]:
        return -1
    size, at = number(buf, at, end, UNSIGNED)
    return at if size == expected[E_ELEMENT] or expected[E_ALGORITHM] == LZ4 else -1


@njit(types.boolean(BUFFER, _row, EDGES), nogil=True, cache=True)
def _size_fits(buf: Any, where: Any, expected: Any) -> Any:
    """Whether a payload says of itself that it holds the channel: one that does not must not be joined with
    others, or it would cost them too."""
    wanted = expected[E_RAW]
    if expected[E_ALGORITHM] == RAW:
        return where[1] == wanted
    if where[1] <= HEADER_BYTES:
        return False
    raw = block = np.int64(0)
    for place in range(8):
        raw = raw << 8 | np.int64(buf[where[0] + place])
    for place in range(8, HEADER_BYTES):
        block = block << 8 | np.int64(buf[where[0] + place])
    if expected[E_BLOCK] >= 0:
        return raw == wanted and block == expected[E_BLOCK]
    return raw == wanted and block >= 8 and block % 8 == 0 and block <= max(wanted, BSLZ4_LARGEST_BLOCK)


@njit(INT(BUFFER, INT, INT, EDGES, _row), nogil=True, cache=True)
def _pixels(buf: Any, at: Any, end: Any, expected: Any, where: Any) -> Any:
    """One channel into ``where`` (offset, size); returns where it ends, -1 unless it is as expected."""
    at = _array(buf, at, end, expected)
    if at >= 0 and expected[E_ALGORITHM] != RAW:
        at = _compression(buf, at, end, expected)
    if at < 0:
        return -1
    where[0], where[1], at = string(buf, at, end, BYTES)
    return at if at >= 0 and where[1] > 0 and _size_fits(buf, where, expected) else -1


@njit(INT(BUFFER, INT, INT, BUFFER, EDGES, EDGES, _row), nogil=True, cache=True)
def _channels(buf: Any, at: Any, end: Any, names: Any, edges: Any, expected: Any, row: Any) -> Any:
    """The wanted channels into the row; returns where the map ends, -1 unless each is there once and they lie
    in the order of ``names``: joining them moves bytes towards the beginning only."""
    size, at = number(buf, at, end, MAP)
    if at < 0 or size > MAX_CHANNELS:
        return -1
    found = 0
    for _ in range(size):
        name, length, at = string(buf, at, end, TEXT)
        if at < 0:
            return -1
        channel = which(buf, name, length, names, edges)
        if channel < 0:
            at = skip(buf, at, end, MAX_ITEMS)
        else:
            where = row[PIXELS + 2 * channel : PIXELS + 2 * channel + 2]
            if found >> channel & 1:
                return -1
            found |= 1 << channel
            at = _pixels(buf, at, end, expected, where)
        if at < 0:
            return -1
    channels = len(edges) - 1
    for channel in range(1, channels):
        if row[PIXELS + 2 * channel] < row[PIXELS + 2 * channel - 2]:
            return -1
    return at if found == (1 << channels) - 1 else -1


@njit(INT(BUFFER, INT, INT, INT, BUFFER, EDGES, _row, _pair), nogil=True, cache=True)
def _field(buf: Any, at: Any, end: Any, key: Any, unique_id: Any, expected: Any, row: Any, place: Any) -> Any:
    """The value of one key but "data"; returns where it ends, -1 unless it is as expected."""
    if key == K_SERIES:
        value, at = number(buf, at, end, UNSIGNED)
        return at if value == expected[E_SERIES] else -1
    if key == K_ID:
        row[ID], at = number(buf, at, end, UNSIGNED)
        return at
    if key == K_START:
        return _time(buf, at, end, row)
    if key == K_USER:
        return _place(buf, at, end, place)
    if key == K_DATE:
        tag, at = number(buf, at, end, TAG)
        row[DATE_AT], row[DATE_SIZE], at = string(buf, at, end, TEXT)
        return at if tag == DATE else -1
    if key in (K_TYPE, K_UNIQUE):
        word, size, at = string(buf, at, end, TEXT)
        wanted = IMAGE if key == K_TYPE else unique_id
        fits = at >= 0 and size == len(wanted) and same(buf, word, wanted, 0, size)
        return at if fits else -1
    return skip(buf, at, end, MAX_ITEMS)


@njit(
    types.boolean(BUFFER, INT, INT, BUFFER, BUFFER, EDGES, EDGES, _row, _pair),
    nogil=True,
    cache=True,
)
def _image(
    buf: Any,
    at: Any,
    end: Any,
    unique_id: Any,
    names: Any,
    edges: Any,
    expected: Any,
    row: Any,
    place: Any,
) -> Any:
    """One message into a row; False unless it is an image as expected, to its last byte."""
    if end - at > 3 and buf[at] == 0xD9 and buf[at + 1] == 0xD9 and buf[at + 2] == 0xF7:
        at += 3
    fields, at = number(buf, at, end, MAP)
    if at < 0 or fields > MAX_FIELDS:
        return False
    seen = 0
    row[BASE] = row[DATE_SIZE] = 0
    place[0] = place[1] = math.nan
    for field in range(fields):
        word, size, at = string(buf, at, end, TEXT)
        if at < 0 or size > MAX_KEY:
            return False
        key = which(buf, word, size, KEYS, KEY_EDGES)
        if (field == 0) != (key == K_TYPE) or (key >= 0 and seen >> key & 1):
            return False
        if key >= 0:
            seen |= 1 << key
        if key == K_DATA:
            at = _channels(buf, at, end, names, edges, expected, row)
        else:
            at = _field(buf, at, end, key, unique_id, expected, row, place)
        if at < 0:
            return False
    if at != end or seen & NEEDED != NEEDED or (len(unique_id) > 0) != (seen >> K_UNIQUE & 1):
        return False
    return not (expected[E_POSITION] and (math.isnan(place[0]) or math.isnan(place[1])))


@njit(
    INT(
        BUFFER,
        types.Array(INT, 2, "C", readonly=True),
        EDGES,
        INT,
        BUFFER,
        BUFFER,
        EDGES,
        EDGES,
        INT[:, ::1],
        types.float64[:, ::1],
    ),
    nogil=True,
    cache=True,
)
def scan_images(
    buf: Any,
    parts: Any,
    first: Any,
    at: Any,
    unique_id: Any,
    names: Any,
    edges: Any,
    expected: Any,
    rows: Any,
    places: Any,
) -> Any:
    """How many messages from ``at`` on are images as expected, each the next one of the one before.

    Parameters
    ----------
    buf, parts, first
        A Burst's.
    unique_id : (k,) uint8
        The series' own; empty when it has none.
    names, edges
        ``channel_words`` of the channels that are wanted.
    expected
        ``expectation``.
    rows : (n, PIXELS + 2 * channels) int64
        One row an image.
    places : (n, 2) float64
        Scan position (y, x); NaN where an image does not say.
    """
    found = 0
    while found < len(rows) and at + found < len(first) - 1:
        part = first[at + found]
        row = rows[found]
        if first[at + found + 1] - part != 1:
            break
        begin, size = parts[part, 0], parts[part, 1]
        if not _image(buf, begin, begin + size, unique_id, names, edges, expected, row, places[found]):
            break
        if found and row[ID] != rows[found - 1, ID] + 1:
            break
        found += 1
    return found


@njit(types.boolean(BUFFER, INT[:, ::1], INT), nogil=True, cache=True)
def _in_order(buf: Any, rows: Any, channels: Any) -> Any:
    """Whether the payloads lie in ``buf``, one behind the other."""
    behind = np.int64(0)
    for frame in range(len(rows)):
        for channel in range(channels):
            at, size = rows[frame, PIXELS + 2 * channel], rows[frame, PIXELS + 2 * channel + 1]
            if at < behind or size < 0 or size > len(buf) - at:
                return False
            behind = at + size
    return True


@njit("int64(uint8[::1], int64, int64[:, ::1], int64, int64, int64[::1])", nogil=True, cache=True)
def join_payloads(buf: Any, address: Any, rows: Any, channels: Any, header_bytes: Any, sizes: Any) -> Any:
    """Move the payloads of the rows together, back to back from the first one on; returns their end, or -1
    and moves nothing unless they lie in ``buf`` in that order.

    Parameters
    ----------
    address : int
        Of ``buf``.
    header_bytes : int
        0: a frame is its channels' bytes one after another. 12: its channels' blocks behind one header, whose
        raw size is the sum of theirs.
    sizes : (n,) int64
        Filled with the bytes of each frame.
    """
    if not _in_order(buf, rows, channels):
        return -1
    at = rows[0, PIXELS]
    for frame in range(len(rows)):
        begin = at
        for channel in range(channels):
            source, size = rows[frame, PIXELS + 2 * channel], rows[frame, PIXELS + 2 * channel + 1]
            if channel and header_bytes:
                source, size = source + header_bytes, size - header_bytes
            if source != at:
                move_bytes(address + at, address + source, size)
            at += size
        if header_bytes:
            raw = np.int64(0)
            for place in range(8):
                raw = raw << 8 | np.int64(buf[begin + place])
            raw *= channels
            for place in range(8):
                buf[begin + 7 - place] = np.uint8(raw >> 8 * place & 255)
        sizes[frame] = at - begin
    return at
