"""A viewer elsewhere as the relay knows it: turns, budget, signs of life, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from livem.kernels.cutouts import Cutout
from livem.kernels.packing import unpack
from livem.session.onlooker import (
    BUNDLE_S,
    HEARTBEAT_S,
    HOLD_S,
    KEPT,
    PERIOD_S,
    Keepsakes,
    Newest,
    Onlooker,
    cut,
)
from livem.stream.bus_codec import decode
from livem.stream.results import Result
from livem.stream.series import SeriesKey

SERIES = SeriesKey(b"\x01" * 8, 3)
WHOLE: Mapping[str, Cutout] = {}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def image(topic: str, values: np.ndarray, **attrs: Any) -> Result:
    return Result(topic, "image", SERIES, (0, 1), 1, {"image": values}, {"image": "counts"}, attrs)


def newest(number: int, result: Result) -> dict[str, Newest]:
    return {result.topic: Newest(result, number)}


def unpacked(packed: Any) -> Result:
    arrays = [
        part if not size else unpack(part, size, 1 << 28).data
        for part, size in zip(packed.parts[2:], packed.item_sizes, strict=True)
    ]
    result = decode([*packed.parts[:2], *arrays])
    assert isinstance(result, Result)
    return result


def test_each_result_is_sent_once_and_sixty_times_a_second_at_most(clock: Clock) -> None:
    onlooker, there = Onlooker((), clock), newest(1, image("vd.bf", np.eye(8)))
    assert onlooker.bundle(there, {}) is None  # it has not asked
    onlooker.ask(1, WHOLE, 1e9)
    assert len(onlooker.bundle(there, {}) or []) == 1
    onlooker.ask(2, WHOLE, 1e9)
    assert onlooker.bundle(there, {}) is None
    there = newest(2, image("vd.bf", np.ones((8, 8))))
    assert onlooker.bundle(there, {}) is None
    clock.now += PERIOD_S
    ((packed, kept),) = onlooker.bundle(there, {}) or []
    assert not kept
    np.testing.assert_array_equal(unpacked(packed).arrays["image"], np.ones((8, 8)))


def test_a_session_without_news_is_heard_of(clock: Clock) -> None:
    onlooker = Onlooker((), clock)
    onlooker.ask(1, WHOLE, 1e9)
    assert onlooker.bundle({}, {}) is None
    clock.now += HEARTBEAT_S
    assert onlooker.bundle({}, {}) == []


def test_what_was_sent_is_paid_for_before_more_goes_out(clock: Clock) -> None:
    budget, noise = 100_000.0, np.random.default_rng(1)
    onlooker, sent = Onlooker((), clock), 0
    for turn in range(2000):
        clock.now += 0.005
        there = newest(turn, image("a.noise", noise.random((64, 64))))
        onlooker.ask(turn, WHOLE, budget)
        sent += sum(packed.nbytes for packed, _ in onlooker.bundle(there, {}) or [])
    assert 0.8 * budget < sent / 10.0 < 1.05 * budget


def test_a_topic_that_waited_goes_first_and_the_status_before_all(clock: Clock) -> None:
    noise = np.random.default_rng(2)
    onlooker, seen = Onlooker((), clock), []
    status = Result("status", "status", None, (0, 0), 1, attrs={"state": "running"})
    for turn in range(30):
        clock.now += BUNDLE_S * 2
        there = {name: Newest(image(name, noise.random((64, 64))), 3 * turn) for name in ("a.x", "b.x")}
        onlooker.ask(turn, WHOLE, 60_000.0)
        chosen = onlooker.bundle({**there, "status": Newest(status, turn)}, {}) or []
        seen += [unpacked(packed).topic for packed, _ in chosen]
    assert seen.count("status") == seen.count("a.x") + seen.count("b.x")
    assert abs(seen.count("a.x") - seen.count("b.x")) <= 1


def test_finals_and_events_come_once_whole_and_marked(clock: Clock) -> None:
    early = Newest(image("vd.bf", np.eye(8)), 1)
    onlooker = Onlooker([early], clock)
    onlooker.keep(Newest(image("vd.bf", np.ones((8, 8))), 2))
    onlooker.ask(1, {"vd.bf": Cutout(0, 0, 4, 4, 1)}, 1e9)
    chosen = onlooker.bundle({}, {}) or []
    assert [kept for _, kept in chosen] == [True, True]
    assert unpacked(chosen[0][0]).arrays["image"].shape == (8, 8)
    onlooker.ask(2, WHOLE, 1e9)
    assert onlooker.bundle({}, {}) is None


def test_a_slow_line_forgets_the_oldest(clock: Clock) -> None:
    kept = Keepsakes()
    for number in range(KEPT + 10):
        kept.keep(Newest(image("a.b", np.eye(4)), number))
    assert (len(kept), kept[0].number) == (KEPT, 10)
    big = np.zeros((2048, 2048))
    for number in range(3):
        kept.keep(Newest(image("a.b", big), 1000 + number))
    assert [one.number for one in kept] == [1002]


FRAME = image("preview.frame", np.ones((50, 50)), index=7, factor=4, shape=[200, 200], mode="mean")
FINE = Cutout(0, 0, 64, 64, 1)


def test_a_fine_view_waits_for_its_own_picture_and_not_for_ever(clock: Clock) -> None:
    onlooker, there = Onlooker((), clock), newest(1, FRAME)
    onlooker.ask(1, {"preview.frame": FINE}, 1e9)
    assert onlooker.bundle(there, {}) is None
    view = Newest(image("preview.frame", np.full((64, 64), 2.0), index=6, factor=1, shape=[200, 200]), 2)
    chosen = onlooker.bundle(there, {("preview.frame", FINE): view}) or []
    assert unpacked(chosen[0][0]).attrs["index"] == 6
    other = Onlooker((), clock)
    other.ask(1, {"preview.frame": FINE}, 1e9)
    clock.now += HOLD_S
    assert unpacked((other.bundle(there, {}) or [])[0][0]).arrays["image"].shape == (50, 50)


def test_the_picture_of_another_series_is_none_of_this_one(clock: Clock) -> None:
    onlooker = Onlooker((), clock)
    onlooker.ask(1, {"preview.frame": FINE}, 1e9)
    clock.now += HOLD_S
    old = Result("preview.frame", "image", SeriesKey(b"\x01" * 8, 2), (0, 1), 1, {"image": np.eye(64)})
    chosen = onlooker.bundle(newest(1, FRAME), {("preview.frame", FINE): Newest(old, 2)}) or []
    assert unpacked(chosen[0][0]).series == SERIES


def test_an_image_is_cut_with_its_maps_and_says_what_it_is() -> None:
    values = np.arange(64 * 48, dtype=np.float64).reshape(64, 48)
    valid = np.ones((64, 48), bool)
    valid[:40] = False
    result = Result("vd.bf", "image", SERIES, (0, 1), 1, {"image": values, "valid": valid, "sampled": ~valid})
    part = cut(result, Cutout(32, 0, 512, 512, 4))
    expected = np.full((8, 12), np.nan)
    expected[2:] = values[40:].reshape(6, 4, 12, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(part.arrays["image"], expected)
    np.testing.assert_array_equal(part.arrays["valid"], np.isfinite(expected))
    np.testing.assert_array_equal(part.arrays["sampled"][:2], np.ones((2, 12), bool))
    assert part.attrs["cut"] == {"corner": [32, 0], "factor": 4, "shape": [64, 48]}
