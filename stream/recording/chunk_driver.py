"""A file driver for HDF5 that leaves out what is there already: chunks that were written as one block.

HDF5 writes one chunk a call: 2 us of the system's time for 9 KiB, most of it for the call and for looking up
the same pages again. Knows blocks of bytes and where they lie, no frames and no data set.

It is HDF5's own driver for files, of which one function is replaced; the functions of a driver are a
published structure with a version of its own. Where that is another one, there is no driver, and nothing is
left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import defs, h5p
from h5py._objects import phil
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

Bytes = npt.NDArray[np.uint8]

CLASS_VERSION = 1
"""H5FD_CLASS_VERSION of H5FDdevelop.h, since HDF5 1.13.2: what the structure below is."""
VALUE = 507
"""From the range that HDF5 leaves to drivers that are not registered (256 to 511)."""
RAW_DATA = 3
"""H5FD_MEM_DRAW: chunks, and no index of them."""
UNDEFINED = 2**64 - 1
NAME = "livem"
_WRITE, _SOURCE, _TARGET, _SIZE, LEFT_OUT = range(5)
"""Words behind the driver's name: HDF5's own function; memory, place in the file and bytes of the block that
was written; how many writes were left out."""
_NAME_BYTES = 16
_WORD, _INT = ir.IntType(64), ir.IntType(32)

_POINTER = ctypes.c_void_p


class _Class(ctypes.Structure):
    """H5FD_class_t, version 1."""

    _fields_ = [
        ("version", ctypes.c_uint),
        ("value", ctypes.c_int),
        ("name", _POINTER),
        ("maxaddr", ctypes.c_uint64),
        ("fc_degree", ctypes.c_int),
        ("terminate", _POINTER),
        *((name, _POINTER) for name in ("sb_size", "sb_encode", "sb_decode")),
        ("fapl_size", ctypes.c_size_t),
        *((name, _POINTER) for name in ("fapl_get", "fapl_copy", "fapl_free")),
        ("dxpl_size", ctypes.c_size_t),
        *((name, _POINTER) for name in ("dxpl_copy", "dxpl_free", "open", "close", "cmp", "query")),
        *((name, _POINTER) for name in ("get_type_map", "alloc", "free", "get_eoa", "set_eoa", "get_eof")),
        *((name, _POINTER) for name in ("get_handle", "read", "write", "read_vector", "write_vector")),
        *((name, _POINTER) for name in ("read_selection", "write_selection", "flush", "truncate")),
        *((name, _POINTER) for name in ("lock", "unlock", "delete", "ctl")),
        ("fl_map", ctypes.c_int * 7),
    ]


class _OpenFile(ctypes.Structure):
    """The beginning of H5FD_t."""

    _fields_ = [("driver_id", ctypes.c_int64), ("cls", ctypes.POINTER(_Class))]


@intrinsic
def _call_write(
    _typing: Any, address: Any, file: Any, kind: Any, plist: Any, at: Any, size: Any, data: Any
) -> Any:
    """The ``write`` of a driver, at ``address``; negative = it failed."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        function = ir.FunctionType(_INT, [_WORD, _INT, _WORD, _WORD, _WORD, _WORD])
        values = [builder.ptrtoint(args[1], _WORD), *args[2:]]
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), values)

    word, pointer = types.uint64, types.CPointer(types.uint64)
    return types.int32(word, pointer, types.int32, types.int64, word, word, word), codegen


@intrinsic
def _words_at(_typing: Any, address: Any) -> Any:
    """A pointer to words."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _WORD.as_pointer())

    return types.CPointer(types.uint64)(types.uint64), codegen


_SIGNATURE = types.int32(
    types.CPointer(types.uint64), types.int32, types.int64, types.uint64, types.uint64, types.uint64
)


@cfunc(_SIGNATURE, cache=True)
def _write(file: Any, kind: int, plist: int, at: int, size: int, data: int) -> int:
    """HDF5's ``write``, unless these very bytes of memory have been written to this very place."""
    driver = _words_at(file[1])
    words = _words_at(driver[1] + np.uint64(_NAME_BYTES))
    offset = data - words[_SOURCE]  # of bytes before the block it is beyond every size
    inside = offset < words[_SIZE] and size <= words[_SIZE] - offset
    if kind == RAW_DATA and inside and at - words[_TARGET] == offset:
        words[LEFT_OUT] += np.uint64(1)
        return 0
    return int(_call_write(words[_WRITE], file, kind, plist, at, size, data))


class ChunkDriver:
    """One a process: one block is written at a time (see find_driver)."""

    def __init__(self, library: ctypes.CDLL, own: _Class) -> None:
        self._library = library
        self._memory = np.zeros(_NAME_BYTES + 8 * (LEFT_OUT + 1), np.uint8)
        self._memory[: len(NAME)] = bytearray(NAME.encode())
        self.words = self._memory[_NAME_BYTES:].view(np.uint64)
        """What ``_write`` goes by; LEFT_OUT of them is for everybody."""
        self.words[_WRITE] = own.write
        changed = _Class.from_buffer_copy(own)
        changed.value, changed.terminate = VALUE, None  # HDF5's own is not to be told that it is over
        changed.name, changed.write = self._memory.ctypes.data, _write.address
        self._id = self._call("H5FDregister", ctypes.c_int64, _POINTER)(ctypes.byref(changed))
        if self._id < 0:
            raise OSError(f"HDF5 refuses the file driver {NAME!r}")

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        return _function(self._library, name, result, *arguments)

    def set_properties(self, plist: Any) -> None:
        """Let files that are opened with these properties (h5py.h5p.PropFAID) have this driver."""
        word = ctypes.c_int64
        if self._call("H5Pset_driver", ctypes.c_int, word, word, _POINTER)(plist.id, self._id, None) < 0:
            raise OSError(f"HDF5 does not take the file driver {NAME!r}")

    @contextlib.contextmanager
    def leaving_out(self, payload: Bytes, at: int) -> Iterator[None]:
        """Meanwhile: ``payload`` is in the file, from the byte ``at`` on, and need not be written there."""
        self.words[_SOURCE], self.words[_TARGET] = payload.ctypes.data, at
        self.words[_SIZE] = payload.nbytes
        try:
            yield
        finally:
            self.words[_SIZE] = 0


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


@functools.cache
def find_driver() -> ChunkDriver | None:
    """The driver, known to h5py by NAME; None where HDF5's drivers are not such as are known here.

    Looked for on Linux, where a block is written in advance (chunk_writer.py).
    """
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL(defs.__file__)
        with phil:
            own = _own_class(library)
            driver = None if own is None else ChunkDriver(library, own)
    except (OSError, AttributeError):  # no such function: an older HDF5
        return None
    if driver is not None:
        h5py.register_driver(NAME, driver.set_properties)
    return driver


def _own_class(library: ctypes.CDLL) -> _Class | None:
    """A copy of HDF5's own driver for files, as an open file has it."""
    word, file_pointer = ctypes.c_int64, ctypes.POINTER(_OpenFile)
    opens = _function(
        library, "H5FDopen", file_pointer, ctypes.c_char_p, ctypes.c_uint, word, ctypes.c_uint64
    )
    properties = h5p.create(h5p.FILE_ACCESS)
    properties.set_fapl_sec2()
    file = opens(os.fsencode(defs.__file__), 0, properties.id, UNDEFINED)
    if not file:
        return None
    found = file.contents.cls.contents
    own = _Class.from_buffer_copy(found) if found.version == CLASS_VERSION else None
    _function(library, "H5FDclose", ctypes.c_int, file_pointer)(file)
    return own
