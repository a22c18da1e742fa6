"""A sparse scan while it is scanned: samples in, pictures out, each piece of work within some milliseconds.

Three kinds of work share the time: the picture of all samples by the present choice (`refresh`), what makes
the choice and says how good it is (`ponder`), and, at the end, a last word that depends on the samples alone
(`settle`). Knows arrays and clocks; no streams, no threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from ..noise import NoiseModel
from . import together
from .centring import centred_by_sums
from .choice import Candidate, Contest, Ladder
from .devices import on_processor
from .doubt import Doubt
from .estimate import Estimate, Masks
from .gaps import Gaps, reach_of
from .hold_out import HeldOut
from .ladders import AUTO, ladders_for
from .pace import Pace
from .questions import LIVE_WINDOW, WINDOW, Questions
from .samples import Added, SampleField
from .solution import Budget, Clock, Image, Solver, Weight
from .support import sampling_gap, too_fine
from .verdict import TRIAL, Chosen, decide

WARM = Budget(iterations=8, tolerance=3e-3)
"""A picture that follows the one before: 8 iterations suffice when a few per cent of the samples are new."""
COLD = Budget(iterations=100, tolerance=3e-3)
LAST = Budget(iterations=400, tolerance=1e-5)
"""The last word: 1e-5 of the samples' spread from where it would end."""
LAST_S = 15.0
"""How long the solves of a last word may take: cosines off the centres need 7 s at 1024 x 1024."""
CENTRED = 2
"""Times that the last word corrects samples for where in their pixels they are."""
KEPT = 12
"""Last comparisons that the held-out error is taken from."""
ANOTHER = 0.1
"""Change of known pixels, in their standard deviations, from which an image is another one."""
ROUNDS = 8
"""Bouts on the same samples after which a contest has nothing more to say."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted."""

    algorithm: str = AUTO
    strength: float | None = None
    """None: chosen."""
    noise: NoiseModel | None = None
    """None: unknown. Then there is no error without noise."""
    uncertainty: bool = True
    reach: float | None = None
    """px from the nearest sample where the picture ends; None: chosen (`gaps.GAPS`)."""
    seed: int = 0
    picture_s: float = math.inf
    """How long the solve of a picture may take while samples come: the best that is not slower makes it then,
    and what is better and slower the last word."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a field holds at a moment, as solvers want it."""

    data: Image
    weight: Weight
    field: SampleField
    """For the offsets: they are worked out where they are wanted, 8 bytes a pixel that no solve sees."""
    count: int
    """Sampled pixels."""

    @property
    def are_centred(self) -> bool:
        """Whether all samples are on centres."""
        return not self.field.is_off_centre

    def centred(self, picture: Image | None) -> Image:
        """The values as they would be on the centres, as far as a picture tells."""
        if picture is None or (sums := self.field.offset_sums) is None or self.are_centred:
            return self.data
        return centred_by_sums(self.data, self.field.visits, sums, picture)


def _solved(solver: Solver, strength: float, known: Samples, seconds: float) -> Image:
    """To the end, from the samples alone, or as far as the time goes."""
    rounds = 0 if known.are_centred else CENTRED
    budget = replace(LAST, seconds=seconds / (1 + rounds))
    found = solver.solve(known.data, known.weight, None, strength, budget).image
    for _ in range(rounds):
        start = found if solver.warm else None
        found = solver.solve(known.centred(found), known.weight, start, strength, budget).image
    return found


def _behind(error: HeldOut | None, difference: float | None) -> HeldOut | None:
    """What is expected of one whose score is worse by this: the logarithm of its mean square error."""
    if error is None or difference is None:
        return None
    return replace(error, squares=error.squares * math.exp(difference))


def _mixed(chosen: Chosen, known: Samples, first: Image, seconds: float) -> Image:
    """The first with its share of the second, if any."""
    if chosen.second is None:
        return first
    second = _solved(chosen.second.solver, chosen.second.strength, known, seconds)
    return np.asarray(first + np.float32(chosen.share) * (second - first))


class LiveInpainter:
    """The picture of a sparse scan, as far as it is known.

    Parameters
    ----------
    shape : (ny, nx) of the field.
    channels : values of a sample; they share one sampling pattern.
    ladders : what there is to choose from, by algorithm and strength; `devices.Ladders` has a device's.

    Raises
    ------
    ValueError
        An algorithm or a shape that there is not.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        channels: int = 1,
        plan: Plan | None = None,
        ladders: Callable[[str, float | None], Sequence[Ladder]] = ladders_for,
    ) -> None:
        self.plan = plan or Plan()
        self.field = SampleField(shape, channels)
        self._ladders = ladders
        self.contest = Contest(ladders(self.plan.algorithm, self.plan.strength))
        self._picture: Image | None = None
        self._estimate: Estimate | None = None
        self._gaps: Gaps | None = None
        self._heard = self._count = 0
        """Samples that came in since the beginning, decayed or not."""
        self._shown = -1
        """Of them, in the picture."""
        self._errors: list[HeldOut] = []
        self._held_out_in = (0, 0, *shape)
        self._doubt = self._new_doubt()
        self._sigma: Image | None = None
        self._fine: tuple[Masks, npt.NDArray[np.float64]] | None = None
        """Where the picture is finer than its samples tell, and in what share of each channel."""
        self._pieces: Iterator[None] = iter(())
        self._pondered = -1
        self._maker = self.contest.champion
        """Of the present picture."""
        self._pace = Pace()

    @property
    def heard(self) -> int:
        """Samples that came in since the beginning."""
        return self._heard

    @property
    def is_behind(self) -> bool:
        """Whether samples came in that the picture does not know."""
        return self._heard > 0 and self._shown != self._heard

    @property
    def is_pondering(self) -> bool:
        """Whether `ponder` has anything left to do."""
        return self._picture is not None and self._pondered != self._heard

    @property
    def estimate(self) -> Estimate | None:
        """The newest one; None before the first."""
        return self._estimate

    def add(
        self, positions: npt.ArrayLike, values: npt.ArrayLike, doses: npt.ArrayLike | None = None
    ) -> Added:
        """Take in samples; see `SampleField.add`."""
        added = self.field.add(positions, values, doses)
        self._heard += added.counted
        self._count += added.counted
        return added

    def replace(
        self, positions: npt.ArrayLike, values: npt.ArrayLike, doses: npt.ArrayLike | None = None
    ) -> Added:
        """These samples and no others: for an image with holes, which is given anew as a whole."""
        before, weight = self.field.mean()
        self.field.reset()
        self._count = 0
        added = self.add(positions, values, doses)
        if self._is_another(before, weight):
            self._begin_anew()
        return added

    def forget_where(self, factors: npt.ArrayLike, spare: SampleField | None = None) -> None:
        """Keep these shares (ny, nx) of the samples, at once, but all of those in ``spare``."""
        self.field.decay(factors, spare)
        self._shown = -1

    def change(self, plan: Plan) -> None:
        """Another plan for the same samples. Another reach alone leaves the picture as it is, settled or not.

        Raises ValueError for an algorithm that there is not.
        """
        if replace(plan, reach=self.plan.reach, picture_s=self.plan.picture_s) == self.plan:
            before, self.plan = self.plan, plan
            if plan.reach != before.reach:
                self._reach_anew()
            return
        if (plan.algorithm, plan.strength) != (self.plan.algorithm, self.plan.strength):
            self.contest = Contest(self._ladders(plan.algorithm, plan.strength))
            self._errors = []
        doubts = (plan.uncertainty, plan.noise) != (self.plan.uncertainty, self.plan.noise)
        self.plan, self._gaps, self._shown, self._pondered = plan, None, -1, -1
        self._pieces = iter(())
        if doubts:
            self._doubt, self._sigma = self._new_doubt(), None

    def refresh(self) -> Estimate:
        """The picture of all samples by the present choice, from the last picture on."""
        known = self._present()
        self._estimate = None  # its picture and weights are made anew: 8 bytes a pixel that no solve sees
        self._maker, behind = self.contest.best_but(self._pace.slower_than(self.plan.picture_s))
        maker, error = self._maker, _behind(self._error(), behind)
        start = self._picture if maker.solver.warm else None
        data = known.centred(start)
        budget, began = COLD if start is None else WARM, time.perf_counter()
        found = maker.solver.solve(data, known.weight, start, maker.strength, budget).image
        if start is None:  # the first picture: its gradient was not there before it
            found = self._again(maker, known, found)
        else:
            self._pace.took(maker.solver.name, time.perf_counter() - began)
        found = self._through(known, found, error)
        self._picture = found if known.count else None
        self._shown = self._heard
        self._gaps = self._gaps.after(known.weight, self.plan.reach) if self._gaps else self._measured(known)
        self._estimate = self._told(known, Chosen(maker, error, maker.strength), found)
        return self._estimate

    def ponder(self) -> None:
        """A piece of what makes the picture better and says how good it is; some 10 ms at 512 x 512."""
        if not self.is_pondering:
            return
        if next(self._pieces, StopIteration) is StopIteration:
            self._pieces = self._round()

    def settle(self, seconds: float = LAST_S) -> Estimate:
        """The last word on the samples: the same whatever was shown before it, and on the processor.

        The choice takes some 40 solves without a part of the samples, half of them of cosines: 2 to 4 s of
        processor time at 256 x 256. Its solves and the draws of its uncertainty then take ``seconds``, and
        one draw more, at most: of a picture that needs longer, only then does it depend on the machine.
        """
        known = self._present()
        if not known.count:
            return self.refresh()
        self._picture = self._sigma = self._doubt = None  # 25 bytes a pixel that are made anew
        self._estimate = self._gaps = self._fine = None
        questions = self._questions(known, WINDOW)
        ladders = on_processor(self.contest.ladders)
        chosen = self._chosen(ladders, questions, known)
        self.contest.crown(ladders.index(chosen.best.ladder), chosen.best.rung)
        self._maker = chosen.maker
        self._errors = [chosen.error] if chosen.error is not None else []
        clock = Budget(seconds=seconds).clock()
        alone = _solved(chosen.best.solver, chosen.strength, known, clock.left / (2 if chosen.second else 1))
        found = self._through(known, _mixed(chosen, known, alone, clock.left), chosen.error)
        self._picture, self._shown, self._pondered = found, self._heard, self._heard
        self._gaps = self._measured(known)
        self._doubt = self._new_doubt()
        for _ in self._doubted(questions, known, alone, clock):
            pass
        self._estimate = self._told(known, chosen, found)
        self._look_closely()
        self._estimate = replace(self._estimate, settled=True)
        return self._estimate

    def _reach_anew(self) -> None:
        """Cut the present picture elsewhere."""
        shown, known, picture = self._estimate, self._gaps, self._picture
        if shown is None or known is None or picture is None:
            return
        reach = reach_of(shown.sampled) if self.plan.reach is None else self.plan.reach
        self._gaps = gaps = replace(known, reach=reach)
        sigma = None if shown.sigma is None or self._sigma is None else gaps.cut(self._sigma)
        self._estimate = replace(shown, image=gaps.cut(picture), sigma=sigma)
        if self._fine is not None:
            self._look_closely()

    def _is_another(self, before: Image, weight: Weight) -> bool:
        """Whether pixels that were known have changed by a tenth of their spread, on average."""
        after, now = self.field.mean()
        both = (weight > 0) & (now > 0)
        if not both.any():
            return bool((weight > 0).any())
        known = before[:, both]
        change = np.sqrt(np.mean((after[:, both] - known) ** 2, axis=1, dtype=np.float64))
        return bool((change > ANOTHER * known.std(axis=1, dtype=np.float64)).any())

    def _begin_anew(self) -> None:
        """What was found out is of another picture."""
        self._picture, self._gaps, self._errors, self._pieces = None, None, [], iter(())
        self._doubt, self._sigma, self._pondered, self._fine = self._new_doubt(), None, -1, None

    def _present(self) -> Samples:
        """The samples for a piece of work that nothing is added to: with the field's own weights."""
        weight = self.field.visits
        return Samples(self.field.means(), weight, self.field, int(np.count_nonzero(weight)))

    def _kept(self) -> Samples:
        """The samples as they are now, for work that goes on while others come."""
        known = self._present()
        return replace(known, weight=known.weight.copy())

    def _measured(self, known: Samples) -> Gaps:
        return Gaps.between(known.weight, self.plan.reach)

    def _again(self, champion: Candidate, known: Samples, found: Image) -> Image:
        """A second solve, once there is a gradient to centre the samples with."""
        if known.are_centred or not known.count:
            return found
        start = found if champion.solver.warm else None
        return champion.solver.solve(known.centred(found), known.weight, start, champion.strength, WARM).image

    def _questions(self, known: Samples, window: int) -> Questions:
        questions = Questions.about(known.weight, self.plan.seed, window)
        self._held_out_in = questions.part
        return questions

    def _round(self) -> Iterator[None]:
        """Bouts on the samples as they are, one at a time; then nothing until more of them are there."""
        heard, known = self._heard, self._kept()
        questions = self._questions(known, LIVE_WINDOW)
        yield
        for _ in range(ROUNDS if self.contest.is_open else 1):
            yield from self._bout(questions, known)
            if self._heard != heard:
                break
        if self.contest.is_settling and self._heard != heard:
            return
        yield from self._doubted(questions, known, self._picture)
        self._look_closely()
        self._pondered = heard

    def _bout(self, questions: Questions, known: Samples) -> Iterator[None]:
        """From scratch: what a picture knew of a fold stays in its cosines and flatters what overfits."""
        data = known.centred(self._picture)
        contest, champion = self.contest, self.contest.champion

        def trial(candidate: Candidate, fold: int) -> HeldOut:
            return questions.ask(candidate, fold, data, known.weight, None, TRIAL)[0]

        yield from contest.bout(trial, questions.needed)
        if contest.error is not None:
            self._errors = [*self._errors[1 - KEPT :], contest.error]
        if contest.champion != champion:
            self._errors = []

    def _error(self) -> HeldOut | None:
        """Of the last comparisons of the present champion."""
        return sum(self._errors[1:], self._errors[0]) if self._errors else None

    def _through(self, known: Samples, found: Image, error: HeldOut | None) -> Image:
        """A picture that passes through the samples, where they are known to be better than it is."""
        noise = self.plan.noise
        if noise is None or error is None or not error.pixels or not error.is_exact(noise):
            return found
        return np.where(known.weight > 0, known.centred(found), found)

    def _new_doubt(self) -> Doubt | None:
        """Nothing is doubted where nobody asks."""
        shape = (self.field.channels, *self.field.shape)
        return Doubt(shape, self.plan.noise, self.plan.seed) if self.plan.uncertainty else None

    def _doubted(
        self, questions: Questions, known: Samples, picture: Image | None, last: Clock | None = None
    ) -> Iterator[None]:
        """A solve at a time; in the end the standard deviation of the picture's error is known anew.

        ``last``: the clock of the last word, whose solves begin from the samples alone.
        """
        doubt = self._doubt
        if doubt is None or picture is None:
            return
        data = known.centred(picture)
        yield from doubt.steps(self._maker, questions, data, known.weight, picture, TRIAL, last)
        gaps = self._gaps or self._measured(known)
        self._sigma = doubt.sigma(data, known.weight, gaps.distance)

    def _look_closely(self) -> None:
        """Where the picture is finer than its samples can tell, and how much of it; the estimate says so."""
        if self._gaps is None or self._estimate is None:
            return
        gap = sampling_gap(self._gaps.distance)
        found = [too_fine(channel, gap) for channel in self._estimate.image]
        masks, shares = np.stack([mask for mask, _ in found]), np.array([share for _, share in found])
        self._fine = masks, shares
        self._estimate = replace(self._estimate, too_fine=shares, fine=masks)

    def _chosen(self, ladders: Sequence[Ladder], questions: Questions, known: Samples) -> Chosen:
        """By the samples alone; what is off centre is put there by a plain first estimate."""
        data = known.data
        if not known.are_centred:
            candidate = Candidate(ladders[0], ladders[0].first)
            data = known.centred(
                candidate.solver.solve(data, known.weight, None, candidate.strength, COLD).image
            )
        return decide(ladders, questions, data, known.weight, self.plan.noise)

    def _told(self, known: Samples, chosen: Chosen, found: Image) -> Estimate:
        nothing, error = np.full(len(found), math.nan), chosen.error
        noise = self.plan.noise
        gaps = self._gaps or self._measured(known)
        return Estimate(
            gaps.cut(found),
            known.weight.copy(),
            gaps.distance,
            None if self._sigma is None else gaps.cut(self._sigma),
            chosen.name,
            chosen.version,
            chosen.strength,
            nothing if error is None else error.rmse(),
            nothing if error is None or noise is None else error.rmse_of_truth(noise),
            self._held_out_in,
            self._count,
            nothing if self._fine is None else self._fine[1],
            None if self._fine is None else self._fine[0],
        )


@cache
def warm_up() -> None:
    """Compile or load everything that a scan will need, in float and fixed positions; once a process."""
    together.warm_up()
    rng = np.random.default_rng(0)
    for step in (1.0, 0.5):
        positions = step * np.floor(rng.random((300, 2)) * 24 / step)
        live = LiveInpainter((24, 24))
        live.add(positions, rng.random(300))
        live.refresh()
        live.add(positions, rng.random(300))
        live.forget_where(0.5)
        live.refresh()
        while live.is_pondering:
            live.ponder()
        live.settle()
