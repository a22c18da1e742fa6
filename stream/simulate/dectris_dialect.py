"""DECTRIS SIMPLON detectors, stream v1 and v2, as a simulated detector speaks them: one frame a message.

The scan and what else a SIMPLON detector does not know travel where its user may put things: in the header
appendix and image appendix (v1), in ``user_data`` (v2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import SourceError
from ..announcement import series_map
from ..endpoints import Endpoint
from ..series import Encoding, Series
from ..wire import encode_start
from . import simplon_v1, simplon_v2
from .dialects import Speech
from .outgoing import Outgoing, Parts, announce
from .push_line import PushLine
from .simplon_labels import Digests, SeriesClock
from .simplon_payloads import Payload, Shot, bare_lz4, of_another_shape, recoded, shots
from .simplon_v1 import HeaderDetail

ENCODINGS: tuple[Encoding, ...] = ("bslz4", "lz4", "raw")
PIXEL_TYPES = ("uint8", "uint16", "uint32")


class _Simplon:
    """What both versions have in common.

    Parameters
    ----------
    header_detail : {"none", "basic", "all"}, optional
        None: "all" where the acquisition has tables, else "basic".
    element_bytes : int, optional
        Width of the bit shuffle; None = that of a pixel. With another width, or big-endian, every frame is
        encoded anew.
    big_endian : bool
        Byte order of the pixels.
    """

    encodings = ENCODINGS
    one_frame_a_message = True

    def __init__(
        self,
        *,
        header_detail: HeaderDetail | None = None,
        element_bytes: int | None = None,
        big_endian: bool = False,
    ) -> None:
        self._detail: HeaderDetail | None = header_detail
        self._element_bytes, self._big_endian = element_bytes, big_endian

    def line(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool) -> PushLine:
        """The detector binds a PUSH socket."""
        return PushLine(endpoint, queue_messages, insecure_bind)

    def _header_detail(self, tables: Mapping[str, Any]) -> HeaderDetail:
        return self._detail or ("all" if tables else "basic")

    def _width(self, series: Series) -> int:
        """Bytes of an element of the bit shuffle."""
        return self._element_bytes or series.numpy_dtype.itemsize

    def _payload(self, speech: Speech, series: Series, shot: Shot) -> Payload:
        width = self._width(series)
        if not self._big_endian and width == series.numpy_dtype.itemsize:
            return shot.payload
        frame = speech.acquisition.frames(shot.place, 1)[0]
        return recoded(frame, series.encoding, width, self._big_endian)

    def _misshapen(self, speech: Speech, series: Series, shot: Shot) -> tuple[tuple[int, int], Payload]:
        """A frame of another shape than announced, and its bytes."""
        frame = of_another_shape(speech.acquisition.frames(shot.place, 1)[0])
        return frame.shape, recoded(frame, series.encoding, self._width(series), self._big_endian)


class Dectris1(_Simplon):
    """Stream v1: JSON and binary parts.

    Parameters
    ----------
    md5 : bool
        Whether images carry the hash of their blob, as real ones do: 25 us for a blob of 8 KiB, 400 us for a
        raw frame of 128 KiB (both cores busy), once for each frame that comes again.
    configuration_apart : bool
        Send every part of the start as a message of its own, as the simulator of LiberTEM-live does.
    """

    def __init__(self, *, md5: bool = True, configuration_apart: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._md5, self._apart = md5, configuration_apart

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        """Start, images, end. Raises SourceError for pixels that v1 has no name for."""
        series = _announced(speech)
        if series.dtype not in PIXEL_TYPES:
            raise SourceError(
                f"{speech.acquisition.name}: stream v1 has pixels of {', '.join(PIXEL_TYPES)}, not "
                f"{series.dtype}: take --protocol dectris2 or livem"
            )
        clock = SeriesClock(speech)
        for parts in self._start(speech, series, clock.date):
            yield Outgoing(parts, series.key, 0, 0, "start")
        words, index = simplon_v1.ImageWords(series, self._spelling(series)), -1
        digests = Digests() if self._md5 else None
        for shot in shots(speech):
            yield self._image(speech, series, shot, words, digests, clock.since_start(shot))
            index = shot.index
        count = index + 1 if series.count is None else series.count
        yield Outgoing(simplon_v1.end_parts(series), series.key, count, 0, "end")

    def _spelling(self, series: Series) -> str:
        order = ">" if self._big_endian else "<"
        shuffle = f"bs{8 * self._width(series)}-"
        return {"raw": "", "lz4": "lz4", "bslz4": f"{shuffle}lz4"}[series.encoding] + order

    def _start(self, speech: Speech, series: Series, date: str) -> Iterator[Parts]:
        tables = speech.acquisition.tables()
        appendix = json.dumps(_user_data(series), separators=(",", ":")).encode()
        parts = simplon_v1.start_parts(series, self._header_detail(tables), tables, appendix, date)
        yield from ((part,) for part in parts) if self._apart else (parts,)

    def _image(
        self,
        speech: Speech,
        series: Series,
        shot: Shot,
        words: simplon_v1.ImageWords,
        digests: Digests | None,
        start_ns: int,
    ) -> Outgoing:
        def parts(shape: tuple[int, int], payload: Payload) -> Parts:
            return (identity, words.data(shape, len(payload)), payload, words.times(start_ns), *behind)

        def misshapen() -> Parts:
            shape, other = self._misshapen(speech, series, shot)
            return parts(shape, bare_lz4(other, shot.index) if bare else other)

        bare = series.encoding == "lz4"
        payload = self._payload(speech, series, shot)
        if bare:
            payload = bare_lz4(payload, shot.index)
        identity = words.identity(shot.index, "" if digests is None else digests.of(shot.place, payload))
        behind = () if shot.position is None else (simplon_v1.position_appendix(shot.position),)
        sizes = (len(payload),) if series.encoding == "bslz4" else None
        return Outgoing(
            parts(series.shape, payload),
            series.key,
            shot.index,
            1,
            "frames",
            sizes,
            payload_part=2,
            tells_size=series.encoding == "raw",  # SIMPLON's ``size`` is a word that receivers may not heed
            misshapen=misshapen,
        )


class Dectris2(_Simplon):
    """Stream v2: CBOR.

    Parameters
    ----------
    channels : sequence of str
        Thresholds; all in one message, all of the same shape and type. The second one shows the acquisition
        one frame later, and so on, so that they differ.
    first_id : int
        The image_id of frame 0.
    """

    def __init__(
        self, *, channels: Sequence[str] = ("threshold_1",), first_id: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self._channels, self._first_id = tuple(channels), first_id

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        """Start, images, end."""
        series = _announced(speech)
        key, unique_id, clock = series.key, _unique_id(series), SeriesClock(speech)
        yield Outgoing((self._start(speech, series, unique_id, clock.date),), key, 0, 0, "start")
        dtype = series.numpy_dtype.newbyteorder(">" if self._big_endian else "<").str
        words = simplon_v2.ImageWords(
            series, unique_id, self._channels, series.encoding, dtype, self._width(series), clock.date
        )
        index = -1
        for shot in shots(speech):
            yield self._image(speech, series, shot, words, clock.since_start(shot))
            index = shot.index
        count = index + 1 if series.count is None else series.count
        yield Outgoing((simplon_v2.end_message(series, unique_id),), key, count, 0, "end")

    def _start(self, speech: Speech, series: Series, unique_id: str, date: str) -> bytes:
        tables = speech.acquisition.tables()
        detail = self._header_detail(tables)
        user_data = _user_data(series)
        return simplon_v2.start_message(series, unique_id, self._channels, detail, tables, user_data, date)

    def _image(
        self, speech: Speech, series: Series, shot: Shot, words: simplon_v2.ImageWords, start_ns: int
    ) -> Outgoing:
        def message(shape: tuple[int, int], payloads: Sequence[Payload]) -> bytes:
            pieces: list[Payload] = [identity, times]
            for channel, payload in enumerate(payloads):
                pieces += words.pixels(channel, shape, len(payload)), payload
            return b"".join(pieces)

        def misshapen() -> Parts:
            shape, other = self._misshapen(speech, series, shot)
            return (message(shape, [other] * len(self._channels)),)

        user = None if shot.position is None else {"position": shot.position.tolist()}
        identity = words.identity(shot.index + self._first_id, user)
        times = words.times(start_ns, user)
        payloads = [self._payload(speech, series, shot), *self._other_channels(speech, series, shot)]
        whole = message(series.shape, payloads)
        return Outgoing(
            (whole,),
            series.key,
            shot.index,
            1,
            "frames",
            (len(payloads[-1]),) if series.encoding != "raw" else None,
            payload_part=0,
            payload_at=len(whole) - len(payloads[-1]),
            identity_bytes=len(identity),
            misshapen=misshapen,
        )

    def _other_channels(self, speech: Speech, series: Series, shot: Shot) -> list[Payload]:
        width, acquisition = self._width(series), speech.acquisition
        frames = [acquisition.frames(shot.place + later, 1)[0] for later in range(1, len(self._channels))]
        return [recoded(frame, series.encoding, width, self._big_endian) for frame in frames]


def _announced(speech: Speech) -> Series:
    """The series, if it can be announced at all; raises SourceError."""
    series = announce(speech.acquisition, speech.key, speech.encoding, speech.repeat)
    try:
        encode_start(series)
    except ValueError as error:
        raise SourceError(f"{speech.acquisition.name}: {error}") from error
    return series


def _unique_id(series: Series) -> str:
    """26 characters as a detector's own; another for each series of each sender."""
    return f"{series.key.epoch.hex().upper()}{series.key.number:010d}"


def _user_data(series: Series) -> dict[str, Any]:
    """What a detector cannot know: the scan, and what the sample and the microscope are."""
    known = series_map(series)
    text = json.dumps({"scan": known["scan"], "meta": known["meta"]}, default=_plain)
    plain: dict[str, Any] = json.loads(text)
    return plain


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes) else str(value)
