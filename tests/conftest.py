"""What holds for every test process: Qt draws into memory, and nothing of ours outlives the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before any test imports Qt: no windows pop up
# For the processes that tests run in (`-n`), as in a session: BLAS threads, which wait for each other, make
# small products of matrices take four times the processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from livem.stream.segment import PREFIX, Owner, reclaim

SHM = Path("/dev/shm")
ENDING_S = 5.0
"""How long a process that was told to end may take to be gone."""


LONG = ("tests", "commands", "benchmarks", "recording", "cuda", "encoded")
"""Folders of whole sessions, of programs and of kernels that compile for minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: one at the end would leave the other of two processes idle."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No process of ours still runs after the last test, and no shared memory of ours is left."""
    yield
    _, running = psutil.wait_procs(_children(), ENDING_S)
    assert not running, f"tests left processes behind: {running}"
    reclaim()
    assert not _left_behind(), f"tests left shared memory behind: {_left_behind()}"


def _children() -> list[psutil.Process]:
    """Spawned by multiprocessing below this process, its resource tracker aside."""
    return [child for child in psutil.Process().children(recursive=True) if _is_spawned(child)]


def _is_spawned(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _left_behind() -> list[str]:
    """Segments of this process: other sessions on this machine are none of our business."""
    mine = Owner.me()
    return sorted(path.name for path in SHM.glob(f"{PREFIX}{mine.pid}-*")) if SHM.is_dir() else []
