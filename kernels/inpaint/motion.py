"""Where a repeated sparse scan contradicts its earlier passes, so that only there the old is forgotten.

A picture of all earlier samples predicts the newest ones. A sample misses its prediction by its own noise, by
the picture's noise, and by what the picture cannot know between samples; how much the last two are is fitted
to samples that were held out of the earlier passes, never to the new ones: a field that drifts as a whole
would else explain itself. The squared misses in these terms have the mean 1 where nothing changed, and in a
window of n samples about the distribution of chi^2 / n. A window beyond its bounds has changed, and all old
samples in it are forgotten; elsewhere everything is kept and the dose grows. Knows fields of samples and the
thin plate; no streams, no clocks: the same samples in the same order are forgotten alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.optimize import nnls

from ..noise import NoiseModel
from .centring import centred, centred_by_sums, solve_centred
from .choice import Candidate, choose
from .hold_out import HeldOut
from .ladders import THIN_PLATE
from .questions import LIVE_WINDOW, Questions
from .samples import SampleField
from .solution import Budget, Image, Weight
from .support import Map, Mask, mean_around
from .windows import judge, misses, spread

REACH = 1.5
"""Radius of the window in mean distances of a pass's samples: some 12 samples in it."""
WIDER = 2
RADII = (2, 16)
"""Least and largest radius, px."""
FOLDS = 3
"""Held out in turn: 15 % of the samples tell how well the rest predicts them."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Squares that float32 can hold, with room for a sum of them: others tell nothing."""
FLOOR = 0.1
"""Least variance of a miss, in the mean square of held-out ones: no noise at all is not to be believed."""
UNSURE = 2.0
"""The same where the noise is not known."""
Answer = tuple[Image, Weight, Weight, Image]
"""Of `Questions.without`."""
Column = npt.NDArray[np.float64]
SOLVE = Budget(iterations=80, tolerance=3e-3)


class Motion:
    """Watches a field for change, pass by pass.

    Takes 24 bytes a pixel with one channel, and 20 more a channel; with positions beside the centres 8 more.

    Parameters
    ----------
    shape : (ny, nx). channels : values of a sample.
    noise : of one visit; None: unknown, then it is fitted too, as one variance for all values.
    """

    def __init__(
        self, shape: tuple[int, int], channels: int = 1, noise: NoiseModel | None = None, seed: int = 0
    ) -> None:
        self.recent = SampleField(shape, channels)
        """Samples since the last `begin_pass`; those that are never forgotten."""
        self._noise, self._seed = noise, seed
        self._passes, self._calibrated = 0, 0
        self._candidate = Candidate(THIN_PLATE, THIN_PLATE.first)
        self._terms: list[Terms] = []
        self._expected: Expected | None = None
        self._gone = np.zeros(shape, bool)
        """Where old samples were forgotten in this pass."""
        self._radius = RADII[0]

    @property
    def radius(self) -> int:
        """Of the window, px."""
        return self._radius

    def add(self, positions: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """New samples, as `SampleField.add` takes them; they are the field's too."""
        self.recent.add(positions, values)

    def begin_pass(self, field: SampleField) -> None:
        """All samples of the field are old from now on: predict what the next pass should show.

        A solve; at the first pass some twenty more, which choose its strength, and FOLDS more at passes 1, 2,
        4, 8 and so on, where it is found out how good the prediction is.
        """
        self.recent.reset()
        self._gone[:] = False
        data, weight = field.means(), field.visits
        if not weight.any():
            self._expected = None
            return
        self._passes += 1
        if self._passes >= 2 * self._calibrated:
            self._calibrate(data, weight, field)
        start = None if self._expected is None else self._expected.picture
        solver, strength = self._candidate.solver, self._candidate.strength
        rounds = 1 if start is not None else 2  # the gradient of the pass before is good enough
        offsets = field.offsets()
        picture = solve_centred(solver, data, weight, offsets, start, strength, SOLVE, rounds).image
        self._expected = expect(picture, weight, self._terms)

    def keep(self, field: SampleField) -> Map | None:
        """How much of the old samples is to be kept, by the new ones so far.

        Returns
        -------
        (ny, nx) float32, 0 or 1, for `LiveInpainter.forget_where` with ``recent``; None: all of them.
        """
        known = self._expected
        if known is None or not self.recent.visits.any():
            return None
        data, weight = self.recent.means(), self.recent.visits
        if (sums := self.recent.offset_sums) is not None:
            data = centred_by_sums(data, weight, sums, known.picture)
        changed = changes(data, weight, known, self._radius)
        if changed is None or not (changed & ~self._gone).any():
            return None
        self._gone |= changed
        return np.asarray(~changed, np.float32)

    def _calibrate(self, data: Image, weight: Weight, field: SampleField) -> None:
        """The strength of the solver, once, and how far it is off at samples that it did not know."""
        questions = Questions.about(weight, self._seed, LIVE_WINDOW)
        picture = None if self._expected is None else self._expected.picture
        if picture is None:
            picture = self._candidate.solver.solve(data, weight, None, self._candidate.strength, SOLVE).image
        data = centred(data, weight, field.offsets(), picture)
        if not self._calibrated:
            self._choose(questions, data, weight)
        self._calibrated = self._passes
        answers = [
            questions.without(self._candidate, fold, data, weight, picture, SOLVE) for fold in range(FOLDS)
        ]
        self._terms = [_fit(answers, channel, self._noise) for channel in range(len(data))]

    def _choose(self, questions: Questions, data: Image, weight: Weight) -> None:
        """A strength is the noise of a visit against the scene's curvature: more passes do not change it."""

        def trial(candidate: Candidate, fold: int) -> HeldOut:
            return questions.ask(candidate, fold, data, weight, None, SOLVE)[0]

        self._candidate = choose([THIN_PLATE], trial, FOLDS).best
        apart = math.sqrt(weight.size / np.count_nonzero(weight))
        self._radius = int(np.clip(round(REACH * apart), *RADII))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the square of a miss is made of, besides the noise of the sample."""

    noise: NoiseModel
    """The one given; else fitted: a variance that grows with the brightness."""
    picture: float
    """Times the noise of the mean visit around: the picture's noise."""
    slope: float
    """Times the picture's squared gradient: what lies between samples."""
    least: float


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the samples of the next pass should be."""

    picture: Image
    noise: Image
    """(c, ny, nx) variance of a visit."""
    slack: Image
    """(c, ny, nx) variance of the picture's error."""


def changes(data: Image, weight: Weight, expected: Expected, radius: int) -> Mask | None:
    """The pixels (ny, nx) of windows that new samples say have changed; None: none.

    In a window of (2 radius + 1)^2 pixels with n new values, M is the mean of (value - picture)^2 / variance.
    (M n) is chi^2 of n degrees where nothing changed; Wilson & Hilferty (PNAS 17 (1931) 684): its cube root
    is nearly normal, z = (M^(1/3) - 1 + 2 / 9n) / sqrt(2 / 9n). The picture's error is much the same all over
    a window: with a share s of the variance, 1 / n becomes 1 / n + SHARED s^2. Beyond SURE the window has
    changed, and so have those beyond BESIDE that hang together with it. A window WIDER times as wide sees
    fainter changes of larger things; where it is beyond SURE, windows beyond BESIDE have changed.

    Parameters
    ----------
    data, weight : means and visits of the new samples, on the centres of their pixels.
    """
    sums = np.empty((3, *weight.shape), np.float32)
    misses(data, weight, expected.picture, expected.noise, expected.slack, sums)
    near, wide, changed = np.empty((3, *weight.shape), np.uint8)
    judge(sums, radius, near)
    judge(sums, WIDER * radius, wide)
    return changed.view(np.bool_) if spread(near, wide, radius, changed) else None


def expect(picture: Image, weight: Weight, terms: list[Terms]) -> Expected:
    """The variances of misses, by what was fitted."""
    noise, slack = np.empty_like(picture), np.empty_like(picture)
    around = _dose_around(weight)
    for c, term in enumerate(terms):
        model = term.noise
        known = np.array([model.gain, model.offset, model.read_noise, term.picture, term.slope, term.least])
        _variances(picture[c], around, _slopes(picture[c]), known, noise[c], slack[c])
    return Expected(picture, noise, slack)


def _fit(answers: Sequence[Answer], channel: int, noise: NoiseModel | None) -> Terms:
    """Least squares with no term below 0, of squared misses in units of the noise that is known of them."""
    held = _Held.of(answers, channel)
    mean = float(held.squares.mean()) if held.squares.size else 0.0
    if mean < SMALLEST:  # nothing was predicted, or everything exactly: a beam that is blanked
        return Terms(noise or NoiseModel(), 1.0, 0.0, SMALLEST)
    least = (FLOOR if noise else UNSURE) * mean
    if noise is None:
        noise = held.noise()
    with np.errstate(over="ignore", invalid="ignore"):
        visit = _visit_variance(held.values, noise)
    own, around = visit / held.dose, visit / held.around
    with np.errstate(over="ignore", invalid="ignore"):
        scale = 1 / np.maximum(own + around, least)
    columns = np.stack([around, held.slopes], axis=1)
    terms = _least_squares(columns * scale[:, None], (held.squares - own) * scale)
    return Terms(noise, float(terms[0]), float(terms[1]), least)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Held-out pixels of a channel; each (n,) float64."""

    squares: Column
    """(prediction - mean of the visits)^2"""
    values: Column
    """Predicted."""
    dose: Column
    around: Column
    """Mean dose around."""
    slopes: Column
    """Squared gradient of the prediction."""

    @classmethod
    def of(cls, answers: Sequence[Answer], channel: int) -> _Held:
        """Of solves without a part of the samples."""
        parts = []
        for seen, known, kept, found in answers:
            held, image = known != kept, found[channel]
            squares = (image.astype(np.float64) - seen[channel]) ** 2
            with np.errstate(over="ignore", invalid="ignore"):  # left out below
                columns = (squares, image, known, _dose_around(kept), _slopes(image))
            parts.append([column[held].astype(np.float64) for column in columns])
        joined = np.array([np.concatenate(column) for column in zip(*parts, strict=True)])
        usable = np.isfinite(joined).all(axis=0) & (joined[0] < LARGEST)
        return cls(*joined[:, usable])

    def noise(self) -> NoiseModel:
        """A variance that grows with the brightness, or none at all, from what slopes do not explain."""
        dark = float(self.values.min())
        columns = np.stack([1 / self.dose, (self.values - dark) / self.dose, self.slopes], axis=1)
        base, gain, _ = _least_squares(columns * self.dose[:, None], self.squares * self.dose)
        tiny = 1e-6 * float(self.squares.mean()) / max(float(np.ptp(self.values)), 1e-300)
        return NoiseModel(max(float(gain), tiny, 1e-300), dark, math.sqrt(base))


def _least_squares(columns: npt.NDArray[np.float64], squares: Column) -> Column:
    """With no term below 0; all 0 where there are numbers too large to be told from each other."""
    if not (np.abs(columns).max() < LARGEST and np.abs(squares).max() < LARGEST):
        return np.zeros(columns.shape[1])
    return np.asarray(nnls(columns, squares)[0])


def _visit_variance(values: npt.NDArray[np.floating], noise: NoiseModel) -> npt.NDArray[np.float64]:
    """Of one visit; that of one electron at least: a dark pixel sees one now and then."""
    return noise.variance(np.maximum(values, noise.offset + noise.gain))


def _dose_around(weight: Weight) -> Map:
    """(ny, nx) mean visits of the 5 x 5 pixels around each; tiny, not 0, where there are none."""
    return np.maximum(mean_around(weight, 2), np.float32(1e-6))


def _slopes(image: Map) -> Map:
    """Squared gradient: central differences, one-sided at edges; 0 in a field of one line."""
    slopes = np.zeros_like(image)
    if min(image.shape) > 1:
        _squared_gradient(image, slopes)
    return slopes


@njit("void(f4[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _squared_gradient(image, out):  # type: ignore[no-untyped-def]
    ny, nx = image.shape
    half, one = np.float32(0.5), np.float32(1)
    for y in range(ny):
        above, here, below = image[max(y - 1, 0)], image[y], image[min(y + 1, ny - 1)]
        share = half if 0 < y < ny - 1 else one
        for x in range(nx):
            left, right = max(x - 1, 0), min(x + 1, nx - 1)
            down = share * (below[x] - above[x])
            along = (half if 0 < x < nx - 1 else one) * (here[right] - here[left])
            out[y, x] = down * down + along * along


@njit(
    "void(f4[:, ::1], f4[:, ::1], f4[:, ::1], f8[::1], f4[:, ::1], f4[:, ::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _variances(picture, around, slopes, known, noise, slack):  # type: ignore[no-untyped-def]
    """Of a visit, as `_visit_variance` has it, and of the picture's error; ``known`` as `expect` says."""
    gain, offset, read_noise, share, slope, least = known
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            visit = gain * max(picture[y, x] - offset, gain) + read_noise * read_noise
            noise[y, x] = visit
            slack[y, x] = share * visit / around[y, x] + slope * slopes[y, x] + least
