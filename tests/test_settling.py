"""When a series is written down, and with what: no process, no ring, and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from livem.errors import RingError
from livem.session.settling import RESULTS_S, SETTLE_S, STALLED_S, Settling
from livem.stream.results import Result
from livem.stream.series import Series, SeriesKey

EPOCH = bytes(range(8))


def a_series(number: int = 0) -> Series:
    return Series(SeriesKey(EPOCH, number), (4, 4), "uint16")


def a_result(number: int = 0, topic: str = "vd.bf") -> Result:
    return Result(
        topic, "image", SeriesKey(EPOCH, number), (0, 10), 0, {"image": np.zeros((2, 2))}, final=True
    )


@dataclass
class FakeAccounts:
    """A ring's accounts as the test wants them; the table forgets what is in ``gone``."""

    keys: list[int] = field(default_factory=list)
    over: set[int] = field(default_factory=set)
    final: set[tuple[int, str]] = field(default_factory=set)
    seen: dict[str, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    going: set[int] = field(default_factory=set)

    def note_settled(self, series: int) -> None:
        self.settled = series

    def series_count(self) -> int:
        return len(self.keys)

    def series(self, serial: int) -> Series | None:
        return None if serial in self.gone else a_series(self.keys[serial])

    def is_over(self, serial: int) -> bool:
        return serial in self.over

    def is_final(self, serial: int, names: list[str]) -> bool:
        return all((serial, name) in self.final for name in names)

    def looked_at(self, serial: int, name: str) -> int:
        return self.seen.get(name, 0)

    def of(self, serial: int) -> dict[str, Any]:
        if serial in self.going:
            raise RingError("no longer in the table")
        return {
            "series": self.keys[serial],
            "epoch": EPOCH.hex(),
            "state": "complete" if serial in self.over else "open",
            "reason": None,
            "received": 10,
            "edges": {"vd": {"processed": 7, "dropped": {}, "in_flight": 3}},
        }


class Bench:
    """A Settling, all that it asked and said, and the time."""

    def __init__(self, out=None, **working: bool) -> None:
        self.accounts, self.now = FakeAccounts(), 0.0
        self.errors: list[Exception] = []
        self.alarms: list[str] = []
        self.settling = Settling(
            self.accounts,
            out,
            lambda: working or {"vd": True},
            self.errors.append,
            self.alarms.append,
            lambda: self.now,
        )

    def after(self, seconds: float) -> int:
        """Series written down so much later."""
        self.now += seconds
        self.settling.step()
        return self.settling.series

    def ended(self, *keys: int) -> None:
        self.accounts.keys = list(keys)
        self.accounts.over = set(range(len(keys)))
        self.settling.step()

    def last_word(self, serial: int, *topics: str, name: str = "vd") -> None:
        self.accounts.final.add((serial, name))
        self.settling.promise(name, serial, topics)


def test_a_series_is_written_down_as_soon_as_every_promised_result_is_here():
    b = Bench()
    b.ended(0)
    b.last_word(0, "vd.bf")
    assert b.after(0.1) == 0
    b.settling.take(a_result())
    assert b.after(0.1) == 1
    assert (b.settling.settled[0]["results"], b.alarms) == ({"vd.bf": ""}, [])


def test_a_result_that_never_comes_is_said():
    b = Bench()
    b.ended(0)
    b.last_word(0, "vd.bf")
    assert b.after(0.1) == 0
    assert b.after(RESULTS_S + 0.1) == 1
    assert b.alarms == ["last results of series 0 never came: vd.bf"]


def test_a_hung_consumer_that_may_skip_frames_is_waited_for_a_while():
    b = Bench(vd=False)
    b.ended(0)
    assert b.after(SETTLE_S - 0.1) == 0
    assert b.after(0.2) == 1
    assert "'vd' hangs" in b.alarms[0]
    assert b.settling.settled[0]["edges"]["vd"] == {"processed": 7, "dropped": {"stopped": 3}, "in_flight": 0}


def test_a_lossless_consumer_is_waited_for_while_it_works():
    b = Bench()
    b.ended(0)
    for frames in range(5):
        b.accounts.seen["vd"] = frames
        assert b.after(STALLED_S - 1) == 0
    assert b.after(STALLED_S + 1) == 1
    assert "'vd' hangs" in b.alarms[0]


def test_one_hung_consumer_does_not_cost_the_results_of_the_others():
    b = Bench(vd=True, model=False)
    b.ended(0)
    assert b.after(SETTLE_S + 1) == 0
    b.last_word(0, "vd.bf")
    b.settling.take(a_result())
    assert b.after(0.1) == 1
    assert list(b.settling.settled[0]["results"]) == ["vd.bf"]


def test_a_stopped_session_closes_the_open_series_with_what_there_is():
    b = Bench()
    b.accounts.keys = [0]
    b.settling.take(a_result())
    b.settling.step(hurry=True)
    (account,) = b.settling.settled
    assert (account["state"], account["reason"]) == ("incomplete", "the session was stopped")
    assert b.alarms == ["consumer 'vd' gave no last results of series 0"]
    assert list(account["results"]) == ["vd.bf"]


@pytest.mark.parametrize("before_settling", [True, False])
def test_both_parts_of_an_interrupted_series_are_one_series_with_its_results(before_settling):
    b = Bench()
    b.ended(*[0, 0][: 1 + before_settling])
    b.settling.take(a_result())
    b.last_word(0, "vd.bf")
    b.settling.promise("vd", 1, ["vd.bf"])
    b.after(0.1)
    if not before_settling:
        b.ended(0, 0)
        b.settling.take(a_result())
    b.last_word(1, "vd.bf")
    assert b.after(0.1) == 1
    assert b.settling.done
    assert [list(account["results"]) for account in b.settling.settled] == [["vd.bf"]]


def test_results_of_a_series_that_is_written_down_are_not_kept():
    b = Bench()
    b.ended(0)
    b.last_word(0)
    assert b.after(0.1) == 1
    b.settling.take(a_result())
    assert not b.settling._results
    b.settling.promise("vd", 0, ["vd.bf"])
    assert not b.settling._promised


def test_a_directory_that_cannot_be_written_costs_the_files_alone(tmp_path):
    (tmp_path / "file").touch()
    b = Bench(tmp_path / "file")
    for serial in (0, 1):
        b.ended(*range(serial + 1))
        b.settling.take(a_result(serial))
        b.last_word(serial, "vd.bf")
        assert b.after(0.1) == serial + 1
    assert "cannot be written" in str(b.errors[0])


def test_series_that_left_the_table_unseen_are_counted():
    b = Bench()
    b.accounts.gone, b.accounts.going = {0}, {1}
    b.ended(0, 1, 2)
    b.last_word(1)
    b.last_word(2)
    assert b.after(0.1) == 1
    assert (
        b.alarms[-1]
        == "2 series so far ended faster than they could be written down: they are not in the summary"
    )
