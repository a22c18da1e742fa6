"""The fault injector does what it reports, and reports all that it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.errors import SourceError
from livem.stream.files.acquisition import Acquisition
from livem.stream.messages import End, FrameBatch, Rejected, Start, check
from livem.stream.series import Encoding, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.fault_report import LOST, REFUSED, Action, merged
from livem.stream.simulate.fault_spec import FaultSpec
from livem.stream.simulate.faults import FaultInjector, Kill, Restart, Stall, Step
from livem.stream.simulate.outgoing import Outgoing, series_messages
from livem.stream.wire import decode

FRAMES = 120
FATES: tuple[Action, ...] = ("delivered", *LOST, *REFUSED)


@cache
def acquisition() -> Acquisition:
    return open_acquisition(f"sim:4dstem?shape=8x8&scan=10x12&frames={FRAMES}")


def messages(
    number: int = 1, batch: int = 3, encoding: Encoding = "raw", epoch: bytes = b"01234567"
) -> Iterator[Outgoing]:
    return series_messages(acquisition(), SeriesKey(epoch, number), batch, encoding)


@dataclass
class Receiver:
    """Sorts what arrives as the wire's own decoder sees it."""

    received: list[int] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    nameless: int = 0
    others: int = 0

    def take(self, message: Outgoing) -> None:
        answer = decode(message.parts)
        if isinstance(answer, FrameBatch):
            series = decode(next(messages(encoding="raw" if answer.sizes is None else "bslz4")).parts).series  # type: ignore[union-attr]
            refusal = check(answer, series)
            if refusal is None:
                self.received.extend(range(answer.first, answer.first + answer.count))
                return
            answer = refusal
        if not isinstance(answer, Rejected):
            self.others += isinstance(answer, Start | End)
        elif answer.first is None or answer.count is None:
            self.nameless += 1
        else:
            self.refused.update(range(answer.first, answer.first + answer.count))


def frames_of(ranges: list[tuple[int, int]]) -> list[int]:
    return [index for start, stop in ranges for index in range(start, stop)]


shares = st.fixed_dictionaries(
    {
        name: st.sampled_from([0.0, 0.02, 0.2])
        for name in ("drop", "duplicate", "corrupt", "truncate", "shape")
    }
)


@settings(max_examples=60, deadline=None)
@given(
    faults=shares,
    reorder=st.integers(0, 20),
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 40),
    encoding=st.sampled_from(["raw", "bslz4"]),
)
def test_the_report_is_exactly_what_a_receiver_sees(
    faults: dict[str, Any], reorder: int, seed: int, batch: int, encoding: Encoding
) -> None:
    injector = FaultInjector(replace(FaultSpec(reorder=reorder, seed=seed), **faults))
    receiver = Receiver()
    for step in injector.inject(messages(batch=batch, encoding=encoding)):
        assert isinstance(step, Outgoing)
        receiver.take(step)
    report = injector.report
    (key,) = report.series()
    assert sorted(set(receiver.received)) == frames_of(report.ranges("delivered", key))
    assert len(receiver.received) == sum(report.tally(a, key).frames for a in ("delivered", "duplicated"))
    assert receiver.nameless == report.tally("garbled", key).messages
    assert sorted(receiver.refused) == frames_of(report.ranges(REFUSED, key))
    everything = sorted(frame for action in FATES for frame in frames_of(report.ranges(action, key)))
    assert everything == list(range(FRAMES))


@settings(max_examples=20, deadline=None)
@given(faults=shares, reorder=st.integers(0, 9), seed=st.integers(0, 999))
def test_the_same_seed_gives_the_same_bytes(faults: dict[str, Any], reorder: int, seed: int) -> None:
    spec = replace(FaultSpec(reorder=reorder, seed=seed, on="all"), **faults)
    once, twice = (
        [step.parts for step in FaultInjector(spec).inject(messages()) if isinstance(step, Outgoing)]
        for _ in "ab"
    )
    assert once == twice


@settings(max_examples=30, deadline=None)
@given(window=st.integers(1, 30), seed=st.integers(0, 999))
def test_no_message_is_overtaken_by_more_than_the_window(window: int, seed: int) -> None:
    injector = FaultInjector(FaultSpec(reorder=window, seed=seed))
    order = [step.first for step in injector.inject(messages(batch=1)) if isinstance(step, Outgoing)][1:-1]
    assert sorted(order) == list(range(FRAMES))
    overtaken = [sum(later > index for later in order[:place]) for place, index in enumerate(order)]
    assert max(overtaken) <= window
    assert injector.report.tally("reordered", SeriesKey(b"01234567", 1)).messages == np.count_nonzero(
        overtaken
    )


def test_without_faults_the_very_same_messages_pass() -> None:
    given_messages = list(messages())
    assert list(FaultInjector(FaultSpec()).inject(given_messages)) == given_messages


def test_starts_and_ends_are_spared_unless_asked_for() -> None:
    steps = list(FaultInjector(FaultSpec(drop=1.0)).inject(messages()))
    assert [step.kind for step in steps if isinstance(step, Outgoing)] == ["start", "end"]
    assert list(FaultInjector(FaultSpec(drop=1.0, on="all")).inject(messages())) == []


@pytest.mark.parametrize("name", ["corrupt", "truncate", "shape"])
def test_damaged_starts_and_ends_are_refused_or_whole(name: str) -> None:
    receiver = Receiver()
    for step in FaultInjector(FaultSpec(**{name: 1.0}, on="all")).inject(messages()):  # type: ignore[arg-type]
        assert isinstance(step, Outgoing)
        receiver.take(step)
    assert receiver.others == (2 if name == "shape" else 0)
    assert receiver.received == []


def test_spoiled_payloads_arrive_but_do_not_decode() -> None:
    from dectris.compression import decompress

    injector = FaultInjector(FaultSpec(corrupt=1.0, seed=4))
    key = SeriesKey(b"01234567", 1)
    for step in injector.inject(messages(batch=1, encoding="bslz4")):
        spoiled = set(frames_of(injector.report.ranges("undecodable", key)))
        if isinstance(step, Outgoing) and step.kind == "frames" and step.first in spoiled:
            assert isinstance(decode(step.parts), FrameBatch)
            with pytest.raises(RuntimeError):
                decompress(bytes(step.parts[1]), "bslz4", elem_size=2)
    spoiled = set(frames_of(injector.report.ranges("undecodable", key)))
    assert 30 < len(spoiled) < 90
    assert spoiled == set(frames_of(injector.report.ranges("delivered", key)))


def test_stalls_come_before_the_message_that_holds_their_frame() -> None:
    steps: list[Step] = list(FaultInjector(FaultSpec.parse("stall=0.5s@7,stall=2@60")).inject(messages()))
    places = [place for place, step in enumerate(steps) if isinstance(step, Stall)]
    assert [steps[place] for place in places] == [Stall(0.5), Stall(2.0)]
    assert [steps[place + 1].first for place in places] == [6, 60]  # type: ignore[union-attr]


def test_restarts_end_the_series_and_the_next_run_goes_on_to_the_next_restart() -> None:
    injector = FaultInjector(FaultSpec.parse("restart@50,restart@20,restart@20,reorder=5"))
    lasts = []
    for run in range(4):
        *sent, last = injector.inject(messages(epoch=bytes([run]) * 8))
        lasts.append(type(last))
        key = SeriesKey(bytes([run]) * 8, 1)
        covered = frames_of(
            merged(injector.report.ranges("delivered", key) + injector.report.ranges("unsent", key))
        )
        limit = (21, 21, 51, FRAMES)[run]
        assert covered == list(range(limit + (-limit) % 3 if run < 3 else FRAMES))
        assert len(sent) >= 1
    assert lasts == [Restart, Restart, Restart, Outgoing]


def test_a_kill_ends_everything() -> None:
    steps = list(FaultInjector(FaultSpec.parse("kill@30")).inject(messages()))
    assert isinstance(steps[-1], Kill)
    assert steps[-2].first == 27  # type: ignore[union-attr]


def test_the_whole_spec_is_read() -> None:
    text = (
        "drop=0.01, duplicate=.005,reorder=8,corrupt=1e-3,truncate=0.001,"
        "stall=2s@500,shape=0.001,kill@1000,restart@2000,seed=7,on=all"
    )
    assert FaultSpec.parse(text) == FaultSpec(
        0.01, 0.005, 0.001, 0.001, 0.001, 8, ((2.0, 500),), (1000,), (2000,), "all", 7
    )
    assert FaultSpec.parse("") == FaultSpec()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dorp=0.1", "did you mean 'drop'"),
        ("xyz", "there are: drop"),
        ("drop=1.5", "drop is a share of the messages, from 0 to 1"),
        ("drop", "drop is a share"),
        ("reorder=-1", "whole number from 0 to 10000"),
        ("stall=2s", "write for example stall=2s@500"),
        ("kill=3", "write for example kill@1000"),
        ("restart@x", "write for example restart@2000"),
        ("on=end", "'frames' or 'all'"),
        ("drop=0.6,corrupt=0.6", "is 1.2; a message meets at most one"),
    ],
)
def test_a_wrong_spec_says_what_is_right(text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        FaultSpec.parse(text)


def test_the_report_is_plain_values() -> None:
    injector = FaultInjector(FaultSpec(drop=0.5, seed=1))
    list(injector.inject(messages()))
    actions = {entry["action"]: entry for entry in injector.report.as_dict()}
    assert actions["dropped"]["frames"] + actions["delivered"]["frames"] == FRAMES
    assert actions["dropped"]["epoch"] == b"01234567".hex()
