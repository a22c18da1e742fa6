"""DECTRIS stream v2: bursts of CBOR messages to the words of the assembler.

The usual image is found by compiled code, a run at a time; the rest is read in words, message by message.
Nothing that arrives raises. No socket.

Images are numbered from 0 or from 1, DECTRIS does not say: see ``DectrisV2Parser``.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ....errors import SourceError
from ...burst import TOO_LARGE, TOO_MANY_PARTS, Burst
from ...messages import DEFAULT_LIMITS, End, Limits, Message, Reason, Rejected, Start
from ...series import Encoding, Series, SeriesKey
from ...wire_fields import Refusal, integer, refuse
from .cbor_values import CborError, Fields, named_before_fault, read_fields
from .series_namer import SeriesNamer
from .v2_image import channels_of, pixels_of, read_image, start_time, travels_as
from .v2_reading import Reading, RunScanner, resumed_reading
from .v2_series import (
    MAX_UNIQUE_ID,
    START_KEYS,
    Armed,
    announced,
    choose_channels,
    key_of,
    read_start,
)
from .v2_withheld import Withheld, rejected

PARAMETERS = ("channel", "first_id")
IDENTITY_KEYS = frozenset({"type", "series_id", "series_unique_id", "image_id"})
NAMED_KEYS = IDENTITY_KEYS | {"start_time"}
"""What is still read of a message that is refused."""
IMAGE_KEYS = frozenset({"data", "start_time", "series_date", "user_data"})
ALL_KEYS = IDENTITY_KEYS | IMAGE_KEYS | START_KEYS
MAP_BYTES = range(0xA0, 0xC0)
SELF_DESCRIBED_BYTE = 0xD9


class DectrisV2Parser:
    """Reads stream v2.

    Parameters
    ----------
    namer : SeriesNamer, optional
        Gives keys to series of a detector that sends no unique id.
    limits : Limits, optional
    query : mapping, optional
        PARAMETERS of the source's url. ``channel``: name, number from 0, or "all" (one above the other in a
        frame); default the first. ``first_id``: image_id of the first image, 0 or 1.

    Raises
    ------
    SourceError
        A ``first_id`` that is neither 0 nor 1.

    Notes
    -----
    Without ``first_id`` images are taken to be numbered from 0, as in stream v1. The one exception: the first
    image to arrive is number 1 and its exposure began within half a frame time of the series, so that there
    can have been none before it. ``detail`` tells as soon as anything looks like the contrary.

    A series is announced with the first image that can be read; those refused before are withheld until then,
    and told under its key. When it is over, or PATIENCE images were refused, its start alone must do: then it
    travels raw, which takes every encoding at the price of decoding here.
    """

    def __init__(
        self,
        namer: SeriesNamer | None = None,
        limits: Limits = DEFAULT_LIMITS,
        query: Mapping[str, str] | None = None,
    ) -> None:
        query = query or {}
        self._channel = query.get("channel", "")
        self._first_id = _first_id(query.get("first_id"))
        self._limits = limits
        self._namer = namer or SeriesNamer()
        self._armed: Armed | None = None
        self._withheld = Withheld()
        """Images of the armed series."""
        self._counts_from: int | None = None
        """Number of the armed series' first image, as soon as one has come."""
        self._reading: Reading | None = None
        self._scanner: RunScanner | None = None
        self._notes: dict[str, str] = {}

    def speaks(self, first_byte: int) -> bool:
        """A map of CBOR, or the tag that says "this is CBOR"."""
        return first_byte == SELF_DESCRIBED_BYTE or first_byte in MAP_BYTES

    def parse(self, burst: Burst, at: int, out: deque[Message]) -> int:
        """Read message ``at`` and the run of images that it begins; see BurstParser."""
        return self._run(burst, at, out) or self._single(burst, at, out)

    def resume(self, series: Series) -> None:
        """Go on with a series that a former process left open."""
        self._namer.resume(series)
        self._open(resumed_reading(series))

    def frame_bytes(self) -> int | None:
        """Bytes of a frame of the series that is announced."""
        return None if self._reading is None else self._reading.series.frame_bytes

    def detail(self) -> str:
        """What the user should know: which channels are not used, how images are numbered."""
        if self._armed is not None:
            refused = f"; refused: {self._withheld.last_detail}" if self._withheld else ""
            return f"armed: series {self._armed.key.number}, waiting for the first image{refused}"
        return "; ".join(self._notes.values())

    # -- runs ------------------------------------------------------------------------------------------

    def _run(self, burst: Burst, at: int, out: deque[Message]) -> int:
        """The number behind the run that begins at ``at``; 0 when none does."""
        if self._scanner is None or burst.flags[at]:
            return 0
        found, batch = self._scanner.run(burst, at)
        if batch is None:
            return 0
        out.append(batch)
        self._look_at_end(batch.first + batch.count)
        return at + found

    def _open(self, reading: Reading | None) -> None:
        self._reading = reading
        known = reading is not None and reading.unique_id is not None
        self._scanner = RunScanner(reading) if reading is not None and known else None

    def _look_at_end(self, stop: int) -> None:
        """An image beyond the last shows that images are numbered from 1."""
        reading = self._reading
        count = None if reading is None else reading.series.count
        if reading is not None and count is not None and stop > count and not reading.first_id:
            self._notes["first_id"] = (
                f"image_id {count} came in a series of {count} images: this detector seems to count from 1; "
                "write ?first_id=1"
            )

    # -- single messages -------------------------------------------------------------------------------

    def _single(self, burst: Burst, at: int, out: deque[Message]) -> int:
        parts = burst.message(at)
        try:
            self._refuse_misfit(int(burst.flags[at]), len(parts))
            fields = _fields(parts[0])
            kind = fields.values.get("type")
            if type(kind) is not str or kind not in _READERS:
                refuse(Reason.BAD_TYPE, "'type'", kind, f"one of {', '.join(_READERS)}")
            _READERS[kind](self, fields, out)
        except Refusal as refusal:
            self._refused(refusal, parts, out)
        return at + 1

    def _refuse_misfit(self, flags: int, parts: int) -> None:
        if flags & TOO_LARGE:
            limit = self._limits.max_message_bytes
            raise Refusal(Reason.PAYLOAD_SIZE, f"a message beyond the limit of {limit:,} bytes")
        if parts != 1 or flags & TOO_MANY_PARTS:
            refuse(Reason.BAD_PARTS, "the number of parts", parts, "1 (a CBOR map)")

    def _refused(self, refusal: Refusal, parts: list[memoryview], out: deque[Message]) -> None:
        """Name the image concerned, as far as the bytes make sense."""
        values = named_before_fault(parts[0], NAMED_KEYS) if parts else {}
        is_image = values.get("type") == "image"
        key = image_id = None
        with contextlib.suppress(Refusal):  # the first refusal is the one to report
            key = self._key(*_identity(values))
            image_id = integer(values, "image_id", 0, Reason.BAD_INDEX) if is_image else None
        reading, armed = self._reading, self._armed
        if is_image and armed is not None and armed.key == key:
            self._withhold(armed, refusal, image_id, values, out)
        elif reading is not None and reading.series.key == key:
            out.append(rejected(refusal, key, image_id, reading.first_id))
        else:
            out.append(rejected(refusal, key))

    def _withhold(
        self,
        armed: Armed,
        refusal: Refusal,
        image_id: int | None,
        values: Mapping[str, Any],
        out: deque[Message],
    ) -> None:
        """Until the series is announced; told at once where only an image could announce it."""
        if not self._withheld and not self._can_begin(armed):
            out.append(rejected(refusal, armed.key))
            return
        if image_id is not None:
            self._count_from(armed, image_id, values)
        self._withheld.add(refusal, image_id)
        if self._withheld.is_enough:
            self._begin_plain(armed, out)

    def _key(self, number: int, unique_id: str) -> SeriesKey:
        return key_of(number, unique_id) if unique_id else self._namer.key(number)

    # -- start and end ---------------------------------------------------------------------------------

    def _start(self, fields: Fields, out: deque[Message]) -> None:
        """Kept until the first image tells how images are encoded."""
        number, unique_id = _identity(fields.values)
        if self._armed is not None and self._withheld:
            self._begin_plain(self._armed, out)
        key = self._key(number, unique_id) if unique_id else self._namer.begin(number)
        if self._reading is not None and self._reading.series.key == key:
            raise Refusal(Reason.DUPLICATE_START, f"series {key} has begun before")
        if self._reading is not None and (number, unique_id) == (self._reading.series.key.number, ""):
            self._open(None)  # its images could not be told from those that come now
        self._armed, self._counts_from = read_start(fields, key, unique_id), None

    def _end(self, fields: Fields, out: deque[Message]) -> None:
        key = self._key(*_identity(fields.values))
        if self._armed is not None and self._armed.key == key:
            self._end_armed(self._armed, out)
        elif self._reading is None or self._reading.series.key != key:
            raise Refusal(Reason.UNKNOWN_SERIES, f"the end of series {key}, whose start was not heard")
        out.append(End(key, None))

    def _end_armed(self, armed: Armed, out: deque[Message]) -> None:
        """A series that ends before an image of it could be read."""
        self._armed = None
        self._begin_plain(armed, out)

    def _begin_plain(self, armed: Armed, out: deque[Message]) -> None:
        """Announce what the start says; raises Refusal when that is not enough."""
        chosen, pixels = self._of_start(armed)
        self._begin(armed, chosen, pixels, ("raw", None), self._counts_from or 0, out)
        self._notes = dict(self._notes_on(armed.channels, chosen, 0)) | self._notes

    def _of_start(self, armed: Armed) -> tuple[tuple[str, ...], tuple[tuple[int, int], str]]:
        """The channels used, and shape and type of each; raises Refusal."""
        if armed.shape is None or armed.dtype is None:
            raise Refusal(Reason.BAD_HEADER, f"series {armed.key} ended before anything told its shape")
        return choose_channels(self._channel, armed.channels or ("",)), (armed.shape, armed.dtype)

    def _can_begin(self, armed: Armed) -> bool:
        """Whether images could be read of a series that was announced from its start alone."""
        try:
            self._series_of(armed, *self._of_start(armed), ("raw", None), 0)
        except Refusal:
            return False
        return bool(armed.channels)

    # -- images ----------------------------------------------------------------------------------------

    def _image(self, fields: Fields, out: deque[Message]) -> None:
        values = fields.values
        if "data" in fields.faults:
            raise Refusal(Reason.BAD_PAYLOAD, fields.faults["data"])
        number, unique_id = _identity(values)
        key = self._key(number, unique_id)
        if self._armed is not None and self._armed.key == key:
            self._announce(self._armed, values, out)
        reading = self._reading
        if reading is None or reading.series.key != key:
            raise Refusal(
                Reason.UNKNOWN_SERIES,
                f"an image of series {key}, whose start was not heard: wait for the next",
            )
        if reading.unique_id is None:
            reading = replace(reading, unique_id=unique_id)
            self._open(reading)
        batch = read_image(reading, values)
        out.append(batch)
        self._look_at_end(batch.first + 1)

    def _announce(self, armed: Armed, values: Mapping[str, Any], out: deque[Message]) -> None:
        """The first image tells what the start left open; it must agree with the rest."""
        data = values.get("data")
        names = armed.channels or (tuple(data) if isinstance(data, dict) else ())
        chosen = choose_channels(self._channel, names)
        channels = channels_of(values, chosen)
        pixels = pixels_of(channels[0], armed.shape, armed.dtype)
        image_id = integer(values, "image_id", 0, Reason.BAD_INDEX)
        first_id = self._count_from(armed, image_id, values)
        lowest = self._withheld.lowest(image_id)
        self._begin(armed, chosen, pixels, travels_as(channels), first_id, out)
        self._notes = dict(self._notes_on(names, chosen, lowest - first_id)) | self._notes

    def _begin(
        self,
        armed: Armed,
        chosen: tuple[str, ...],
        pixels: tuple[tuple[int, int], str],
        travels: tuple[Encoding, int | None],
        first_id: int,
        out: deque[Message],
    ) -> None:
        series, faults = self._series_of(armed, chosen, pixels, travels, first_id)
        out.extend(faults)
        self._armed = None
        self._notes = {"user_data": f"not used: {faults[0].detail}"} if faults else {}
        self._open(Reading(series, armed.unique_id, chosen, first_id, travels[1]))
        out.append(Start(series, armed.tables(chosen)))
        out.extend(self._withheld.told(armed.key, first_id))

    def _series_of(
        self,
        armed: Armed,
        chosen: tuple[str, ...],
        pixels: tuple[tuple[int, int], str],
        travels: tuple[Encoding, int | None],
        first_id: int,
    ) -> tuple[Series, list[Rejected]]:
        """Pixels are (shape, dtype) of one channel; raises Refusal."""
        (height, width), dtype = pixels
        encoding, block = travels
        own = {"channels": list(chosen), "first_id": first_id, "block_bytes": block}
        return announced(armed, (height * len(chosen), width), dtype, encoding, self._limits, own)

    def _count_from(self, armed: Armed, image_id: int, values: Mapping[str, Any]) -> int:
        """0 or 1, decided by the first image to arrive; see the class's notes."""
        if self._counts_from is None:
            self._counts_from = self._counted_from(armed, image_id, values)
        return self._counts_from

    def _counted_from(self, armed: Armed, image_id: int, values: Mapping[str, Any]) -> int:
        if self._first_id is not None:
            return self._first_id
        ticks, per_second = start_time(values)
        known = image_id == 1 and per_second and armed.frame_time
        return int(bool(known and ticks / per_second < armed.frame_time / 2))  # type: ignore[operator]

    def _notes_on(
        self, names: tuple[str, ...], chosen: tuple[str, ...], first: int
    ) -> Iterator[tuple[str, str]]:
        unused = [name for name in names if name not in chosen]
        if unused:
            yield (
                "channel",
                f"shown is {chosen[0]}; not used: {', '.join(unused)}; write ?channel=NAME or ?channel=all",
            )
        if first > 0 and self._first_id is None:
            yield (
                "first_id",
                f"the first image was number {first}: those before it count as lost; should this detector "
                "count from 1, write ?first_id=1",
            )


_Reader = Callable[[DectrisV2Parser, Fields, deque[Message]], None]
_READERS: Mapping[str, _Reader] = {
    "image": DectrisV2Parser._image,
    "start": DectrisV2Parser._start,
    "end": DectrisV2Parser._end,
}


def _fields(message: memoryview) -> Fields:
    try:
        return read_fields(message, ALL_KEYS)
    except CborError as error:
        raise Refusal(Reason.BAD_HEADER, f"the message is no CBOR of stream v2: {error}") from None


def _identity(values: Mapping[str, Any]) -> tuple[int, str]:
    """Number and unique id (empty when there is none) of the series that a message is about."""
    unique_id = values.get("series_unique_id", "")
    if type(unique_id) is not str or len(unique_id) > MAX_UNIQUE_ID:
        refuse(Reason.BAD_SERIES, "'series_unique_id'", unique_id, f"text of at most {MAX_UNIQUE_ID} bytes")
    return integer(values, "series_id", 0, Reason.BAD_SERIES), unique_id


def _first_id(text: str | None) -> int | None:
    if text not in (None, "0", "1"):
        raise SourceError(f"first_id is {text!r}; images are numbered from 0 or from 1: write ?first_id=1")
    return None if text is None else int(text)
