"""Freed memory goes back to the system, in a process of its own: the setting cannot be taken back."""

from __future__ import annotations

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pictures_that_are_freed_leave_no_holes() -> None:
    assert given_back("return_large_blocks()") > 28_000_000
    assert given_back("") < 10_000_000, "glibc gives back by itself what it kept: the setting is not needed"
