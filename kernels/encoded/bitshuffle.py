"""From bit planes to pixels: the inverse of bitshuffle for elements of 1, 2, 4 and 8 bytes.

A block of n elements holds plane after plane, n / 8 bytes each: bit b of element i is bit i % 8 of byte
i // 8 of plane b (https://github.com/kiyo-masui/bitshuffle). Here 64 bytes of eight planes become one
byte of 512 elements; where all eight are empty, as the upper ones of most frames of counts are, nothing
is transposed.
Knows planes and addresses; no blobs, no LZ4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector import I8, I32, I64, LANES64, bytes_type, has_feature, load, load_u8, store, store_u8

EIGHT = types.UniTuple(LANES64, 8)
"""64 bytes of eight planes, or one byte of 512 elements."""
STEPS = ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))
"""Shifts and masks that transpose 8 x 8 bits (Warren, Hacker's Delight, 2nd ed., section 7-3)."""
UNIT = 0x8040201008040201
"""8 x 8 bits with ones on the diagonal."""
ALL = 1 << 62
"""More bytes than any block has."""


def _rows(builder: Any, rows: Any) -> list[Any]:
    return [builder.extract_value(rows, i) for i in range(8)]


def _packed(builder: Any, context: Any, rows: list[Any]) -> Any:
    result = ir.Constant(context.get_value_type(EIGHT), ir.Undefined)
    for i, row in enumerate(rows):
        result = builder.insert_value(result, row, i)
    return result


@intrinsic
def load_planes(typingctx: Any, at: Any, stride: Any) -> Any:
    """64 bytes of eight planes that lie ``stride`` bytes apart."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, stride = arguments
        rows = []
        for _ in range(8):
            rows.append(load(builder, place, bytes_type(64)))
            place = builder.add(place, stride)
        return _packed(builder, context, rows)

    return EIGHT(types.int64, types.int64), code


@intrinsic
def any_set(typingctx: Any, planes: Any) -> Any:
    """Whether any bit of the planes is set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, *others = _rows(builder, arguments[0])
        for row in others:
            first = builder.or_(first, row)
        wide = ir.IntType(512)
        return builder.icmp_unsigned("!=", builder.bitcast(first, wide), ir.Constant(wide, 0))

    return types.boolean(EIGHT), code


def zipped(builder: Any, low: Any, high: Any) -> list[Any]:
    """Two vectors element by element, as two vectors."""
    count = low.type.count
    orders = ([i // 2 + start + count * (i % 2) for i in range(count)] for start in (0, count // 2))
    return [builder.shuffle_vector(low, high, _order(order)) for order in orders]


def _byte_columns(builder: Any, rows: list[Any]) -> list[Any]:
    """(8 planes, 64 bytes) transposed: vector r holds bytes 8 r to 8 r + 7 of each plane, byte by byte."""
    if len(rows) == 1:
        return rows
    even, odd = _byte_columns(builder, rows[0::2]), _byte_columns(builder, rows[1::2])
    return [half for pair in zip(even, odd, strict=True) for half in zipped(builder, *pair)]


def _spread(word: int) -> Any:
    return ir.Constant(ir.VectorType(I64, 8), [word] * 8)


def _transposed_bits(builder: Any, words: Any) -> Any:
    """Each 8 bytes of a vector as 8 x 8 bits, transposed."""
    x = builder.bitcast(words, ir.VectorType(I64, 8))
    for shift, mask in STEPS:
        swap = builder.and_(builder.xor(x, builder.lshr(x, _spread(shift))), _spread(mask))
        x = builder.xor(x, builder.xor(swap, builder.shl(swap, _spread(shift))))
    return builder.bitcast(x, bytes_type(64))


def _affine_width() -> int:
    """Bytes that this processor transposes in one instruction; 0 where it has none for that."""
    if not has_feature("gfni"):
        return 0
    return 64 if has_feature("avx512bw") else 32 if has_feature("avx2") else 0


def _times_unit(builder: Any, words: Any, width: int) -> Any:
    """The same in one instruction: unit vectors times the bytes, in reverse order, as matrices."""
    if width < words.type.count:
        parts = [_times_unit(builder, part, width) for part in _halves(builder, words)]
        return builder.shuffle_vector(*parts, _order(range(2 * width)))
    name = f"llvm.x86.vgf2p8affineqb.{8 * width}"
    kind = ir.FunctionType(words.type, [words.type, words.type, I8])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    unit = builder.bitcast(ir.Constant(ir.VectorType(I64, width // 8), [UNIT] * (width // 8)), words.type)
    return builder.call(function, [unit, words, ir.Constant(I8, 0)])


def _halves(builder: Any, vector: Any) -> list[Any]:
    half = vector.type.count // 2
    return [builder.shuffle_vector(vector, vector, _order(range(i, i + half))) for i in (0, half)]


def _order(places: Iterable[int]) -> Any:
    chosen = list(places)
    return ir.Constant(ir.VectorType(I32, len(chosen)), chosen)


@intrinsic
def bytes_of(typingctx: Any, planes: Any) -> Any:
    """Eight planes of 512 bits as 512 bytes in order; plane 0 gives their lowest bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _rows(builder, arguments[0])
        if width := _affine_width():
            columns = [_times_unit(builder, words, width) for words in _byte_columns(builder, rows[::-1])]
        else:
            columns = [_transposed_bits(builder, words) for words in _byte_columns(builder, rows)]
        return _packed(builder, context, columns)

    return EIGHT(EIGHT), code


@intrinsic(prefer_literal=True)
def store_elements(typingctx: Any, at: Any, lanes: Any, itemsize: Any) -> Any:
    """Store 512 elements of ``itemsize`` bytes; ``lanes``: their lowest 1, 2 or 4 bytes, others are zero."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        parts = [_rows(builder, builder.extract_value(arguments[1], i)) for i in range(lanes.count)]
        while len(parts) > 1:
            parts = [_joined(builder, *pair) for pair in zip(parts[0::2], parts[1::2], strict=True)]
        for i, part in enumerate(parts[0]):
            elements = ir.VectorType(ir.IntType(8 * itemsize.literal_value), part.type.count)
            place = builder.add(arguments[0], ir.Constant(I64, i * elements.count * itemsize.literal_value))
            store(builder, place, builder.zext(part, elements) if elements != part.type else part)
        return context.get_dummy_value()

    return types.void(types.int64, lanes, itemsize), code


def _joined(builder: Any, low: list[Any], high: list[Any]) -> list[Any]:
    """Elements of twice the width from their lower and upper halves."""
    narrow = low[0].type
    wide = ir.VectorType(ir.IntType(2 * narrow.element.width), narrow.count // 2)
    pairs = (zipped(builder, *halves) for halves in zip(low, high, strict=True))
    return [builder.bitcast(vector, wide) for pair in pairs for vector in pair]


@njit(nogil=True, cache=True, forceinline=True)
def _elements_of_1(at: Any, stride: Any, out: Any) -> None:
    store_elements(out, (bytes_of(load_planes(at, stride)),), 1)


@njit(nogil=True, cache=True, forceinline=True)
def _elements_of_2(at: Any, stride: Any, out: Any, lanes: Any) -> None:
    low = bytes_of(load_planes(at, stride))
    if lanes > 1:
        upper = load_planes(at + 8 * stride, stride)
        if any_set(upper):
            store_elements(out, (low, bytes_of(upper)), 2)
            return
    store_elements(out, (low,), 2)


@njit(nogil=True, cache=True, forceinline=True)
def _elements_of_4(at: Any, stride: Any, out: Any, lanes: Any) -> None:
    first = bytes_of(load_planes(at, stride))
    if lanes > 2:
        third, fourth = load_planes(at + 16 * stride, stride), load_planes(at + 24 * stride, stride)
        if any_set(third) or any_set(fourth):
            second = bytes_of(load_planes(at + 8 * stride, stride))
            store_elements(out, (first, second, bytes_of(third), bytes_of(fourth)), 4)
            return
    if lanes > 1:
        upper = load_planes(at + 8 * stride, stride)
        if any_set(upper):
            store_elements(out, (first, bytes_of(upper)), 4)
            return
    store_elements(out, (first,), 4)


@njit(nogil=True, cache=True, forceinline=True)
def _many_elements(at: Any, stride: Any, out: Any, itemsize: Any, lanes: Any) -> None:
    """512 elements from 64 bytes of every plane; ``lanes``: bytes of an element that may be set."""
    if itemsize == 1:
        _elements_of_1(at, stride, out)
    elif itemsize == 2:
        _elements_of_2(at, stride, out, lanes)
    else:
        _elements_of_4(at, stride, out, lanes)


@njit(nogil=True, cache=True)
def _swapped(x: Any, shift: Any, mask: Any) -> Any:
    swap = (x ^ (x >> shift)) & mask
    return x ^ swap ^ (swap << shift)


@njit(nogil=True, cache=True)
def _eight_elements(at: Any, stride: Any, out: Any, itemsize: Any) -> None:
    """8 elements from one byte of every plane."""
    for lane in range(itemsize):
        x = np.int64(0)
        for plane in range(8):
            x |= load_u8(at + (8 * lane + plane) * stride) << (8 * plane)
        for shift, mask in STEPS:
            x = _swapped(x, shift, mask)
        for i in range(8):
            store_u8(out + i * itemsize + lane, x >> (8 * i))


@njit(nogil=True, cache=True)
def unshuffle_at(planes: Any, stride: Any, out: Any, itemsize: Any, used: Any = ALL) -> None:
    """Give the elements of a block; nothing is checked.

    Parameters
    ----------
    planes : int64 address of 8 x ``itemsize`` planes, ``stride`` bytes each.
    stride : int64, bytes of a plane, an eighth of the elements.
    out : int64 address of the elements; no byte more than they have is written.
    itemsize : int64, bytes of an element: 1, 2, 4 or 8.
    used : int64, bytes of the planes behind which all are zero, where that is known.
    """
    if stride < 64 or itemsize > 4:
        for i in range(stride):
            _eight_elements(planes + i, stride, out + 8 * itemsize * i, itemsize)
        return
    lanes = min(used, 8 * stride * itemsize - 1) // (8 * stride) + 1
    for i in range(0, stride - 63, 64):
        _many_elements(planes + i, stride, out + 8 * itemsize * i, itemsize, lanes)
    if stride % 64:  # the last 512 once more in part, rather than one by one
        last = stride - 64
        _many_elements(planes + last, stride, out + 8 * itemsize * last, itemsize, lanes)
