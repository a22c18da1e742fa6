"""libzmq's own functions for numba code: called by address, without Python and without its lock.

The addresses are those of the very libzmq that pyzmq has loaded: a socket made by one copy of the library
must not meet another. They travel as arguments and are never compiled in, so that cached code works in every
process. Knows no message format.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Addresses = npt.NDArray[np.int64]

NAMES = (
    "zmq_msg_init",
    "zmq_msg_recv",
    "zmq_msg_close",
    "zmq_msg_data",
    "zmq_msg_size",
    "zmq_msg_more",
    "zmq_send",
    "zmq_errno",
)
INIT, RECV, CLOSE, DATA, SIZE, MORE, SEND, ERRNO = range(len(NAMES))
"""Places in the array of addresses."""
CALLS = types.Array(types.int64, 1, "C", readonly=True)
"""The array as numba's signatures name it."""
MESSAGE_WORDS = 8
"""A zmq_msg_t: 64 bytes, fixed by libzmq's ABI since 4.1."""
VERSION = 4
"""Major version whose ABI this is."""

_INT = ir.IntType(32)
_WORD = ir.IntType(64)


@functools.cache
def find_calls() -> Addresses | None:
    """Addresses of NAMES in the libzmq that pyzmq uses, (8,) int64; None where they cannot be had."""
    if zmq.zmq_version_info()[0] != VERSION:
        return None
    for path in _candidates():
        if (found := addresses_in(path)) is not None:
            return found
    return None


def addresses_in(path: Path) -> Addresses | None:
    """Addresses of NAMES in a library, or in what it was linked with; None unless that is our libzmq.

    On Linux and macOS a symbol is looked up in the library and in all that it depends on: asked of pyzmq's
    extension, that is the libzmq in use, be it a wheel's, the system's or linked in.
    """
    try:
        library = ctypes.CDLL(str(path))
        if _version(library.zmq_version) != zmq.zmq_version_info():
            return None
        pointers = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in NAMES]
    except (OSError, AttributeError):
        return None
    found = np.array(pointers, np.int64)
    found.flags.writeable = False
    return found


def _version(ask: Callable[..., Any]) -> tuple[int, int, int]:
    major, minor, patch = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    ask(ctypes.byref(major), ctypes.byref(minor), ctypes.byref(patch))
    return major.value, minor.value, patch.value


def _candidates() -> Iterator[Path]:
    """Files that may know libzmq's functions: pyzmq's extension, then what its wheels bring along."""
    with contextlib.suppress(ImportError):  # pyzmq has another backend where it was built for PyPy
        from zmq.backend.cython import _zmq

        yield Path(_zmq.__file__)
    package = Path(zmq.__file__).parent
    for folder in (package.parent / "pyzmq.libs", package / ".dylibs"):
        yield from sorted(folder.glob("libzmq*"))


# -- for numba code ----------------------------------------------------------------------------------------


def _called(builder: Any, result: Any, address: Any, args: Any, kinds: Any) -> Any:
    """``result(kinds)`` at ``address``, with integers handed over as what the C function wants."""
    function = builder.inttoptr(address, ir.FunctionType(result, kinds).as_pointer())
    return builder.call(function, args)


@intrinsic
def ask_word(_typing: Any, address: Any, pointer: Any) -> Any:
    """A function of one pointer that returns a pointer or a size_t."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _called(builder, _WORD, args[0], args[1:], [_WORD])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def ask_int(_typing: Any, address: Any, pointer: Any) -> Any:
    """A function of one pointer that returns an int."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _called(builder, _INT, args[0], args[1:], [_WORD])

    return types.int32(types.int64, types.int64), codegen


@intrinsic
def last_error(_typing: Any, address: Any) -> Any:
    """zmq_errno."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _called(builder, _INT, args[0], [], [])

    return types.int32(types.int64), codegen


@intrinsic
def receive_part(_typing: Any, address: Any, message: Any, socket: Any, flags: Any) -> Any:
    """zmq_msg_recv: bytes of the part, or -1."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _called(builder, _INT, args[0], args[1:], [_WORD, _WORD, _INT])

    return types.int32(types.int64, types.int64, types.int64, types.int32), codegen


@intrinsic
def send_part(_typing: Any, address: Any, socket: Any, data: Any, size: Any, flags: Any) -> Any:
    """zmq_send: bytes sent (copied by libzmq), or -1."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _called(builder, _INT, args[0], args[1:], [_WORD, _WORD, _WORD, _INT])

    return types.int32(types.int64, types.int64, types.int64, types.int64, types.int32), codegen
