"""Recorded sessions of LiberTEM's DECTRIS tools: each message part of stream v1 behind its length.

The file is a repeat of int64 (little-endian) and bytes, without marks of messages. Frames are found by their
own number; what was compressed as the wire knows it is given out as it lies there. Closed tables throughout:
nothing of a file reaches numpy.dtype or decides on an allocation.
"""

from __future__ import annotations

import json
import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..series import MAX_DIM, Encoding
from .acquisition import Array
from .blob_decoding import decode_chunk, decode_lz4_block
from .contents import Content, no_key

SUFFIX = ".dectris"
"""What such files are called here; the others (.dat, .raw) are known by their first bytes."""
LENGTH = struct.Struct("<q")
MAX_JSON = 1 << 20
MAX_SEQUENCE = 1 << 24
"""Frames of a session: 16 million of 4 parts are found in a few minutes."""
TYPES: Mapping[str, str] = {"uint8": "<u1", "uint16": "<u2", "uint32": "<u4"}
ENCODING = re.compile(r"(?:bs(8|16|32)-)?(lz4)?([<>])")
HEADER, IMAGE, IMAGE_DATA, END = "dheader-", "dimage-", "dimage_d-", "dseries_end-"


def is_session(path: Path) -> bool:
    """Whether the first part of a file is the header of a series."""
    try:
        with path.open("rb") as file:
            length = file.read(LENGTH.size)
            if len(length) < LENGTH.size or not 2 <= LENGTH.unpack(length)[0] <= MAX_JSON:
                return False
            return b'"dheader-1' in file.read(LENGTH.unpack(length)[0])
    except OSError:
        return False


def read_session(path: Path, key: str) -> Content:
    """The frames of a session's first series, each at its own index."""
    no_key(path, key)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = _Session(path.name)
    for part in _parts(path.name, mapped):
        found.take(mapped, part)
        if found.ended:
            break
    return found.content(mapped)


Span = tuple[int, int]
"""Where a part begins and ends in the file."""


def _parts(name: str, mapped: mmap.mmap) -> Iterator[Span]:
    """The parts of a file; what is cut off at its end is left out."""
    at, end = 0, len(mapped)
    while at + LENGTH.size <= end:
        (size,) = LENGTH.unpack_from(mapped, at)
        at += LENGTH.size
        if size < 0:
            raise SourceError(f"{name}: at byte {at - LENGTH.size} a part has the length {size}")
        if at + size > end:
            return
        yield at, at + size
        at += size


@dataclass(frozen=True, slots=True)
class _Format:
    """How a frame is stored, from its own header."""

    shape: tuple[int, int]
    dtype: str
    encoding: str

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(TYPES[self.dtype]).itemsize


class _Session:
    """What is known after each part."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._series: int | None = None
        self._config: Mapping[str, Any] = {}
        self._awaited: int | None = None
        """Number of the frame whose description comes next."""
        self._described: tuple[int, _Format] | None = None
        """Number and format of the frame whose blob comes next."""
        self._format: _Format | None = None
        self._blobs: dict[int, Span] = {}
        self.ended = False

    def take(self, mapped: mmap.mmap, span: Span) -> None:
        """Understand the next part."""
        if self._described is not None:
            number, described = self._described
            self._described = None
            return self._keep(number, described, span)
        words = self._words(mapped, span)
        kind = words.get("htype")
        if kind is None:
            if self._series is not None and not self._config:
                self._config = words
        elif not isinstance(kind, str):
            raise SourceError(f"{self._name}: htype {kind!r} at byte {span[0]} is no text")
        elif kind.startswith(HEADER):
            self._begin(words)
        elif kind.startswith(END):
            self.ended = self._series is not None and words.get("series") == self._series
        elif kind.startswith(IMAGE_DATA):
            self._describe(words, span)
        elif kind.startswith(IMAGE):
            self._await(words)
        return None

    def _words(self, mapped: mmap.mmap, span: Span) -> Mapping[str, Any]:
        """A part as JSON; empty for tables and other parts that are none."""
        start, stop = span
        if stop - start > MAX_JSON or mapped[start : start + 1] != b"{":
            return {}
        try:
            words = json.loads(mapped[start:stop])
        except (ValueError, RecursionError):
            return {}
        return words if isinstance(words, dict) else {}

    def _begin(self, words: Mapping[str, Any]) -> None:
        number = words.get("series")
        if self._series is not None:
            self.ended = True  # another series
        elif type(number) is not int:
            raise SourceError(f"{self._name}: the header's series is {number!r}, must be a number")
        else:
            self._series = number

    def _await(self, words: Mapping[str, Any]) -> None:
        """Frames of another series are stale ones, left over from before."""
        number = words.get("frame")
        sound = type(number) is int and 0 <= number < MAX_SEQUENCE and words.get("series") == self._series
        self._awaited = number if sound else -1

    def _describe(self, words: Mapping[str, Any], span: Span) -> None:
        if self._awaited is None:
            raise SourceError(f"{self._name}: a frame without its number at byte {span[0]}")
        self._described = self._awaited, self._format_of(words, span)
        self._awaited = None

    def _format_of(self, words: Mapping[str, Any], span: Span) -> _Format:
        shape, dtype, encoding = words.get("shape"), words.get("type"), words.get("encoding")
        sides = isinstance(shape, list) and len(shape) == 2 and all(type(side) is int for side in shape)
        if not (sides and all(1 <= side <= MAX_DIM for side in shape or ())) or shape is None:
            raise SourceError(f"{self._name}: shape {shape!r} at byte {span[0]} is none of a frame")
        if not isinstance(dtype, str) or dtype not in TYPES:
            raise SourceError(f"{self._name}: type {dtype!r} is not one of {', '.join(TYPES)}")
        if not isinstance(encoding, str) or not ENCODING.fullmatch(encoding):
            raise SourceError(f"{self._name}: encoding {encoding!r} is not known, as bs16-lz4< is")
        return _Format((shape[1], shape[0]), dtype, encoding)

    def _keep(self, number: int, described: _Format, span: Span) -> None:
        if number < 0 or number in self._blobs:
            return
        if self._format is None:
            self._format = described
        if described != self._format:
            raise SourceError(f"{self._name}: frame {number} is {described}, the first was {self._format}")
        self._blobs[number] = span

    def content(self, mapped: mmap.mmap) -> Content:
        """What was found, once all parts have been taken."""
        if self._format is None:
            raise SourceError(f"{self._name} holds no frame of a DECTRIS stream")
        places = np.array(sorted(self._blobs), np.int64)
        blobs = Blobs(self._name, mapped, [self._blobs[place] for place in places.tolist()], self._format)
        whole = len(places) == places[-1] + 1
        return Content(
            blobs,
            _meta(self._config),
            places=None if whole else places,
            stored=blobs.stored(places),
        )


def _meta(config: Mapping[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    frame_time, pixel = _positive(config.get("frame_time")), _positive(config.get("x_pixel_size"))
    if frame_time is not None:
        meta["frame_time"] = frame_time
    if pixel is not None:
        meta |= {"pixel_size": pixel * 1e6, "pixel_unit": "um"}
    text = config.get("description")
    return {**meta, "detector": text[:200]} if isinstance(text, str) and text else meta


def _positive(value: Any) -> float | None:
    sound = type(value) in (int, float) and 0 < value < 1e9
    return float(value) if sound else None


class Blobs:
    """The frames of a session as an array (k, h, w) that stays in the file; decoded when asked for."""

    ndim = 3
    chunks = None

    def __init__(self, name: str, mapped: mmap.mmap, spans: list[Span], form: _Format) -> None:
        self._name, self._mapped, self._spans, self._form = name, mapped, spans, form
        self.shape = (len(spans), *form.shape)
        self.dtype = np.dtype(TYPES[form.dtype])

    def __getitem__(self, which: slice) -> Array:
        start, stop, _ = which.indices(len(self._spans))
        frames = np.empty((stop - start, *self._form.shape), self.dtype)
        for number in range(start, stop):
            try:
                frames[number - start] = decode_blob(self._blob(number), self._form)
            except ValueError as error:
                raise ValueError(f"the stored frame {number} does not decode: {error}") from error
        return frames

    def _blob(self, number: int) -> bytes:
        start, stop = self._spans[number]
        return self._mapped[start:stop]

    def stored(self, places: np.ndarray[Any, Any]) -> StoredBlobs | None:
        """The blobs as they are, where the wire knows their encoding."""
        match = ENCODING.fullmatch(self._form.encoding)
        assert match is not None
        bits, _, order = match.groups()
        whole_pixels = bits is not None and int(bits) == self.dtype.itemsize * 8
        if order != "<" or not whole_pixels:
            return None
        return StoredBlobs(self, {int(place): number for number, place in enumerate(places.tolist())})


class StoredBlobs:
    """A session's bslz4 blobs by index in the series."""

    encoding: Encoding = "bslz4"

    def __init__(self, blobs: Blobs, numbers: Mapping[int, int]) -> None:
        self._blobs, self._numbers = blobs, numbers

    def payloads(self, first: int, n: int) -> list[bytes]:
        """n payloads byte for byte, zeros in place of a header included; empty where a frame is absent."""
        numbers = (self._numbers.get(index) for index in range(first, first + n))
        return [b"" if number is None else self._blobs._blob(number) for number in numbers]


def decode_blob(blob: bytes, form: _Format) -> Array:
    """One frame (h, w), little-endian. Raises ValueError where the blob is none of such a frame."""
    match = ENCODING.fullmatch(form.encoding)
    assert match is not None
    bits, compressed, order = match.groups()
    raw = _inflate(blob, form.nbytes, None if bits is None else int(bits) // 8, bool(compressed))
    dtype = np.dtype(TYPES[form.dtype])
    sent = np.dtype(TYPES[form.dtype].replace("<", str(order)))
    return np.frombuffer(raw, sent).reshape(form.shape).astype(dtype, copy=False)


def _inflate(blob: bytes, nbytes: int, element: int | None, compressed: bool) -> bytes:
    if compressed and element is None:
        return decode_lz4_block(blob, nbytes)
    return decode_chunk(blob, "bslz4" if compressed else "raw", nbytes, element or 1)
