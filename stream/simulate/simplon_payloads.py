"""An acquisition one frame at a time, each with the bytes that a SIMPLON detector sends for it.

Stored payloads pass byte for byte where they are stored as they are to be sent. Knows no message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..files.acquisition import Acquisition
from ..messages import BSLZ4_HEADER
from ..series import Encoding
from .compress import compress_bslz4
from .dialects import Speech
from .outgoing import batch_at, place_of, stored_payloads

Array = npt.NDArray[Any]
Payload = bytes | memoryview

CHUNK_FRAMES = 64
CHUNK_BYTES = 8 << 20
"""Frames are taken from the acquisition so many at a time: asking costs 5 us, more than a frame's headers."""
LZ4_HEADER = BSLZ4_HEADER.size + 4
"""HDF5 LZ4: raw size, block size, then each block behind its own size (4 bytes, big-endian)."""
KEPT_LZ4_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame on its way out."""

    index: int
    """In its series."""
    place: int
    """In its acquisition."""
    payload: Payload
    position: npt.NDArray[np.float32] | None
    """(y, x) in scan pixels."""
    time_ns: int | None


def shots(speech: Speech) -> Iterator[Shot]:
    """The frames of a series that are there, in order."""
    acquisition = speech.acquisition
    maker = _maker(speech)
    chunk = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // _frame_bytes(acquisition)))
    total = count_of(speech)
    index = 0
    while total is None or index < total:
        n = batch_at(index, chunk, acquisition.count)
        yield from _chunk(acquisition, index, place_of(acquisition, index), n, maker)
        index += n


def count_of(speech: Speech) -> int | None:
    """Frames of the series; None = endless."""
    per_round = speech.acquisition.count
    return None if per_round is None or not speech.repeat else per_round * speech.repeat


def _chunk(
    acquisition: Acquisition, index: int, at: int, n: int, maker: Callable[[int, int], Sequence[Payload]]
) -> Iterator[Shot]:
    positions, times = acquisition.positions(at, n), acquisition.times(at, n)
    present = acquisition.present(at, n)
    for number, payload in enumerate(maker(at, n)):
        if len(payload) and (present is None or present[number]):
            position = None if positions is None else positions[number]
            time_ns = None if times is None or times[number] <= 0 else int(times[number])
            yield Shot(index + number, at + number, payload, position, time_ns)


def _frame_bytes(acquisition: Acquisition) -> int:
    height, width = acquisition.shape
    return height * width * np.dtype(acquisition.dtype).itemsize


def _maker(speech: Speech) -> Callable[[int, int], Sequence[Payload]]:
    acquisition, encoding = speech.acquisition, speech.encoding
    makers: dict[Encoding, Callable[[int, int], Sequence[Payload]]] = {
        "raw": lambda at, n: raw_payloads(acquisition.frames(at, n)),
        "bslz4": speech.blobs.take,
        "lz4": _Lz4Cache(acquisition).take,
    }
    make = makers[encoding]
    if encoding == "raw":
        return make
    return lambda at, n: stored_payloads(acquisition, at, n, encoding) or make(at, n)


def raw_payloads(frames: Array) -> list[Payload]:
    """The bytes of each of (n, h, w) little-endian frames, not copied."""
    rows = np.ascontiguousarray(frames).reshape(len(frames), -1).view(np.uint8)
    return [row.data for row in rows]


def compress_lz4(frames: Array) -> list[bytes]:
    """One HDF5 LZ4 chunk of a single block for each of (n, h, w) frames; 0.5 ms for 256 x 256 uint16."""
    import h5py
    import hdf5plugin

    with h5py.File("chunks", "w", driver="core", backing_store=False) as file:
        chunks = (1, *frames.shape[1:])
        data = file.create_dataset("frames", data=frames, chunks=chunks, **hdf5plugin.LZ4())
        return [bytes(data.id.read_direct_chunk((index, 0, 0))[1]) for index in range(len(frames))]


def recoded(frame: Array, encoding: Encoding, element_bytes: int, big_endian: bool = False) -> Payload:
    """One (h, w) frame as it is to be sent, its bits shuffled in elements of any width."""
    pixels = np.ascontiguousarray(frame, frame.dtype.newbyteorder(">" if big_endian else "<"))
    if encoding == "raw":
        return pixels.tobytes()
    elements = pixels.reshape(1, 1, -1).view(np.dtype(f"u{element_bytes}"))
    return (compress_bslz4 if encoding == "bslz4" else compress_lz4)(elements)[0]


def of_another_shape(frame: Array) -> Array:
    """The upper half of an (h, w) frame; a single line twice."""
    return frame[: len(frame) // 2] if len(frame) > 1 else np.repeat(frame, 2, axis=0)


class _Lz4Cache:
    """LZ4 chunks of a series, each made once while the budget lasts."""

    def __init__(self, acquisition: Acquisition) -> None:
        self._bank = acquisition.bank
        self._kept: dict[int, bytes] = {}
        self._room = KEPT_LZ4_BYTES

    def take(self, at: int, n: int) -> list[bytes]:
        indices = self._bank.stock_indices(at, n).tolist()
        if not all(index in self._kept for index in indices):
            made = compress_lz4(np.ascontiguousarray(self._bank.take(at, n)))
            if self._room <= 0:
                return made
            self._kept.update(zip(indices, made, strict=True))
            self._room -= sum(map(len, made))
        return [self._kept[index] for index in indices]


def bare_lz4(chunk: Payload, frame: int) -> Payload:
    """The LZ4 block inside an HDF5 LZ4 chunk, as stream v1 sends it, its bytes unchanged.

    A block that LZ4 could not shrink is stored as it is; it becomes an LZ4 block of literals alone.

    Raises
    ------
    SourceError
        For a chunk of several blocks: stream v1 has room for one.
    """
    view = memoryview(chunk)
    raw, block = BSLZ4_HEADER.unpack_from(view) if len(view) >= LZ4_HEADER else (0, 0)
    size = int.from_bytes(view[BSLZ4_HEADER.size : LZ4_HEADER], "big")
    if block < raw or size != len(view) - LZ4_HEADER:
        raise SourceError(
            f"frame {frame} is stored as an LZ4 chunk of {raw:,} bytes in blocks of {block:,}; protocol "
            "dectris1 has one block a frame: send it with --encoding bslz4, or by --protocol dectris2"
        )
    return view[LZ4_HEADER:] if size != raw else _literals(view[LZ4_HEADER:])


def _literals(data: memoryview) -> bytes:
    """An LZ4 block that only says what the bytes are: a token, the length in steps of 255, the bytes."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    steps, last = divmod(len(data) - 15, 255)
    return b"\xf0" + b"\xff" * steps + bytes([last]) + data
