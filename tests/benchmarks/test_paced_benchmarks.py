"""Paced detectors against whole sessions, on tiny sizes: tables and gates are there at any speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest

from livem.benchmarks import beside, zero_loss
from livem.benchmarks.partner import Partner
from livem.benchmarks.zero_loss import FLAT_OUT, Exposures, Outcome
from livem.stream.simulate.simplon_v1 import ImageWords

pytestmark = pytest.mark.timeout(300)


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


def test_zero_loss_gives_its_table() -> None:
    measured = zero_loss.measure(zero_loss.Plan(((16, 16),), 0.5, 0.3))
    assert measured["rows"]
    assert all(isinstance(gate["ok"], bool) for gate in measured["gates"])


def test_a_session_that_records_beside_its_detector_keeps_all(tmp_path: Path) -> None:
    with Partner(zero_loss.send_paced, (16, 16)) as sender:
        seen = zero_loss.watched((16, 16), sender.hear(), sender, FLAT_OUT, 0.3, record=tmp_path, frames=500)
    assert seen.processed == seen.sent == 500
    (file,) = tmp_path.glob("*.h5")
    with h5py.File(file) as recording:
        assert len(recording["entry/data/data"]) == 500


def test_rates_are_compared_with_and_without_the_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, bool, int | None]] = []

    def session(shape: Any, address: str, sender: Any, rate: float, seconds: float, **more: Any) -> Outcome:
        asked.append((rate, "record" in more, more.get("frames")))
        taken = 900.0 if "record" in more else 1000.0
        return Outcome(rate or taken, 100, 100, 0.0, 15.0, taken)

    monkeypatch.setattr(beside, "watched", session)
    measured = beside.measure(beside.Plan(1, 0.0, (16, 16)))
    easy, scan = beside.EASY * 1000, beside.SCAN[0] * beside.SCAN[1]
    cases = [(easy, None), (FLAT_OUT, None), (FLAT_OUT, scan)]
    assert asked[1:] == [(rate, on, frames) for rate, frames in cases for on in (False, True)]
    assert len(measured["rows"]) == 3
    assert all(gate["ok"] for gate in measured["gates"])
