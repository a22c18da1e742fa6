"""The first 48 bytes of an HDF5 file (superblock version 3): who has it open, and where it ends.

A writer that was killed leaves both wrong; h5py cannot put them right (HDF5's own tool for it is h5clear).
``put_right`` does so in the file, ``AsClosed`` for a reader only.
From the HDF5 file format specification 3.0, section II.A.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LAYOUT = struct.Struct("<8s4B4Q")
SIZE = LAYOUT.size + 4
OPEN_FOR_WRITING, OPEN_FOR_SWMR = 1, 4


class BrokenSuperblockError(ValueError):
    """The file does not begin as an HDF5 file of this version does."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """What stands there; all addresses in bytes from ``base``."""

    flags: int
    base: int
    extension: int
    end: int
    """Of what HDF5 knows in the file; while a file is written it may be longer."""
    root: int

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Raises BrokenSuperblockError, or OSError."""
        with Path(path).open("rb") as file:
            data = file.read(SIZE)
        if not data.startswith(SIGNATURE):
            raise BrokenSuperblockError("it is no HDF5 file (its first bytes are others)")
        if len(data) < SIZE:
            raise BrokenSuperblockError(f"only {len(data)} bytes of it are there")
        if data[8:11] != b"\x03\x08\x08":
            raise BrokenSuperblockError("it is an HDF5 file of another kind than a recording")
        if lookup3(data[: LAYOUT.size]) != int.from_bytes(data[LAYOUT.size :], "little"):
            raise BrokenSuperblockError("its first 48 bytes are damaged: their checksum does not match")
        _, _, _, _, flags, *addresses = LAYOUT.unpack(data[: LAYOUT.size])
        return cls(flags, *addresses)

    @property
    def clean(self) -> bool:
        """Whether no writer has it open, or had when it was killed."""
        return not self.flags & (OPEN_FOR_WRITING | OPEN_FOR_SWMR)

    @property
    def half_made(self) -> bool:
        """Whether a writer has it, or had, that could not yet let others read."""
        return self.flags & (OPEN_FOR_WRITING | OPEN_FOR_SWMR) == OPEN_FOR_WRITING

    def closed(self, size: int) -> Self:
        """The same of a file of ``size`` bytes that no writer has open."""
        return replace(self, flags=self.flags & ~(OPEN_FOR_WRITING | OPEN_FOR_SWMR), end=size - self.base)

    def pack(self) -> bytes:
        """The 48 bytes."""
        head = LAYOUT.pack(SIGNATURE, 3, 8, 8, self.flags, self.base, self.extension, self.end, self.root)
        return head + lookup3(head).to_bytes(4, "little")


def put_right(path: Path) -> None:
    """Say in the file that nobody has it open and that it ends where it ends, if it says anything else.

    Raises BrokenSuperblockError, or OSError.
    """
    header, size = Superblock.read(path), path.stat().st_size
    if header.closed(size) != header:
        overwrite(path, header.closed(size).pack())


def overwrite(path: Path, data: bytes) -> None:
    """Put the 48 bytes there, in one write: there is no moment in which half of them stand there."""
    with path.open("r+b", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())


class AsClosed(io.RawIOBase):
    """A file to read in which the first 48 bytes say that nobody has it open; on the disk nothing changes.

    For h5py, which takes objects with ``seek`` and ``readinto``. Raises OSError where it cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], header: Superblock) -> None:
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._size = os.fstat(self._fd).st_size
        self._head = header.closed(self._size).pack()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer; zeros behind the end, which h5py would take for what was in it before."""
        view = memoryview(buffer).cast("B")
        os.lseek(self._fd, self._at, os.SEEK_SET)
        data = self._read(len(view))
        head = self._head[self._at : self._at + len(view)]
        view[:] = (head + data[len(head) :]).ljust(len(view), b"\0")
        self._at += len(data)
        return len(data)

    def _read(self, n: int) -> bytes:
        """So many bytes, fewer at the end only."""
        parts = []
        while n > 0 and (part := os.read(self._fd, n)):
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash (lookup3.c, ``hashlittle``, initial value 0), HDF5's checksum of metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    while len(data) > 12:
        x, y, z = struct.unpack_from("<3I", data)
        a, b, c = _mix(a + x, b + y, c + z)
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
    return _final(a + x, b + y, c + z)


def _turn(word: int, bits: int) -> int:
    return ((word << bits) | ((word & 0xFFFFFFFF) >> (32 - bits))) & 0xFFFFFFFF


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a, b, c = a & 0xFFFFFFFF, b & 0xFFFFFFFF, c & 0xFFFFFFFF
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & 0xFFFFFFFF) ^ _turn(c, bits)
        c = (c + b) & 0xFFFFFFFF
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    a, b, c = a & 0xFFFFFFFF, b & 0xFFFFFFFF, c & 0xFFFFFFFF
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turn(b, bits)) & 0xFFFFFFFF
        a, b, c = b, c, a
    # Seven steps of a cycle of three: the last one written is ``b`` here.
    return b
