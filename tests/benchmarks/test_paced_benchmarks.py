"""Paced detectors against whole sessions, on tiny sizes: tables and gates are there at any speed."""

from __future__ import annotations

from typing import Any

import pytest

from livem.benchmarks import beside, zero_loss
from livem.benchmarks.zero_loss import Exposures, Outcome
from livem.stream.simulate.simplon_v1 import ImageWords

pytestmark = pytest.mark.timeout(180)


def test_images_are_numbered_and_their_blobs_taken_in_turn() -> None:
    exposures = Exposures((16, 16))
    burst = exposures.burst(3, 98, 4)
    numbers = [bytes(burst.message(i)[0]) for i in range(4)]
    words = ImageWords(exposures._series(3), "bs16-lz4<")
    assert numbers == [words.identity(index, "") for index in range(98, 102)]
    assert len({bytes(burst.message(i)[2]) for i in range(4)}) == 4
    assert burst.message(0)[2] == exposures.burst(3, 98 + zero_loss.MAX_STOCK, 1).message(0)[2]


def test_the_highest_good_rate_is_looked_for_downwards() -> None:
    def session(rate: float, seconds: float) -> Outcome:
        return Outcome(rate, 100, 100 if rate <= 650 else 99, 0.0, 15.0, rate)

    tried = list(zero_loss._downwards(session, 1000.0, 1.0))
    assert next(one for one in tried if one.good).rate == pytest.approx(600)


@pytest.mark.parametrize(
    ("module", "plan"),
    [(zero_loss, zero_loss.Plan(((16, 16),), 0.5, 0.3)), (beside, beside.Plan(1, 0.3, (16, 16)))],
)
def test_each_gives_its_table(module: Any, plan: Any) -> None:
    measured = module.measure(plan)
    assert measured["rows"]
    assert all(isinstance(gate["ok"], bool) for gate in measured["gates"])
