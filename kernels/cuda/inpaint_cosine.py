"""Sparse cosines on a CUDA device: the objective of `kernels.inpaint.cosine`, by transforms of whole tiles.

The processor evaluates its series at the samples alone, by small products of matrices; a device has the
transform of a tile faster than it could gather those. Everything else is the same: tiles, kept frequencies,
thresholds, and FISTA with restarts; the step alone is the safe one (the curvature's bound, 1), since to find
a longer one would be a wait an iteration. So it takes more iterations to the same image.

Written in terms of an array namespace and of a module with ``dctn`` and ``idctn``: cupy and
cupyx.scipy.fft, or numpy and scipy.fft. Knows no consumer.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np

from ..inpaint.arguments import check_problem, usable_weight
from ..inpaint.cosine import EASE, EASED, MOST_DOSE, SparseCosines
from ..inpaint.cosine_problem import Field, Level, Report
from ..inpaint.solution import Budget, Image, Solution, Weight
from ..inpaint.tiles import cut_into_tiles

COLD = Budget(iterations=240)
LOOK = 8
"""Iterations between two looks at the change, each of which waits for the device."""


class CupyCosines:
    """The solver; see the module and `SparseCosines`, whose strengths it has.

    Parameters
    ----------
    xp, fft : the namespaces; default: cupy and cupyx.scipy.fft, which have to be installed.

    Raises
    ------
    ImportError
        They are not.
    """

    name = "sparse cosines"
    version = SparseCosines().version
    warm = True

    def __init__(self, xp: Any = None, fft: Any = None) -> None:
        self._xp = import_module("cupy") if xp is None else xp
        self._fft = import_module("cupyx.scipy.fft") if fft is None else fft

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `SparseCosines.solve`; the budget's time is looked at every `LOOK` iterations."""
        check_problem(data, weight, start, strength)
        weight = usable_weight(data, weight)
        known = weight > 0
        if not known.any():
            return Solution(np.full_like(data, np.nan), 0, math.nan, False)
        report = Report(COLD if budget is None else budget)
        levels = [Level.of(values[known], weight[known], strength) for values in data]
        weight = np.minimum(weight, np.float32(MOST_DOSE * weight[known].mean()))
        image, tiles = np.zeros_like(data), cut_into_tiles(*known.shape)
        for i, tile in enumerate(tiles):
            for c, level in enumerate(levels):
                before = None if start is None else start[c][tile.place]
                report.share_time((len(tiles) - i) * len(data) - c)
                image[c][tile.place] += tile.share * self._tile(
                    weight[tile.place], data[c][tile.place], level, before, report
                )
        if strength == 0:
            np.copyto(image, data, where=known)
        return report.solution(image)

    def _tile(self, weight: Weight, data: Image, level: Level, start: Image | None, report: Report) -> Any:
        """Image of a tile; the mean where it has no samples or all are equal."""
        if not weight.any() or not level.spread:
            return np.full_like(data, level.mean)
        field, known = Field(weight), weight > 0
        target = np.zeros_like(data)
        target[known] = level.measured(data[known])
        before = None if start is None else level.measured(start)
        weights = weight / np.float32(field.visits)
        descent = _Descent(self._xp, self._fft, weights, target, field.threshold(level.unit), before)
        iterations, change = 0, math.inf
        while iterations < report.budget.iterations and not report.clock.over:
            for _ in range(min(LOOK, report.budget.iterations - iterations)):
                descent.step(EASE ** max(0.0, 1 - iterations / EASED) if start is None else 1.0)
                iterations += 1
            change = float(descent.change)
            if change <= report.budget.tolerance and (start is not None or iterations > EASED):
                break
        report.add(iterations, change)
        return self._host(descent.values) * np.float32(level.spread) + level.mean

    def _host(self, array: Any) -> Any:
        return array if isinstance(array, np.ndarray) else self._xp.asnumpy(array)


class _Descent:
    """FISTA on one channel of one tile; nothing comes back to the host but `change`, when it is asked for."""

    def __init__(self, xp: Any, fft: Any, weight: Any, target: Any, threshold: Any, start: Any) -> None:
        self._xp, self._fft = xp, fft
        self._weight, self._target, self._threshold = (xp.asarray(a) for a in (weight, target, threshold))
        self._found = xp.zeros_like(self._threshold)
        if start is not None:
            self._found = self._spectrum(xp.asarray(start))
        self._ahead = self._found
        self.values = self._values_ahead = self._series(self._found)
        self._momentum = xp.asarray(np.float32(1))
        self.change: Any = math.inf

    def _spectrum(self, image: Any) -> Any:
        rows, columns = self._threshold.shape
        return self._fft.dctn(image, type=2, norm="ortho")[:rows, :columns]

    def _series(self, coefficients: Any) -> Any:
        padded = self._xp.zeros_like(self._target)
        padded[: coefficients.shape[0], : coefficients.shape[1]] = coefficients
        return self._fft.idctn(padded, type=2, norm="ortho")

    def step(self, ease: float) -> None:
        """One iteration with ``ease`` times the threshold."""
        xp, bound = self._xp, np.float32(ease) * self._threshold
        value = self._ahead - self._spectrum(self._weight * (self._values_ahead - self._target))
        found = xp.maximum(value - bound, 0) + xp.minimum(value + bound, 0)
        move, values = self._ahead - found, self._series(found)
        uphill = (move * (found - self._found)).sum() > 0
        before = xp.where(uphill, xp.ones_like(self._momentum), self._momentum)
        self._momentum = (1 + xp.sqrt(1 + 4 * before * before)) / 2
        beyond = (before - 1) / self._momentum
        self._ahead = found + beyond * (found - self._found)
        self._values_ahead = values + beyond * (values - self.values)
        size = (found * found).sum()
        self.change = xp.sqrt((move * move).sum() / xp.where(size > 0, size, xp.ones_like(size)))
        self._found, self.values = found, values
