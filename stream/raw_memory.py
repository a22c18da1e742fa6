"""Bytes moved between addresses, for numba code. Knows nothing of what they mean.

Why not slices: numba looks whether source and target of a slice assignment overlap and then copies twice.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def move_bytes(_typing: Any, target: Any, source: Any, count: Any) -> Any:
    """C's ``memmove``: ``count`` bytes from address ``source`` to address ``target``; they may overlap."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        to, whence = (builder.inttoptr(address, cgutils.voidptr_t) for address in args[:2])
        cgutils.raw_memmove(builder, to, whence, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
