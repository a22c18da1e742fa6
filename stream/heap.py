"""How the C library gives memory back to the system. Knows nothing of who needs it."""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, and the values that glibc starts with.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
LARGE = 128 * 1024
LARGEST = 32 << 20
"""glibc maps larger blocks in any case."""
KEPT = 64 << 20
"""What a thread's heap of glibc holds at most: seven messages of 8 MiB."""


def return_large_blocks() -> None:
    """Have blocks of 128 KiB and more go back to the system when they are freed, for the rest of the process.

    glibc raises that limit to the largest block that was ever freed, and then keeps as much: pictures of some
    100 KiB leave holes between what lives longer, and memory grows by peaks (the supervisor's by 2 MiB in ten
    minutes; a viewer's swung by 25 MiB with each snapshot). For processes that see pictures, not for those
    that see frames: a page that is mapped anew costs 0.25 us, 2 GB/s of frames half a core
    (and the supervisor some 2 % of one, at 400 results a second).

    Does nothing where the C library is another one.
    """
    _set(mmap_threshold=LARGE, trim_threshold=LARGE)


def keep_large_blocks() -> None:
    """Keep up to 64 MiB of freed blocks for the next ones, for the rest of the process.

    For the process that receives frames. glibc keeps twice the largest block that was freed, 16 MiB for
    messages of 8 MiB, and a queue that swings by more has its pages mapped and cleared again and again: 0.2
    to 2.5 of the 32 of a frame of 131 KB, which takes 26 to 34 us of processor time; 24.4 to 26 when they
    are kept.

    Does nothing where the C library is another one.
    """
    _set(mmap_threshold=LARGEST, trim_threshold=KEPT)


def _set(mmap_threshold: int, trim_threshold: int) -> None:
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, mmap_threshold)
        mallopt(_TRIM_THRESHOLD, trim_threshold)
