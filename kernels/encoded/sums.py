"""Sums and first moments of regions over the bit planes of one block of pixels, for numba code to call.

A bitshuffled block keeps bit p of its pixels together: plane p, one bit a pixel, in the pixels' order. A sum
over a region is then the population count of (plane AND mask), weighted by 2^p, and no pixel need be made.
Knows words of 64 pixels only: how planes come about, and what a blob is, is the business of plan.py.

First moments (y, x) come from the moments of the flat index e = width * y + x and of y alone. Of a word both
its first index and its first row are known beforehand, so one count a word carries most of them; what is left
is the place within the word, six counts with constant masks, and, where rows begin inside words, the row
within the word, one count per bit of it (none where the width is a multiple of 64). Exact for every width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..masks import Mask
from .adders import LANES, PLACES, add_plane_32, add_plane_64, carried_places
from .vector import address, is_zero, load64

WORD = 64
"""Pixels in a word."""
CHUNK = 64
"""Words that are summed at a time: 4096 pixels, which is what encoders make a block of uint16."""


class Tables(NamedTuple):
    """Regions of one frame shape as masks over words; read-only."""

    masks: npt.NDArray[np.uint64]
    """(d, words) pixels of each region, first pixel in the least significant bit."""
    spans: npt.NDArray[np.int64]
    """(d + 1, 2) words from and to where each region has pixels; the last row is for all of them."""
    union: npt.NDArray[np.uint64]
    """(words,) pixels of any region: a plane without a bit there is empty for every sum."""
    slots: npt.NDArray[np.int64]
    """(d,) a number from 0 for each region whose first moments are wanted, -1 for the others."""
    rows: npt.NDArray[np.int64]
    """(words,) row of a word's first pixel."""
    row_bits: npt.NDArray[np.uint64]
    """(r, words) the pixels of a word whose row within it has bit k set; r = 0 for widths of whole words."""
    weights: npt.NDArray[np.int64]
    """(planes,) what a bit of each plane is worth; the sign plane of a signed type counts negative."""
    slot_count: int
    width: int
    """Pixels in a row."""


class Memory(NamedTuple):
    """Tables of a frame and scratch of a thread as addresses and sizes.

    Not as arrays: numba counts references to an array that is handed on, with a locked instruction each. That
    took 4 of 10 us a frame, and threads with one plan would take turns at its counters.
    """

    masks: int
    spans: int
    union: int
    slots: int
    rows: int
    row_bits: int
    weights: int
    regions: int
    words: int
    planes: int
    row_bit_count: int
    width: int
    occupied: int
    """(planes,) int64 planes of a chunk that are not empty."""
    counts: int
    """(CHUNK,) int64 sum of each word of a chunk over all planes."""
    carries: int
    """(slots, planes, 3, LANES) uint64 pixels whose places are to be counted yet, once, twice, four times."""
    carry_words: int


def pack(mask: Mask) -> npt.NDArray[np.uint64]:
    """(h, w) bool as (ceil(h w / 64),) words in the order of a plane."""
    packed = np.packbits(mask.reshape(-1), bitorder="little")
    padded = np.zeros(-(-packed.size // 8) * 8, np.uint8)
    padded[: packed.size] = packed
    return padded.view(np.uint64)


@intrinsic
def popcount(_typing: Any, word: types.Type) -> Any:
    """Bits set in a uint64; a loop of it becomes vpopcntq, or vpshufb where there is only AVX2."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


def _pointer(builder: Any, base: Any, index: Any) -> Any:
    """As an index and not as a sum: else LLVM sees no neighbours in a loop and makes no vectors."""
    return builder.gep(builder.inttoptr(base, ir.IntType(64).as_pointer()), [index])


@intrinsic
def word(_typing: Any, base: types.Type, index: types.Type) -> Any:
    """The uint64 number ``index`` behind an address that is a multiple of 8."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, *args), align=8)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def put_word(_typing: Any, base: types.Type, index: types.Type, value: types.Type) -> Any:
    """Store a uint64 where `word` finds it."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(builder, *args[:2]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@njit(nogil=True, cache=True)
def number(base, index):  # type: ignore[no-untyped-def]
    """`word` as int64."""
    return np.int64(word(base, index))


@njit(nogil=True, cache=True)
def add_to(base, index, value):  # type: ignore[no-untyped-def]
    """Add an int64 to the `number` there."""
    put_word(base, index, np.uint64(number(base, index) + value))


@njit(nogil=True, cache=True)
def scratch_words(tables):  # type: ignore[no-untyped-def]
    """Words of scratch that `memory_of` wants."""
    return tables.weights.size * (1 + tables.slot_count * 3 * LANES) + CHUNK


@njit(nogil=True, cache=True)
def memory_of(tables, scratch):  # type: ignore[no-untyped-def]
    """`Memory` of tables, and of `scratch_words` from an address on; the caller keeps both alive."""
    planes = tables.weights.size
    return Memory(
        address(tables.masks),
        address(tables.spans),
        address(tables.union),
        address(tables.slots),
        address(tables.rows),
        address(tables.row_bits),
        address(tables.weights),
        tables.slots.size,
        tables.rows.size,
        planes,
        tables.row_bits.shape[0],
        tables.width,
        scratch,
        scratch + 8 * planes,
        scratch + 8 * (planes + CHUNK),
        planes * tables.slot_count * 3 * LANES,
    )


@njit(nogil=True, cache=True)
def add_block(planes, stride, filled, at, memory, sums, moments):  # type: ignore[no-untyped-def]
    """Add one block of pixels to the sums and moments of its frame; `end_frame` adds what is still carried.

    Parameters
    ----------
    planes : address of plane after plane, ``stride`` words each; bits behind the frame's last pixel are zero.
    filled : planes behind which all are zero: of 16 planes of counts 13 need not be looked at.
    at : word of the frame that the block begins with.
    memory : `Memory`; its carries are of this frame alone until it ends.
    sums, moments : addresses of (d,) and (d, 2) int64 to add to.
    """
    for start in range(0, stride, CHUNK):
        words = min(CHUNK, stride - start)
        # Usual lengths once more as constants: then no loop over words is left.
        if words == CHUNK:
            _add_chunk(planes + 8 * start, stride, filled, at + start, CHUNK, memory, sums, moments)
        elif words == CHUNK // 2:
            _add_chunk(planes + 8 * start, stride, filled, at + start, CHUNK // 2, memory, sums, moments)
        else:
            _add_chunk(planes + 8 * start, stride, filled, at + start, words, memory, sums, moments)


@njit(nogil=True, cache=True)
def end_frame(memory, moments):  # type: ignore[no-untyped-def]
    """Add what is carried to the moments."""
    for d in range(memory.regions):
        slot = number(memory.slots, d)
        if slot >= 0:
            for p in range(memory.planes):
                carries = _carries(memory, slot, p)
                if _is_carried(carries):
                    add_to(moments, 2 * d + 1, number(memory.weights, p) * carried_places(carries))


@njit(nogil=True, cache=True)
def begin_frame(memory):  # type: ignore[no-untyped-def]
    """Carry nothing."""
    for i in range(memory.carry_words):
        put_word(memory.carries, i, np.uint64(0))


@njit(nogil=True, cache=True)
def _carries(memory, slot, p):  # type: ignore[no-untyped-def]
    """Address of what a region carries of one plane."""
    return memory.carries + 8 * 3 * LANES * (slot * memory.planes + p)


@njit(nogil=True, cache=True)
def _is_carried(carries):  # type: ignore[no-untyped-def]
    """Whether anything is: of most planes nothing."""
    vector = 8 * LANES
    empty = is_zero(load64(carries)) and is_zero(load64(carries + vector))
    return not (empty and is_zero(load64(carries + 2 * vector)))


@njit(nogil=True, cache=True, forceinline=True)
def _add_chunk(planes, stride, filled, first, words, memory, sums, moments):  # type: ignore[no-untyped-def]
    """Add ``words`` words of each plane; the first one is word ``first`` of the frame."""
    if not meets(memory, memory.regions, first, words):
        return
    found = _occupied_planes(planes, stride, filled, memory.union + 8 * first, words, memory)
    if found == 0:
        return
    for d in range(memory.regions):
        if not meets(memory, d, first, words):
            continue
        inside, total = memory.masks + 8 * (d * memory.words + first), np.int64(0)
        slot = number(memory.slots, d)
        if slot < 0:
            for i in range(found):
                p = number(memory.occupied, i)
                total += number(memory.weights, p) * _count(planes + 8 * p * stride, inside, words)
        else:
            total = _add_moments(planes, stride, inside, first, words, memory, found, slot, moments + 16 * d)
        add_to(sums, d, total)


@njit(nogil=True, cache=True)
def meets(memory, d, first, words):  # type: ignore[no-untyped-def]
    """Whether words of a frame are among those in which region ``d`` has pixels."""
    return first < number(memory.spans, 2 * d + 1) and number(memory.spans, 2 * d) < first + words


@njit(nogil=True, cache=True, forceinline=True)
def _occupied_planes(planes, stride, filled, union, words, memory):  # type: ignore[no-untyped-def]
    """Planes with a bit in any region, listed in ``memory.occupied``; how many there are."""
    found = 0
    for p in range(filled):
        bits, plane = np.uint64(0), planes + 8 * p * stride
        for w in range(words):
            bits |= word(plane, w) & word(union, w)
        put_word(memory.occupied, found, np.uint64(p))
        found += bits != 0
    return found


@njit(nogil=True, cache=True, forceinline=True)
def _add_moments(planes, stride, inside, first, words, memory, found, slot, moments):  # type: ignore[no-untyped-def]
    """Add a region's first moments (y, x) of one chunk, but for what is carried; its sum."""
    for w in range(words):
        put_word(memory.counts, w, np.uint64(0))
    flat, rows = np.int64(0), np.int64(0)
    for i in range(found):
        p = number(memory.occupied, i)
        plane, weight = planes + 8 * p * stride, number(memory.weights, p)
        flat += weight * _add_plane(plane, inside, words, weight, memory.counts, _carries(memory, slot, p))
        for k in range(memory.row_bit_count):
            bits = memory.row_bits + 8 * (k * memory.words + first)
            rows += (weight << k) * _count_both(plane, inside, bits, words)
    total, lines, places = _word_moments(memory.counts, memory.rows + 8 * first, words)
    rows += lines
    add_to(moments, 0, rows)
    add_to(moments, 1, flat + WORD * (places + first * total) - memory.width * rows)
    return total


@njit(nogil=True, cache=True, forceinline=True)
def _count(plane, inside, words):  # type: ignore[no-untyped-def]
    """Pixels of a mask whose bit is set."""
    count = np.uint64(0)
    for w in range(words):
        count += popcount(word(plane, w) & word(inside, w))
    return np.int64(count)


@njit(nogil=True, cache=True, forceinline=True)
def _count_both(plane, inside, also, words):  # type: ignore[no-untyped-def]
    """`_count` of the pixels that two masks have."""
    count = np.uint64(0)
    for w in range(words):
        count += popcount(word(plane, w) & word(inside, w) & word(also, w))
    return np.int64(count)


@njit(nogil=True, cache=True, forceinline=True)
def _add_plane(plane, inside, words, weight, counts, carries):  # type: ignore[no-untyped-def]
    """Add the `_count` of each word to ``counts``, ``weight`` times; the sum of the set pixels' places."""
    if words == CHUNK:
        return add_plane_64(plane, inside, weight, counts, carries)
    if words == CHUNK // 2:
        return add_plane_32(plane, inside, weight, counts, carries)
    places = np.uint64(0)
    for w in range(words):
        bits = word(plane, w) & word(inside, w)
        add_to(counts, w, weight * np.int64(popcount(bits)))
        places += _places(bits)
    return np.int64(places)


@njit(nogil=True, cache=True, forceinline=True)
def _word_moments(counts, rows, words):  # type: ignore[no-untyped-def]
    """Sum of ``counts``, and of their products with the rows of the words and with the words' numbers."""
    total, lines, places = np.int64(0), np.int64(0), np.int64(0)
    for w in range(words):
        count = number(counts, w)
        total += count
        lines += number(rows, w) * count
        places += w * count
    return total, lines, places


@njit(nogil=True, cache=True, forceinline=True)
def _places(bits):  # type: ignore[no-untyped-def]
    """Sum of the places that are set in a word."""
    places = np.uint64(0)
    for k in range(len(PLACES)):
        places += popcount(bits & np.uint64(PLACES[k])) << np.uint64(k)
    return places
