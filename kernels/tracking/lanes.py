"""Sums of rows of pixels under weights, eight columns at a time: what compilers make of loops over short rows
is three to five times slower, since they neither keep many sums at hand nor know that arrays do not overlap.

Instructions of no processor: LLVM vectors, which it lowers to what there is.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
"""Columns that are worked on together."""

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INDEX, _WORD = ir.IntType(64), ir.IntType(32)
_FUSED = ("contract",)


def _data(context: Any, builder: Any, array_type: Any, value: Any) -> Any:
    return context.make_array(array_type)(context, builder, value).data


def _vector_at(builder: Any, data: Any, at: Any) -> Any:
    return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    loaded = builder.load(pointer)
    loaded.align = 4
    return loaded


def _everywhere(builder: Any, data: Any, at: Any) -> Any:
    """The number at ``at``, in all lanes."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(nothing, builder.load(builder.gep(data, [at])), ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_WORD, LANES), [0] * LANES))


def _plus(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)


def _number(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def summing(sets: int, blocks: int) -> Any:
    """A compiled function of (values, start, stride, rows, weights, first, apart, out, to, out_apart), arrays
    float32 and taken as flat, places in elements: for each of the ``sets`` s and ``8 blocks`` columns i
    ``out[to + s out_apart + i]`` becomes the sum over j < rows of
    ``weights[first + s apart + j] values[start + j stride + i]``.

    Nothing is checked: who calls it says that all places are inside.
    """

    @intrinsic
    def sums(typing: Any, values: Any, start: Any, stride: Any, rows: Any, weights: Any, first: Any,
             apart: Any, out: Any, to: Any, out_apart: Any) -> Any:  # fmt: skip
        place = types.int64
        signature = types.void(values, place, place, place, weights, place, place, out, place, place)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pixels, factors, sink = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 7))
            nothing = ir.Constant(_VECTOR, [0.0] * LANES)
            held = [[cgutils.alloca_once_value(builder, nothing) for _ in range(blocks)] for _ in range(sets)]
            for row in held:  # the slots are of the function; each call begins at 0
                for slot in row:
                    builder.store(nothing, slot)
            with cgutils.for_range(builder, args[3]) as loop:
                at = builder.add(args[1], builder.mul(loop.index, args[2]))
                lines = [
                    _load(builder, _vector_at(builder, pixels, builder.add(at, _number(LANES * b))))
                    for b in range(blocks)
                ]
                for s in range(sets):
                    where = builder.add(builder.add(args[5], builder.mul(_number(s), args[6])), loop.index)
                    factor = _everywhere(builder, factors, where)
                    for line, slot in zip(lines, held[s], strict=True):
                        builder.store(_plus(builder, line, factor, builder.load(slot)), slot)
            for s in range(sets):
                for b, slot in enumerate(held[s]):
                    where = builder.add(
                        builder.add(args[8], builder.mul(_number(s), args[9])), _number(LANES * b)
                    )
                    builder.store(builder.load(slot), _vector_at(builder, sink, where)).align = 4
            return context.get_dummy_value()

        return signature, generate

    return sums


def spreading(sets: int) -> Any:
    """A compiled function of (values, start, stride, rows, weights, first, apart, shapes, begin,
    shapes_apart), as of `summing`: to 8 columns i of each row j it adds the sum over ``sets`` s of
    ``weights[first + s apart + j] shapes[begin + s shapes_apart + i]``. Nothing is checked."""

    @intrinsic
    def spread(typing: Any, values: Any, start: Any, stride: Any, rows: Any, weights: Any, first: Any,
               apart: Any, shapes: Any, begin: Any, shapes_apart: Any) -> Any:  # fmt: skip
        place = types.int64
        signature = types.void(values, place, place, place, weights, place, place, shapes, place, place)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pixels, factors, source = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 7))
            held = [
                _load(builder, _vector_at(builder, source,
                      builder.add(args[8], builder.mul(_number(s), args[9]))))
                for s in range(sets)
            ]  # fmt: skip
            with cgutils.for_range(builder, args[3]) as loop:
                at = _vector_at(builder, pixels, builder.add(args[1], builder.mul(loop.index, args[2])))
                line = _load(builder, at)
                for s in range(sets):
                    where = builder.add(builder.add(args[5], builder.mul(_number(s), args[6])), loop.index)
                    line = _plus(builder, held[s], _everywhere(builder, factors, where), line)
                builder.store(line, at).align = 4
            return context.get_dummy_value()

        return signature, generate

    return spread


_EXP2 = (1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3, 5.550332471162809e-2,
         2.402264791363012e-1, 6.931472028550421e-1, 1.0)  # fmt: skip
"""2^x for x from -1/2 to 1/2, to float32's rounding (Cephes, exp2f)."""


def _all(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _exponential(builder: Any, x: Any) -> Any:
    """exp(x) for x <= 0, in all lanes; to float32's rounding, and 2^-126 below that."""
    power = builder.fmul(x, _all(math.log2(math.e)))
    least = _all(-126.0)
    power = builder.select(builder.fcmp_ordered(">", power, least), power, least)
    shift = _all(1.5 * 2**23)  # adding it leaves no binary places
    whole = builder.fsub(builder.fadd(power, shift), shift)
    part = builder.fsub(power, whole)
    value = _all(_EXP2[0])
    for c in _EXP2[1:]:
        value = _plus(builder, value, part, _all(c))
    words = ir.VectorType(_WORD, LANES)
    exponent = builder.shl(builder.fptosi(whole, words), ir.Constant(words, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(value, words), exponent), _VECTOR)


def powers(count: int, slopes: int) -> Any:
    """A compiled function of (table, side, to, slopes_to, offsets_to, offset, inverse, blocks, first, last).

    Along an axis whose place k is ``d = offset + k`` from the centre, with ``u = inverse d^2``, it writes
    rows of ``side`` numbers: from the place ``to`` on ``exp(-u / 2) u^a / a!`` for a below ``count``; from
    ``slopes_to`` on the first ``slopes`` of them times d; at ``offsets_to`` d itself. Places before ``first``
    and from ``last`` on are 0. Nothing is checked.
    """

    @intrinsic
    def fill(typing: Any, table: Any, side: Any, to: Any, slopes_to: Any, offsets_to: Any, offset: Any,
             inverse: Any, blocks: Any, first: Any, last: Any) -> Any:  # fmt: skip
        place, number = types.int64, types.float32
        signature = types.void(table, place, place, place, place, number, number, place, place, place)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = _data(context, builder, signature.args[0], args[0])
            side, to, slopes_to, offsets_to, offset, inverse, blocks, first, last = args[1:]
            words = ir.VectorType(_WORD, LANES)

            def spread(value: Any, kind: Any) -> Any:
                nothing = ir.Constant(kind, ir.Undefined)
                one = builder.insert_element(nothing, value, ir.Constant(_WORD, 0))
                return builder.shuffle_vector(one, nothing, ir.Constant(words, [0] * LANES))

            def put(value: Any, row: Any, at: Any) -> None:
                builder.store(value, _vector_at(builder, data, builder.add(row, at))).align = 4

            begin, over = spread(offset, _VECTOR), spread(inverse, _VECTOR)
            low, high = (spread(builder.trunc(edge, _WORD), words) for edge in (first, last))
            lane = ir.Constant(words, list(range(LANES)))
            with cgutils.for_range(builder, blocks) as loop:
                at = builder.mul(loop.index, _number(LANES))
                index = builder.add(spread(builder.trunc(at, _WORD), words), lane)
                away = builder.fadd(begin, builder.sitofp(index, _VECTOR))
                u = builder.fmul(builder.fmul(away, away), over)
                inside = builder.and_(
                    builder.icmp_signed(">=", index, low), builder.icmp_signed("<", index, high)
                )
                height = _exponential(builder, builder.fmul(u, _all(-0.5)))
                height = builder.select(inside, height, _all(0.0))
                put(away, offsets_to, at)
                for a in range(count):
                    if a:
                        height = builder.fmul(builder.fmul(height, u), _all(1 / a))
                    put(height, builder.add(to, builder.mul(_number(a), side)), at)
                    if a < slopes:
                        put(builder.fmul(height, away),
                            builder.add(slopes_to, builder.mul(_number(a), side)), at)  # fmt: skip
            return context.get_dummy_value()

        return signature, generate

    return fill
