"""Two threads on a plate give what one gives, to the bit, whoever takes which rows."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from livem.kernels.inpaint import together
from livem.kernels.inpaint.descent import Plate, begin, descend, plate
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.thin_plate import ThinPlate
from livem.kernels.inpaint.together import Descent

SHAPES = [(256, 512), (257, 640), (371, 513), (512, 512), (999, 132)]
ITERATIONS = 6
Held = tuple[Plate, np.float32, np.float32]
Found = tuple[int, float, float]


def held(shape: tuple[int, int], strength: float = 1.0) -> Held:
    """A plate of random samples, and a guess."""
    rng = np.random.default_rng(sum(shape))
    weight = (rng.random(shape) < 0.2).astype(np.float32)
    made = plate(weight, 1 / strength if strength else np.inf, 1 / 256)
    pull, tension = np.float32(1 / strength if strength else 0), np.float32(1 / 256)
    made.residual[:] = rng.normal(size=shape)
    made.image[:] = np.where(weight > 0, made.residual, 0.5) if not strength else 0.5
    return made, pull, tension


def by_one(of: Held, iterations: int = ITERATIONS, enough: float = 0.0) -> Found:
    found: Found = descend(*of, begin(*of), 0.0, iterations, enough)
    return found


def by_two(of: Held, iterations: int = ITERATIONS, enough: float = 0.0) -> Found:
    with Descent(*of) as descent:
        return descent.descend(descent.begin(), 0.0, iterations, enough)


def results(made: Plate) -> list[bytes]:
    return [each.tobytes() for each in (made.image, made.residual, made.direction, made.bent, made.coarse)]


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Another thread, on any machine."""
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(together, "_second", lambda: pool)
        yield pool


@pytest.mark.parametrize("strength", [0.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_two_threads_give_the_bits_of_one(helper: Any, shape: tuple[int, int], strength: float) -> None:
    alone, shared = held(shape, strength), held(shape, strength)
    assert by_two(shared) == by_one(alone)
    assert results(shared[0]) == results(alone[0])


def test_it_ends_where_one_would(helper: Any) -> None:
    enough = 0.05 * begin(*held((512, 512)))
    done, rz, _ = by_two(held((512, 512)), 100, enough)
    assert done == by_one(held((512, 512)), 100, enough)[0] < 100
    assert rz <= enough


def test_iterations_may_be_asked_for_one_at_a_time(helper: Any) -> None:
    """As a budget in seconds does."""
    alone, shared = held((512, 512)), held((512, 512))
    with Descent(*shared) as descent:
        found: Found = 0, descent.begin(), 0.0
        for _ in range(ITERATIONS):
            found = descent.descend(*found[1:], 1, 0.0)
    assert found[1:] == by_one(alone)[1:]
    assert results(shared[0]) == results(alone[0])


def test_a_thread_that_is_never_free_is_not_waited_for(helper: ThreadPoolExecutor) -> None:
    hold = threading.Event()
    other = helper.submit(hold.wait, 60)
    alone, shared = held((512, 512)), held((512, 512))
    assert by_two(shared) == by_one(alone)
    assert not other.done()
    hold.set()
    assert results(shared[0]) == results(alone[0])


def test_warming_up_leaves_nothing_to_be_compiled_for_the_first_large_picture(helper: Any) -> None:
    together.warm_up()
    known = [len(each.signatures) for each in (together._begin, together._descend, together._help)]
    assert all(known)
    data = np.random.default_rng(0).random((1, 512, 512), np.float32)
    for strength in (0.0, 1.0):
        weight = (data[0] < 0.2).astype(np.float32)
        ThinPlate().solve(data, weight, None, strength, Budget(iterations=2))
    assert known == [len(each.signatures) for each in (together._begin, together._descend, together._help)]


def test_a_helper_that_comes_late_finds_nothing_to_do(helper: Any) -> None:
    late = held((512, 512))
    before = results(late[0])
    words = np.zeros(together.WORDS, np.uint64)
    words[together.CLAIMS] = together.OVER << together.SHIFT
    together._help(*late, words, np.ones(1, np.float32), np.empty(512))
    assert results(late[0]) == before


def test_a_helper_without_a_leader_gives_up(helper: Any) -> None:
    words = np.zeros(together.WORDS, np.uint64)  # no phase is ever opened
    alone = held((512, 512))
    helping = helper.submit(together._help, *alone, words, np.ones(1, np.float32), np.empty(512))
    assert helping.result(timeout=60) is None


def test_an_error_in_between_lets_the_helper_go(helper: Any) -> None:
    with contextlib.suppress(ZeroDivisionError), Descent(*held((512, 512))) as descent:
        raise ZeroDivisionError(descent.begin())
    assert helper.submit(lambda: "free").result(timeout=60) == "free"


def test_several_plates_at_once_share_one_helper(helper: Any) -> None:
    alone, plates = held((371, 513)), [held((371, 513)) for _ in range(4)]
    expected = by_one(alone)
    with ThreadPoolExecutor(4) as callers:
        found = [callers.submit(by_two, each) for each in plates]
        assert [each.result(timeout=60) for each in found] == [expected] * 4
    assert all(results(each[0]) == results(alone[0]) for each in plates)


@pytest.mark.parametrize("shape", [(64, 4096), (300, 300), (1, 200_000)])
def test_small_and_flat_plates_are_left_to_one_thread(helper: Any, shape: tuple[int, int]) -> None:
    helper.shutdown()  # would refuse any work
    assert by_two(held(shape)) == by_one(held(shape))
