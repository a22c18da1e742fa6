"""Finding the delay, the lag and the shift of the scan coils from what was recorded.

From any path that comes to the same places in different directions, because with the right delay it finds
there what it found before; or from any path and an image of the same place taken slowly, which gives the
shift too. Knows no pattern by name. For lines to and fro scan_lines.py has a shorter way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, sqrt
from operator import itemgetter

import numpy as np
import numpy.typing as npt
from numba import njit

from .scan_coils import Axis, CoilModel, Lag, follow_axis
from .scan_path import LONG_STEP, Positions, ScanPath

FloatArray = npt.NDArray[np.float64]
Known = npt.NDArray[np.bool_]
"""(n,) which samples."""
Loss = Callable[[FloatArray], float]

FITS = ("delay", "lag", "shift")
DIRECTIONS = 4
"""Along +x, +y, -x, -y, the nearest."""
MOST_SAMPLES = 1 << 17
FEW_SAMPLES = 1 << 13
"""In the coarse search: 1 ms a try."""
ROUNDS = 12
STARTS = 3
MOST_TRIED = 16
"""Steps to either side in the coarse search: 1,089 pairs."""
FLAT = 1e-3
"""Curvature, relative to the largest, below which a combination of parameters is left as it was."""
SYSTEMATIC = 0.05
"""What the comparison of means over cells is off by, of a cell, or of what moves the samples by one, for the
parameter that shows best; of others accordingly more."""


@dataclass(frozen=True, slots=True)
class CoilEstimate:
    """What was found, and how much better it fits."""

    model: CoilModel
    sigma: dict[str, float]
    """Standard error of each number that was fitted ("delay_y", ... in s, "shift_x" in px), with SYSTEMATIC;
    inf where the path does not show it, or only together with another."""
    before: float
    after: float
    """Share of the variance of the values that neighbours (or the reference) do not explain."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """The search in units that move the samples by about one cell.

    Where delay and lag are both fitted, the first parameter is their sum: that is what a scan shows well.
    """

    start: CoilModel
    names: tuple[str, ...]
    units: FloatArray
    loss_of: Callable[[CoilModel], float]

    def changes(self) -> FloatArray:
        """The matrix from parameters to changes of delay, lag and shift."""
        matrix = np.diag(self.units)
        for i, name in enumerate(self.names):
            if name.startswith("lag") and f"delay{name[3:]}" in self.names:
                matrix[self.names.index(f"delay{name[3:]}"), i] = -self.units[i]
        return matrix

    def model(self, parameters: FloatArray) -> CoilModel:
        changes = self.changes() @ np.where(
            self.are("lag"), np.maximum(parameters, self._least()), parameters
        )
        given = dict(zip(self.names, changes.tolist(), strict=True))
        y, x = self.start.shift
        shift = (y + given.get("shift_y", 0.0), x + given.get("shift_x", 0.0))
        return replace(
            self.start,
            y=_moved_axis(self.start.y, "y", given),
            x=_moved_axis(self.start.x, "x", given),
            shift=shift,
        )

    def loss(self, parameters: FloatArray) -> float:
        return self.loss_of(self.model(parameters))

    def are(self, what: str) -> Known:
        """Which parameters are delays, lags or shifts."""
        return np.array([name.startswith(what) for name in self.names])

    def _least(self) -> FloatArray:
        """A lag cannot be below 0."""
        lags = {"y": self.start.y.response, "x": self.start.x.response}
        known = [lags[name[-1]] for name in self.names]
        return np.array([-one.seconds if isinstance(one, Lag) else 0.0 for one in known]) / self.units


def estimate_coils(
    path: ScanPath,
    values: npt.ArrayLike,
    *,
    fit: Sequence[str] = ("delay",),
    start: CoilModel | None = None,
    reach: float | None = None,
    reference: npt.ArrayLike | None = None,
    cell: float | None = None,
) -> CoilEstimate:
    """Find how the coils follow from one scan of anything that has structure.

    Parameters
    ----------
    path : as commanded.
    values : (n,) what was recorded; values that are not finite are left out.
    fit : of "delay", "lag" (s, for each axis) and "shift" (px), which needs a reference.
    start : what is known already and where the search begins.
    reach : s; longer delays and lags are not tried. Default: what displaces samples by 8 px, 4 dwell times
        at least. On a lattice keep it below half the spacing: one spacing further it looks the same.
    reference : (ny, nx) image of the same field without distortion, its pixel centres at integers.
    cell : px over which values are compared; default: the mean distance of samples, 0.75 px at least.

    Raises
    ------
    ValueError
        Too few samples, nothing to see, or no place visited in different directions (and no reference).

    Notes
    -----
    Without a reference the loss is the mean squared difference between each value and the mean of those
    around it (quadratic B-spline weights) that were taken in another direction. Neighbouring turns of a
    spiral run the same way: take it there and back (``ScanPath.there_and_back``).
    """
    recorded = np.asarray(values, np.float64)
    usable = _usable(path, recorded)
    known = _middle(path, usable, MOST_SAMPLES)
    width = cell or max(0.75, sqrt(path.shape[0] * path.shape[1] / len(path)))
    problem = _problem(path, recorded, known, fit, start or CoilModel(), reference, width)
    rough = _problem(
        path, recorded, _middle(path, usable, FEW_SAMPLES), fit, start or CoilModel(), reference, width
    )
    before = problem.loss(np.zeros(len(problem.names)))
    hold = float(np.median(path.dwell + path.wait))
    starts = _coarse(rough, reach or _usual_reach(path), hold)
    n = int(known.sum())
    after, found, curvature = min((_descend(problem.loss, start, n) for start in starts), key=itemgetter(0))
    sigma = _sigma(curvature, _noise(after, n, reference is None), problem.changes())
    named = dict(zip(problem.names, sigma.tolist(), strict=True))
    return CoilEstimate(problem.model(found), named, before, after)


def _usual_reach(path: ScanPath) -> float:
    """s: 8 px at the speed of the path, 4 dwell times at least."""
    seconds, step = np.median(path.dwell + path.wait), np.median(path.steps())
    return float(seconds) * max(8.0 / max(float(step), 1e-6), 4.0)


def _usable(path: ScanPath, values: FloatArray) -> Known:
    """Samples that count: finite, and not right behind a jump, where a value belongs to no place."""
    if values.shape != (len(path),):
        raise ValueError(f"values have the shape {values.shape}; the path has {len(path)} samples")
    known = np.isfinite(values)
    steps = path.steps()
    if len(steps):
        known[1:] &= steps <= LONG_STEP * np.median(steps)
    if known.sum() < 32 or not np.ptp(values[known]) > 0:
        raise ValueError(
            f"{int(known.sum())} usable values; a calibration needs at least 32 that are not all the same"
        )
    return known


def _middle(path: ScanPath, usable: Known, most: int) -> Known:
    """Those of the usable samples that are nearest to the centre of the field, all of them in a rectangle: as
    dense as the others, and of both ways."""
    if int(usable.sum()) <= most:
        return usable
    off = np.abs(path.positions + 0.5 - np.array(path.shape) / 2) / path.shape
    away = off.max(axis=1)
    return np.asarray(usable & (away <= np.partition(away[usable], most)[most]))


def _problem(
    path: ScanPath,
    values: FloatArray,
    known: Known,
    fit: Sequence[str],
    start: CoilModel,
    reference: npt.ArrayLike | None,
    cell: float,
) -> _Problem:
    wrong = set(fit) - set(FITS)
    if wrong or not fit:
        raise ValueError(f"fit={tuple(fit)}: what can be fitted is {', '.join(FITS)}")
    if "shift" in fit and reference is None:
        raise ValueError("a constant shift shows only against a reference image; give one, or leave it out")
    if "lag" in fit and not all(isinstance(axis.response, Lag) for axis in (start.y, start.x)):
        raise ValueError("a lag cannot be fitted where the start has a resonance; leave it out of fit")
    scaled = (values[known] - values[known].mean()) / values[known].std()
    if reference is None:
        loss_of = _disagreement(path, scaled, known, cell)
    else:
        loss_of = _misfit(path, scaled, known, np.ascontiguousarray(reference, np.float64))
    ordered = sorted(set(fit), key=FITS.index)  # delays first
    names = tuple(f"{what}_{axis}" for what in ordered for axis in ("y", "x"))
    second = cell * float(np.median(path.dwell + path.wait)) / max(float(np.median(path.steps())), 1e-6)
    units = np.array([cell if name.startswith("shift") else second for name in names])
    return _Problem(start, names, units, loss_of)


def _moved_axis(axis: Axis, name: str, given: dict[str, float]) -> Axis:
    response = axis.response
    if f"lag_{name}" in given and isinstance(response, Lag):
        response = Lag(max(0.0, response.seconds + given[f"lag_{name}"]))
    return Axis(axis.delay + given.get(f"delay_{name}", 0.0), response)


def _disagreement(
    path: ScanPath, values: FloatArray, known: Known, cell: float
) -> Callable[[CoilModel], float]:
    """The loss without a reference: how far values are from those of other directions around them."""
    step = np.diff(path.positions.astype(np.float64), axis=0, prepend=path.positions[:1])
    quarter = np.round(np.arctan2(step[:, 0], step[:, 1]) / (np.pi / 2)).astype(np.int64) % DIRECTIONS
    quarter[0] = quarter[1]
    direction = quarter[known]

    places = _places(path, known)

    def loss(model: CoilModel) -> float:
        at = places(model) / np.float32(cell)
        squares, weight = _compare(at, values, direction, path.shape[0] / cell, path.shape[1] / cell)
        if weight < 0.05 * len(values):
            raise ValueError(
                "hardly any place is visited in different directions, so that a delay does not show; "
                "scan the path there and back, or give a reference image"
            )
        return float(squares / weight)

    return loss


def _misfit(
    path: ScanPath, values: FloatArray, known: Known, reference: FloatArray
) -> Callable[[CoilModel], float]:
    """The loss against a reference: 1 - r^2 of its correlation with the values."""
    if reference.shape != path.shape or not np.isfinite(reference).all():
        raise ValueError(
            f"a reference of shape {reference.shape} for a field of {path.shape}; both must be the same, and "
            "its pixels finite"
        )

    places = _places(path, known)

    def loss(model: CoilModel) -> float:
        seen, inside = _sampled(reference, places(model))
        a, b = seen[inside], values[inside]
        if len(a) < 16 or a.std() == 0:
            return 1.0
        return float(1 - np.corrcoef(a, b)[0, 1] ** 2)

    return loss


def _places(path: ScanPath, known: Known) -> Callable[[CoilModel], Positions]:
    """Where the known samples were by a model; an axis is followed once for many pairs of delays."""

    @lru_cache(maxsize=4 * MOST_TRIED + 4)
    def followed(axis: int, model: Axis) -> FloatArray:
        return follow_axis(path, axis, model)[0][known]

    return lambda model: model.placed(followed(0, model.y), followed(1, model.x), model.centre, model.shift)


def _coarse(problem: _Problem, reach: float, hold: float) -> list[FloatArray]:
    """Where to begin: the STARTS best pairs of delays in steps of a cell, or of a sample where that is
    shorter, each with its best lags."""
    starts = [np.zeros(len(problem.names))]
    for what, keep in (("delay", STARTS), ("lag", 1)):
        which = np.flatnonzero(problem.are(what))
        if len(which):
            unit = float(problem.units[which][0])
            most = int(np.clip(np.ceil(reach / min(unit, hold)), 1, MOST_TRIED))
            tried = np.arange(-most if what == "delay" else 0, most + 1) * min(1.0, hold / unit)
            pairs = np.stack(np.meshgrid(tried, tried), axis=-1).reshape(-1, 2)
            starts = [best for start in starts for best in _best_pairs(problem, start, which, pairs, keep)]
    return starts


def _best_pairs(
    problem: _Problem, start: FloatArray, which: npt.NDArray[np.int64], pairs: FloatArray, keep: int
) -> list[FloatArray]:
    """The shortest of those that are as good as the best, and then the best others."""
    parameters, losses = start.copy(), np.empty(len(pairs))
    for i, pair in enumerate(pairs):
        parameters[which] = pair
        losses[i] = problem.loss(parameters)
    good = losses <= losses.min() + 0.01 * np.ptp(losses)
    shortest = int(np.argmin(np.where(good, (pairs**2).sum(axis=1), inf)))
    order = [shortest, *(i for i in np.argsort(losses).tolist() if i != shortest)]
    return [_with(start, which, pairs[i]) for i in order[:keep]]


def _with(parameters: FloatArray, which: npt.NDArray[np.int64], values: FloatArray) -> FloatArray:
    changed = parameters.copy()
    changed[which] = values
    return changed


def _descend(loss: Loss, start: FloatArray, n: int) -> tuple[float, FloatArray, FloatArray]:
    """The loss, the place and the curvature of a minimum, by Newton's method with differences for
    derivatives; directions in which the loss is flat stay. It ends where a step would gain a fiftieth of what
    noise in n values does."""
    here, value = start, loss(start)
    for _ in range(ROUNDS):
        slope, curvature = _derivatives(loss, here, value)
        step = _newton_step(slope, curvature)
        gain = float(-slope @ step) / 2
        while (new := loss(here + step)) > value and np.abs(step).max() > 1e-3:
            step = step / 2
        if new > value:
            break
        here, value = here + step, new
        if np.abs(step).max() < 1e-3 or gain < 0.02 * value / n:
            break
    return value, here, _derivatives(loss, here, value)[1]


def _derivatives(loss: Loss, at: FloatArray, value: float, h: float = 0.25) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian by central differences of a quarter of a cell."""
    n = len(at)
    unit = h * np.eye(n)
    up, down = (np.array([loss(at + sign * unit[i]) for i in range(n)]) for sign in (1, -1))
    curvature = np.diag((up + down - 2 * value) / h**2)
    for i in range(n):
        for j in range(i):
            both = loss(at + unit[i] + unit[j]) + loss(at - unit[i] - unit[j])
            mixed = (both - up[i] - up[j] - down[i] - down[j] + 2 * value) / (2 * h * h)
            curvature[i, j] = curvature[j, i] = mixed
    return (up - down) / (2 * h), curvature


def _newton_step(slope: FloatArray, curvature: FloatArray) -> FloatArray:
    """Downhill along every direction that bends, by one cell at most."""
    bends, directions = np.linalg.eigh(curvature)
    size = np.maximum(np.abs(bends), 1e-12)
    use = size > FLAT * size.max()
    step = -directions[:, use] @ ((directions[:, use].T @ slope) / size[use])
    longest = np.abs(step).max(initial=0.0)
    return np.asarray(step / max(longest, 1.0), np.float64)


def _noise(loss: float, n: int, paired: bool) -> float:
    """Variance of a parameter along which the loss bends by 1.

    That of a least-squares fit; three times that for values that are compared with each other, whose noise
    has slopes of its own, too: measured on lattices from 1 to 100 electrons a sample.
    """
    plain = 2.0 * loss / n
    return 6.0 * plain * (1 + 6.0 * loss / max(1 - loss, 0.05)) if paired else plain


def _sigma(curvature: FloatArray, noise: float, changes: FloatArray) -> FloatArray:
    """Standard errors of the changes that the parameters make."""
    bends, directions = np.linalg.eigh(curvature)
    shown = bends > FLAT * max(bends.max(), 1e-12)
    variance = (noise + SYSTEMATIC**2 * bends.max()) / np.where(shown, bends, 1.0)
    along = changes @ directions
    hidden = (along[:, ~shown] ** 2).sum(axis=1) > 0.01 * (along**2).sum(axis=1)
    return np.where(hidden, inf, np.sqrt((along[:, shown] ** 2) @ variance[shown]))


@njit("Tuple((i8, UniTuple(f8, 3)))(f8)", nogil=True, cache=True)
def _weights(place):  # type: ignore[no-untyped-def]
    """The nearest cell of a coordinate, and the quadratic B-spline weights of it and its neighbours."""
    cell = int(np.floor(place + 0.5))
    f = place - cell
    return cell, (0.5 * (0.5 - f) ** 2, 0.75 - f * f, 0.5 * (0.5 + f) ** 2)


@njit("UniTuple(f8, 2)(f4[:, ::1], f8[::1], i8[::1], f8, f8)", nogil=True, cache=True)
def _compare(at, values, direction, height, width):  # type: ignore[no-untyped-def]
    """Weighted sum of squared differences to the mean of other directions, and the sum of weights."""
    margin = 4
    ny, nx = int(height) + 2 * margin + 2, int(width) + 2 * margin + 2
    sums, weights = np.zeros((ny, nx, DIRECTIONS)), np.zeros((ny, nx, DIRECTIONS))
    for i in range(len(values)):
        y, wy = _weights(at[i, 0] + margin)
        x, wx = _weights(at[i, 1] + margin)
        if 1 <= y < ny - 1 and 1 <= x < nx - 1:
            for a in range(3):
                for b in range(3):
                    weight = wy[a] * wx[b]
                    sums[y + a - 1, x + b - 1, direction[i]] += weight * values[i]
                    weights[y + a - 1, x + b - 1, direction[i]] += weight
    squares, total = 0.0, 0.0
    for i in range(len(values)):
        y, wy = _weights(at[i, 0] + margin)
        x, wx = _weights(at[i, 1] + margin)
        if 1 <= y < ny - 1 and 1 <= x < nx - 1:
            mean, dose = 0.0, 0.0
            for a in range(3):
                for b in range(3):
                    for d in range(DIRECTIONS):
                        if d != direction[i]:
                            mean += wy[a] * wx[b] * sums[y + a - 1, x + b - 1, d]
                            dose += wy[a] * wx[b] * weights[y + a - 1, x + b - 1, d]
            if dose > 1e-6:
                trust = dose / (dose + 0.1)
                squares += trust * (values[i] - mean / dose) ** 2
                total += trust
    return squares, total


@njit("Tuple((f8[::1], b1[::1]))(f8[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _sampled(image, at):  # type: ignore[no-untyped-def]
    """Quadratic B-spline means of an image at positions (n, 2), and which of them lie within it."""
    ny, nx = image.shape
    seen, inside = np.zeros(len(at)), np.zeros(len(at), np.bool_)
    for i in range(len(at)):
        y, wy = _weights(at[i, 0])
        x, wx = _weights(at[i, 1])
        inside[i] = 1 <= y < ny - 1 and 1 <= x < nx - 1
        if inside[i]:
            for a in range(3):
                for b in range(3):
                    seen[i] += wy[a] * wx[b] * image[y + a - 1, x + b - 1]
    return seen, inside
