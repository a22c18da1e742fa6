"""The accounting: interval sets and the ledger of a series, against plain Python sets."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livem.stream import ledger as ledger_module
from livem.stream.ledger import SNAPSHOT_BYTES, RangeSet, SeriesLedger
from livem.stream.messages import Reason

EDGES = st.tuples(st.integers(0, 60), st.integers(0, 60))


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {index for first, stop in ranges for index in range(first, stop)}


# -- RangeSet --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "missing"]), EDGES), max_size=60))
def test_range_set_is_a_set_of_integers(calls: list[tuple[str, tuple[int, int]]]) -> None:
    ranges, model = RangeSet(), set[int]()
    for name, (first, stop) in calls:
        asked = set(range(first, stop))
        answer = members(getattr(ranges, name)(first, stop))
        assert answer == (asked & model if name == "remove" else asked - model)
        if name != "missing":
            model = model | asked if name == "add" else model - asked
        assert members(ranges.ranges) == model
        assert len(ranges) == len(model)
        assert {index for index in range(-1, 62) if index in ranges} == model


@given(st.lists(EDGES, max_size=40))
def test_ranges_stay_sorted_disjoint_and_never_touch(edges: list[tuple[int, int]]) -> None:
    flat = [edge for pair in RangeSet(edges).ranges for edge in pair]
    assert flat == sorted(set(flat))


def test_answers_are_sorted_sub_ranges() -> None:
    ranges = RangeSet([(10, 20), (30, 40)])
    assert ranges.missing(5, 45) == [(5, 10), (20, 30), (40, 45)]
    assert ranges.add(15, 35) == [(20, 30)]
    assert ranges.ranges == [(10, 40)]
    assert ranges.remove(12, 14) == [(12, 14)]
    assert ranges.ranges == [(10, 12), (14, 40)]
    assert ranges.since(13) == [(14, 40)]


def test_appending_keeps_one_range() -> None:
    ranges = RangeSet()
    for index in range(1000):
        assert ranges.add(index, index + 1) == [(index, index + 1)]
    assert ranges.ranges == [(0, 1000)]


# -- SeriesLedger ----------------------------------------------------------------------------------------


@dataclass
class Model:
    """The rules of the ledger, one index at a time."""

    announced: int | None
    received: set[int] = field(default_factory=set)
    rejected: dict[int, str] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    """Received after they had been rejected."""
    beyond: set[int] = field(default_factory=set)
    high_water: int = 0
    said: int | None = None
    duplicate: int = 0
    late: int = 0

    @property
    def sent(self) -> int | None:
        return None if self.said is None else max(self.said, self.high_water)

    def receive(self, first: int, count: int) -> None:
        mark = self.high_water
        for index in range(first, first + count):
            self.duplicate += index in self.received
            self.late += index not in self.received and index < mark
            self.received.add(index)
            if self.rejected.pop(index, None):
                self.withdrawn.add(index)
            self.beyond.discard(index)
        self.high_water = max(mark, first + count)
        self._absorb(self.high_water)

    def reject(self, reason: str, first: int, count: int) -> None:
        bounds = [bound for bound in (self.announced, self.said) if bound is not None]
        end = max(min(bounds), self.high_water) if bounds else first + count
        sent = self.sent or 0
        for index in range(first, first + count):
            if index in self.received or index in self.rejected or index in self.beyond:
                self.duplicate += 1
            elif index < end:
                self.rejected[index] = reason
            elif index < sent:
                self.rejected[index] = "beyond_count"
            else:
                self.beyond.add(index)
        if first < end:
            self.high_water = max(self.high_water, min(end, first + count))

    def end(self, sent: int | None) -> None:
        if sent is not None:
            self.said = max(sent, self.said or 0)
            self._absorb(self.said)

    def _absorb(self, end: int) -> None:
        for index in [index for index in self.beyond if index < end]:
            self.beyond.remove(index)
            self.rejected[index] = "beyond_count"


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.integers(0, 50), st.integers(1, 12)),
        st.tuples(
            st.just("reject"),
            st.sampled_from(["payload_size", "bad_sizes"]),
            st.integers(0, 50),
            st.integers(1, 12),
        ),
        st.tuples(st.just("end"), st.one_of(st.none(), st.integers(0, 70))),
        st.tuples(st.just("crash")),
    ),
    max_size=40,
)
ANNOUNCED = st.one_of(st.none(), st.integers(0, 60))


def accounts(ledger: SeriesLedger) -> tuple[object, ...]:
    return (
        ledger.received,
        ledger.rejected,
        ledger.beyond,
        ledger.high_water,
        ledger.sent,
        ledger.lost,
        ledger.duplicate,
        ledger.late,
    )


def model_accounts(model: Model) -> tuple[object, ...]:
    reasons = list(model.rejected.values())
    known = model.high_water if model.sent is None else model.sent
    decided = model.received | model.rejected.keys()
    return (
        len(model.received),
        {reason: reasons.count(reason) for reason in set(reasons)},
        len(model.beyond),
        model.high_water,
        model.sent,
        len(set(range(known)) - decided),
        model.duplicate,
        model.late,
    )


@settings(max_examples=300)
@given(ANNOUNCED, CALLS)
def test_every_index_is_in_exactly_one_bin(announced: int | None, calls: list[tuple[object, ...]]) -> None:
    """The identity after every call, through any number of crashes and restores."""
    ledger, model = SeriesLedger(announced), Model(announced)
    for name, *arguments in calls:
        if name == "crash":
            ledger = SeriesLedger.restore(ledger.snapshot())
        else:
            getattr(ledger, str(name))(*arguments)
            getattr(model, str(name))(*arguments)
        assert accounts(ledger) == model_accounts(model)
        assert model.received.isdisjoint(model.rejected)
        if ledger.sent is not None:
            assert ledger.sent == ledger.received + ledger.lost + sum(ledger.rejected.values())


@settings(max_examples=100)
@given(ANNOUNCED, CALLS, st.integers(1, 4))
@example(None, [("receive", 1, 1), ("reject", "payload_size", 0, 1), ("crash",), ("receive", 0, 1)], 1)
def test_bounded_ledger_never_counts_twice(
    announced: int | None, calls: list[tuple[object, ...]], ranges: int
) -> None:
    """With few ranges kept, gaps close as lost, and what was rejected stays so when its frame comes whole."""
    ledger, model = SeriesLedger(announced), Model(announced)
    for name, *arguments in calls:
        if name == "crash":
            ledger = SeriesLedger.restore(ledger.snapshot(ranges))
            continue
        getattr(ledger, str(name))(*arguments)
        getattr(model, str(name))(*arguments)
        assert ledger.received <= len(model.received)
        assert sum(ledger.rejected.values()) <= len(model.rejected) + len(model.withdrawn) + ledger.lost
        assert ledger.lost >= 0
        assert ledger.high_water == model.high_water


def test_a_rejected_frame_that_arrives_whole_is_received() -> None:
    ledger = SeriesLedger(10)
    assert ledger.reject(Reason.PAYLOAD_SIZE, 2, 3) == [(2, 5)]
    assert ledger.rejected == {"payload_size": 3}
    assert ledger.receive(0, 4) == [(0, 4)]
    assert (ledger.received, ledger.rejected, ledger.duplicate) == (4, {"payload_size": 1}, 0)


def test_first_reason_stays_and_a_received_frame_is_never_rejected() -> None:
    ledger = SeriesLedger(10)
    ledger.receive(0, 2)
    ledger.reject("payload_size", 2, 2)
    assert ledger.reject("bad_sizes", 0, 6) == [(4, 6)]
    assert ledger.rejected == {"payload_size": 2, "bad_sizes": 2}
    assert ledger.duplicate == 4


def test_fresh_tells_what_receive_would_take() -> None:
    ledger = SeriesLedger(None)
    ledger.receive(5, 5)
    ledger.reject("bad_sizes", 3, 2)
    assert ledger.fresh(0, 12) == [(0, 5), (10, 12)]
    assert ledger.receive(0, 12) == [(0, 5), (10, 12)]
    assert (ledger.duplicate, ledger.late) == (5, 5)
    ledger.count_duplicate(3)
    assert ledger.duplicate == 8


def test_lost_and_complete() -> None:
    ledger = SeriesLedger(10)
    assert not ledger.complete
    ledger.receive(0, 4)
    ledger.receive(6, 4)
    assert (ledger.sent, ledger.lost, ledger.complete) == (None, 2, False)
    ledger.end(10)
    assert (ledger.sent, ledger.lost, ledger.complete) == (10, 2, False)
    ledger.receive(4, 2)
    assert (ledger.lost, ledger.complete, ledger.late, ledger.detail) == (0, True, 2, "")


def test_a_series_that_ends_early_by_its_own_word_is_not_complete() -> None:
    ledger = SeriesLedger(4096)
    ledger.receive(0, 1000)
    ledger.end(1000)
    assert (ledger.sent, ledger.lost, ledger.complete) == (1000, 0, False)


def test_an_end_that_says_fewer_than_arrived_is_disputed() -> None:
    ledger = SeriesLedger(None)
    ledger.receive(0, 10)
    ledger.end(7)
    assert (ledger.sent, ledger.received, ledger.lost) == (10, 10, 0)
    assert "says it sent 7 frames, yet frame 9 arrived" in ledger.detail


def test_an_index_far_behind_the_announced_end_inflates_nothing() -> None:
    ledger = SeriesLedger(100)
    ledger.receive(0, 100)
    ledger.reject("bad_sizes", 1 << 61, 64)
    assert (ledger.high_water, ledger.lost, ledger.rejected, ledger.beyond) == (100, 0, {}, 64)
    assert ledger.detail == "64 frames behind the end of the series were refused"


def test_frames_beyond_the_announced_count_that_the_sender_owns_up_to() -> None:
    ledger = SeriesLedger(100)
    ledger.receive(0, 100)
    ledger.reject("beyond_count", 100, 5)
    ledger.end(105)
    assert (ledger.sent, ledger.rejected, ledger.beyond, ledger.lost) == (105, {"beyond_count": 5}, 0, 0)


def test_end_without_a_message_leaves_sent_unknown() -> None:
    ledger = SeriesLedger(100)
    ledger.receive(0, 10)
    ledger.end(None)
    assert (ledger.sent, ledger.complete) == (None, False)


def test_memory_is_bounded_when_every_other_frame_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round-robin PUSH with two receivers: each gets every other message, for ever."""
    monkeypatch.setattr(ledger_module, "MAX_RANGES", 64)
    ledger = SeriesLedger(None)
    for index in range(0, 2000, 2):
        ledger.receive(index, 1)
        assert ledger._received.range_count <= 64
    assert (ledger.received, ledger.lost) == (1000, 999)
    ledger.receive(1, 1)  # long settled as lost
    assert (ledger.received, ledger.lost, ledger.duplicate) == (1000, 999, 1)
    ledger.receive(1997, 1)
    assert (ledger.received, ledger.lost, ledger.late) == (1001, 998, 1)


def test_rejections_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_RANGES", 64)
    ledger = SeriesLedger(4000)
    for index in range(0, 4000, 4):
        ledger.reject("bad_sizes", index, 1)
        ledger.reject("payload_size", index + 1, 1)
        ledger.reject("bad_sizes", 10**9 + 2 * index, 1)
    assert ledger.rejected == {"bad_sizes": 1000, "payload_size": 1000}
    assert (ledger.high_water, ledger.received, ledger.lost) == (3998, 0, 1998)
    assert ledger._any_rejected.range_count <= 64
    assert ledger._beyond.range_count <= 64


def test_snapshot_is_bounded_and_exact_in_its_numbers() -> None:
    ledger = SeriesLedger(1 << 61)
    base = 1 << 60
    for index in range(0, 8000, 4):
        ledger.receive(base + index, 1)
        ledger.reject(list(Reason)[index % len(Reason)], base + index + 2, 1)
    data = ledger.snapshot()
    assert len(data) <= SNAPSHOT_BYTES
    again = SeriesLedger.restore(data)
    assert accounts(again) == accounts(ledger)
    assert again.receive(base + 1, 1) == []  # settled: too late to be told from a duplicate
    assert again.receive(base + 7999, 1) == [(base + 7999, base + 8000)]
    assert ledger.receive(base + 1, 1) == [(base + 1, base + 2)]
