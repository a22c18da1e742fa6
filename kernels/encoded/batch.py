"""The way through a batch of blobs in numba, block by block from LZ4 to planes to sums.

Blocks whose pixels fill whole words are summed where LZ4 left them. First gathered plane by plane are: a last
block that does not, the fewer than 8 pixels behind it that are not shuffled, and all blocks of a stream whose
block size is no multiple of 64 pixels. What a region is, sums.py knows; what a stream is, frames.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..bslz4 import DEFAULT_BLOCK
from .frames import CORRUPT, HEADER_BYTES, OK, block_end, check_header, ends_well
from .lz4 import SLACK, decode_onto
from .sums import WORD, add_block, begin_frame, end_frame, meets, memory_of, put_word, scratch_words, word
from .vector import address, copy_bytes, load_u8

LINE = 64
"""Bytes of a cache line: a vector of planes then lies in one."""


class Format(NamedTuple):
    """What the frames of a batch have in common."""

    pixels: int
    itemsize: int
    skip: bool
    """Leave blocks that no region touches as they are."""


class Layout(NamedTuple):
    """How frames with blocks of one size are taken; the rest is addresses."""

    block_pixels: int
    gathered_from: int
    """First pixel of a frame that is gathered; those before are summed in place."""
    stride: int
    """Words of a gathered plane."""
    block: int
    """One block from LZ4, and slack."""
    gathered: int
    """(planes, stride) uint64, all pixels from ``gathered_from`` on."""


@njit(nogil=True, cache=True)
def run_batch(payload, offsets, form, tables, sums, moments, status):  # type: ignore[no-untyped-def]
    """Sums (n, d), moments (n, d, 2) and status (n,) of each blob.

    Parameters
    ----------
    payload : (b,) uint8; nothing outside of it is read.
    offsets : (n + 1,) int64; what lies beyond ``payload`` counts as not there.
    form : `Format`.
    tables : `sums.Tables` for frames of that size.
    """
    start, size, frame_bytes = address(payload), payload.size, form.pixels * form.itemsize
    block_size = np.int64(DEFAULT_BLOCK)
    space = _space_for(block_size, form, tables)
    for f in range(status.size):
        ip = start + min(max(offsets[f], 0), size)
        end = start + min(max(offsets[f + 1], 0), size)
        sums[f], moments[f] = 0, 0
        code, block = check_header(ip, end, frame_bytes, form.itemsize, False)
        if code == OK:
            if block != block_size:
                space, block_size = _space_for(block, form, tables), block
            layout, memory = _places_in(space, block_size, form, tables)
            blob = ip + HEADER_BYTES, end, start + size
            code = _run_frame(blob, form, layout, memory, address(sums[f]), address(moments[f]))
        if code != OK:
            sums[f], moments[f] = 0, 0
        status[f] = code


@njit(nogil=True, cache=True)
def _sizes(block_size, form):  # type: ignore[no-untyped-def]
    """(first gathered pixel, words of a gathered plane, words of a block and its slack)."""
    block_pixels, gathered_from = block_size // form.itemsize, form.pixels
    if block_pixels % WORD:
        gathered_from = np.int64(0)
    elif form.pixels % WORD:
        gathered_from = form.pixels - form.pixels % block_pixels
    stride = (form.pixels - gathered_from + WORD - 1) // WORD
    return gathered_from, stride, (min(block_size, form.pixels * form.itemsize) + SLACK + 7) // 8


@njit(nogil=True, cache=True)
def _space_for(block_size, form, tables):  # type: ignore[no-untyped-def]
    """Memory of one call."""
    _, stride, block = _sizes(block_size, form)
    words = block + 8 * form.itemsize * stride + scratch_words(tables)
    return np.empty(words + LINE // 8, np.uint64)


@njit(nogil=True, cache=True)
def _places_in(space, block_size, form, tables):  # type: ignore[no-untyped-def]
    """`Layout` and `sums.Memory` in ``space``, which the caller keeps alive."""
    gathered_from, stride, block = _sizes(block_size, form)
    at = (address(space) + LINE - 1) // LINE * LINE
    gathered = at + 8 * block
    scratch = gathered + 8 * 8 * form.itemsize * stride
    layout = Layout(block_size // form.itemsize, gathered_from, stride, at, gathered)
    return layout, memory_of(tables, scratch)


@njit(nogil=True, cache=True)
def _run_frame(blob, form, layout, memory, sums, moments):  # type: ignore[no-untyped-def]
    """Sum the frame of a blob (first byte behind the header, end, end of the payload); its status."""
    ip, end, readable = blob
    shuffled = form.pixels - form.pixels % 8
    _begin(layout, memory)
    used = layout.block_pixels * form.itemsize
    for first in range(0, shuffled, layout.block_pixels):
        pixels = min(layout.block_pixels, shuffled - first)
        stop = block_end(ip, end)
        if stop == 0:
            return CORRUPT
        if not (form.skip and _is_outside(memory, first, pixels)):
            size = pixels * form.itemsize
            used = decode_onto(ip + 4, stop, readable, layout.block, size, used)
            if used < 0:
                return CORRUPT
            _add(pixels, used, first, layout, memory, sums, moments)
        ip = stop
    tail = (form.pixels - shuffled) * form.itemsize
    if not ends_well(end - ip, tail):
        return CORRUPT
    _gather_tail(ip, form, layout)
    _end(layout, memory, sums, moments)
    return OK


@njit(nogil=True, cache=True)
def _begin(layout, memory):  # type: ignore[no-untyped-def]
    for i in range(memory.planes * layout.stride):
        put_word(layout.gathered, i, np.uint64(0))
    begin_frame(memory)


@njit(nogil=True, cache=True)
def _is_outside(memory, first, pixels):  # type: ignore[no-untyped-def]
    """Whether no region has a pixel in a word of these pixels."""
    at = first // WORD
    return not meets(memory, memory.regions, at, (first + pixels + WORD - 1) // WORD - at)


@njit(nogil=True, cache=True)
def _add(pixels, used, first, layout, memory, sums, moments):  # type: ignore[no-untyped-def]
    """Sum the block, zero behind its first ``used`` bytes, in place, or gather it."""
    if first < layout.gathered_from:
        filled = (used + pixels // 8 - 1) // (pixels // 8)
        add_block(layout.block, pixels // WORD, filled, first // WORD, memory, sums, moments)
        return
    size, target = pixels // 8, layout.gathered + (first - layout.gathered_from) // 8
    for p in range(memory.planes):
        copy_bytes(target + 8 * p * layout.stride, layout.block + p * size, size)


@njit(nogil=True, cache=True)
def _gather_tail(ip, form, layout):  # type: ignore[no-untyped-def]
    """Gather the pixels at the end of the frame that are not shuffled, which stand at ``ip`` as they are."""
    for i in range(form.pixels - form.pixels % 8, form.pixels):
        at, bit = (i - layout.gathered_from) // WORD, (i - layout.gathered_from) % WORD
        for p in range(8 * form.itemsize):
            value = (load_u8(ip + p // 8) >> (p % 8)) & 1
            held = word(layout.gathered, p * layout.stride + at)
            put_word(layout.gathered, p * layout.stride + at, held | np.uint64(value << bit))
        ip += form.itemsize


@njit(nogil=True, cache=True)
def _end(layout, memory, sums, moments):  # type: ignore[no-untyped-def]
    """Sum what was gathered, and what is carried."""
    if layout.stride:
        first = layout.gathered_from // WORD
        add_block(layout.gathered, layout.stride, memory.planes, first, memory, sums, moments)
    end_frame(memory, moments)
