"""livem/1: what is sent is what is read, and whatever else arrives is refused with a reason."""

from __future__ import annotations

import gc
import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livem.stream import wire
from livem.stream.series import DTYPES, ENCODINGS, MAX_DIM, Scan, Series, SeriesKey
from livem.stream.wire import End, FrameBatch, Limits, Reason, Rejected, Start

KEY = SeriesKey(b"\x00\x01epoch\xff", 3)
START: dict[str, Any] = {
    "livem": 1,
    "type": "start",
    "epoch": KEY.epoch,
    "series": KEY.number,
    "shape": [4, 6],
    "dtype": "uint16",
    "encoding": "raw",
    "count": 100,
    "scan": {"shape": [10, 10], "order": "raster", "skip": 0, "repeats": 1},
    "meta": {"pixel_size": 0.5, "title": "a film"},
}
FRAMES: dict[str, Any] = {
    "livem": 1,
    "type": "frames",
    "epoch": KEY.epoch,
    "series": KEY.number,
    "index": 5,
    "count": 2,
    "time": 10**18,
}
PAYLOAD = bytes(range(96))


def pack(header: object) -> bytes:
    return bytes(msgpack.packb(header))


def edited(header: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The header with changed entries; ``...`` leaves one out."""
    return {name: value for name, value in (header | changes).items() if value is not ...}


def batch_of(count: int, payload: bytes, **fields: Any) -> FrameBatch:
    values: dict[str, Any] = {
        "key": KEY,
        "first": 0,
        "time_ns": None,
        "sizes": None,
        "positions": None,
    } | fields
    return FrameBatch(count=count, payload=np.frombuffer(payload, np.uint8), **values)


# -- round trips -----------------------------------------------------------------------------------------

keys = st.builds(SeriesKey, st.binary(min_size=8, max_size=8), st.integers(0, (1 << 62) - 1))
dims = st.tuples(st.integers(1, MAX_DIM), st.integers(1, 256))
scans = st.builds(
    Scan,
    st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    st.sampled_from(["raster", "serpentine", "positions"]),
    st.integers(0, MAX_DIM),
    st.integers(0, 1000),
)
metas = st.dictionaries(
    st.text(max_size=10).map("x-{}".format),
    st.one_of(st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(allow_nan=False), st.text()),
    max_size=5,
)
all_series = st.builds(
    Series,
    keys,
    dims,
    st.sampled_from(sorted(DTYPES)),
    st.sampled_from(ENCODINGS),
    st.one_of(st.none(), st.integers(0, (1 << 62) - 1)),
    st.one_of(st.none(), scans),
    metas,
)


@given(all_series)
def test_a_series_is_read_as_it_was_announced(series: Series) -> None:
    assert wire.decode(wire.encode_start(series)) == Start(series)


@given(keys, st.integers(0, (1 << 62) - 1))
def test_an_end_is_read_as_it_was_sent(key: SeriesKey, count: int) -> None:
    assert wire.decode(wire.encode_end(key, count)) == End(key, count)


@given(
    keys,
    st.integers(0, (1 << 62) - 1),
    st.one_of(st.none(), st.integers(0, (1 << 62) - 1)),
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=80),
    st.booleans(),
    st.booleans(),
)
def test_frames_are_read_as_they_were_sent(
    key: SeriesKey, first: int, time_ns: int | None, frames: list[bytes], encoded: bool, positioned: bool
) -> None:
    sizes = [len(frame) for frame in frames] if encoded else None
    positions = np.random.default_rng(1).random((len(frames), 2)) if positioned else None
    parts = wire.encode_frames(
        key, first, len(frames), b"".join(frames), time_ns=time_ns, sizes=sizes, positions=positions
    )
    batch = wire.decode(parts)
    assert isinstance(batch, FrameBatch)
    assert (batch.key, batch.first, batch.count, batch.time_ns) == (key, first, len(frames), time_ns)
    assert batch.payload.tobytes() == b"".join(frames)
    assert (batch.sizes is None) if sizes is None else (batch.sizes is not None and [*batch.sizes] == sizes)
    if positions is None:
        assert batch.positions is None
    else:
        np.testing.assert_array_equal(batch.positions, positions.astype("f4"))


def test_received_arrays_are_read_only_views_and_sent_arrays_are_not_copied() -> None:
    frames = np.arange(48, dtype="<u2").reshape(2, 4, 6)
    parts = wire.encode_frames(KEY, 0, 2, frames, positions=np.zeros((2, 2)))
    batch = wire.decode(parts)
    assert isinstance(batch, FrameBatch)
    assert batch.positions is not None
    assert np.shares_memory(frames, batch.payload)
    assert not batch.payload.flags.writeable
    assert not batch.positions.flags.writeable


def test_tables_of_the_detector_travel_with_the_announcement() -> None:
    series, rng = Series(KEY, (3, 5), "uint16"), np.random.default_rng(0)
    sent = {
        "pixel_mask": rng.integers(0, 9, (3, 5), np.uint32),
        "countrate": rng.random((2, 7), np.float32),
        "flatfield": rng.random((3, 5), np.float32),
    }
    parts = wire.encode_start(series, sent)
    start = wire.decode(parts)
    assert isinstance(start, Start)
    assert start.series == series
    assert list(start.tables) == list(sent)
    for name, table in start.tables.items():
        assert table.dtype == sent[name].dtype
        assert np.shares_memory(table, np.frombuffer(parts[1 + list(sent).index(name)], np.uint8))
        np.testing.assert_array_equal(table, sent[name])
    with pytest.raises(ValueError, match=r"the shape of 'flatfield' is \[3, 4\]"):
        wire.encode_start(series, {"flatfield": np.ones((3, 4), np.float32)})
    with pytest.raises(ValueError, match="'tables' is"):
        wire.encode_start(series, {"dark": np.ones((3, 5), np.float32)})


def test_numpy_values_in_meta_travel_as_plain_ones() -> None:
    meta = {"pixel_size": np.float64(0.5), "gains": np.arange(3), "flag": np.bool_(True)}
    message = wire.decode(wire.encode_start(Series(KEY, (1, 1), "uint8", meta=meta)))
    assert isinstance(message, Start)
    assert message.series.meta == {"pixel_size": 0.5, "gains": [0, 1, 2], "flag": True}


def test_a_sender_may_leave_out_what_has_a_default() -> None:
    header = edited(START, encoding=..., count=..., scan=..., meta=...)
    assert wire.decode([pack(header)]) == Start(Series(KEY, (4, 6), "uint16"))
    scan = edited(START, scan={"shape": [10, 10]}, unknown="ignored")
    message = wire.decode([pack(scan)])
    assert isinstance(message, Start)
    assert message.series.scan == Scan((10, 10))


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda: wire.encode_start(Series(KEY, (0, 4), "uint8")), "'shape' is"),
        (lambda: wire.encode_start(Series(KEY, (4, 4), "complex64")), "'dtype' is 'complex64'"),
        (
            lambda: wire.encode_start(Series(KEY, (4, 4), "uint8", meta={"x": "y" * 70_000})),
            "limit is 65,536",
        ),
        (lambda: wire.encode_frames(KEY, 0, 1025, b"x" * 1025, sizes=[1] * 1025), "limit is 1024"),
        (lambda: wire.encode_frames(KEY, 0, 1, np.zeros((4, 4), ">u2")), "little-endian"),
        (lambda: wire.encode_frames(KEY, 0, 1, np.zeros((4, 4))[:, ::2]), "C-contiguous"),
    ],
)
def test_a_sender_is_told_what_no_receiver_would_take(send: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        send()


def test_a_meta_value_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        wire.encode_start(Series(KEY, (4, 4), "uint8", meta={"x": object()}))


# -- one row for every reason of decode ------------------------------------------------------------------

BOMB = pack(edited(START, meta={"x": "y" * 70_000}))
DEEP: Any = {}
for _ in range(9):
    DEEP = {"deeper": DEEP}

REFUSED_STARTS = [
    (Reason.BAD_SHAPE, {"shape": ...}),
    (Reason.BAD_SHAPE, {"shape": [4]}),
    (Reason.BAD_SHAPE, {"shape": [4, 4, 4]}),
    (Reason.BAD_SHAPE, {"shape": [0, 4]}),
    (Reason.BAD_SHAPE, {"shape": [-1, 4]}),
    (Reason.BAD_SHAPE, {"shape": [MAX_DIM + 1, 4]}),
    (Reason.BAD_SHAPE, {"shape": [1 << 63, 1 << 63]}),
    (Reason.BAD_SHAPE, {"shape": [4.0, 4.0]}),
    (Reason.BAD_SHAPE, {"shape": [True, True]}),
    (Reason.BAD_SHAPE, {"shape": "44"}),
    (Reason.BAD_DTYPE, {"dtype": ...}),
    (Reason.BAD_DTYPE, {"dtype": "uint64"}),
    (Reason.BAD_DTYPE, {"dtype": "object"}),
    (Reason.BAD_DTYPE, {"dtype": "(1000,1000)f8"}),
    (Reason.BAD_DTYPE, {"dtype": ["uint8"]}),
    (Reason.BAD_ENCODING, {"encoding": "gzip"}),
    (Reason.BAD_ENCODING, {"encoding": None}),
    (Reason.BAD_COUNT, {"count": -1}),
    (Reason.BAD_COUNT, {"count": 1 << 62}),
    (Reason.BAD_COUNT, {"count": 1.5}),
    (Reason.BAD_SCAN, {"scan": []}),
    (Reason.BAD_SCAN, {"scan": {}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [0, 4]}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [MAX_DIM, MAX_DIM]}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "order": "zigzag"}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "order": ["raster"]}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "skip": -1}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "skip": True}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "repeats": -1}}),
    (Reason.BAD_SCAN, {"scan": {"shape": [4, 4], "repeats": 1 << 60}}),
    (Reason.BAD_META, {"meta": [1]}),
    (Reason.BAD_META, {"meta": {b"bytes": 1}}),
    (Reason.BAD_META, {"meta": DEEP}),
    (Reason.BAD_META, {"meta": {"pixel_size": "0.5 nm"}}),
    (Reason.BAD_META, {"meta": {"pixel_size": 0}}),
    (Reason.BAD_META, {"meta": {"frame_time": float("nan")}}),
    (Reason.BAD_META, {"meta": {"offset": True}}),
    (Reason.BAD_META, {"meta": {"title": 3}}),
    (Reason.FRAME_TOO_LARGE, {"shape": [MAX_DIM, MAX_DIM]}),
    (Reason.BAD_TABLE, {"tables": ["pixel_mask"]}),
    (Reason.BAD_TABLE, {"tables": {"dark": [4, 6]}}),
    (Reason.BAD_TABLE, {"tables": {b"flatfield": [4, 6]}}),
    (Reason.BAD_PARTS, {"tables": {"flatfield": [4, 6]}}),
]


@pytest.mark.parametrize(("reason", "changes"), REFUSED_STARTS)
def test_fault_05_a_hostile_announcement_is_refused_before_anything_is_allocated(
    reason: Reason, changes: dict[str, Any]
) -> None:
    rejected, peak = decode_traced([pack(edited(START, **changes))])
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.key) == (reason, KEY)
    assert (rejected.first, rejected.count) == (None, None)
    assert peak < 100_000


REFUSED_FRAMES = [
    (Reason.BAD_INDEX, {"index": -1}, False),
    (Reason.BAD_INDEX, {"index": 1 << 62}, False),
    (Reason.BAD_INDEX, {"index": "5"}, False),
    (Reason.BAD_INDEX, {"index": ...}, False),
    (Reason.BAD_COUNT, {"count": 0}, False),
    (Reason.BAD_COUNT, {"count": True}, False),
    (Reason.BAD_COUNT, {"count": 1 << 40}, False),
    (Reason.BAD_TIME, {"time": 1.5}, True),
    (Reason.BAD_TIME, {"time": -1}, True),
    (Reason.BAD_SIZES, {"sizes": "48 48"}, True),
    (Reason.BAD_SIZES, {"sizes": [96]}, True),
    (Reason.BAD_SIZES, {"sizes": [0, 96]}, True),
    (Reason.BAD_SIZES, {"sizes": [-1, 97]}, True),
    (Reason.BAD_SIZES, {"sizes": [48.0, 48.0]}, True),
    (Reason.BAD_SIZES, {"sizes": [True, True]}, True),
    (Reason.BAD_SIZES, {"sizes": [1 << 63, 1 << 63]}, True),
]


@pytest.mark.parametrize(("reason", "changes", "known"), REFUSED_FRAMES)
def test_refused_frames_name_what_they_concern(reason: Reason, changes: dict[str, Any], known: bool) -> None:
    rejected = wire.decode([pack(edited(FRAMES, **changes)), PAYLOAD])
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.key) == (reason, KEY)
    assert (rejected.first, rejected.count) == ((5, 2) if known else (None, None))


@pytest.mark.parametrize(
    ("reason", "parts", "key"),
    [
        (Reason.BAD_PARTS, [], None),
        (Reason.BAD_PARTS, [pack(FRAMES)], KEY),
        (Reason.BAD_PARTS, [pack(FRAMES), PAYLOAD, bytes(16), b""], KEY),
        (Reason.BAD_PARTS, [pack(START), b""], KEY),
        (Reason.BAD_PARTS, [pack(edited(FRAMES, type="end")), b""], KEY),
        (Reason.HEADER_TOO_LARGE, [BOMB], None),
        (Reason.BAD_HEADER, [b""], None),
        (Reason.BAD_HEADER, [b"\xc1"], None),
        (Reason.BAD_HEADER, [pack(FRAMES)[:-1]], None),
        (Reason.BAD_HEADER, [pack(FRAMES) + b"\x00"], None),
        (Reason.BAD_HEADER, [pack([1, 2])], None),
        (Reason.BAD_HEADER, [b'{"livem": 1}'], None),
        (Reason.BAD_HEADER, [b"\x81\x90\x01"], None),
        (Reason.BAD_HEADER, [b"\x81\xa1\xff\x01"], None),
        (Reason.BAD_VERSION, [pack(edited(FRAMES, livem=2)), PAYLOAD], None),
        (Reason.BAD_VERSION, [pack(edited(FRAMES, livem=True)), PAYLOAD], None),
        (Reason.BAD_VERSION, [pack({}), PAYLOAD], None),
        (Reason.BAD_TYPE, [pack(edited(FRAMES, type="image")), PAYLOAD], None),
        (Reason.BAD_TYPE, [pack(edited(FRAMES, type=["frames"])), PAYLOAD], None),
        (Reason.BAD_EPOCH, [pack(edited(FRAMES, epoch=b"short")), PAYLOAD], None),
        (Reason.BAD_EPOCH, [pack(edited(FRAMES, epoch="8 letter")), PAYLOAD], None),
        (Reason.BAD_SERIES, [pack(edited(FRAMES, series=-1)), PAYLOAD], None),
        (Reason.BAD_SERIES, [pack(edited(FRAMES, series=1 << 63)), PAYLOAD], None),
        (Reason.BAD_COUNT, [pack(edited(FRAMES, type="end", count=-1))], KEY),
        (Reason.PAYLOAD_SIZE, [pack(FRAMES), b""], KEY),
        (Reason.BAD_POSITIONS, [pack(FRAMES), PAYLOAD, bytes(15)], KEY),
        (Reason.BAD_POSITIONS, [pack(FRAMES), PAYLOAD, b""], KEY),
        (Reason.BAD_PARTS, [pack(START), b"one more"], KEY),
        (Reason.BAD_TABLE, [pack(edited(START, tables={"pixel_mask": [1, 1]})), bytes(4)], KEY),
        (Reason.BAD_TABLE, [pack(edited(START, tables={"countrate": [1 << 40, 1 << 40]})), bytes(4)], KEY),
        (Reason.BAD_TABLE, [pack(edited(START, tables={"countrate": [2, 0]})), b""], KEY),
        (Reason.BAD_TABLE, [pack(edited(START, tables={"countrate": [1, 1, 1]})), bytes(4)], KEY),
        (Reason.BAD_TABLE, [pack(edited(START, tables={"countrate": 1})), bytes(4)], KEY),
    ],
)
def test_fault_04_a_truncated_or_hostile_header_is_refused(
    reason: Reason, parts: list[bytes], key: SeriesKey | None
) -> None:
    rejected, peak = decode_traced(parts)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.key) == (reason, key)
    assert 0 < len(rejected.detail) < 400
    assert peak < 1 << 20


# -- any bytes -------------------------------------------------------------------------------------------


def decode_traced(parts: list[bytes]) -> tuple[wire.Message, int]:
    """The message, and the most memory that reading it took (bytes)."""
    tracemalloc.start()
    try:
        message = wire.decode(parts)
        return message, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


msgpack_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.floats(),
        st.text(max_size=20),
        st.binary(max_size=20),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers(0, 9)), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=300), max_size=4))
@example([b"\xdd\xff\xff\xff\xff"])
@example([b"\xdf\xff\xff\xff\xff"])
@example([b"\xc6\xff\xff\xff\xff"])
def test_fault_04_any_bytes_give_a_message(parts: list[bytes]) -> None:
    assert isinstance(wire.decode(parts), Rejected)


@settings(max_examples=300)
@given(
    st.sampled_from([START, FRAMES, edited(FRAMES, type="end"), edited(FRAMES, sizes=[40, 56])]),
    st.lists(st.tuples(st.sampled_from(sorted(START | FRAMES)), msgpack_values), min_size=1, max_size=3),
)
def test_fault_04_any_values_in_a_sound_header_give_a_message(
    header: dict[str, Any], changes: list[tuple[str, Any]]
) -> None:
    parts = [pack(header | dict(changes))] + ([PAYLOAD] if header["type"] == "frames" else [])
    assert isinstance(wire.decode(parts), Start | FrameBatch | End | Rejected)


@settings(max_examples=300)
@given(
    st.sampled_from([pack(START), pack(FRAMES), pack(edited(FRAMES, type="end"))]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 200),
)
def test_fault_04_flipped_and_truncated_headers_give_a_message(
    header: bytes, flips: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(header)
    for at, value in flips:
        data[at % len(data)] = value
    message = wire.decode([bytes(data), PAYLOAD])
    assert isinstance(message, Start | FrameBatch | End | Rejected)
    assert isinstance(wire.decode([bytes(data)[:length], PAYLOAD]), Start | FrameBatch | End | Rejected)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"\x91" * 65_536, id="nested arrays"),
        pytest.param(b"\xdc\x04\x00" * 21_845, id="nested arrays that reserve the most"),
        pytest.param(b"\xdc\xff\xff" * 21_845, id="nested arrays above the limit"),
        pytest.param(b"\x81\xa1x" * 21_845, id="nested maps"),
        pytest.param(b"\xdd\x00\x10\x00\x00" + b"\x90" * (1 << 20), id="1 MiB of empty arrays"),
        pytest.param(b"\xdc\xff\xf0" + b"\x90" * 65_520, id="64 KiB of empty arrays"),
        pytest.param((b"\xdc\x04\x00" + b"\x80" * 1024) * 63, id="empty maps"),
        pytest.param(b"\xc9\xff\xff\xff\xff\x01", id="4 GiB extension"),
        pytest.param(b"\xd6\xff\x00\x00\x00\x00", id="timestamp"),
        pytest.param(b"\xdb\xff\xff\xff\xff", id="4 GiB text"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="4 GiB bytes"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map of 2**32"),
    ],
)
def test_fault_04_msgpack_bombs_cost_little(bomb: bytes) -> None:
    """64 KiB of header may take 10 MiB for a moment; a slot of the ring is 8 MiB and more."""
    rejected, peak = decode_traced([bomb])
    assert isinstance(rejected, Rejected)
    assert rejected.reason in (Reason.BAD_HEADER, Reason.HEADER_TOO_LARGE)
    assert peak < 10 << 20


INTERNED_TABLE = 200_000
"""Bytes: what a new table of interned names takes at least, in a process that has imported the package."""


def renew_interned_table() -> None:
    """Have the interpreter make its table of interned names anew, so that tracemalloc knows of it.

    msgpack interns the keys of maps: each garbled key uses up a place in that table, for good. When all are
    used up, it is made anew for three times the names that are alive, so it has a bound; but the first time
    under tracemalloc all of it looks like growth (3,845,101 bytes in a process with 60,000 names).
    """
    grown_from = tracemalloc.get_traced_memory()[0]
    for number in range(4_000_000):
        sys.intern(f"gone at once {number}")
        if number % 1_000 == 0 and tracemalloc.get_traced_memory()[0] - grown_from > INTERNED_TABLE:
            return


def test_fault_04_ten_thousand_corrupt_headers_leave_no_memory_behind() -> None:
    chance = random.Random(4)
    whole = pack(START)

    def decode_corrupt(times: int) -> None:
        for _ in range(times):
            data = bytearray(whole)
            data[chance.randrange(len(data))] = chance.randrange(256)
            wire.decode([bytes(data)])

    tracemalloc.start()
    try:
        renew_interned_table()
        decode_corrupt(1_000)  # first calls fill caches
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        decode_corrupt(10_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000


# -- against the series ----------------------------------------------------------------------------------

SERIES = Series(KEY, (4, 6), "uint16")
POSITIONED = Series(KEY, (1, 1), "float32", scan=Scan((8, 8), "positions"))
BSLZ4 = Series(KEY, (4, 6), "uint16", "bslz4")
POSITIONS = np.zeros((2, 2), np.float32)


def blob(raw: int = 48, block: int = 8192, size: int = 20) -> bytes:
    return raw.to_bytes(8, "big") + block.to_bytes(4, "big") + bytes(size - 12)


def encoded(*blobs: bytes, sizes: list[int] | None = None) -> FrameBatch:
    lengths = sizes or [len(data) for data in blobs]
    return batch_of(len(blobs), b"".join(blobs), sizes=np.array(lengths, np.int64))


@pytest.mark.parametrize(
    ("batch", "series"),
    [
        (batch_of(2, bytes(96)), SERIES),
        (batch_of(2, bytes(8), positions=POSITIONS), POSITIONED),
        (encoded(blob(), blob(size=50)), BSLZ4),
        (encoded(blob(0, 0)), BSLZ4),
        (encoded(b"x", b"yz"), Series(KEY, (4, 6), "uint16", "lz4")),
    ],
)
def test_frames_that_fit_pass(batch: FrameBatch, series: Series) -> None:
    assert wire.check(batch, series) is None


MISFITS = [
    (Reason.PAYLOAD_SIZE, batch_of(2, bytes(95)), SERIES),
    (Reason.PAYLOAD_SIZE, batch_of(1 << 19, bytes(96)), SERIES),
    (Reason.BAD_SIZES, batch_of(2, bytes(96), sizes=np.array([48, 48])), SERIES),
    (Reason.BAD_POSITIONS, batch_of(2, bytes(96), positions=POSITIONS), SERIES),
    (Reason.BAD_POSITIONS, batch_of(2, bytes(8)), POSITIONED),
    (Reason.BAD_POSITIONS, batch_of(1, bytes(4), positions=POSITIONS), POSITIONED),
    (Reason.BAD_SIZES, batch_of(2, bytes(96)), BSLZ4),
    (Reason.BAD_SIZES, encoded(blob(), blob(), sizes=[40]), BSLZ4),
    (Reason.BAD_SIZES, encoded(blob(), blob(), sizes=[0, 40]), BSLZ4),
    (Reason.BAD_SIZES, encoded(blob(), blob(), sizes=[-20, 60]), BSLZ4),
    (Reason.PAYLOAD_SIZE, encoded(blob(), blob(), sizes=[20, 21]), BSLZ4),
    (Reason.PAYLOAD_SIZE, encoded(blob(), blob(), sizes=[(1 << 63) - 1, (1 << 63) - 1]), BSLZ4),
]


@pytest.mark.parametrize(("reason", "batch", "series"), MISFITS)
def test_frames_that_do_not_fit_their_series_are_refused(
    reason: Reason, batch: FrameBatch, series: Series
) -> None:
    rejected = wire.check(batch, series)
    assert rejected is not None
    assert rejected.reason == reason
    assert (rejected.key, rejected.first, rejected.count) == (KEY, batch.first, batch.count)


@pytest.mark.parametrize(
    "bad",
    [
        blob(1 << 40),
        blob((1 << 64) - 1),
        blob(47),
        blob(0),
        blob(48, 0),
        blob(48, 4),
        blob(48, 8193),
        blob(48, (1 << 32) - 8),
        blob()[:11],
    ],
)
def test_fault_06_a_decompression_bomb_is_refused_by_its_header(bad: bytes) -> None:
    """Nothing is decoded here: the 12-byte header that contradicts the announced frame is enough."""
    rejected = wire.check(encoded(blob(), bad, blob()), BSLZ4)
    assert rejected is not None
    assert rejected.reason == Reason.BAD_PAYLOAD
    assert "frame 1" in rejected.detail


def test_fault_05_the_limits_are_the_callers() -> None:
    limits = Limits(max_frame_bytes=47, max_batch_frames=1, max_scan_pixels=99, header_bytes=50)
    small = Limits(max_frame_bytes=47)
    assert [
        getattr(wire.decode([pack(START)], limits), "reason", None),
        getattr(wire.decode([pack(START)], small), "reason", None),
        getattr(wire.decode([pack(START)], Limits(max_scan_pixels=99)), "reason", None),
        getattr(wire.decode([pack(FRAMES), PAYLOAD], Limits(max_batch_frames=1)), "reason", None),
        getattr(wire.check(batch_of(2, bytes(96)), SERIES, small), "reason", None),
    ] == ["header_too_large", "frame_too_large", "bad_scan", "bad_count", "frame_too_large"]


def test_every_reason_of_the_wire_has_a_row() -> None:
    """The closed set: what this file cannot provoke belongs to the assembler."""
    rows = {row[0] for row in [*REFUSED_STARTS, *REFUSED_FRAMES, *MISFITS]}
    rows |= {Reason.BAD_PARTS, Reason.HEADER_TOO_LARGE, Reason.BAD_HEADER, Reason.BAD_VERSION}
    rows |= {Reason.BAD_TYPE, Reason.BAD_EPOCH, Reason.BAD_SERIES, Reason.BAD_PAYLOAD}
    assembler = {Reason.DUPLICATE_START, Reason.UNKNOWN_SERIES, Reason.AFTER_END, Reason.BEYOND_COUNT}
    assembler.add(Reason.NOT_REPLAYED)
    detectors = {Reason.UNKNOWN_ORDER}
    assert rows | assembler | detectors == set(Reason)
    assert rows.isdisjoint(assembler)
