"""Vectors of pixels in LLVM's words, for intrinsics that numba's own loops do not give.

Numba promotes the sum of two 32-bit integers to 64 bit, so that a plain loop over 16-bit pixels adds four at
a time; with 32-bit lanes written down the kernels are about three times faster. These are portable vectors
of `STEP_BYTES`, cut by LLVM into whatever the machine has (SSE2, AVX2, AVX-512, NEON): no result depends on
it. Knows pixels of one run of memory; rows, regions and frames are the kernels'.

Numba's cache knows the files of the kernels only: after a change here, their caches are stale until touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils

STEP_BYTES = 64

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F64 = ir.DoubleType()
FLOATS = {32: ir.FloatType(), 64: F64}
BIAS = 32_768
"""Taken off uint16 pixels, so that they fit the signed factors of a product."""
Value: TypeAlias = Any
"""Of llvmlite and numba, which are not typed."""


class Pixel:
    """How pixels of one type are laid into lanes."""

    def __init__(self, dtype: Any) -> None:
        self.is_float = isinstance(dtype, types.Float)
        self.is_signed = self.is_float or dtype.signed
        self.stored = ir.IntType(dtype.bitwidth)
        self.count = STEP_BYTES * 8 // self.stored.width
        """Pixels of a step."""
        self.is_narrow = not self.is_float and self.stored.width <= 16
        self.is_biased = self.stored.width == 16 and not self.is_signed

    @property
    def sums(self) -> Value:
        """Lanes that hold sums: 32 bits, a lane for two pixels, where pixels are narrow."""
        return ir.VectorType(I32, self.count // 2) if self.is_narrow else ir.VectorType(I64, self.count)

    def widened(self, builder: Value, values: Value) -> Value:
        """Stored integers as int16 where narrow (uint16 less `BIAS`), else as int64."""
        if self.is_biased:
            return builder.xor(values, ir.Constant(values.type, [-BIAS] * self.count))
        return self._extended(builder, values, I16 if self.is_narrow else I64)

    def as_int64(self, builder: Value, stored: Value) -> Value:
        """Stored integers in lanes of 64 bits."""
        return self._extended(builder, stored, I64)

    def times(self, builder: Value, values: Value, factors: Value) -> Value:
        """Products of `widened` pixels with integers; narrow ones with int16, and summed in pairs.

        x86 has one instruction for the sum of two products (vpmaddwd, or vpdpwssd with the sum over steps).
        """
        if not self.is_narrow:
            return builder.mul(values, extended(builder, factors, I64))
        products = builder.mul(extended(builder, values, I32), extended(builder, factors, I32))
        even, odd = (pick(builder, products, range(k, self.count, 2)) for k in (0, 1))
        return builder.add(even, odd)

    def as_float64(self, builder: Value, stored: Value) -> tuple[Value, Value | None]:
        """Float64 with 0 for what is not finite, and a mask of those; None for integers."""
        wide = ir.VectorType(F64, self.count)
        if not self.is_float:
            values = self._extended(builder, stored, I32) if self.is_narrow else stored
            signed = self.is_narrow or self.is_signed
            return (builder.sitofp if signed else builder.uitofp)(values, wide), None
        values = builder.bitcast(stored, ir.VectorType(FLOATS[self.stored.width], self.count))
        nothing = ir.Constant(values.type, None)
        strange = builder.fcmp_unordered("une", builder.fsub(values, values), nothing)
        kept = builder.select(strange, nothing, values)
        return (kept if kept.type == wide else builder.fpext(kept, wide)), strange

    def _extended(self, builder: Value, values: Value, element: Value) -> Value:
        return extended(builder, values, element, self.is_signed)


class Steps:
    """A run of pixels while code for it is written: whole steps, then the rest as a step that ends with it.

    Nothing behind the run is read, and up to a step before it: the run has to end so far behind the start of
    the array.
    """

    def __init__(
        self, builder: Value, pixel: Pixel, pixels: Value, length: Value, widens: bool = False
    ) -> None:
        self.builder, self.pixel, self.length = builder, pixel, length
        self._outside = BIAS if widens and pixel.is_biased else 0
        self._pixels = builder.bitcast(pixels, pixel.stored.as_pointer())

    def each(self, take: Callable[[Value, Value], None], keep: Value = None, holes: Value = None) -> None:
        """``take`` writes code for one step, from its first pixel's place in the run and its stored pixels.

        Pixels before the run are 0 (or what `Pixel.widened` makes 0, if the steps are for that), and so are,
        where ``holes`` is true, those that have a 0 in ``keep`` (int8, else -1).
        """
        builder, count = self.builder, I64(self.pixel.count)
        whole = builder.mul(builder.udiv(self.length, count), count)
        with cgutils.for_range(builder, builder.udiv(self.length, count)) as loop:
            first = builder.mul(loop.index, count)
            take(first, self._kept(first, keep, holes))
        with builder.if_then(builder.icmp_unsigned("!=", whole, self.length)):
            first = builder.sub(self.length, count)
            take(first, self._from(builder.sub(whole, first), self._kept(first, keep, holes)))

    def _kept(self, first: Value, keep: Value, holes: Value) -> Value:
        builder, count = self.builder, self.pixel.count
        values = read(builder, self._pixels, first, self.pixel.stored, count)
        if keep is None:
            return values
        before = builder.block
        with builder.if_then(holes):
            mask = extended(builder, read(builder, keep, first, I8, count), values.type.element)
            masked = builder.and_(values, mask)
            inside = builder.block
        chosen = builder.phi(values.type)
        chosen.add_incoming(values, before)
        chosen.add_incoming(masked, inside)
        return chosen

    def _from(self, lane: Value, values: Value) -> Value:
        """Nothing in the lanes before this one."""
        count = values.type.count
        numbers = ir.Constant(ir.VectorType(I16, count), list(range(count)))
        limit = broadcast(self.builder, self.builder.trunc(lane, I16), count)
        counted = self.builder.icmp_signed(">=", numbers, limit)
        return self.builder.select(counted, values, ir.Constant(values.type, [self._outside] * count))


class Sum:
    """A vector that steps add to."""

    def __init__(self, builder: Value, kind: Value) -> None:
        self.builder = builder
        self._place = cgutils.alloca_once_value(builder, ir.Constant(kind, None))

    def add(self, values: Value) -> None:
        known = self.builder.load(self._place)
        self.builder.store(_added(self.builder, known, values), self._place)

    def total(self, element: Value, widens: bool = False) -> Value:
        """All lanes as one ``element``, by halves: floats in one order on every machine.

        Lanes of 32 bits are added as such, unless ``widens``: for totals that need more.
        """
        builder, values = self.builder, self.builder.load(self._place)
        if widens:
            values = extended(builder, values, element)
        while values.type.count > 1:
            half = values.type.count // 2
            low, high = (pick(builder, values, range(k, k + half)) for k in (0, half))
            values = _added(builder, low, high)
        total = builder.extract_element(values, I32(0))
        return total if total.type == element else builder.sext(total, element)


def elements(context: Value, builder: Value, sig: Value, args: Value, number: int, first: Value) -> Value:
    """Pointer to the element ``first`` (flat index) of an array among the arguments of an intrinsic."""
    array = context.make_array(sig.args[number])(context, builder, value=args[number])
    return builder.gep(array.data, [first])


def read(builder: Value, array: Value, index: Value, element: Value, count: int) -> Value:
    """``count`` elements from ``index`` on as a vector, however they lie."""
    place = builder.bitcast(builder.gep(array, [index]), ir.VectorType(element, count).as_pointer())
    return builder.load(place, align=1)


def write(builder: Value, array: Value, index: Value, values: Value) -> None:
    """The inverse of `read`."""
    place = builder.bitcast(builder.gep(array, [index]), values.type.as_pointer())
    builder.store(values, place, align=1)


def extended(builder: Value, values: Value, element: Value, signed: bool = True) -> Value:
    """Integers in lanes of another width, at least as wide."""
    if values.type.element == element:
        return values
    return (builder.sext if signed else builder.zext)(values, ir.VectorType(element, values.type.count))


def broadcast(builder: Value, value: Value, count: int) -> Value:
    """The same in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    return pick(builder, builder.insert_element(nothing, value, I32(0)), [0] * count)


def pick(builder: Value, values: Value, lanes: Sequence[int]) -> Value:
    """Chosen lanes of a vector."""
    return pick_two(builder, values, ir.Constant(values.type, ir.Undefined), lanes)


def pick_two(builder: Value, first: Value, second: Value, lanes: Sequence[int]) -> Value:
    """Chosen lanes of two vectors, those of the second numbered after the first's."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))


def _added(builder: Value, left: Value, right: Value) -> Value:
    return builder.fadd(left, right) if left.type.element == F64 else builder.add(left, right)
