"""Pairs of pixels, a row of vectors after the other: how much alike they are, and what each gives the other.

In LLVM's words: loops of numba that write to more than two arrays are not made of vectors, and a pair writes
to four places. The differences of three rows of patches stay in registers on the way down. All pairs of
256 x 256 pixels within 10 px: 5.5 ms, in loops 10.8. The vectors are portable (`kernels.vector`).
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vector import FLOATS, I64, Value, broadcast, elements, read, write

LANES = 16
"""Pixels of a step."""
DEEP = 2
"""Rows of partners that a step serves: 1 takes 6.9 ms, 3 and 4 as long as 2."""
FUSED = ("contract",)
VECTOR = ir.VectorType(FLOATS[32], LANES)


def _pairs(deep: int) -> Value:
    """An intrinsic for partners in so many rows."""

    @intrinsic
    def add(typingctx, planes, start, away, rows, scale):  # type: ignore[no-untyped-def]
        """Adds all pairs of ``LANES`` pixels in each of ``rows`` rows.

        Parameters
        ----------
        planes : (4, h, w) float32: what is averaged, what is compared, sums of values, sums of shares.
        start : flat index of the first pixel of a plane.
        away : flat distance of its first partner; others are below that one.
        scale : of squared differences of 3 x 3 pixels: where it makes 1 of them, the share is 0.
        """
        signature = types.void(planes, types.int64, types.int64, types.int64, types.float32)

        def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
            shape = cgutils.unpack_tuple(builder, context.make_array(planes)(context, builder, args[0]).shape)
            size, pitch = builder.mul(shape[1], shape[2]), shape[2]
            places = (builder.add(args[1], builder.mul(I64(k), size)) for k in range(4))
            pointers = [elements(context, builder, sig, args, 0, place) for place in places]
            aways = [builder.add(args[2], builder.mul(I64(k), pitch)) for k in range(deep)]
            _Walk(builder, pointers, pitch, aways, broadcast(builder, args[4], LANES)).down(args[3])
            return context.get_dummy_value()

        return signature, emit

    return add


add_pairs = _pairs(1)
add_deep_pairs = _pairs(DEEP)
"""The same for `DEEP` rows of partners; none of them in the pixels' own row."""


class _Walk:
    """Code for a column of steps."""

    def __init__(
        self, builder: Value, pointers: list[Value], pitch: Value, aways: list[Value], scale: Value
    ) -> None:
        self.builder, self._pitch, self._aways, self._scale = builder, pitch, aways, scale
        self._plane, self._guide, *self._sums = pointers

    def down(self, rows: Value) -> None:
        builder = self.builder
        above, middle = (
            [cgutils.alloca_once_value(builder, squares) for squares in self._squares(I64(row))]
            for row in (-1, 0)
        )
        with cgutils.for_range(builder, rows) as loop:
            below, shares = self._squares(builder.add(loop.index, I64(1))), []
            for upper, own, lower in zip(above, middle, below, strict=True):
                total = builder.fadd(builder.fadd(builder.load(upper), builder.load(own)), lower)
                builder.store(builder.load(own), upper)
                builder.store(lower, own)
                shares.append(self._share(total))
            self._meet(builder.mul(loop.index, self._pitch), shares)

    def _squares(self, row: Value) -> list[Value]:
        """Squared differences from each partner, summed over three neighbours of a row."""
        builder, place, found = self.builder, self.builder.mul(row, self._pitch), []
        near = [builder.add(place, I64(shift)) for shift in (-1, 0, 1)]
        own = [self._read(self._guide, at) for at in near]
        for away in self._aways:
            others = (self._read(self._guide, builder.add(at, away)) for at in near)
            off = [builder.fsub(mine, other) for mine, other in zip(own, others, strict=True)]
            total = builder.fmul(off[0], off[0])
            for one in off[1:]:
                total = self._plus_product(total, one, one)
            found.append(total)
        return found

    def _share(self, total: Value) -> Value:
        """Tukey's biweight."""
        builder, nothing = self.builder, ir.Constant(VECTOR, None)
        scaled = builder.fmul(self._scale, total, flags=FUSED)
        left = builder.fsub(ir.Constant(VECTOR, [1.0] * LANES), scaled, flags=FUSED)
        left = builder.select(builder.fcmp_ordered(">", left, nothing), left, nothing)
        return builder.fmul(left, left)

    def _meet(self, here: Value, shares: list[Value]) -> None:
        """What partners give to the pixels, then what these give to each: they may be partners themselves."""
        builder, (values, weights) = self.builder, self._sums
        theres = [builder.add(here, away) for away in self._aways]
        total, weight = self._read(values, here), self._read(weights, here)
        for there, share in zip(theres, shares, strict=True):
            total = self._plus_product(total, share, self._read(self._plane, there))
            weight = builder.fadd(weight, share)
        write(builder, values, here, total)
        write(builder, weights, here, weight)
        mine = self._read(self._plane, here)
        for there, share in zip(theres, shares, strict=True):
            given = self._plus_product(self._read(values, there), share, mine)
            write(builder, values, there, given)
            write(builder, weights, there, builder.fadd(self._read(weights, there), share))

    def _plus_product(self, total: Value, left: Value, right: Value) -> Value:
        return self.builder.fadd(total, self.builder.fmul(left, right, flags=FUSED), flags=FUSED)

    def _read(self, pointer: Value, place: Value) -> Value:
        return read(self.builder, pointer, place, FLOATS[32], LANES)
