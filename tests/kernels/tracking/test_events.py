"""What happens to particles is told, once, with its time and place."""

from __future__ import annotations

import numpy as np
from walks import SHAPE, events_of, follow, found, join, scattered, walk

from livem.kernels.tracking.tracks import EventKind

REST = scattered(40, 1, apart=14)


def calm(frames: int, seed: int = 2) -> list[np.ndarray]:
    """The places of 40 particles that hardly move, far from what the tests do in the middle."""
    rng = np.random.default_rng(seed)
    rest = REST[np.hypot(*(REST - 128).T) > 50]
    return [rest + 0.3 * rng.standard_normal(rest.shape) for _ in range(frames)]


def told(frames: list[np.ndarray]) -> list[tuple[int, int]]:
    _, updates = follow(frames)
    events = events_of(updates)
    assert (events["told"] >= events["frame"]).all()
    return events[["kind", "frame"]][events["confidence"] >= 0.5].tolist()


def test_a_quiet_field_tells_nothing() -> None:
    assert told([found(p) for p in calm(30)]) == []


def test_a_small_one_that_comes_up_nucleates() -> None:
    frames = [
        found(p) if k < 12 else join(found(p), found([[128.0, 128.0]], 1.6 + 0.04 * k - 0.48))
        for k, p in enumerate(calm(30))
    ]
    assert told(frames) == [(EventKind.NUCLEATION, 12)]


def test_one_that_shrinks_away_dissolves() -> None:
    frames = [
        join(found(p), found([[128.0, 128.0]], 4.0 - 0.15 * k)) if k < 16 else found(p)
        for k, p in enumerate(calm(30))
    ]
    assert told(frames) == [(EventKind.DISSOLUTION, 16)]


def test_a_large_one_that_is_gone_is_lost_and_said_to_be() -> None:
    frames = [
        join(found(p), found([[128.0, 128.0]], 4.0)) if k < 16 else found(p) for k, p in enumerate(calm(30))
    ]
    assert told(frames) == [(EventKind.LOST, 16)]


def test_two_that_touch_and_keep_their_volume_coalesce() -> None:
    pair = np.array([[128.0, 120.0], [128.0, 127.5]])
    frames = [
        join(found(p), found(pair, [4.0, 3.5])) if k < 14 else join(found(p), found([[128.0, 123.0]], 4.75))
        for k, p in enumerate(calm(30))
    ]
    _, updates = follow(frames)
    (event,) = events_of(updates)
    assert (event["kind"], event["frame"]) == (EventKind.COALESCENCE, 14)
    assert np.hypot(event["y"] - 128, event["x"] - 123) < 1.5
    ids = {int(r["particle"]): float(r["x"]) for r in updates[10].rows}
    assert ids[int(event["particle"])] < ids[int(event["other"])]


def test_two_that_become_one_at_the_edge_have_not_left() -> None:
    pair = np.array([[4.5, 120.0], [4.5, 127.5]])
    frames = []
    for k, p in enumerate(calm(30)):
        rest = p[np.hypot(p[:, 0] - 4.5, p[:, 1] - 123) > 30]
        here = found(pair, [4.0, 3.5]) if k < 14 else found([[4.5, 123.0]], 4.75)
        frames.append(join(found(rest), here))
    assert told(frames) == [(EventKind.COALESCENCE, 14)]


def test_one_that_becomes_two_splits() -> None:
    pair = np.array([[128.0, 122.5], [128.0, 129.0]])
    frames = [
        join(found(p), found(pair, [4.4, 2.7])) if k >= 14 else join(found(p), found([[128.0, 123.5]], 4.7))
        for k, p in enumerate(calm(30))
    ]
    assert told(frames) == [(EventKind.SPLITTING, 14)]


def test_who_comes_and_goes_at_the_edge_enters_and_leaves() -> None:
    frames = []
    for k, p in enumerate(calm(40)):
        column = 128.0
        rows = [found(p)]
        if k >= 10:
            rows.append(found([[2 + 0.5 * (k - 10), column]]))
        if k < 20:
            rows.append(found([[SHAPE[0] - 11 + 0.5 * k, column]]))
        frames.append(join(*rows))
    assert set(told(frames)) == {(EventKind.ENTRY, 10), (EventKind.EXIT, 20)}


def test_who_walks_close_by_does_not_become_one() -> None:
    places = walk(scattered(30, 5, apart=11), 40, 6, step=0.6, drift=(0, 0))
    _, updates = follow([found(p) for p in places])
    assert EventKind.COALESCENCE not in events_of(updates)["kind"]
