"""Bits of many words added place by place, as vectors: the inner step of first moments.

LLVM makes no vectors of such a loop by itself (it stores what it carries, and cannot see that this is neither
plane nor mask), and bit by bit it took three times as long as all detectors together. Knows words only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector import I64, load, store

LANES = 8
"""Words of a vector: what is carried of one plane are 3 x LANES of them."""
PLACES = (
    0xAAAAAAAAAAAAAAAA,
    0xCCCCCCCCCCCCCCCC,
    0xF0F0F0F0F0F0F0F0,
    0xFF00FF00FF00FF00,
    0xFFFF0000FFFF0000,
    0xFFFFFFFF00000000,
)
"""The pixels of a word whose place in it has bit k set."""
EIGHT_BYTES = 8


def _splat(lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(I64, lanes), [value] * lanes)


def _called(builder: Any, name: str, result: Any, value: Any) -> Any:
    """An LLVM intrinsic of one vector; ``name`` without the vector's own."""
    lanes = value.type.count
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, [value.type]), f"{name}.v{lanes}i64"
    )
    return builder.call(function, [value])


def _popcounts(builder: Any, value: Any) -> Any:
    return _called(builder, "llvm.ctpop", value.type, value)


def _total(builder: Any, value: Any) -> Any:
    """Sum of a vector's words."""
    return _called(builder, "llvm.vector.reduce.add", I64, value)


def _add_bits(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Sum of three bits at each place, and what is carried: a full adder."""
    either = builder.xor(a, b)
    return builder.xor(either, c), builder.or_(builder.and_(a, b), builder.and_(either, c))


def _places(builder: Any, bits: Any) -> Any:
    """Of each word, the sum of the places that are set in it."""
    lanes = bits.type.count
    places = _splat(lanes, 0)
    for k, mask in enumerate(PLACES):
        found = _popcounts(builder, builder.and_(bits, _splat(lanes, mask)))
        places = builder.add(places, builder.shl(found, _splat(lanes, k)))
    return places


def _at(builder: Any, base: Any, words: int) -> Any:
    return builder.add(base, ir.Constant(I64, EIGHT_BYTES * words))


def _masked(builder: Any, plane: Any, inside: Any, lanes: int) -> list[Any]:
    """Eight vectors of ``lanes`` words of a plane, only the pixels inside."""
    kind = ir.VectorType(I64, lanes)
    return [
        builder.and_(
            load(builder, _at(builder, plane, k * lanes), kind),
            load(builder, _at(builder, inside, k * lanes), kind),
        )
        for k in range(8)
    ]


def _count_words(builder: Any, vectors: list[Any], weight: Any, counts: Any) -> None:
    """Add each word's set bits, ``weight`` times, to ``counts``."""
    kind = vectors[0].type
    factor = _splat(kind.count, 0)
    for lane in range(kind.count):
        factor = builder.insert_element(factor, weight, ir.Constant(ir.IntType(32), lane))
    for k, bits in enumerate(vectors):
        at = _at(builder, counts, k * kind.count)
        found = builder.mul(_popcounts(builder, bits), factor)
        store(builder, at, builder.add(load(builder, at, kind), found))


def _carry(builder: Any, vectors: list[Any], carries: Any) -> Any:
    """Add eight vectors to what is carried; the bits, worth eight, that are carried no further."""
    kind = vectors[0].type
    ones, twos, fours = (load(builder, _at(builder, carries, LANES * k), kind) for k in range(3))
    into_fours = []
    for k in (0, 4):
        ones, low = _add_bits(builder, ones, vectors[k], vectors[k + 1])
        ones, high = _add_bits(builder, ones, vectors[k + 2], vectors[k + 3])
        twos, four = _add_bits(builder, twos, low, high)
        into_fours.append(four)
    fours, eights = _add_bits(builder, fours, *into_fours)
    for k, value in enumerate((ones, twos, fours)):
        store(builder, _at(builder, carries, LANES * k), value)
    return eights


def _plane_adder(lanes: int) -> Any:
    def added(
        _typing: Any, plane: types.Type, inside: types.Type, weight: types.Type, counts: Any, carries: Any
    ) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            plane, inside, weight, counts, carries = args
            vectors = _masked(builder, plane, inside, lanes)
            _count_words(builder, vectors, weight, counts)
            places = _total(builder, _places(builder, _carry(builder, vectors, carries)))
            return builder.shl(places, ir.Constant(I64, 3))

        address = types.int64
        return types.int64(address, address, types.int64, address, address), generate

    return intrinsic(added)


add_plane_64 = _plane_adder(8)
"""Add 64 masked words of a plane to what is carried of it; addresses of the plane, the mask, 64 counts and
3 x LANES carried words. To the counts goes each word's number of set bits, ``weight`` times. Returns the sum
of the set pixels' places in their words, not weighted, without the places that stay carried.

Eight words are added bit by bit to what is carried (Harley and Seal; Warren, Hacker's Delight, 2nd ed.,
section 5-1): of eight words one, worth eight, is left to be counted, and counting takes four times as long
as adding."""
add_plane_32 = _plane_adder(4)
"""The same of 32 words."""


@intrinsic
def carried_places(_typing: Any, carries: types.Type) -> Any:
    """Sum of the places that are carried of a plane, each as often as it is worth."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind, total = ir.VectorType(I64, LANES), _splat(LANES, 0)
        for k in range(3):
            places = _places(builder, load(builder, _at(builder, args[0], LANES * k), kind))
            total = builder.add(total, builder.shl(places, _splat(LANES, k)))
        return _total(builder, total)

    return types.int64(types.int64), generate
