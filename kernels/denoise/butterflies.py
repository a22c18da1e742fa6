"""Cosine transforms of 8, 16 and 32 values in LLVM's words: each value is a vector of lanes.

A DCT-II is one of half as many sums, and a DCT-IV of half as many differences: rotations, and two DCT-II of
half of it again (Plonka & Tasche, Linear Algebra Appl. 394 (2005) 309). 36, 100 and 252 operations, where
products with the matrix take 64, 256 and 1,024. All factors are cosines: what comes out is sqrt(n / 2) times
the orthonormal transform, in two dimensions n / 2 times, a power of two that is taken off at the end.
Knows no windows and no noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from ..vector import FLOATS, Value, pick_two

FUSED = ("contract",)
HALF = math.sqrt(0.5)


class Lanes:
    """Arithmetic on vectors of so many float32."""

    def __init__(self, builder: Value, count: int) -> None:
        self.builder, self.count = builder, count
        self.kind = ir.VectorType(FLOATS[32], count)

    def constant(self, *values: float) -> Value:
        """One for all lanes, or one for each."""
        return ir.Constant(self.kind, list(values) if len(values) > 1 else [values[0]] * self.count)

    def plus(self, left: Value, right: Value) -> Value:
        return self.builder.fadd(left, right, flags=FUSED)

    def minus(self, left: Value, right: Value) -> Value:
        return self.builder.fsub(left, right, flags=FUSED)

    def times(self, left: Value, right: Value | float) -> Value:
        factor = self.constant(right) if isinstance(right, float) else right
        return self.builder.fmul(left, factor, flags=FUSED)

    def weighed(self, values: Sequence[Value], factors: Sequence[float]) -> Value:
        """Sum of products."""
        total = self.times(values[0], factors[0])
        for value, factor in zip(values[1:], factors[1:], strict=True):
            total = self.plus(total, self.times(value, factor))
        return total

    def total(self, values: Value) -> Value:
        """Of all lanes, by halves."""
        while values.type.count > 1:
            half = values.type.count // 2
            low, high = (pick_two(self.builder, values, values, range(k, k + half)) for k in (0, half))
            values = self.builder.fadd(low, high)
        return self.builder.extract_element(values, ir.Constant(ir.IntType(32), 0))


def cosines(on: Lanes, values: Sequence[Value]) -> list[Value]:
    """DCT-II times sqrt(n / 2)."""
    mean, *others = _sums_of_cosines(on, values)
    return [on.times(mean, HALF), *others]


def values_of(on: Lanes, terms: Sequence[Value]) -> list[Value]:
    """The transpose of `cosines`: its inverse times n / 2."""
    return _sums_back(on, [on.times(terms[0], HALF), *terms[1:]])


def _sums_of_cosines(on: Lanes, values: Sequence[Value]) -> list[Value]:
    """Sums of values n times cos(pi k (2 n + 1) / 2 N), k < N."""
    if len(values) == 1:
        return list(values)
    sums, differences = _folded(on, values)
    found: list[Value] = [None] * len(values)
    found[::2], found[1::2] = _sums_of_cosines(on, sums), _sums_between(on, differences)
    return found


def _sums_back(on: Lanes, terms: Sequence[Value]) -> list[Value]:
    if len(terms) == 1:
        return list(terms)
    even, odd = _sums_back(on, terms[::2]), _sums_between(on, terms[1::2])
    near = [on.plus(a, b) for a, b in zip(even, odd, strict=True)]
    far = [on.minus(a, b) for a, b in zip(even, odd, strict=True)]
    return [*near, *far[::-1]]


def _folded(on: Lanes, values: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    half = len(values) // 2
    pairs = list(zip(values[:half], values[: half - 1 : -1], strict=True))
    return [on.plus(a, b) for a, b in pairs], [on.minus(a, b) for a, b in pairs]


def _sums_between(on: Lanes, values: Sequence[Value]) -> list[Value]:
    """Sums of values n times cos(pi (2 k + 1) (2 n + 1) / 4 N), k < N: its own transpose."""
    count = len(values)
    if count <= 4:
        places = range(1, 2 * count, 2)
        return [on.weighed(values, [math.cos(math.pi * k * n / (4 * count)) for n in places]) for k in places]
    first, second = [], []
    for n in range(count // 2):
        angle = math.pi * (2 * n + 1) / (4 * count)
        near, far, sign = values[n], values[count - 1 - n], (-1) ** n
        first.append(on.weighed((near, far), (math.cos(angle), math.sin(angle))))
        second.append(on.weighed((near, far), (-sign * math.sin(angle), sign * math.cos(angle))))
    above, below = _sums_of_cosines(on, first), _sums_of_cosines(on, second)
    found: list[Value] = [None] * count
    found[0], found[-1] = above[0], on.times(below[0], -1.0)
    for j in range(1, count // 2):
        found[2 * j] = on.plus(above[j], below[-j])
        found[2 * j - 1] = on.minus(above[j], below[-j])
    return found


def transposed(builder: Value, rows: Sequence[Value]) -> list[Value]:
    """As many vectors as they have lanes, rows for columns: lanes change places by ever larger halves."""
    count, rows = len(rows), list(rows)
    size = 1
    while size < count:
        low = [k if not k & size else count + k - size for k in range(count)]
        high = [k + size if not k & size else count + k for k in range(count)]
        changed: list[Any] = [None] * count
        for r in range(count):
            if not r & size:
                changed[r] = pick_two(builder, rows[r], rows[r + size], low)
                changed[r + size] = pick_two(builder, rows[r], rows[r + size], high)
        rows, size = changed, 2 * size
    return rows
