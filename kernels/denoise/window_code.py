"""Code for overlapping windows in cosines: a strip's columns there and back, and what happens to a window.

In LLVM's words, since a window stays in registers that way, from its cosines to its weighed values: a quarter
of the time of loops over memory. What a strip has for each place x and vertical frequency is next to each
other, and is the lanes of everything along x. Windows have 8, 16 or 32 px a side. Knows no frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vector import FLOATS, I64, Value, broadcast, elements, read, write
from .butterflies import Lanes, cosines, transposed, values_of

SIDES = (8, 16, 32)
MOST_LANES = 16
"""Columns that are transformed together; also what planes are padded to."""
FLOAT = FLOATS[32]
MOST_POWER = 1e9
"""Of a cosine of the pilot: its share is 1 from there on, and four of them fit float32 when multiplied."""


def lanes_of(side: int) -> int:
    """Lanes of vectors for windows of a side."""
    return min(side, MOST_LANES)


def _of_side(builder: Value, side: Value, emit: Callable[[int], None]) -> None:
    """Code for each side that there may be, of which one runs."""
    for one in SIDES:
        with builder.if_then(builder.icmp_signed("==", side, I64(one))):
            emit(one)


def _shape(context: Value, builder: Value, sig: Value, args: Value, number: int) -> list[Value]:
    array = context.make_array(sig.args[number])(context, builder, args[number])
    return list(cgutils.unpack_tuple(builder, array.shape))


@intrinsic
def add_cosines(typingctx, plane, top, columns):  # type: ignore[no-untyped-def]
    """Vertical cosines of the strip from row ``top`` on, n of them for each column.

    Parameters
    ----------
    plane : (h, w) float32, w a multiple of `MOST_LANES`.
    columns : (w, n) float32, n one of `SIDES`; written.
    """
    signature = types.void(plane, types.int64, columns)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        pitch = _shape(context, builder, sig, args, 0)[1]
        strip = elements(context, builder, sig, args, 0, builder.mul(args[1], pitch))
        found = elements(context, builder, sig, args, 2, I64(0))
        side = _shape(context, builder, sig, args, 2)[1]
        _of_side(builder, side, lambda one: _Strip(builder, one, strip, pitch).down(found))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def add_values(typingctx, columns, taper, plane, top):  # type: ignore[no-untyped-def]
    """The way back: values of a strip, each row times its ``taper`` (n), are added to the plane."""
    signature = types.void(columns, taper, plane, types.int64)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        pitch = _shape(context, builder, sig, args, 2)[1]
        terms, factors = (elements(context, builder, sig, args, k, I64(0)) for k in (0, 1))
        strip = elements(context, builder, sig, args, 2, builder.mul(args[3], pitch))
        side = _shape(context, builder, sig, args, 0)[1]
        _of_side(builder, side, lambda one: _Strip(builder, one, strip, pitch).up(terms, factors))
        return context.get_dummy_value()

    return signature, emit


class _Strip:
    """As many rows of a plane as windows have, `lanes_of` columns at a time."""

    def __init__(self, builder: Value, side: int, rows: Value, pitch: Value) -> None:
        self.builder, self._side, self._rows, self._pitch = builder, side, rows, pitch
        self._on = Lanes(builder, lanes_of(side))

    def _each(self, take: Callable[[Value], None]) -> None:
        count = I64(self._on.count)
        with cgutils.for_range(self.builder, self.builder.udiv(self._pitch, count)) as loop:
            take(self.builder.mul(loop.index, count))

    def _row(self, row: int, first: Value) -> Value:
        return self.builder.add(first, self.builder.mul(self._pitch, I64(row)))

    def _place(self, first: Value, column: int, part: int) -> Value:
        """Of a column's frequencies."""
        place = self.builder.mul(self.builder.add(first, I64(column)), I64(self._side))
        return self.builder.add(place, I64(part))

    def down(self, found: Value) -> None:
        builder, count = self.builder, self._on.count

        def take(first: Value) -> None:
            rows = (self._row(row, first) for row in range(self._side))
            terms = cosines(self._on, [read(builder, self._rows, row, FLOAT, count) for row in rows])
            for part in range(0, self._side, count):
                for column, values in enumerate(transposed(builder, terms[part : part + count])):
                    write(builder, found, self._place(first, column, part), values)

        self._each(take)

    def up(self, columns: Value, taper: Value) -> None:
        builder, on = self.builder, self._on

        def take(first: Value) -> None:
            terms: list[Value] = []
            for part in range(0, self._side, on.count):
                places = (self._place(first, column, part) for column in range(on.count))
                terms += transposed(builder, [read(builder, columns, at, FLOAT, on.count) for at in places])
            for row, values in enumerate(values_of(on, terms)):
                place = self._row(row, first)
                share = broadcast(builder, builder.load(builder.gep(taper, [I64(row)])), on.count)
                known = read(builder, self._rows, place, FLOAT, on.count)
                write(builder, self._rows, place, on.plus(known, on.times(values, share)))

        self._each(take)


@intrinsic
def cut_window(typingctx, layers, left, noise, threshold, floor, taper, added, told):  # type: ignore[no-untyped-def]
    """One window's cosines above ``threshold`` times the noise, added up over layers, to ``added``.

    Parameters
    ----------
    layers : (k, w, n) float32 columns of `add_cosines`. The last holds the mean, which always stays.
    left : first column of the window, of layers and ``added``.
    noise : (k,) float32, standard deviation in each layer.
    floor : what is added to the variance that is left, before its inverse is the window's weight.
    taper : (n,) float32, weight of the window's columns.
    added : (w, n) float32, weighted values.
    told : (w, 2) float32; row ``left`` becomes the weight, and the variance left in a pixel.
    """
    signature = types.void(layers, types.int64, noise, types.float32, types.float32, taper, added, told)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = _Call.of(context, builder, sig, args, args[1], (0, 2, 5, 6, 7))
        _of_side(builder, call.side, lambda one: _Window(builder, one, call, args[4]).cut(args[3]))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def weigh_window(typingctx, layers, pilots, left, noise, squares, floor, taper, added, told):  # type: ignore[no-untyped-def]
    """As `cut_window`, but cosines times p^2 / (p^2 + noise^2), p those of ``pilots``, which are like layers.

    ``squares``: the window's weight is by the sum of the factors' squares, else by that of the factors.
    """
    signature = types.void(
        layers, pilots, types.int64, noise, types.boolean, types.float32, taper, added, told
    )

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = _Call.of(context, builder, sig, args, args[2], (0, 3, 6, 7, 8))
        pilots = elements(context, builder, sig, args, 1, I64(0))
        _of_side(builder, call.side, lambda one: _Window(builder, one, call, args[5]).weigh(pilots, args[4]))
        return context.get_dummy_value()

    return signature, emit


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """What both have: pointers, and the window's place."""

    count: Value
    """Layers."""
    width: Value
    side: Value
    left: Value
    layers: Value
    noise: Value
    taper: Value
    added: Value
    told: Value

    @classmethod
    def of(
        cls, context: Value, builder: Value, sig: Value, args: Value, left: Value, at: tuple[int, ...]
    ) -> _Call:
        pointers = [elements(context, builder, sig, args, number, I64(0)) for number in at]
        layers, noise, taper, added, told = pointers
        count, width, side = _shape(context, builder, sig, args, 0)
        return cls(count, width, side, left, layers, noise, taper, added, told)


class _Window:
    """Code for one window."""

    def __init__(self, builder: Value, side: int, call: _Call, floor: Value) -> None:
        self.builder, self._side, self._call, self._floor = builder, side, call, floor
        self._on = Lanes(builder, lanes_of(side))
        nothing = self._on.constant(0.0)

        def zeros(count: int) -> list[Value]:
            places = [cgutils.alloca_once(builder, self._on.kind) for _ in range(count)]
            for place in places:
                builder.store(nothing, place)
            return places

        self._totals = [zeros(side) for _ in range(side // self._on.count)]
        self._shares, self._squares = zeros(2)

    def cut(self, threshold: Value) -> None:
        on, builder = self._on, self.builder

        def shares(layer: Value, part: int, terms: list[Value], variance: Value) -> list[Value]:
            sigma = builder.load(builder.gep(self._call.noise, [layer]))
            bound = builder.fmul(builder.fmul(threshold, sigma), ir.Constant(FLOAT, self._side / 2))
            wide = broadcast(builder, bound, on.count)
            stay = (builder.fcmp_ordered(">", self._size(term), wide) for term in terms)
            return [builder.select(one, on.constant(1.0), on.constant(0.0)) for one in stay]

        self._each_layer(shares)
        self._finish(builder.load(self._shares))

    def weigh(self, pilots: Value, squares: Value) -> None:
        on, builder = self._on, self.builder

        def shares(layer: Value, part: int, terms: list[Value], variance: Value) -> list[Value]:
            guide = self._terms(pilots, layer, part)
            scaled = builder.fmul(variance, ir.Constant(FLOAT, self._side**2 / 4))
            return _shares(on, guide, broadcast(builder, scaled, on.count))

        self._each_layer(shares)
        self._finish(builder.select(squares, builder.load(self._squares), builder.load(self._shares)))

    def _each_layer(self, shares: Callable[[Value, int, list[Value], Value], list[Value]]) -> None:
        """Add each layer's terms times its shares to the totals; the variance that they leave."""
        on, builder, call = self._on, self.builder, self._call
        last = builder.sub(call.count, I64(1))
        with cgutils.for_range(builder, call.count) as loop:
            sigma = builder.load(builder.gep(call.noise, [loop.index]))
            variance = builder.fmul(sigma, sigma)
            is_last = builder.icmp_signed("==", loop.index, last)
            kept = shared = on.constant(0.0)
            for part, totals in enumerate(self._totals):
                terms = self._terms(call.layers, loop.index, part)
                found = shares(loop.index, part, terms, variance)
                if part == 0:
                    found[0] = builder.select(self._mean(is_last), on.constant(1.0), found[0])
                for total, term, share in zip(totals, terms, found, strict=True):
                    builder.store(on.plus(builder.load(total), on.times(term, share)), total)
                    kept, shared = on.plus(kept, share), on.plus(shared, on.times(share, share))
            wide = broadcast(builder, variance, on.count)
            for place, sums in ((self._shares, kept), (self._squares, shared)):
                builder.store(on.plus(builder.load(place), on.times(sums, wide)), place)

    def _finish(self, left: Value) -> None:
        """Add the totals, back in values, by taper and weight; tell weight and variance."""
        on, builder, call, side = self._on, self.builder, self._call, self._side
        one = ir.Constant(FLOAT, 1.0)
        weight = builder.fdiv(one, builder.fadd(on.total(left), self._floor))
        variance = on.total(builder.load(self._shares))
        row = builder.mul(call.left, I64(2))
        builder.store(weight, builder.gep(call.told, [row]))
        each = builder.fmul(variance, ir.Constant(FLOAT, 1 / side**2))
        builder.store(each, builder.gep(call.told, [builder.add(row, I64(1))]))
        scaled = builder.fmul(weight, ir.Constant(FLOAT, 4 / side**2))
        first = builder.mul(call.left, I64(side))
        for part, totals in enumerate(self._totals):
            for column, values in enumerate(values_of(on, [builder.load(total) for total in totals])):
                place = builder.add(first, I64(column * side + part * on.count))
                factor = builder.fmul(builder.load(builder.gep(call.taper, [I64(column)])), scaled)
                known = read(builder, call.added, place, FLOAT, on.count)
                given = on.times(values, broadcast(builder, factor, on.count))
                write(builder, call.added, place, on.plus(known, given))

    def _terms(self, columns: Value, layer: Value, part: int) -> list[Value]:
        builder, call, count = self.builder, self._call, self._on.count
        column = builder.add(builder.mul(layer, call.width), call.left)
        first = builder.mul(column, I64(self._side))
        places = (builder.add(first, I64(k * self._side + part * count)) for k in range(self._side))
        return cosines(self._on, [read(builder, columns, place, FLOAT, count) for place in places])

    def _mean(self, is_last: Value) -> Value:
        """True in the lane of the window's mean."""
        count = self._on.count
        first = ir.Constant(ir.VectorType(ir.IntType(1), count), [1] + [0] * (count - 1))
        return self.builder.and_(first, broadcast(self.builder, is_last, count))

    def _size(self, values: Value) -> Value:
        """Without sign."""
        negative = self._on.times(values, -1.0)
        return self.builder.select(self.builder.fcmp_ordered("<", values, negative), negative, values)


def _shares(on: Lanes, guide: list[Value], noise: Value) -> list[Value]:
    """Wiener factors; four by one division, which takes longer than all else."""
    builder, most, found = on.builder, on.constant(MOST_POWER), list[Value]()
    for k in range(0, len(guide), 4):
        powers = [builder.fmul(one, one) for one in guide[k : k + 4]]
        powers = [builder.select(builder.fcmp_ordered("<", one, most), one, most) for one in powers]
        a, b, c, d = (builder.fadd(one, noise) for one in powers)
        left, right = builder.fmul(a, b), builder.fmul(c, d)
        inverse = builder.fdiv(on.constant(1.0), builder.fmul(left, right))
        of_left, of_right = builder.fmul(inverse, right), builder.fmul(inverse, left)
        pairs = ((of_left, b), (of_left, a), (of_right, d), (of_right, c))
        found += [builder.fmul(p, builder.fmul(x, y)) for p, (x, y) in zip(powers, pairs, strict=True)]
    return found
