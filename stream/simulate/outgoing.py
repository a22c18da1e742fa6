"""An acquisition as the sequence of livem/1 messages that a detector would send. No socket, no clock of its
own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..files.acquisition import Acquisition
from ..messages import DEFAULT_LIMITS
from ..series import Encoding, Scan, Series, SeriesKey
from ..wire import MAX_HEADER_ARRAY, encode_end, encode_frames, encode_start
from .compress import BlobCache

Kind = Literal["start", "frames", "end"]
SENDABLE: tuple[Encoding, ...] = ("raw", "bslz4")

MESSAGE_BYTES = 8 << 20
MESSAGE_SECONDS = 0.005
MESSAGE_FRAMES = 65_536

Parts = tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One wire message on its way out, and what it is about."""

    parts: Parts
    key: SeriesKey
    first: int
    """Index of the first frame; for "end" the number of frames sent."""
    count: int
    """Frames in the message; 0 for "start" and "end"."""
    kind: Kind
    sizes: tuple[int, ...] | None = None
    """Bytes of each payload; None when raw, or when the blob has no HDF5 frame."""
    payload_part: int = 1
    """Which part holds the payload."""
    payload_at: int = 0
    """Where in that part it begins; it ends with the part."""
    tells_size: bool = True
    """Whether the message says how long its payload is, so that a receiver refuses one that was cut."""
    identity_bytes: int | None = None
    """Bytes of part 0 without which nobody can tell which frames it is about; None = all of part 0."""
    misshapen: Callable[[], Parts] | None = None
    """The same message with a well-formed frame of another shape, for protocols that tell each frame's shape;
    None where only the payload's size does."""

    @property
    def nbytes(self) -> int:
        return sum(len(part) for part in self.parts)


def frames_per_message(acquisition: Acquisition, rate: float, encoding: Encoding = "raw") -> int:
    """Frames that travel together: at most 8 MiB and 5 ms of them at ``rate`` frames/s, at least one."""
    most = MESSAGE_FRAMES if encoding == "raw" else MAX_HEADER_ARRAY
    by_time = rate * MESSAGE_SECONDS
    return max(1, int(min(MESSAGE_BYTES // _frame_bytes(acquisition), by_time, most)))


def check_batch(acquisition: Acquisition, batch: int, encoding: Encoding) -> None:
    """Raise SourceError for a message that a receiver would refuse or hang up on."""
    limit = DEFAULT_LIMITS.max_message_bytes // _frame_bytes(acquisition)
    limit = min(limit, DEFAULT_LIMITS.max_batch_frames if encoding == "raw" else MAX_HEADER_ARRAY)
    if batch > limit:
        h, w = acquisition.shape
        raise SourceError(
            f"batch is {batch}; a message holds at most {limit} {encoding} frames of {h} x {w} "
            f"{acquisition.dtype}: lower it, or leave it out"
        )


def _frame_bytes(acquisition: Acquisition) -> int:
    height, width = acquisition.shape
    return height * width * np.dtype(acquisition.dtype).itemsize


def announce(acquisition: Acquisition, key: SeriesKey, encoding: Encoding = "raw", repeat: int = 1) -> Series:
    """The series that ``repeat`` rounds of an acquisition make; 0 = endless."""
    endless = acquisition.count is None or repeat == 0
    return Series(
        key=key,
        shape=acquisition.shape,
        dtype=acquisition.dtype,
        encoding=encoding,
        count=None if endless else (acquisition.count or 0) * repeat,
        scan=_repeated(acquisition.scan, repeat),
        meta=acquisition.meta,
    )


def series_messages(
    acquisition: Acquisition,
    key: SeriesKey,
    batch: int = 64,
    encoding: Encoding = "raw",
    *,
    repeat: int = 1,
    blobs: BlobCache | None = None,
    clock: Callable[[], int] | None = None,
) -> Iterator[Outgoing]:
    """All messages of one series, each made when it is asked for.

    Parameters
    ----------
    batch : int
        Frames of a message; a round that does not divide by it ends with a smaller one.
    repeat : int
        Rounds of the acquisition in the series; 0 = endless.
    blobs : BlobCache, optional
        Where bslz4 blobs are kept from series to series.
    clock : callable, optional
        ns since the Unix epoch for each message's time label; without it there is none, and the same
        arguments give the same bytes.

    Raises
    ------
    SourceError
        A series that the wire format does not allow (a scan that is too large, say).
    """
    if encoding not in SENDABLE:
        raise SourceError(f"encoding {encoding!r} cannot be sent; there are {', '.join(SENDABLE)}")
    series = announce(acquisition, key, encoding, repeat)
    try:
        yield Outgoing(tuple(encode_start(series, acquisition.tables())), key, 0, 0, "start")
    except ValueError as error:
        raise SourceError(f"{acquisition.name}: {error}") from error
    blobs = blobs or BlobCache(acquisition.bank)
    first = 0
    while series.count is None or first < series.count:
        n = batch_at(first, batch, acquisition.count)
        time_ns = clock() if clock else None
        for start, stop in runs_present(acquisition, place_of(acquisition, first), n):
            yield _frames_message(acquisition, series, first + start, stop - start, time_ns, blobs)
        first += n
    yield Outgoing(tuple(encode_end(key, first)), key, first, 0, "end")


def batch_at(first: int, batch: int, per_round: int | None) -> int:
    """Messages do not straddle the rounds of a repeated acquisition."""
    return batch if per_round is None else min(batch, per_round - first % per_round)


def place_of(acquisition: Acquisition, index: int) -> int:
    """Which frame of the acquisition the frame ``index`` of a series is: rounds begin again."""
    return index if acquisition.count is None else index % acquisition.count


def runs_present(acquisition: Acquisition, at: int, n: int) -> list[tuple[int, int]]:
    """Half-open ranges, relative to ``at``, of the frames ``at .. at + n - 1`` that are there: what a
    recording misses is not sent, and remains a gap."""
    present = acquisition.present(at, n)
    if present is None or present.all():
        return [(0, n)]
    edges = np.flatnonzero(np.diff(present, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def stored_payloads(
    acquisition: Acquisition, at: int, n: int, encoding: Encoding
) -> Sequence[bytes | memoryview] | None:
    """The payloads as they lie in a file, where they are stored in that encoding; None elsewhere."""
    return None if acquisition.encoding != encoding else acquisition.payloads(at, n)


def _first_time(times: npt.NDArray[np.int64] | None, otherwise: int | None) -> int | None:
    """A recording's own time, where it knows it (> 0)."""
    return otherwise if times is None or times[0] <= 0 else int(times[0])


def _frames_message(
    acquisition: Acquisition, series: Series, first: int, n: int, time_ns: int | None, blobs: BlobCache
) -> Outgoing:
    at = place_of(acquisition, first)
    positions = acquisition.positions(at, n)
    time_ns = _first_time(acquisition.times(at, n), time_ns)
    if series.encoding == "raw":
        parts = encode_frames(
            series.key, first, n, acquisition.frames(at, n), time_ns=time_ns, positions=positions
        )
        return Outgoing(tuple(parts), series.key, first, n, "frames")
    payloads = stored_payloads(acquisition, at, n, series.encoding) or blobs.take(at, n)
    sizes = tuple(map(len, payloads))
    joined = b"".join(payloads)
    parts = encode_frames(series.key, first, n, joined, time_ns=time_ns, sizes=sizes, positions=positions)
    return Outgoing(tuple(parts), series.key, first, n, "frames", sizes)


def _repeated(scan: Scan | None, repeat: int) -> Scan | None:
    return None if scan is None else replace(scan, repeats=scan.repeats * repeat)
