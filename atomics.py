"""Acquire, release, exchange and add on 64-bit words that threads or processes share, for numba code.

Why not plain loads and stores: a polling loop in numba is hoisted out of its loop and hangs, and plain
stores may be seen in another order on ARM. Addresses, not arrays: unboxing an integer is the cheapest call
that numba has. Knows nothing of the package.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types, uint64, void
from numba.extending import intrinsic

_WORD = ir.IntType(64)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def load_acquire(_typing: Any, address: Any) -> Any:
    """Read the word at ``address``; nothing after it is done before it."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0]), "acquire", 8)

    return types.uint64(types.uint64), codegen


@intrinsic
def store_release(_typing: Any, address: Any, value: Any) -> Any:
    """Write the word at ``address``; nothing before it is done after it."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), codegen


@intrinsic
def exchange(_typing: Any, address: Any, value: Any) -> Any:
    """Put ``value`` at ``address`` and return what was there, as one step (sequentially consistent)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("xchg", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def fetch_add(_typing: Any, address: Any, value: Any) -> Any:
    """Add to the word at ``address`` and return what was there, as one step (sequentially consistent)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def full_fence(_typing: Any) -> Any:
    """Everything before is visible to all before anything after is done."""

    def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@njit(uint64(uint64), nogil=True, cache=True)
def load(address: int) -> int:
    """``load_acquire`` for Python callers."""
    word: int = load_acquire(address)
    return word


@njit(void(uint64, uint64), nogil=True, cache=True)
def store(address: int, value: int) -> None:
    """``store_release`` for Python callers."""
    store_release(address, value)


@njit(uint64(uint64, uint64), nogil=True, cache=True)
def swap(address: int, value: int) -> int:
    """``exchange`` for Python callers."""
    word: int = exchange(address, value)
    return word


@njit(uint64(uint64, uint64, uint64), nogil=True, cache=True)
def announce_and_load(flag: int, value: int, watched: int) -> int:
    """Store ``value`` at ``flag``, then read ``watched``, in that order for every observer.

    The store-then-load order is what keeps a wake-up from being missed: the other side stores ``watched``
    first and looks at ``flag`` afterwards.
    """
    store_release(flag, value)
    full_fence()
    word: int = load_acquire(watched)
    return word
