"""DECTRIS stream v1 ("legacy"): JSON and binary parts, one image a message.

What the messages mean; which bytes make which numbers is simplon_json.py's and, for the many images that are
like the one before, v1_scan.py's. Knows no socket.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...burst import TOO_LARGE, Burst
from ...messages import (
    DEFAULT_LIMITS,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
)
from ...series import DTYPES, Encoding, Series, SeriesKey
from ...wire_fields import Refusal, show
from .pixel_coding import announces, travelling
from .series_namer import SeriesNamer
from .simplon_json import ImageWords, frame_number, image_words, json_object, series_number
from .simplon_series import Announced, detector_meta, make_series
from .v1_header import SeriesHeader
from .v1_scan import FIRST, START, STOP, Scanner, Template

IMAGE_PARTS = (4, 5)
"""Which image, its shape, its pixels, its times; and the image appendix, where there is one."""
ENCODINGS: Mapping[str, Encoding] = {"bslz4": "bslz4", "lz4": "lz4", "none": "raw"}
"""What a configuration's ``compression`` says."""


class DectrisV1Parser:
    """Reads stream v1 out of bursts.

    Parameters
    ----------
    namer : SeriesNamer
    limits : Limits, optional

    Notes
    -----
    A series is announced with its first image, whose encoding is only known then. The configuration's shape
    and pixel type win over the image's; an image that differs is rejected, and its place stays a hole.

    Not looked at: ``size`` in an image's header (the bytes that came decide), the hash (MD5 of 8 KB costs
    12 us, and TCP has its own check), and the fourth part, whose times are relative to nothing known here.
    """

    def __init__(self, namer: SeriesNamer, limits: Limits = DEFAULT_LIMITS) -> None:
        self._namer, self._limits = namer, limits
        self._scanner = Scanner(1)
        self._number = -1
        """Of the series whose images are taken."""
        self._key: SeriesKey | None = None
        self._header: SeriesHeader | None = None
        """While no image has come."""
        self._series: Series | None = None
        """Once it is announced."""
        self._template: Template | None = None

    # -- the seam ----------------------------------------------------------------------------------------

    def speaks(self, first_byte: int) -> bool:
        return first_byte == ord("{")

    def resume(self, series: Series) -> None:
        self._namer.resume(series)
        self._number, self._key, self._series = series.key.number, series.key, series
        self._header = self._template = None

    def frame_bytes(self) -> int | None:
        if self._series is not None:
            return self._series.frame_bytes
        shape, dtype = (self._header.shape, self._header.dtype) if self._header else (None, None)
        return None if shape is None or dtype is None else shape[0] * shape[1] * DTYPES[dtype].itemsize

    def detail(self) -> str:
        if self._header is None or self._series is not None:
            return ""
        count = "" if self._header.count is None else f" of {self._header.count:,}"
        return f"armed: series {self._number}, waiting for the first image{count}"

    def parse(self, burst: Burst, at: int, out: deque[Message]) -> int:
        if self._template is not None:
            count = self._scanner.run(burst, at, self._template)
            if count:
                out.append(self._batch(burst.data, count))
                return at + count
        count = self._scanner.strangers(burst, at, self._number)
        if count:
            out.append(self._unknown(int(self._scanner.found[FIRST]), None, count))
            return at + count
        self._read(burst.message(at), int(burst.flags[at]), out)
        return at + 1

    def _batch(self, data: npt.NDArray[np.uint8], count: int) -> FrameBatch:
        assert self._key is not None
        assert self._series is not None
        first, start, stop = self._scanner.found[[FIRST, START, STOP]].tolist()
        sizes = None if self._series.encoding == "raw" else self._scanner.sizes[:count].copy()
        return _frames(self._key, first, count, sizes, data[start:stop])

    def _unknown(self, number: int, first: int | None, count: int) -> Rejected:
        waiting = "the next series is waited for" if self._number < 0 else f"series {self._number} is read"
        detail = f"images of series {number} came without its header: {waiting}"
        return Rejected(Reason.UNKNOWN_SERIES, detail, self._namer.key(number), first, count)

    # -- message by message ------------------------------------------------------------------------------

    def _read(self, parts: Sequence[memoryview], flags: int, out: deque[Message]) -> None:
        try:
            self._read_known(parts, flags, out)
        except Refusal as refusal:
            out.append(Rejected(refusal.reason, refusal.detail))

    def _read_known(self, parts: Sequence[memoryview], flags: int, out: deque[Message]) -> None:
        if self._header is not None and self._header.continues(parts):
            self._header.take(parts)
            return _tell(self._header, out)
        words = json_object(parts[0])
        htype = words.get("htype")
        kind = htype if type(htype) is str else ""
        if kind.startswith("dimage-"):
            return self._image(words, parts, flags, out)
        if kind.startswith("dheader"):
            return self._begin(SeriesHeader.of(parts), out)
        if kind.startswith("dseries_end"):
            return self._end(series_number(words), out)
        detail = (
            f"a message of {len(parts)} parts and htype {show(htype)} is no header, image or end of a series"
        )
        raise Refusal(Reason.BAD_TYPE, detail)

    def _begin(self, header: SeriesHeader, out: deque[Message]) -> None:
        self._number, self._header = header.number, header
        self._key = self._namer.begin(header.number)
        self._series = self._template = None
        _tell(header, out)

    def _end(self, number: int, out: deque[Message]) -> None:
        if number == self._number and self._series is None:
            self._announce(None, None, out)
        out.append(End(self._namer.key(number), None))

    # -- images ------------------------------------------------------------------------------------------

    def _image(
        self, identity: Mapping[str, Any], parts: Sequence[memoryview], flags: int, out: deque[Message]
    ) -> None:
        number, frame = series_number(identity), frame_number(identity)
        if number != self._number or self._key is None:
            out.append(self._unknown(number, frame, 1))
            return
        try:
            out.append(self._frame(frame, parts, flags, out))
        except Refusal as refusal:
            if self._header is not None and self._header.is_sufficient:
                with contextlib.suppress(Refusal):  # then this image is in no series' account
                    self._announce(_words_of(parts), None, out)
            out.append(Rejected(refusal.reason, refusal.detail, self._key, frame, 1))

    def _frame(self, frame: int, parts: Sequence[memoryview], flags: int, out: deque[Message]) -> FrameBatch:
        if flags & TOO_LARGE:
            raise Refusal(Reason.FRAME_TOO_LARGE, f"image {frame} is above the limit of a message")
        if flags or len(parts) not in IMAGE_PARTS:
            raise Refusal(Reason.BAD_PARTS, f"image {frame} has {len(parts)} parts, must have 4 or 5")
        words = image_words(parts[1])
        if self._series is None:
            self._announce(words, parts[2], out)
        series = self._announced()
        _require_same(words, series, frame)
        payload = travelling(parts[2], words.coding, series)
        self._learn(words, parts, series)
        positions = _position(parts, series)
        sizes = None if series.encoding == "raw" else np.array([len(payload)], np.int64)
        return replace(_frames(series.key, frame, 1, sizes, payload), positions=positions)

    def _announced(self) -> Series:
        if self._series is None:
            raise Refusal(Reason.BAD_SERIES, f"series {self._number} cannot be announced")
        return self._series

    def _learn(self, words: ImageWords, parts: Sequence[memoryview], series: Series) -> None:
        """Take the next images that are like this one without reading them, where that is safe."""
        itemsize, coding = series.numpy_dtype.itemsize, words.coding
        swapped = coding.big_endian and itemsize > 1  # raw big-endian pixels travel raw, but not as they are
        as_it_is = not swapped and coding.travels_as(itemsize) == coding.algorithm
        scattered = series.scan is not None and series.scan.order == "positions"
        if as_it_is and not scattered and announces(parts[2], words.coding, series.frame_bytes):
            nbytes = series.frame_bytes
            self._template = Template.of(self._number, parts[1], parts[2], series.encoding, nbytes)

    # -- the series --------------------------------------------------------------------------------------

    def _announce(self, words: ImageWords | None, payload: memoryview | None, out: deque[Message]) -> None:
        """Announce the series with what its header says, and with its first image where there is one."""
        header, key = self._header, self._key
        assert header is not None
        assert key is not None
        announced = _announcement(header, words, payload)
        series, faults = make_series(announced, key, self._limits)
        if series is None:
            raise Refusal(faults[-1].reason, faults[-1].detail)
        out.append(Start(series, header.tables_of(series.shape)))
        self._series, self._header = series, None
        out.extend(faults)
        _tell(header, out)


def _tell(header: SeriesHeader, out: deque[Message]) -> None:
    """At once: what is kept until an image comes could grow without end, and may never be told."""
    out.extend(Rejected(fault.reason, fault.detail) for fault in header.told())


def _announcement(header: SeriesHeader, words: ImageWords | None, payload: memoryview | None) -> Announced:
    """Raises Refusal when neither the header nor an image says how large an image is."""
    shape = header.shape or (words and words.shape)
    dtype = header.dtype or (words and words.dtype)
    if not shape or not dtype:
        raise Refusal(
            Reason.BAD_SHAPE,
            f"series {header.number} ended without an image, and its header does not say what images it has",
        )
    encoding = _encoding(header, words, payload, shape, DTYPES[dtype].itemsize)
    meta = detector_meta(header.configuration)
    return Announced(shape, dtype, encoding, header.count, meta, header.appendix)


def _encoding(
    header: SeriesHeader,
    words: ImageWords | None,
    payload: memoryview | None,
    shape: tuple[int, int],
    pixel_bytes: int,
) -> Encoding:
    """As the first image has it; as the configuration has it when that image says nothing or contradicts both
    the configuration and itself.

    The configuration knows the algorithm only, not the width of a shuffle nor the order of bytes; yet these
    decide how images travel on. So a broken first image that names the same algorithm is believed.
    """
    said = ENCODINGS.get(header.compression or "")
    if words is None:
        return said or "raw"
    if said is None or words.coding.algorithm == said or _is_whole(words, payload, shape, pixel_bytes):
        return words.coding.travels_as(pixel_bytes)
    return said


def _is_whole(
    words: ImageWords, payload: memoryview | None, shape: tuple[int, int], pixel_bytes: int
) -> bool:
    """Whether an image has the shape announced, and a payload that fits what it says of itself."""
    if payload is None or words.shape != shape:
        return False
    return announces(payload, words.coding, shape[0] * shape[1] * pixel_bytes)


def _words_of(parts: Sequence[memoryview]) -> ImageWords | None:
    """What a refused image says of itself, where that can be read."""
    try:
        return image_words(parts[1]) if len(parts) > 1 else None
    except Refusal:
        return None


def _require_same(words: ImageWords, series: Series, frame: int) -> None:
    if words.shape != series.shape:
        (h, w), (height, width) = words.shape, series.shape
        raise Refusal(Reason.BAD_SHAPE, f"image {frame} is {h} x {w}, announced are {height} x {width}")
    if words.dtype != series.dtype:
        raise Refusal(Reason.BAD_DTYPE, f"image {frame} is {words.dtype}, announced is {series.dtype}")
    encoding = words.coding.travels_as(series.numpy_dtype.itemsize)
    if encoding != series.encoding:
        raise Refusal(Reason.BAD_ENCODING, f"image {frame} is {encoding}, the series is {series.encoding}")


def _position(parts: Sequence[memoryview], series: Series) -> npt.NDArray[np.float32] | None:
    """(1, 2) from the image appendix ``{"position": [y, x]}``, for scans in explicit positions only."""
    if series.scan is None or series.scan.order != "positions" or len(parts) < max(IMAGE_PARTS):
        return None
    position = json_object(parts[4]).get("position")
    good = type(position) is list and len(position) == 2 and all(type(p) in (int, float) for p in position)
    if not good:
        raise Refusal(Reason.BAD_POSITIONS, f"an image's position is {show(position)}, must be [y, x]")
    try:
        with np.errstate(over="ignore"):
            return np.array([position], np.float64).astype(np.float32)
    except OverflowError as error:
        raise Refusal(Reason.BAD_POSITIONS, f"an image's position is {show(position)}") from error


def _frames(
    key: SeriesKey,
    first: int,
    count: int,
    sizes: npt.NDArray[np.int64] | None,
    payload: npt.NDArray[np.uint8],
) -> FrameBatch:
    payload.flags.writeable = False
    return FrameBatch(key, first, count, None, sizes, payload, None)
