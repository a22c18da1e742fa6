"""Freed memory goes back to the system or is kept, in a process of its own: settings cannot be taken back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

HOLES = """
import psutil
from livem.stream.heap import return_large_blocks

{set_up}
import numpy as np

def resident():
    return psutil.Process().memory_info().rss

def blocks(size, count):
    return [np.ones(size, np.uint8) for _ in range(count)]

blocks(16 << 20, 1)  # from now on glibc would keep blocks up to this size
begin = resident()
pictures = blocks(150_000, 400)
del pictures[::2]
print(400 * 150_000 - (resident() - begin))
"""


def given_back(set_up: str) -> int:
    """Bytes of 60 MB that are no longer there once every other of 400 pictures is freed."""
    code = HOLES.format(set_up=set_up)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return int(ended.stdout)


QUEUE = """
import resource
from livem.stream.heap import keep_large_blocks

{set_up}
import numpy as np

def queue():
    messages = [np.ones(8 << 20, np.uint8) for _ in range(5)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

queue(), queue()
begin = faults()
queue()
print(faults() - begin)
"""


def mapped_anew(set_up: str) -> int:
    """Pages that a third queue of 40 MiB needs, after two that are gone. numpy asks for large pages."""
    code = QUEUE.format(set_up=set_up)
    environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    return int(ended.stdout)


needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


@needs_glibc
def test_messages_find_the_memory_of_those_before():
    pages = (40 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert mapped_anew("keep_large_blocks()") < pages // 20
    assert mapped_anew("") > pages // 4, "glibc keeps them by itself: the setting is not needed"


@needs_glibc
def test_pictures_that_are_freed_leave_no_holes() -> None:
    assert given_back("return_large_blocks()") > 28_000_000
    assert given_back("") < 10_000_000, "glibc gives back by itself what it kept: the setting is not needed"
