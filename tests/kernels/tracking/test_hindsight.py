"""Births and ends below the noise are told with the frame in which they were."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from particle_scenes import drawn

from livem.kernels.tracking.detect import Detector
from livem.kernels.tracking.hindsight import CASES, FRAMES, Hindsight
from livem.kernels.tracking.link import Linker, LinkOptions
from livem.kernels.tracking.options import DetectorOptions
from livem.kernels.tracking.tracks import EventKind

SHAPE, MIDDLE = (96, 96), np.array((48.0, 48.0))
DETECTOR = Detector(SHAPE, DetectorOptions(radius=4.0))


@lru_cache
def told(
    kind: str,
    seed: int = 6,
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """What linker and hindsight say of a particle in the middle, (kind, frame, told); and so far at 60."""
    rng = np.random.default_rng(seed)
    others = [(y, x, 4.2) for y in (14.0, 48.0, 82.0) for x in (14.0, 48.0, 82.0) if (y, x) != (48.0, 48.0)]
    linker = Linker(LinkOptions(shape=SHAPE))
    hindsight, place, looks, knows, half = Hindsight(DETECTOR), MIDDLE, [], [], []
    for k in range(130):
        place = MIDDLE + np.clip(place + 0.6 * rng.standard_normal(2) - MIDDLE, -8, 8)
        radius = {"born": 1.6 + 0.05 * (k - 30), "grows": 2.0 + 0.012 * k, "dissolves": 4.2 - 0.04 * k}[kind]
        there = [(*place, radius)] if radius >= 1.6 else []
        still = [(y + 0.3 * rng.normal(), x + 0.3 * rng.normal(), r) for y, x, r in others]
        frame = drawn(SHAPE, still + there, 4.0, 0.3, 45.0, False, rng)
        found = DETECTOR.examine(frame, keep_rest=True)
        update = linker.step(k, found.detections)
        looks += update.events[["kind", "frame", "told"]].tolist()
        knows += hindsight.see(found, update, linker.walk)[["kind", "frame", "told"]].tolist()
        if k == 60:
            half = hindsight.finish(*linker.finish())[["kind", "frame", "told"]].tolist()
    knows += hindsight.finish(*linker.finish())[["kind", "frame", "told"]].tolist()
    return looks, knows, half


def test_a_birth_is_told_with_its_frame() -> None:
    looks, knows, _ = told("born")
    (first,) = (frame for kind, frame, _ in looks if kind == EventKind.NUCLEATION)
    ((frame, at),) = ((frame, at) for kind, frame, at in knows if kind == EventKind.NUCLEATION)
    assert first - 30 >= 8
    assert abs(frame - 30) <= 3
    assert at - first <= 64 + 12


def test_who_was_there_all_along_was_not_born() -> None:
    looks, knows, _ = told("grows")
    assert EventKind.NUCLEATION in [kind for kind, _, _ in looks]
    assert EventKind.NUCLEATION not in [kind for kind, _, _ in knows]


@pytest.mark.parametrize("seed", [1, 5, 7])
def test_an_end_is_told_with_its_frame(seed: int) -> None:
    """Three scenes: of eight the frame was told 0 to 5 off, by what a seed drew (rms 2.3)."""
    looks, knows, _ = told("dissolves", seed)
    last = min(frame for kind, frame, _ in looks if kind in (EventKind.DISSOLUTION, EventKind.LOST))
    (frame,) = (frame for kind, frame, _ in knows if kind == EventKind.DISSOLUTION)
    assert 66 - last >= 6
    assert abs(frame - 66) <= 3


def test_what_is_known_so_far_can_be_asked_for_and_changes_nothing() -> None:
    _, knows, half = told("born")
    assert [kind for kind, _, _ in half] == [EventKind.NUCLEATION]
    assert [kind for kind, _, _ in knows].count(EventKind.NUCLEATION) == 1


@pytest.mark.parametrize("keep", [False, True])
def test_without_what_is_left_of_a_frame_events_pass(keep: bool) -> None:
    frame = drawn(SHAPE, [(48.0, 48.0, 4.0)], 4.0, 0.3, 45.0, False, np.random.default_rng(1))
    linker = Linker(LinkOptions(shape=SHAPE))
    hindsight = Hindsight(DETECTOR)
    found = DETECTOR.examine(frame, keep_rest=keep)
    assert (found.rest is not None) == keep
    for k in range(8):
        update = linker.step(k, found.detections)
        assert len(hindsight.see(found, update, linker.walk)) == len(update.events)


def test_memory_stays_bounded_however_many_come_and_go() -> None:
    """Particles that come and go all the time, for longer than frames are remembered."""
    rng = np.random.default_rng(8)
    still = [(y, x, 4.2) for y in (16.0, 48.0, 80.0) for x in (16.0, 48.0, 80.0)]
    pool = []
    for k in range(6):  # two are missing in each: whichever comes back is a new track
        here = [one for at, one in enumerate(still) if at not in (k, k + 3)]
        pool.append(DETECTOR.examine(drawn(SHAPE, here, 4.0, 0.3, 45.0, False, rng), keep_rest=True))
    linker, hindsight, sizes = Linker(LinkOptions(shape=SHAPE)), Hindsight(DETECTOR), []
    for k in range(3 * FRAMES):
        found = pool[k // 7 % len(pool)]
        hindsight.see(found, linker.step(k, found.detections), linker.walk)
        assert len(hindsight._frames) <= FRAMES
        assert len(hindsight._cases) <= CASES
        if k >= 2 * FRAMES:
            sizes.append(sum(frame.rest.nbytes for frame in hindsight._frames))
    assert set(sizes) == {FRAMES * SHAPE[0] * SHAPE[1]}
    assert len(hindsight._told) <= CASES + 1
    assert int(linker._field[0]["next_particle"]) > 4 * CASES
