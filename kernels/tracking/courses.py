"""How long a particle was there that no detection tells: courses of its radius, weighed by the frames.

Straight lines of the radius are weighed by the frames of the track (`before_detection.line_odds`), then by
those beyond its end (`before_detection.presence`), and by the radius at which particles begin and end. Knows
no detections and no events: `hindsight` collects what is weighed here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from . import before_detection as faint
from .profile import Profile
from .tracks import Rows

Values = npt.NDArray[np.float64]

SEED = 2.05
"""Radius of a particle that is just born or about to be gone, in blurs; a smaller one looks like a point."""
SEED_SPREAD = 0.05, 0.05
"""px, of that radius at birth and at the end."""
HIDDEN = 0.02, 0.3
"""Probability that nothing is seen of it in a frame, on the way back and forth. One that dissolves is watched
for longer, beside neighbours that hide it."""
TALL = 0.94
"""True height in that of a fit; measured on the generator's movies, seeds 1 to 4."""
RATES = np.r_[0.003:0.06:0.001, 0.06:0.1:0.005], np.r_[0.002:0.03:0.001, 0.03:0.1:0.002]
"""px per frame. Of 64 frames a rate is known to 0.0005: with steps of 0.005 births were 4 frames off."""
ENDS = np.linspace(1.2, 4.5, 34)
"""px, radii at the track's end."""
UNLIKELY = 14.0
"""Lines whose log likelihood is that much below the best one's are left out: with 9 the frames before birth
cannot say that the track's own are wrong, one birth in ten is lost."""
LINES = 12
"""That are followed, at most; of more every second or third."""
TRUST = 0.5
"""Share of a track's log likelihood that counts: what is left of neighbours stays for frames."""
KEPT = 64
"""Particles that are gone, latest, from which it is learnt how fast those of this field shrink."""
SWEEPS = 12
"""Of that learning; few enough that what one of them says of itself does not stand out."""
ALIKE = 1.06
"""Variances of what a particle looks like are rounded to powers of it, so that lines share the work."""
VISIBLE = 5.0
"""Standard deviations below the radius at which a particle ends, beyond which its line is not followed."""
RADII = 0.6, 6.5, 18
"""px, and how many between, of which likelihoods are known."""


@dataclass(slots=True, eq=False)
class Case:
    """A track that began or ended, and what is known of it by now."""

    event: Rows
    """(1,) as it looked at first."""
    way: int
    """0: back to its birth, 1: on to its end."""
    end: Rows | None = None
    """(1,) the row from which it is looked beyond."""
    odds: list[Values] = field(default_factory=list)
    """`faint.radius_odds` of its frames, and when they were."""
    times: list[int] = field(default_factory=list)
    windows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    middles: list[tuple[int, int]] = field(default_factory=list)
    moves: list[tuple[float, float]] = field(default_factory=list)
    walks: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    """Height of a particle that absorbs all, standard deviations of the noise."""
    numbers: list[int] = field(default_factory=list)
    place: tuple[float, float] = (0.0, 0.0)
    """Where the field has carried its end to."""
    sign: float = 1.0
    """-1: it lies below the background where others lie above."""
    is_dark: bool = True
    is_over: bool = False
    lines: Values | None = None
    """Log likelihoods of (rates, ends) of its line, once that is weighed."""
    waiting: list[int] = field(default_factory=list)
    """Frames of the line that are still to be weighed, the oldest last."""

    @property
    def particle(self) -> int:
        return int(self.event["particle"][0])


@lru_cache(maxsize=4)
def _gaussians(profile: Profile) -> tuple[Values, Values]:
    """Of particles of all radii: variances and heights."""
    s2, tall = np.ascontiguousarray(faint.gaussians(profile, np.geomspace(*RADII)).T)
    return s2, tall


class Courses:
    """What courses particles of one kind may take, and what those that are gone have told of them.

    Parameters
    ----------
    profile : how particles look.
    blur : px; particles begin and end at `SEED` times it.
    """

    def __init__(self, profile: Profile, blur: float) -> None:
        self.seed = SEED * blur
        """px, of a particle that is just born or about to be gone."""
        self.absorption = 0.0
        """How much a particle absorbs, or shines, by its radius; 0: not known yet."""
        self.radii = np.geomspace(*RADII)
        """(m,) px, of which likelihoods of a frame are known."""
        self.s2, self.tall = _gaussians(profile)
        """(m,) variances and heights of what those look like, px^2 and of what absorbs all."""
        self._logs = np.log(self.radii)
        self._gone: list[tuple[int, Values]] = []
        """Particles that are gone, and how likely each of `RATES` [1] is of them."""

    def copy(self) -> Courses:
        """One that learns on its own."""
        twin = Courses.__new__(Courses)
        twin.__dict__ |= self.__dict__
        twin._gone = list(self._gone)
        return twin

    def heights(self, radii: Values, tall: Values, units: npt.ArrayLike, is_dark: bool) -> Values:
        """Gaussians of particles of these radii, standard deviations of the noise."""
        depth = self.absorption * radii
        return np.asarray(tall * (1 - np.exp(-depth) if is_dark else depth) * np.asarray(units))

    def weigh_line(self, case: Case) -> None:
        """Weigh the lines through a track that is gone, once all of its frames are; others learn from it."""
        if case.way and case.times and case.lines is None:
            case.lines = self._lines(case)
            of_rates = case.lines.max(axis=1)
            self._gone = [*self._gone[1 - KEPT :], (case.particle, np.exp(of_rates - of_rates.max()))]

    def _lines(self, case: Case) -> Values:
        assert case.end is not None
        lines = np.empty((len(RATES[case.way]), len(ENDS)))
        times = np.abs(np.array(case.times, np.float64) - float(case.end["frame"][0]))
        step = float(self._logs[1] - self._logs[0])
        odds = TRUST * np.array(case.odds)
        faint.line_odds(odds, times, float(self._logs[0]), step, RATES[case.way], ENDS, lines)
        return lines

    def _usual(self, particle: int) -> Values:
        """Probability of `RATES` [1], by the other particles that are gone: a few sweeps towards the mixture
        under which they are likeliest (Laird, J. Am. Stat. Assoc. 73 (1978) 805)."""
        even = np.full(len(RATES[1]), 1 / len(RATES[1]))
        others = np.array([of_rates for other, of_rates in self._gone if other != particle])
        if not len(others):
            return even
        share = even
        for _ in range(SWEEPS):
            of_each = share * others
            of_each /= of_each.sum(axis=1, keepdims=True)
            share = (of_each.sum(axis=0) + even) / (len(others) + 1)
        return 0.7 * share + 0.3 * even

    def posterior(self, case: Case) -> tuple[Values, Values] | None:
        """What is known of a case with an end.

        Returns
        -------
        Probability (n + 1,) that the particle is in just the first k frames beyond its track, and its places
        (n + 1, 2) then, px, by the most likely line; None where no frame tells.
        """
        assert case.end is not None
        n, end, way = len(case.windows), case.end[0], case.way
        if n == 0 or not case.times:
            return None
        lines = self._lines(case) if case.lines is None else case.lines
        top = lines.max(axis=1, keepdims=True)
        share = np.exp(lines - top)
        worth = top[:, 0] + np.log(share.sum(axis=1))
        if way:
            worth += np.log(self._usual(case.particle))
        likely = np.flatnonzero(worth > worth.max() - UNLIKELY)
        likely = likely[int(worth[likely].argmax()) % (wide := -(-len(likely) // LINES)) :: wide]
        share = share[likely] / share[likely].sum(axis=1, keepdims=True)
        radius = share @ ENDS
        unsure = (share * (ENDS - radius[:, None]) ** 2).sum(axis=1)
        ago = np.abs(np.array([int(end["frame"]), *case.numbers], np.float64) - float(end["frame"]))
        radii = radius[:, None] - RATES[way][likely, None] * ago
        spread = SEED_SPREAD[way] ** 2 + unsure[:, None]
        counts = (radii[:, 1:] > self.seed - VISIBLE * np.sqrt(spread)).sum(axis=1)
        odds, places = self._presence(case, radii[:, 1:], counts)
        weights = worth[likely, None] - (radii - self.seed) ** 2 / (2 * spread)
        weights[:, 1:] += odds
        weights[np.arange(n + 1) > counts[:, None]] = -np.inf
        best = int(weights.max(axis=1).argmax())
        chance = np.exp(weights - weights.max()).sum(axis=0)
        return chance / chance.sum(), places[best] + np.array(case.middles)

    def _presence(self, case: Case, radii: Values, counts: npt.NDArray[np.int64]) -> tuple[Values, Values]:
        """`faint.presence` of lines (lines, n) of the radius, and their places from the track's end on,
        (lines, n + 1, 2)."""
        assert case.end is not None
        end, middle = case.end[0], case.middles[0]
        y, x = float(end["y"]) - middle[0], float(end["x"]) - middle[1]
        logs = np.log(np.maximum(radii, RADII[0]))
        tall = np.interp(logs, self._logs, self.tall)
        heights = self.heights(np.maximum(radii, RADII[0]), tall, case.units, case.is_dark)
        s2 = ALIKE ** np.round(np.log(np.interp(logs, self._logs, self.s2)) / math.log(ALIKE))
        odds, places = np.zeros(radii.shape), np.zeros((len(radii), radii.shape[1] + 1, 2))
        places[:, 0] = y, x
        beyond = np.zeros((*radii.shape, 2))
        faint.presence(
            np.array(case.windows), y, x, max(float(end["variance"]), 0.05), np.array(case.moves),
            np.array(case.walks), s2, heights, counts, HIDDEN[case.way], odds, beyond,
        )  # fmt: skip
        places[:, 1:] = beyond
        return odds, places
