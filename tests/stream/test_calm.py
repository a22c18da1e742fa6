"""What goes out at once, what waits, what is left out: by a virtual clock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from livem.stream.bus_codec import encode
from livem.stream.calm import LATEST_ONLY, PERIOD_NS, Calm
from livem.stream.hub import Hub
from livem.stream.results import KINDS, Result
from livem.stream.series import SeriesKey
from livem.stream.stamp import Message

KEY = SeriesKey(b"12345678", 0)


def result(n: int, kind: str = "image", topic: str = "vd.bf", final: bool = False) -> Result:
    arrays = {"image": np.full((2, 2), float(n))} if kind == "image" else {}
    return Result(topic, kind, KEY, (0, n), n, arrays, attrs={"n": n}, final=final)  # type: ignore[arg-type]


class Line:
    """What goes out of a Calm, and when."""

    def __init__(self) -> None:
        self.calm, self.out = Calm(), list[tuple[int, Result]]()

    def take(self, one: Result, now_ns: int) -> None:
        if self.calm.admit(one, [], now_ns):
            self._send(one, now_ns)

    def tick(self, now_ns: int) -> None:
        for one, _ in self.calm.due(now_ns):
            self._send(one, now_ns)

    def _send(self, one: Result, now_ns: int) -> None:
        self.calm.sent(one.topic, now_ns)
        self.out.append((now_ns, one))


def test_the_first_goes_at_once_and_then_the_newest_of_each_period() -> None:
    line = Line()
    for n in range(1, 11):
        line.take(result(n), n)
    assert [(now, one.attrs["n"]) for now, one in line.out] == [(1, 1)]
    assert line.calm.next_ns() == PERIOD_NS
    line.tick(PERIOD_NS - 1)
    assert len(line.out) == 1
    line.tick(PERIOD_NS)
    assert [one.attrs["n"] for _, one in line.out] == [1, 10]
    assert line.calm.next_ns() is None


def test_the_last_of_a_series_does_not_wait_and_outdates_what_does() -> None:
    line = Line()
    line.take(result(1), 0)
    line.take(result(2), 1)
    line.take(result(3, final=True), 2)
    line.tick(PERIOD_NS * 2)
    assert [(now, one.attrs["n"]) for now, one in line.out] == [(0, 1), (2, 3)]


def test_all_topics_have_their_turn_at_once() -> None:
    line = Line()
    for n, topic in enumerate(["vd.bf", "vd.haadf", "vd.bf", "vd.haadf"]):
        line.take(result(n, topic=topic), n * PERIOD_NS // 5)
    assert line.calm.next_ns() == PERIOD_NS
    line.tick(PERIOD_NS)
    assert [one.attrs["n"] for _, one in line.out] == [0, 1, 2, 3]
    assert line.calm.next_ns() is None


def test_topics_wait_for_themselves_only() -> None:
    line = Line()
    line.take(result(1), 0)
    line.take(result(2), 1)
    line.take(result(3, topic="vd.haadf"), 2)
    assert [one.topic for _, one in line.out] == ["vd.bf", "vd.haadf"]


arrivals = st.lists(
    st.tuples(
        st.integers(0, PERIOD_NS * 2), st.sampled_from(KINDS), st.sampled_from(["a", "b"]), st.booleans()
    ),
    max_size=60,
)


@given(arrivals)
def test_every_topic_ends_with_its_newest_within_a_period(sequence: list[tuple[int, str, str, bool]]) -> None:
    line, now = Line(), 0
    came: list[tuple[int, Result]] = []
    for n, (pause, kind, topic, final) in enumerate(sequence):
        now += pause
        while (due := line.calm.next_ns()) is not None and due <= now:
            line.tick(due)
        came.append((now, result(n, kind, f"{topic}.{kind}", final)))
        line.take(came[-1][1], now)
    while (due := line.calm.next_ns()) is not None:
        line.tick(due)
    for topic in {one.topic for _, one in came}:
        mine = [(at, one) for at, one in came if one.topic == topic]
        out = [(at, one) for at, one in line.out if one.topic == topic]
        assert [one.t_ns for _, one in out] == sorted({one.t_ns for _, one in out}), "in order, none twice"
        assert out[-1][1] is mine[-1][1]
        assert out[-1][0] - mine[-1][0] <= PERIOD_NS
        each = [one for _, one in mine if one.final or one.kind not in LATEST_ONLY]
        assert [one for _, one in out if one.final or one.kind not in LATEST_ONLY] == each
        periods = [at // PERIOD_NS for at, _ in out]
        if mine[0][1].kind in LATEST_ONLY:
            pairs = zip(pairwise(periods), out[1:], strict=True)
            assert all(later > sooner or one.final for (sooner, later), (_, one) in pairs)


# -- in the hub ------------------------------------------------------------------------------------------


class Bench:
    """A hub whose clock stands still until it is told otherwise, and a socket that hears its bus."""

    def __init__(self, folder: Path, script: zmq.Socket[bytes]) -> None:
        self.now, self.seen = 10 * PERIOD_NS, list[Result]()
        self.hub = Hub(folder, "test", on_result=self.seen.append, clock=lambda: self.now)
        self._script, self._heard = script, 0
        script.subscribe("vd.")
        script.connect(self.hub.addresses.bus[0])
        self.hub.publish(result(0))
        while not script.poll(1):  # the snapshot says that the subscription has come
            self.now += 4 * PERIOD_NS
            self.hub.step(0.01)
        self.now += 4 * PERIOD_NS
        assert self.hears() == (1, 0)

    def hears(self) -> tuple[int, int]:
        """The next that comes and is no repetition: (number in its topic, n)."""
        while True:
            assert self._script.poll(20_000)
            message = Message.of(self._script.recv_multipart())
            assert message is not None
            if message.stamp.seq > self._heard:
                break
        self._heard = message.stamp.seq
        one = message.result()
        assert one is not None
        return message.stamp.seq, one.attrs["n"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="lv") as folder,
        zmq.Context() as context,
        context.socket(zmq.SUB) as script,
    ):
        script.setsockopt(zmq.LINGER, 0)
        bench = Bench(Path(folder), script)
        yield bench
        bench.hub.close()


def test_the_hub_numbers_what_goes_out_and_shows_its_owner_everything(bench: Bench) -> None:
    bench.seen.clear()
    for n in range(1, 10):
        bench.hub.publish(result(n))
    assert bench.hears() == (2, 1)
    assert bench.hub.tick() == pytest.approx(PERIOD_NS / 1e9)
    bench.now += PERIOD_NS
    bench.hub.tick()
    assert bench.hears() == (3, 9)
    assert [one.attrs["n"] for one in bench.seen] == list(range(1, 10))


def test_what_waits_when_the_hub_is_closed_still_goes_out(bench: Bench) -> None:
    bench.hub.publish(result(1))
    bench.hub.publish(result(2))
    bench.hub.close()
    assert bench.hears() == (2, 1)
    assert bench.hears() == (3, 2)


def test_a_topic_too_many_is_refused_however_often_it_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livem.stream.slots.MAX_TOPICS", 1)
    for n in range(3):
        bench.hub.publish(result(n, topic="vd.more"))
    assert bench.hub.refused() == {"too many topics": 3}


def test_parts_that_wait_are_those_of_the_result() -> None:
    calm, one = Calm(), result(5)
    calm.sent(one.topic, 0)
    parts = encode(one)
    assert not calm.admit(one, parts, 1)
    assert calm.rest() == [(one, parts)]
    assert calm.rest() == []
