"""Compiled reading of DECTRIS stream v1: images that are like the one before, many in one call.

A fast way past work whose result is known, never another reading: what it takes, simplon_json.py would take
with the same result; all else it leaves. Bytes and numbers only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, uint8

from ...burst import Burst
from ...messages import BSLZ4_HEADER
from ...raw_memory import move_bytes
from ...series import Encoding
from .json_scan import CONST, identity, is_word, number
from .pixel_coding import LZ4_HEADER

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]

_SIZE = re.compile(rb'"size"\s*:\s*([0-9]+)')

# What a scan says beside the number of messages.
FIRST, START, STOP, _OUT = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What an image must be like to be taken without being read."""

    series: int
    before: Bytes
    """Part 1 up to the digits of "size"; all of it when there is no size."""
    after: Bytes
    """Part 1 behind those digits; empty when there is no size."""
    payload: Bytes
    """How the payload must begin: its header, where it has one."""
    nbytes: int
    """Bytes that the payload must have; negative: must not have; 0: any but none."""
    most: int
    """Bytes that it may have at most. Larger ones are read one by one: a batch that does not fit a block is
    refused as a whole."""
    header: Bytes
    """What goes before each payload on its way."""

    @classmethod
    def of(
        cls, series: int, words: memoryview, payload: memoryview, encoding: Encoding, frame_bytes: int
    ) -> Template | None:
        """From an image that was read and found good; None when others cannot be told to be like it."""
        sizes = list(_SIZE.finditer(words))
        if len(sizes) > 1 or (sizes and sizes[0].end(1) == len(words)):
            return None
        first, last = sizes[0].span(1) if sizes else (len(words), len(words))
        start = payload[: BSLZ4_HEADER.size] if encoding == "bslz4" else b""
        nbytes = {"raw": frame_bytes, "bslz4": 0, "lz4": -frame_bytes}[encoding]
        header = LZ4_HEADER.pack(frame_bytes, frame_bytes, 0) if encoding == "lz4" else b""
        texts = (words[:first], words[last:], start, header)
        before, after, begins, goes_before = (np.frombuffer(bytes(text), np.uint8) for text in texts)
        most = frame_bytes + frame_bytes // 256 + 64  # what an incompressible frame grows by
        return cls(series, before, after, begins, nbytes, most, goes_before)


class Scanner:
    """Reads runs of images out of bursts. Its tables are used again by the next call."""

    def __init__(self, max_messages: int) -> None:
        self.sizes = np.zeros(max_messages, np.int64)
        """Bytes of each payload of the last run."""
        self.found = np.zeros(_OUT, np.int64)
        """FIRST frame of the last run, and where its payloads lie back to back: START and STOP."""

    def run(self, burst: Burst, at: int, template: Template) -> int:
        """How many messages from ``at`` on are consecutive images like the template.

        Their payloads are brought together in ``burst.data``.
        """
        if len(self.sizes) < len(burst):
            self.sizes = np.zeros(len(burst), np.int64)
        taken: int = _run(
            burst.data,
            burst.parts,
            burst.first,
            burst.flags,
            at,
            template.series,
            template.before,
            template.after,
            template.payload,
            template.nbytes,
            template.most,
            template.header,
            self.sizes,
            self.found,
        )
        return taken

    def strangers(self, burst: Burst, at: int, announced: int) -> int:
        """How many messages from ``at`` on are images of one series that is not ``announced``.

        ``found[FIRST]`` is that series' number.
        """
        count: int = _strangers(burst.data, burst.parts, burst.first, burst.flags, at, announced, self.found)
        return count


# -- messages ----------------------------------------------------------------------------------------------


@njit(boolean(uint8[::1], int64, int64, CONST, CONST), nogil=True, cache=True)
def _alike(data: Any, at: Any, size: Any, before: Any, after: Any) -> Any:
    """Whether part 1 says what the template says, whatever its size."""
    end = at + size
    if size < len(before) + len(after) or not is_word(data, at, at + len(before), before):
        return False
    if len(after) == 0:
        return size == len(before)
    value, behind = number(data, at + len(before), end)
    return value >= 0 and end - behind == len(after) and is_word(data, behind, end, after)


@njit(boolean(uint8[::1], int64, int64, CONST, int64, int64), nogil=True, cache=True)
def _fits(data: Any, at: Any, size: Any, begins: Any, nbytes: Any, most: Any) -> Any:
    """Whether a payload has the bytes and the header that it must have."""
    if size < max(1, len(begins)) or size > most or size == -nbytes or (nbytes > 0 and size != nbytes):
        return False
    return is_word(data, at, at + len(begins), begins)


@njit(boolean(uint8[::1], int64[:, ::1], int64[::1], uint8[::1], int64, int64[::1]), nogil=True, cache=True)
def _image(data: Any, parts: Any, first: Any, flags: Any, at: Any, numbers: Any) -> Any:
    """Whether message ``at`` has an image's parts and an identity that can be read here."""
    row = first[at]
    count = first[at + 1] - row
    return (
        (count == 4 or count == 5)
        and flags[at] == 0
        and identity(data, parts[row, 0], parts[row, 1], numbers)
    )


@njit(int64(uint8[::1], int64, CONST, int64, int64), nogil=True, cache=True)
def _gather(data: Any, to: Any, header: Any, at: Any, size: Any) -> Any:
    """Bring a payload to ``to``, behind its header; the place behind it.

    The parts before a payload are longer than any header, so what is moved never reaches what is still to be
    read.
    """
    base, n = data.ctypes.data, len(header)
    move_bytes(base + to + n, base + at, size)
    for i in range(n):
        data[to + i] = header[i]
    if n:  # HDF5 LZ4: the size of the one block ends the header, big-endian
        for i in range(4):
            data[to + n - 1 - i] = (size >> (8 * i)) & 255
    return to + n + size


@njit(
    int64(
        uint8[::1],
        int64[:, ::1],
        int64[::1],
        uint8[::1],
        int64,
        int64,
        CONST,
        CONST,
        CONST,
        int64,
        int64,
        CONST,
        int64[::1],
        int64[::1],
    ),
    nogil=True,
    cache=True,
)
def _run(
    data: Any,
    parts: Any,
    first: Any,
    flags: Any,
    at: Any,
    series: Any,
    before: Any,
    after: Any,
    begins: Any,
    nbytes: Any,
    most: Any,
    header: Any,
    sizes: Any,
    found: Any,
) -> Any:
    numbers = np.zeros(2, np.int64)
    n = 0
    to = parts[first[at], 0]
    found[START] = to
    while at + n < len(flags):
        row = first[at + n]
        if not _image(data, parts, first, flags, at + n, numbers) or numbers[0] != series:
            break
        if n and numbers[1] != found[FIRST] + n:
            break
        offset, size = parts[row + 2, 0], parts[row + 2, 1]
        if not _alike(data, parts[row + 1, 0], parts[row + 1, 1], before, after):
            break
        if not _fits(data, offset, size, begins, nbytes, most):
            break
        if n == 0:
            found[FIRST] = numbers[1]
        to = _gather(data, to, header, offset, size)
        sizes[n] = size + len(header)
        n += 1
    found[STOP] = to
    return n


@njit(
    int64(uint8[::1], int64[:, ::1], int64[::1], uint8[::1], int64, int64, int64[::1]),
    nogil=True,
    cache=True,
)
def _strangers(data: Any, parts: Any, first: Any, flags: Any, at: Any, announced: Any, found: Any) -> Any:
    numbers = np.zeros(2, np.int64)
    n = 0
    while at + n < len(flags):
        if not _image(data, parts, first, flags, at + n, numbers) or numbers[0] == announced:
            break
        if n == 0:
            found[FIRST] = numbers[0]
        elif numbers[0] != found[FIRST]:
            break
        n += 1
    return n
