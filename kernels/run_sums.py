"""Sums along one run of pixels, as intrinsics of explicit vectors.

A run has at most `MAX_RUN` pixels and ends a step (`vector.STEP_BYTES`) or more behind the start of the
array; `start` is the flat index of its first pixel. Floats are added lane by lane and then by halves: always
in the same order.

Overflow of 32-bit lanes, which narrow integers are summed in: `MAX_RUN` pixels of 16 bit times places below
256 stay below 2^31 in total, and so do their products with weights up to `MAX_NARROW_WEIGHT` in each lane.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vector import BIAS, F64, I16, I64, STEP_BYTES, Pixel, Steps, Sum, Value, broadcast, elements, read

MAX_RUN = 256
"""Pixels: the first moment of a longer run of 16-bit pixels would not fit 32 bits."""
MAX_NARROW_WEIGHT = 4095
"""A lane sums 16 products of 16-bit pixels."""


def levers() -> npt.NDArray[np.int16]:
    """Places of the pixels of a run, as the intrinsics take them; those before the run never count."""
    places = np.arange(-STEP_BYTES, MAX_RUN, dtype=np.int16)
    places.flags.writeable = False
    return places


@intrinsic
def integer_run(typingctx, block, keep, levers, start, place, length, holes):  # type: ignore[no-untyped-def]
    """Sum of the pixels and sum of each times its place in the run: (int64, int64), both exact.

    keep : (h * w,) int8, 0 or -1; ``place`` is the flat index of the run in it. Asked only if ``holes``.
    """
    result = types.UniTuple(types.int64, 2)
    signature = result(block, keep, levers, types.int64, types.int64, types.int64, types.boolean)
    pixel = Pixel(block.dtype)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        steps = Steps(builder, pixel, elements(context, builder, sig, args, 0, args[3]), args[5], widens=True)
        counted = elements(context, builder, sig, args, 1, args[4])
        places = elements(context, builder, sig, args, 2, I64(STEP_BYTES))
        # Read and not written down: LLVM turns products with a known 1 into shuffles, which are slower.
        ones = broadcast(builder, builder.load(builder.gep(places, [I64(1)])), pixel.count)
        total, moment = Sum(builder, pixel.sums), Sum(builder, pixel.sums)

        def take(first: Value, stored: Value) -> None:
            values = pixel.widened(builder, stored)
            total.add(pixel.times(builder, values, ones))
            moment.add(pixel.times(builder, values, read(builder, places, first, I16, pixel.count)))

        steps.each(take, counted, args[6])
        sums = total.total(I64), moment.total(I64)
        return context.make_tuple(builder, result, _unbiased(steps, *sums))

    return signature, emit


@intrinsic
def float_run(typingctx, block, levers, start, length):  # type: ignore[no-untyped-def]
    """The same of floats, and how many are not finite and left out: (float64, float64, int64)."""
    result = types.Tuple((types.float64, types.float64, types.int64))
    signature = result(block, levers, types.int64, types.int64)
    pixel = Pixel(block.dtype)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        steps = Steps(builder, pixel, elements(context, builder, sig, args, 0, args[2]), args[3])
        places = elements(context, builder, sig, args, 1, I64(STEP_BYTES))
        total, moment, bad = _float_sums(builder, pixel)

        def take(first: Value, stored: Value) -> None:
            values, strange = pixel.as_float64(builder, stored)
            levers = builder.sitofp(read(builder, places, first, I16, pixel.count), values.type)
            total.add(values)
            moment.add(builder.fmul(values, levers))
            bad.add(builder.zext(strange, ir.VectorType(pixel.stored, pixel.count)))

        steps.each(take)
        return context.make_tuple(builder, result, (total.total(F64), moment.total(F64), bad.total(I64)))

    return signature, emit


@intrinsic
def weighted_integer_run(typingctx, block, weights, start, place, length):  # type: ignore[no-untyped-def]
    """Sum of integers times their weights, int64; of uint16 with int16 weights, of the pixels less `BIAS`.

    weights : int16 (up to `MAX_NARROW_WEIGHT`) for narrow pixels, else int64; ``place`` is the run's in them.
    """
    signature = types.int64(block, weights, types.int64, types.int64, types.int64)
    pixel = Pixel(block.dtype)
    is_narrow = weights.dtype.bitwidth == 16
    weight = ir.IntType(weights.dtype.bitwidth)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        steps = Steps(builder, pixel, elements(context, builder, sig, args, 0, args[2]), args[4], is_narrow)
        beside = elements(context, builder, sig, args, 1, args[3])
        total = Sum(builder, pixel.sums if is_narrow else ir.VectorType(I64, pixel.count))

        def take(first: Value, stored: Value) -> None:
            factors = read(builder, beside, first, weight, pixel.count)
            if is_narrow:
                total.add(pixel.times(builder, pixel.widened(builder, stored), factors))
            else:
                total.add(builder.mul(pixel.as_int64(builder, stored), factors))

        steps.each(take)
        return total.total(I64, widens=True)

    return signature, emit


@intrinsic
def weighted_float_run(typingctx, block, weights, start, place, length):  # type: ignore[no-untyped-def]
    """Sum of pixels of any type times float64 weights, and how many are not finite: (float64, int64)."""
    result = types.Tuple((types.float64, types.int64))
    signature = result(block, weights, types.int64, types.int64, types.int64)
    pixel = Pixel(block.dtype)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        steps = Steps(builder, pixel, elements(context, builder, sig, args, 0, args[2]), args[4])
        beside = elements(context, builder, sig, args, 1, args[3])
        total, _, bad = _float_sums(builder, pixel)

        def take(first: Value, stored: Value) -> None:
            values, strange = pixel.as_float64(builder, stored)
            factors = builder.bitcast(read(builder, beside, first, I64, pixel.count), values.type)
            total.add(builder.fmul(values, factors))
            if strange is not None:
                bad.add(builder.zext(strange, ir.VectorType(pixel.stored, pixel.count)))

        steps.each(take)
        return context.make_tuple(builder, result, (total.total(F64), bad.total(I64)))

    return signature, emit


def _float_sums(builder: Value, pixel: Pixel) -> tuple[Sum, Sum, Sum]:
    """Of values, of their moments, and of pixels that are not finite."""
    values = ir.VectorType(F64, pixel.count)
    return Sum(builder, values), Sum(builder, values), Sum(builder, ir.VectorType(pixel.stored, pixel.count))


def _unbiased(steps: Steps, total: Value, moment: Value) -> tuple[Value, Value]:
    """Sum and moment with what was taken off each pixel put back."""
    if not steps.pixel.is_biased:
        return total, moment
    builder, length = steps.builder, steps.length
    places = builder.mul(length, builder.sub(length, I64(1)))
    return (
        builder.add(total, builder.mul(length, I64(BIAS))),
        builder.add(moment, builder.mul(places, I64(BIAS // 2))),
    )
