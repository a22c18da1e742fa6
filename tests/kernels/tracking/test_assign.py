"""Who is who: the best assignment there is, small crowds exactly, large ones in bounded time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.tracking import reference_link
from livem.kernels.tracking.assign import assign, components
from livem.kernels.tracking.nearby import MOST, lay_out, nearest


def a_graph(
    rng: np.random.Generator, n: int, m: int, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    chosen = rng.random((n, m)) < share
    start = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    column = np.nonzero(chosen)[1].astype(np.int32)
    return start, column, rng.uniform(0, 10, len(column)), rng.uniform(3, 8, n)


def assigned(start, column, cost, miss, m: int, cap: int = 1000):
    taken, owner = np.empty(len(miss), np.int32), np.empty(m, np.int32)
    greedy = assign(len(miss), m, start, column, cost, miss, cap, taken, owner)
    return taken, owner, greedy


def price_of(taken, start, column, cost, miss) -> float:
    total = 0.0
    for i, j in enumerate(taken.tolist()):
        edges = range(start[i], start[i + 1])
        total += miss[i] if j < 0 else next(cost[e] for e in edges if column[e] == j)
    return total


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 12), m=st.integers(0, 12), share=st.floats(0, 1))
def test_the_sum_of_costs_is_the_least(seed: int, n: int, m: int, share: float) -> None:
    graph = a_graph(np.random.default_rng(seed), n, m, share)
    taken, owner, greedy = assigned(*graph, m)
    expected, price = reference_link.assigned(*graph, m)
    assert greedy == 0
    np.testing.assert_allclose(price_of(taken, *graph), price)
    np.testing.assert_array_equal(taken, expected)
    for j, i in enumerate(owner.tolist()):
        assert (i >= 0) == (j in taken)
        assert i < 0 or taken[i] == j


def test_equal_costs_are_shared_out_to_as_many_as_there_are() -> None:
    n = 6
    start = np.arange(0, n * n + 1, n, dtype=np.int32)
    column = np.tile(np.arange(n, dtype=np.int32), n)
    taken, _, _ = assigned(start, column, np.ones(n * n), np.full(n, 5.0), n)
    assert sorted(taken.tolist()) == list(range(n))


def test_crowds_above_the_cap_are_joined_nearest_first_and_counted() -> None:
    rng = np.random.default_rng(3)
    graph = a_graph(rng, 40, 40, 0.5)
    taken, owner, greedy = assigned(*graph, 40, cap=10)
    assert greedy == 40
    given_away = taken[taken >= 0]
    assert len(set(given_away.tolist())) == len(given_away) > 30
    best = reference_link.assigned(*graph, 40)[1]
    assert best <= price_of(taken, *graph) < 1.5 * best
    assert (owner >= 0).sum() == len(given_away)


def test_components_are_those_that_compete() -> None:
    start = np.array([0, 1, 3, 4], np.int32)
    column = np.array([0, 0, 1, 2], np.int32)
    parent, size = np.empty(6, np.int32), np.empty(6, np.int32)
    assert components(3, 3, start, column, parent, size) == 2
    assert parent[0] == parent[1] == parent[3] == parent[4] != parent[2] == parent[5]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 200), reach=st.floats(0.5, 60), side=st.floats(0.5, 30))
def test_the_nearest_are_found_whatever_the_grid(seed: int, n: int, reach: float, side: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 50, (n, 2))
    y, x = points.T.copy()
    grid, first, order = np.empty(5), np.empty(257, np.int32), np.empty(n, np.int32)
    lay_out(y, x, side, grid, first, order)
    assert sorted(order.tolist()) == list(range(n))
    near, square = np.empty(MOST, np.int32), np.empty(MOST)
    for place in rng.uniform(-60, 90, (10, 2)):
        count = nearest(place[0], place[1], reach, y, x, grid, first, order, near, square)
        expected, distances = reference_link.nearest(place, points, reach, MOST)
        np.testing.assert_array_equal(near[:count], expected)
        np.testing.assert_allclose(square[:count], distances)
