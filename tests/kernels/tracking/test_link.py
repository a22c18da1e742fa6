"""Particles followed: ids that hold, gaps, noise, lost frames, jumps, worst cases, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from walks import SHAPE, follow, found, join, scattered, walk, weak

from livem.kernels.tracking import reference_link
from livem.kernels.tracking.link import Linker, LinkOptions
from livem.kernels.tracking.tracks import Sight, State, Trouble


def one_id_each(rows: np.ndarray, places: np.ndarray) -> bool:
    """Whether rows of each particle (frames, n, 2) are of one track, and no track has two."""
    owners: dict[int, set[int]] = {}
    for row in rows:
        distance = np.hypot(*(places[row["frame"]] - (row["y"], row["x"])).T)
        owners.setdefault(int(distance.argmin()), set()).add(int(row["particle"]))
    return all(len(ids) == 1 for ids in owners.values()) and len(owners) == len(set().union(*owners.values()))


def test_ids_hold_while_particles_walk_and_the_field_drifts() -> None:
    places = walk(scattered(60, 1), 40, 2, drift=(1.5, -1.0))
    rows, updates = follow([found(p) for p in places])
    assert len(rows) == places[..., 0].size
    assert one_id_each(rows, places)
    drift = np.mean([u.drift for u in updates[5:]], axis=0)
    np.testing.assert_allclose(drift, (1.5, -1.0), atol=0.15)
    assert all(not u.trouble for u in updates)


def test_live_rows_are_provisional_at_first_and_final_rows_come_after_the_lag() -> None:
    places = walk(scattered(20, 3), 12, 4)
    _, updates = follow([found(p) for p in places], lag=5)
    states = [set(u.rows["state"].tolist()) for u in updates]
    assert states[0] == states[1] == {State.TENTATIVE}
    assert states[2] == {State.CONFIRMED}
    assert [len(u.final) for u in updates[:6]] == [0, 0, 0, 0, 0, 20]
    assert set(updates[5].final["frame"]) == {0}


def test_noise_gets_no_tracks_and_weak_detections_only_keep_them_going() -> None:
    rng = np.random.default_rng(5)
    places = walk(scattered(20, 6), 40, 7, step=0.7)
    frames = []
    for n, p in enumerate(places):
        score = 4.5 + rng.standard_normal(len(p))
        strong = (score > 4.2) | (n < 4)
        noise = rng.uniform(0, 256, (60, 2))
        specks = 2.5 + rng.exponential(0.35, 60)
        loud = specks > 4.2
        frames.append(
            join(
                found(p[strong], score=np.maximum(score[strong], 4.2), error=0.4),
                weak(found(p[~strong], score=np.maximum(score[~strong], 2.5), error=0.4)),
                weak(found(noise[~loud], score=specks[~loud], error=0.7)),
                found(noise[loud], score=specks[loud], error=0.7),
            )
        )
    rows, _ = follow(frames)
    distance = [np.hypot(*(places[r["frame"]] - (r["y"], r["x"])).T).min() for r in rows]
    assert np.mean(np.array(distance) < 3) > 0.98
    assert len(rows) > 0.95 * places[..., 0].size
    assert (rows["sight"] == Sight.WEAK).sum() > 150


def test_gaps_are_closed_and_their_places_interpolated() -> None:
    places = walk(scattered(15, 8), 20, 9, step=0.5)
    frames = [found(p) for p in places]
    for k in (10, 11, 12):
        frames[k] = found(np.delete(places[k], 4, axis=0))
    rows, _ = follow(frames)
    assert one_id_each(rows, places)
    filled = rows[rows["sight"] == Sight.MISSED]
    assert filled["frame"].tolist() == [10, 11, 12]
    assert (filled["detection"] == -1).all()
    assert np.isnan(filled["measured_y"]).all()
    assert np.hypot(*(places[10:13, 4] - np.stack([filled["y"], filled["x"]], 1)).T).max() < 2.5


def test_a_particle_out_of_sight_for_longer_than_the_gap_is_another_one() -> None:
    places = walk(scattered(15, 8), 24, 9, step=0.5)
    frames = [found(p if k < 8 or k > 14 else np.delete(p, 4, axis=0)) for k, p in enumerate(places)]
    rows, _ = follow(frames, gap=3)
    ids = [set(rows["particle"][rows["frame"] == k].tolist()) for k in (7, 20)]
    assert len(ids[0] - ids[1]) == len(ids[1] - ids[0]) == 1
    assert max(ids[1]) > max(ids[0])


def test_lost_frames_are_time_that_passed() -> None:
    places = walk(scattered(25, 10, apart=25), 60, 11, drift=(0.8, -0.5))
    kept = [k for k in range(60) if k < 20 or k % 4 == 0]
    rows, updates = follow([found(places[k]) for k in kept], kept)
    assert one_id_each(rows, places)
    assert set(rows["frame"].tolist()) == set(kept)
    assert [bool(u.trouble & Trouble.LOST_FRAMES) for u in updates] == [k > 20 for k in kept]


def test_frames_out_of_order_are_refused_and_change_nothing() -> None:
    places = walk(scattered(12, 12), 20, 13)
    frames = [found(p) for p in places]
    expected, _ = follow(frames)
    linker = Linker(LinkOptions(shape=SHAPE))
    order = [0, 1, 2, 2, 3, 1, 4, 0, *range(5, 20), 19]
    rows, updates = follow([frames[k] for k in order], order, linker)
    assert rows.tobytes() == expected.tobytes()
    refused = [k for k, u in zip(order, updates, strict=True) if u.trouble & Trouble.OUT_OF_ORDER]
    assert refused == [2, 1, 0, 19]


def test_a_jump_of_the_field_is_found_from_the_particles_and_flagged() -> None:
    places = walk(scattered(60, 14), 20, 15, step=0.5)
    places[10:] += (31, -22)
    rows, updates = follow([found(p) for p in places])
    assert one_id_each(rows, places)
    assert [k for k, u in enumerate(updates) if u.trouble & Trouble.JUMP] == [10]
    np.testing.assert_allclose(updates[10].drift, (31.3, -21.85), atol=0.6)


def test_a_hint_moves_the_field_where_particles_alone_would_not_tell() -> None:
    places = walk(scattered(4, 16, apart=40), 20, 17, step=0.3)
    places[10:] += (40, 25)
    linker = Linker(LinkOptions(shape=SHAPE))
    ids = [
        linker.step(k, found(p), (40, 25) if k == 10 else None).rows["particle"] for k, p in enumerate(places)
    ]
    assert set(ids[19].tolist()) == {0, 1, 2, 3}


def test_places_are_those_of_the_smoother() -> None:
    rng = np.random.default_rng(18)
    truth = walk(scattered(40, 19, apart=20), 12, 20, drift=(0, 0))
    measured = truth + 0.8 * rng.standard_normal(truth.shape)
    linker = Linker(LinkOptions(shape=SHAPE, lag=11))
    rows, _ = follow([found(p, error=0.8) for p in measured], linker=linker)
    field = linker._field[0]
    order = rows[rows["particle"] == 7]
    noise = np.full(12, np.float64(np.float32(0.64)))
    for axis, name in enumerate("yx"):
        places, variance = reference_link.smoothed(
            measured[:, 7, axis], noise, field[f"shifts_{name}"][:12], field["walks"][:12]
        )
        np.testing.assert_allclose(order[name], places, atol=1e-6)
        np.testing.assert_allclose(order["variance"], variance, rtol=1e-4)
    places = np.stack([rows["y"], rows["x"]], 1)[np.argsort(rows["frame"] * 100 + rows["particle"])]
    assert np.mean((places.reshape(truth.shape) - truth) ** 2) < 0.65 * np.mean((measured - truth) ** 2)


def test_two_that_merge_go_on_as_the_larger_one() -> None:
    places = np.array([[60.0, 60.0], [60.0, 69.0], [150.0, 150.0]])
    radius = np.array([4.5, 4.0, 4.0])
    rng = np.random.default_rng(21)
    still = [places + 0.3 * rng.standard_normal(places.shape) for _ in range(20)]
    volumes = radius**3
    middle = (places[0] * volumes[0] + places[1] * volumes[1]) / volumes[:2].sum()
    merged = np.array([middle, places[2]])
    frames = [found(p, radius) for p in still[:10]]
    frames += [found(merged, [volumes[:2].sum() ** (1 / 3), 4.0]) for _ in range(10)]
    rows, updates = follow(frames)
    assert set(updates[19].rows["particle"].tolist()) == {0, 2}
    told = np.concatenate([u.events for u in updates])
    assert told[["frame", "particle", "other"]].tolist() == [(10, 0, 1)]
    assert (rows["frame"][rows["particle"] == 1]).max() == 9


@pytest.mark.parametrize("kind", ["none", "nothing_ever", "not_finite", "all_at_one_place", "crowd", "one"])
def test_bad_frames_have_defined_results(kind: str) -> None:
    rng = np.random.default_rng(22)
    bad = {
        "none": found(np.empty((0, 2))),
        "nothing_ever": found(np.empty((0, 2))),
        "not_finite": found(np.full((50, 2), np.nan)),
        "all_at_one_place": found(np.full((500, 2), 30.0)),
        "crowd": found(rng.uniform(0, 256, (5000, 2)), score=3.0),
        "one": found([[0.0, 0.0]]),
    }[kind]
    good = found(np.empty((0, 2)) if kind == "nothing_ever" else scattered(20, 23))
    rows, updates = follow([good] * 8 + [bad] * 2 + [good] * 8, most=4000)
    ids = set(rows["particle"][rows["frame"] == 0].tolist())
    still = ids & set(rows["particle"][rows["frame"] == 17].tolist())
    assert len(still) >= {"nothing_ever": 0, "crowd": 14}.get(kind, 20)
    assert all(np.isfinite(rows["y"]))
    assert bool(updates[8].trouble & Trouble.TOO_MANY) == (kind == "crowd")


def test_thousands_that_all_jump_are_flagged_and_never_raise() -> None:
    places = scattered_grid(5000, 24)
    jumped = places + (0, 14.5) * np.array([1.0])[:, None]
    rng = np.random.default_rng(25)
    shape = (1024, 1024)
    linker = Linker(LinkOptions(shape=shape))
    for k in range(4):
        linker.step(k, found(places + 0.3 * rng.standard_normal(places.shape)))
    update = linker.step(4, found(jumped + 0.3 * rng.standard_normal(places.shape)))
    assert update.trouble & (Trouble.JUMP | Trouble.LOST_FIELD | Trouble.CROWDED)
    again = linker.step(5, found(rng.uniform(0, 1023, (5000, 2))))
    assert again.trouble & Trouble.LOST_FIELD


def scattered_grid(n: int, seed: int) -> np.ndarray:
    """(n, 2) places about 14 px from each other in 1024 x 1024 px, quickly."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    grid = np.stack(np.divmod(np.arange(side * side), side), 1)[:n] * (1000 / side) + 12.0
    return np.asarray(grid + rng.uniform(-3, 3, grid.shape))


def test_memory_does_not_grow_and_ids_are_never_given_twice() -> None:
    rng = np.random.default_rng(26)
    linker = Linker(LinkOptions(shape=SHAPE))
    places = scattered(30, 27)
    newest = -1
    for k in range(1500):
        places[k % 30] = rng.uniform(10, 246, 2)
        update = linker.step(k, found(places))
        begun = update.rows["particle"][update.rows["age"] == 0]
        assert (begun > newest).all()
        newest = max([newest, *begun.tolist()])
        if k == 100:
            size = len(linker._live)
    assert len(linker._live) == size
    assert newest > 1400


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"needed = 5; it must be from 1 to 4"):
        Linker(LinkOptions(needed=5))
    with pytest.raises(ValueError, match="search_range = -1"):
        Linker().change(search_range=-1)
    with pytest.raises(ValueError, match=r"table\.DETECTION"):
        Linker().step(0, np.zeros(3))
