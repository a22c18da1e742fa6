"""Two threads share the rows of a picture: each row once, and nobody waits for a thread without a core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import Barrier, get_ident
from typing import Any

import pytest

from livem.kernels.bands import banded


@pytest.fixture
def helper() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as made:
        yield made


class Busy(Executor):
    """A thread that never gets to anything."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def test_both_threads_work_and_each_row_is_done_once(helper: Executor) -> None:
    done: list[tuple[int, int]] = []
    threads, both = set(), Barrier(2, timeout=10.0)

    def do(begin: int, end: int) -> bool:
        if get_ident() not in threads:
            threads.add(get_ident())
            both.wait()  # only two threads get past this
        done.append((begin, end))
        return True

    assert banded(do, 103, 10, helper)
    assert sorted(done) == [(begin, min(103, begin + 10)) for begin in range(0, 103, 10)]
    assert len(threads) == 2


@pytest.mark.parametrize("band", [10, 200])
def test_a_thread_without_a_core_is_not_waited_for(band: int) -> None:
    done: list[int] = []
    assert banded(lambda begin, end: not done.extend(range(begin, end)), 103, band, Busy())
    assert done == list(range(103))


def test_after_one_false_nothing_is_begun(helper: Executor) -> None:
    begun: list[int] = []
    assert not banded(lambda begin, end: bool(begun.append(begin)), 1000, 1, helper)
    assert len(begun) <= 2


def test_what_a_thread_raises_is_raised(helper: Executor) -> None:
    here = get_ident()

    def do(begin: int, end: int) -> bool:
        both.wait()
        if get_ident() != here:
            raise ValueError("rows")
        return True

    both = Barrier(2, timeout=10.0)
    with pytest.raises(ValueError, match="rows"):
        banded(do, 2, 1, helper)
