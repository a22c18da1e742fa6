"""Bodies of the processes of test_segment.py, which need little beside shared memory and start fast."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any

from livem.stream import segment as segment_module
from livem.stream.segment import Segment

BYTES = 1 << 20
SYSTEMS = ("linux", "elsewhere") if sys.platform == "linux" else ("elsewhere",)
"""Where shared memory is a file that we make, and where it is multiprocessing's, as on Windows and macOS."""
OURS = {"linux": "livem-", "elsewhere": "lvm-"}
"""How names begin: sessions of this machine remove what begins like theirs and has no owner they know."""


def use(system: str, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Shared memory as it is on "linux", or "elsewhere", from here on."""
    put(segment_module, "_ON_LINUX", system == "linux")
    put(segment_module, "PREFIX", OURS[system])


def used() -> str:
    """Which of them it is."""
    return "linux" if segment_module._ON_LINUX else "elsewhere"


def make_and_die() -> None:
    """Killed with its tracker, which would have removed the memory."""
    segment = Segment.create(BYTES)
    if not segment_module._ON_LINUX and sys.platform != "win32":
        resource_tracker.unregister(segment._handle._name, "shared_memory")
    print(segment.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def own_and_share() -> None:
    """A child attaches, writes and ends; the memory stays until its owner closes it."""
    segment = Segment.create(BYTES)
    child = multiprocessing.get_context("spawn").Process(target=write_seven, args=(used(), segment.name))
    child.start()
    child.join()
    Segment.attach(segment.name, BYTES).close()
    print(child.exitcode, segment.memory[0])
    segment.close()


def write_seven(system: str, name: str) -> None:
    use(system)
    segment = Segment.attach(name, BYTES)
    segment.memory[0] = 7
    segment.close()
