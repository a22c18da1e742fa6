"""How the C library gives memory back to the system. Knows nothing of who needs it."""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, and the values that glibc starts with.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
LARGE = 128 * 1024


def return_large_blocks() -> None:
    """Have blocks of 128 KiB and more go back to the system when they are freed, for the rest of the process.

    glibc raises that limit to the largest block that was ever freed, and then keeps as much: pictures of some
    100 KiB leave holes between what lives longer, and memory grows by peaks (the supervisor's by 2 MiB in ten
    minutes; a viewer's swung by 25 MiB with each snapshot). For processes that see pictures, not for those
    that see frames: a page that is mapped anew costs 0.25 us, 2 GB/s of frames half a core
    (and the supervisor some 2 % of one, at 400 results a second).

    Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE)
        mallopt(_TRIM_THRESHOLD, LARGE)
