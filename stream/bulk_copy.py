"""Copies large arrays into cold memory without reading it first. Knows bytes; no blocks and no readers.

The ring is far larger than any cache: an ordinary store to it first reads the line that it is about to
overwrite. A non-temporal one does not, and leaves the caches to others.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import int64, njit, types, uint8, void
from numba.core import cgutils
from numba.extending import intrinsic

from .raw_memory import move_bytes

STREAM_FROM = 8 * 1024
"""Bytes. What a writer and then a reader that sums all of a block in another process need, in ps a byte, for
memmove and for non-temporal stores (AMD EPYC, Zen 4, 32 MiB of L3; a ring of 512 MiB):

======  =====  =====  =====  =====  =====  =====  =====
KiB         4      8     12     32     64   1024   8192
======  =====  =====  =====  =====  =====  =====  =====
move     1004    791    523    198    180    113    192
stream   1038    706    402    148    138    127    150
======  =====  =====  =====  =====  =====  =====  =====

A large block is read 3 to 28 ps a byte more slowly where the reader would have found it in the L3."""

_WORD = ir.IntType(64)
_LANES, _LANE_BYTES = 4, 32
_STEP = _LANES * _LANE_BYTES
"""Two cache lines a step. A processor without 32-byte stores gets two of 16 bytes for each."""
_LANE = ir.VectorType(_WORD, _LANE_BYTES // 8)


@intrinsic
def _stream_step(_typing: Any, target: Any, source: Any) -> Any:
    """128 bytes from ``source``, anywhere, to ``target``, a multiple of 32, by non-temporal stores."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        to, whence = (builder.inttoptr(address, _LANE.as_pointer()) for address in args)
        places = [_WORD(lane) for lane in range(_LANES)]
        lanes = [builder.load(builder.gep(whence, [place]), align=1) for place in places]
        hint = builder.module.add_metadata([ir.IntType(32)(1)])
        for place, lane in zip(places, lanes, strict=True):
            store = builder.store(lane, builder.gep(to, [place]), align=_LANE_BYTES)
            store.set_metadata("nontemporal", hint)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _stream_fence(_typing: Any) -> Any:
    """All non-temporal stores before are visible to all before any store after.

    On x86 by the instruction made for it: LLVM compiles its general fence to a locked one on the stack, and
    its language gives non-temporal stores no order at all.
    """

    def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.sfence"), [])
        else:
            builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@njit(void(int64, int64, int64), nogil=True, cache=True)
def stream_bytes(target: int, source: int, count: int) -> None:
    """``count`` bytes from address ``source`` to address ``target``; they must not overlap.

    Ends with a fence: non-temporal stores wait in buffers of their own, which a release store does not
    empty on x86. Without it a reader could see a block published before its bytes.
    """
    head = min(-target % _LANE_BYTES, count)
    whole = head + (count - head) // _STEP * _STEP
    move_bytes(target, source, head)
    for at in range(head, whole, _STEP):
        _stream_step(target + at, source + at)
    move_bytes(target + whole, source + whole, count - whole)
    _stream_fence()


_ARRAYS = (uint8[::1], types.Array(types.uint8, 1, "C", readonly=True))


@njit([void(int64, array) for array in _ARRAYS], nogil=True, cache=True)
def bulk_copy(target: int, source: Any) -> None:
    """All of ``source`` (n,) uint8 to address ``target``; past the caches from STREAM_FROM bytes on."""
    address, count = source.ctypes.data, len(source)
    if count >= STREAM_FROM:
        stream_bytes(target, address, count)
    else:
        move_bytes(target, address, count)
