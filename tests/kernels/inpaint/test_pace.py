"""Which solvers are too slow for the pictures of a scan."""

from __future__ import annotations

from livem.kernels.inpaint.pace import FORGOTTEN, WATCHED, Pace


def test_nothing_is_slow_before_it_was_tried() -> None:
    assert Pace().slower_than(0.0) == frozenset()


def test_one_late_picture_may_be_the_machines_fault() -> None:
    pace = Pace()
    for seconds in (0.2, *[0.2] * (WATCHED - 2), 0.01):
        pace.took("a", seconds)
    assert not pace.slower_than(0.1)


def test_one_that_is_far_too_late_is_slow_until_it_is_not() -> None:
    pace = Pace()
    pace.took("a", 0.5)
    assert pace.slower_than(0.1) == {"a"}
    pace.took("a", 0.2)
    assert not pace.slower_than(0.1)


def test_a_solver_that_was_always_late_is_slow() -> None:
    pace = Pace()
    for _ in range(WATCHED):
        pace.took("a", 0.5)
        pace.took("b", 0.01)
    assert pace.slower_than(0.1) == {"a"}
    assert not pace.slower_than(1.0)


def test_of_slow_ones_the_fastest_stays() -> None:
    pace = Pace()
    for _ in range(WATCHED):
        for name, seconds in (("a", 0.5), ("b", 0.3), ("c", 0.4)):
            pace.took(name, seconds)
    assert pace.slower_than(0.1) == {"a", "c"}


def test_one_alone_may_be_slow_as_there_may_be_others_untried() -> None:
    pace = Pace()
    for _ in range(WATCHED):
        pace.took("a", 0.5)
    assert pace.slower_than(0.1) == {"a"}


def test_one_that_was_slow_is_tried_again_after_a_while() -> None:
    pace = Pace()
    pace.took("a", 0.5)
    for _ in range(FORGOTTEN - 1):
        pace.took("b", 0.01)
        assert pace.slower_than(0.1) == {"a"}
    pace.took("b", 0.01)
    assert not pace.slower_than(0.1)
    pace.took("a", 0.5)
    assert pace.slower_than(0.1) == {"a"}
