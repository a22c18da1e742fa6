"""Who is who: detections given to tracks so that the sum of the costs is least.

Each row (a track) takes one of the columns (detections) that it has a cost for, or none, which costs
``miss[row]``; no column is taken twice. The graph is sparse: a row of a matrix is a run of edges. The exact
answer comes from shortest augmenting paths (Jonker & Volgenant, Computing 38 (1987) 325; Crouse, IEEE Trans.
Aerosp. Electron. Syst. 52 (2016) 1679), each of which stays inside its connected component; components with
more than a given number of rows are joined greedily, by cost, so that time is bounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int32, int64, njit, void

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]

FREE = -1


@njit(int32(int32[::1], int32), nogil=True, cache=True)
def _root(parent: Any, node: Any) -> Any:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(int64(int64, int64, int32[::1], int32[::1], int32[::1], int32[::1]), nogil=True, cache=True)
def components(n: Any, m: Any, start: Any, column: Any, parent: Any, size: Any) -> Any:
    """Connected components of rows that compete for columns; returns the rows of the largest.

    Parameters
    ----------
    n, m : how many rows and columns.
    start : (n + 1,) edges of row i are ``start[i]:start[i + 1]``.
    column : (edges,).
    parent : (n + m,) filled: the component of row i, and at n + j of column j, is ``parent`` of it.
    size : (n + m,) filled: at a component, how many rows it has.
    """
    for node in range(n + m):
        parent[node] = node
        size[node] = 0
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            a, b = _root(parent, i), _root(parent, n + column[e])
            if a != b:
                parent[max(a, b)] = min(a, b)
    largest = 0
    for node in range(n + m):
        parent[node] = _root(parent, node)
        if node < n:
            size[parent[node]] += 1
            largest = max(largest, size[parent[node]])
    return largest


@njit(
    void(
        int64, int64, int64, int32[::1], int32[::1], float64[::1], float64[::1], int32[::1], int32[::1],
        float64[::1], float64[::1], float64[::1], int32[::1], int32[::1], boolean[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _augment(
    row: Any, n: Any, m: Any, start: Any, column: Any, cost: Any, miss: Any, taken: Any, owner: Any,
    u: Any, v: Any, way: Any, before: Any, touched: Any, settled: Any,
) -> Any:  # fmt: skip
    """Give ``row`` its place by the shortest augmenting path; column m + i is "none" of row i."""
    count, sink, i, reached = 0, -1, row, 0.0
    n_settled = 0
    while sink < 0:
        for e in range(start[i], start[i + 1] + 1):
            j = m + i if e == start[i + 1] else column[e]
            price = miss[i] if e == start[i + 1] else cost[e]
            length = reached + price - u[i] - v[j]
            if not settled[j] and length < way[j]:
                if way[j] == np.inf:
                    touched[count] = j
                    count += 1
                way[j] = length
                before[j] = i
        best, at = np.inf, -1
        for k in range(n_settled, count):
            j = touched[k]
            if way[j] < best or (way[j] == best and owner[j] == FREE):
                best, at = way[j], k
        j = touched[at]
        touched[at], touched[n_settled] = touched[n_settled], j
        settled[j] = True
        n_settled += 1
        reached = best
        if owner[j] == FREE:
            sink = j
        else:
            i = owner[j]
    u[row] += reached
    for k in range(n_settled):
        j = touched[k]
        if j != sink:
            u[owner[j]] += reached - way[j]
        v[j] -= reached - way[j]
    for k in range(count):
        way[touched[k]] = np.inf
        settled[touched[k]] = False
    j = sink
    while True:
        i = before[j]
        owner[j] = i
        j, taken[i] = taken[i], j
        if i == row:
            break


@njit(
    int64(
        int64, int32[::1], int32[::1], float64[::1], float64[::1], int64, int32[::1], int32[::1], int32[::1],
        int32[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _nearest_first(
    n: Any, start: Any, column: Any, cost: Any, miss: Any, cap: Any, parent: Any, size: Any, taken: Any,
    own: Any,
) -> Any:  # fmt: skip
    """Pairs of the components that are too large, the cheapest first."""
    count, rows = 0, 0
    for i in range(n):
        if size[parent[i]] > cap:
            rows += 1
            count += start[i + 1] - start[i]
    edges, row_of, prices = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count)
    k = 0
    for i in range(n):
        if size[parent[i]] > cap:
            for e in range(start[i], start[i + 1]):
                edges[k], row_of[k], prices[k] = e, i, cost[e] - miss[i]
                k += 1
    for k in np.argsort(prices, kind="mergesort"):
        if prices[k] >= 0:
            break
        i, j = row_of[k], column[edges[k]]
        if taken[i] == FREE and own[j] == FREE:
            taken[i], own[j] = j, i
    return rows


@njit(
    int64(
        int64, int64, int32[::1], int32[::1], float64[::1], float64[::1], int64, int32[::1], int32[::1]
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def assign(
    n: Any, m: Any, start: Any, column: Any, cost: Any, miss: Any, cap: Any, taken: Any, owner: Any
) -> Any:
    """Give columns to rows; returns how many rows were joined greedily, by being in too large a component.

    Parameters
    ----------
    n, m : how many rows and columns.
    start : (n + 1,) int32, edges of row i are ``start[i]:start[i + 1]``.
    column, cost : (edges,) columns of the edges and what each costs, >= 0 and finite.
    miss : (n,) what it costs to give a row nothing, >= 0.
    cap : rows of a component up to which the answer is the best there is.
    taken : (n,) int32, filled: the column of each row, or -1.
    owner : (m,) int32, filled: the row of each column, or -1.
    """
    parent, size = np.empty(n + m, np.int32), np.empty(n + m, np.int32)
    largest = components(n, m, start, column, parent, size)
    own = np.full(n + m, FREE, np.int32)
    u, v = np.zeros(n), np.zeros(n + m)
    way = np.full(n + m, np.inf)
    before, touched = np.empty(n + m, np.int32), np.empty(n + m, np.int32)
    settled = np.zeros(n + m, np.bool_)
    for i in range(n):
        taken[i] = FREE
    for i in range(n):
        if size[parent[i]] <= cap:
            _augment(i, n, m, start, column, cost, miss, taken, own, u, v, way, before, touched, settled)
    greedy = 0
    if largest > cap:
        greedy = _nearest_first(n, start, column, cost, miss, cap, parent, size, taken, own)
    for i in range(n):
        if taken[i] >= m:
            taken[i] = FREE
    owner[:m] = own[:m]
    return greedy
