"""DECTRIS stream v2: what a detector sends is read to the pixel, what anybody sends is survived."""

from __future__ import annotations

import itertools
import struct
import time
import tracemalloc
from collections import deque
from dataclasses import replace
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simplon_tools import KEY, Pictures, burst_of, parse_all, pixels_of, random_frames, speech

from livem.errors import SourceError
from livem.stream.messages import (
    COUNTRATE,
    FLATFIELD,
    PIXEL_MASK,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
    check,
)
from livem.stream.series import Encoding, Scan, Series
from livem.stream.simulate.compress import compress_bslz4
from livem.stream.simulate.dectris_dialect import Dectris2
from livem.stream.simulate.simplon_payloads import compress_lz4
from livem.stream.sources.dectris.cbor_values import CborError, Numbers, read_fields
from livem.stream.sources.dectris.v2 import DectrisV2Parser
from livem.stream.sources.dectris.v2_scan import join_payloads
from livem.stream.sources.dectris.v2_series import nanoseconds

ENCODINGS: tuple[Encoding, ...] = ("raw", "bslz4", "lz4")
DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
UNIQUE = "01TESTTESTTESTTESTTESTTEST"


def sent(frames: Any, encoding: Encoding = "raw", dialect: Dectris2 | None = None, **more: Any) -> list[Any]:
    clock = more.pop("clock", None)
    spoken = speech(Pictures(frames, **more), encoding, clock)
    return [message.parts for message in (dialect or Dectris2()).messages(spoken)]


def of_kind(messages: list[Message], kind: type) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def the_series(messages: list[Message]) -> Series:
    (start,) = of_kind(messages, Start)
    series: Series = start.series
    return series


def received(messages: list[Message]) -> dict[int, Any]:
    """Frames by index, each held against its series as the assembler does."""
    series = the_series(messages)
    batches = of_kind(messages, FrameBatch)
    assert [check(batch, series) for batch in batches] == [None] * len(batches)
    assert {batch.key for batch in batches} <= {series.key}
    return pixels_of(series, batches)


# -- what is sent arrives --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    dtype=st.sampled_from(DTYPES),
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 3),
    wanted=st.sampled_from(["", "all", "0"]),
    big_endian=st.booleans(),
    other_shuffle=st.booleans(),
    cuts=st.lists(st.integers(1, 12), max_size=3),
)
@example(64, 64, "uint16", "bslz4", 2, "all", False, False, [])  # whole blocks: joined without decoding
@example(64, 64, "uint16", "lz4", 3, "all", False, False, [4])
def test_every_shape_type_and_encoding_arrives(
    height: int,
    width: int,
    dtype: str,
    encoding: Encoding,
    channels: int,
    wanted: str,
    big_endian: bool,
    other_shuffle: bool,
    cuts: list[int],
) -> None:
    frames = random_frames(7, (height, width), dtype)
    names = [f"threshold_{number + 1}" for number in range(channels)]
    element = 1 if other_shuffle else None
    dialect = Dectris2(channels=names, big_endian=big_endian, element_bytes=element)
    messages = parse_all(DectrisV2Parser(query={"channel": wanted}), sent(frames, encoding, dialect), cuts)
    assert of_kind(messages, Rejected) == []
    used = channels if wanted == "all" else 1
    series = the_series(messages)
    assert (series.shape, series.dtype, series.count) == ((height * used, width), dtype, 7)
    got = received(messages)
    assert sorted(got) == list(range(7))
    for index, frame in got.items():
        expected = np.concatenate([frames[(index + channel) % 7] for channel in range(used)])
        np.testing.assert_array_equal(frame, expected)
    assert messages[-1] == End(series.key, None)


def test_runs_become_blocks_not_frames() -> None:
    frames = random_frames(200, (16, 16))
    messages = parse_all(DectrisV2Parser(), sent(frames, "bslz4"))
    counts = [batch.count for batch in of_kind(messages, FrameBatch)]
    assert counts == [1, 199]
    assert the_series(messages).encoding == "bslz4"


@settings(max_examples=30, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 2),
    lost=st.sets(st.integers(0, 9), max_size=4),
    seed=st.integers(0, 99),
)
def test_compiled_runs_and_single_messages_say_the_same(
    encoding: Encoding, channels: int, lost: set[int], seed: int
) -> None:
    frames = random_frames(10, (64, 64), seed=seed)
    start, *images, end = sent(frames, encoding, Dectris2(channels=["a", "b"][:channels]))
    kept = [start, *(image for index, image in enumerate(images) if index not in lost), end]
    query = {"channel": "all"}
    fast = parse_all(DectrisV2Parser(query=query), kept)
    slow_parser = DectrisV2Parser(query=query)
    slow_parser._run = lambda *_: 0  # type: ignore[method-assign]
    slow = parse_all(slow_parser, kept)
    assert the_series(fast) == the_series(slow)
    one, other = received(fast), received(slow)
    assert sorted(one) == sorted(other) == sorted(set(range(10)) - lost)
    for index, frame in one.items():
        np.testing.assert_array_equal(frame, other[index])


def test_channels_of_whole_blocks_are_joined_without_decoding() -> None:
    frames = random_frames(4, (64, 64))
    for encoding in ("bslz4", "lz4"):
        start, *_ = parse_all(
            DectrisV2Parser(query={"channel": "all"}), sent(frames, encoding, Dectris2(channels="ab"))
        )
        assert isinstance(start, Start)
        assert start.series.encoding == encoding
        assert start.series.meta["stream"]["channels"] == ["a", "b"]
    odd = random_frames(4, (63, 63))
    start, *_ = parse_all(
        DectrisV2Parser(query={"channel": "all"}), sent(odd, "bslz4", Dectris2(channels="ab"))
    )
    assert start.series.encoding == "raw"  # type: ignore[union-attr]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_channels_that_lie_in_another_order_than_announced_are_put_in_order(encoding: Encoding) -> None:
    """Nothing is moved over what is still to be read, and nothing beyond the end of the burst."""
    frames = random_frames(5, (64, 64))
    messages = sent(frames, encoding, Dectris2(channels="ab"))
    for number, parts in enumerate(messages):
        fields = cbor2.loads(bytes(parts[0]))
        if fields["type"] == "image":
            swapped = {name: fields["data"][name] for name in ("b", "a")}
            messages[number] = (cbor2.dumps({**fields, "data": swapped}),)
    burst = burst_of(messages)
    margin = np.full(len(burst.data) + 65_536, 0xAB, np.uint8)
    margin[: len(burst.data)] = burst.data
    guarded = replace(burst, data=margin[: len(burst.data)])
    parser, out, at = DectrisV2Parser(query={"channel": "all"}), deque[Message](), 0
    while at < len(guarded):
        at = parser.parse(guarded, at, out)
    assert (margin[len(burst.data) :] == 0xAB).all()
    assert the_series(list(out)).encoding == encoding
    got = received(list(out))
    assert sorted(got) == list(range(5))
    for index, frame in got.items():
        np.testing.assert_array_equal(frame, np.concatenate([frames[index], frames[(index + 1) % 5]]))


@pytest.mark.parametrize("second", [(10, 20), (60, 50), (50, -1), (40, 10)])
def test_payloads_that_do_not_lie_one_behind_the_other_are_not_joined(second: tuple[int, int]) -> None:
    data = np.arange(100, dtype=np.uint8)
    rows = np.array([[0, 0, 0, 0, 0, 30, 20, *second]], np.int64)
    assert join_payloads(data, data.ctypes.data, rows, 2, 0, np.zeros(1, np.int64)) == -1
    assert data.tolist() == list(range(100))


def test_what_is_not_shown_is_told() -> None:
    messages = sent(random_frames(3, (8, 8)), "raw", Dectris2(channels=["low", "mid", "high"]))
    for query, shown, unused in (
        ("", "low", "mid, high"),
        ("high", "high", "low, mid"),
        ("1", "mid", "low, high"),
    ):
        parser = DectrisV2Parser(query={"channel": query})
        parse_all(parser, messages[:1])
        assert parser.detail() == "armed: series 34, waiting for the first image"
        parse_all(parser, messages[1:])
        assert parser.detail().startswith(f"shown is {shown}; not used: {unused}")
    parser = DectrisV2Parser(query={"channel": "all"})
    parse_all(parser, messages)
    assert parser.detail() == ""


def test_a_channel_that_is_not_there_is_refused_by_name() -> None:
    messages = sent(random_frames(3, (8, 8)), "raw", Dectris2(channels=["low", "high"]))
    for name in ("middle", "2", "-1", "²"):
        rejected = of_kind(parse_all(DectrisV2Parser(query={"channel": name}), messages), Rejected)
        assert rejected[0].reason is Reason.BAD_HEADER
        assert "the detector has low, high" in rejected[0].detail


# -- what belongs to a series ----------------------------------------------------------------------------


def test_scan_meta_and_times_come_along() -> None:
    meta = {"frame_time": 0.002, "beam_energy": 200.0, "detector": "ARINA", "sample": "STO", "scan_step": 0.5}
    clock = itertools.count(1_700_000_000_123_456_789, 1000).__next__
    messages = parse_all(
        DectrisV2Parser(),
        sent(random_frames(6, (4, 4)), scan=Scan((2, 3), "serpentine"), meta=meta, clock=clock),
    )
    series = the_series(messages)
    assert series.scan == Scan((2, 3), "serpentine")
    assert {name: series.meta[name] for name in meta} == meta
    times = [batch.time_ns for batch in of_kind(messages, FrameBatch)]
    assert times[0] == 1_700_000_000_123_456_789 + 1000


def test_without_a_date_there_is_no_time() -> None:
    messages = parse_all(DectrisV2Parser(), sent(random_frames(2, (4, 4))))
    assert {batch.time_ns for batch in of_kind(messages, FrameBatch)} == {None}


def test_recorded_times_and_gaps_are_kept() -> None:
    times = 1_700_000_000_000_000_000 + np.arange(8) * 5_000_001
    there = np.array([1, 1, 0, 0, 1, 1, 1, 0], bool)
    messages = parse_all(DectrisV2Parser(), sent(random_frames(8, (4, 4)), times=times, present=there))
    batches = of_kind(messages, FrameBatch)
    assert [(batch.first, batch.count, batch.time_ns) for batch in batches] == [
        (0, 1, times[0]),
        (1, 1, times[1]),
        (4, 3, times[4]),
    ]


def test_positions_are_the_frames_own() -> None:
    rng = np.random.default_rng(3)
    positions = rng.random((20, 2), np.float32) * 9
    messages = parse_all(
        DectrisV2Parser(),
        sent(random_frames(20, (4, 4)), scan=Scan((10, 10), "positions"), positions=positions),
    )
    received(messages)
    got = np.concatenate([batch.positions for batch in of_kind(messages, FrameBatch)])
    np.testing.assert_array_equal(got, positions)


def test_tables_of_the_chosen_channel() -> None:
    mask = np.zeros((6, 5), np.uint32)
    mask[2, 3] = 1
    tables: dict[str, Any] = {PIXEL_MASK: mask, FLATFIELD: np.full((6, 5), 1.5, np.float32)}
    tables[COUNTRATE] = np.arange(10, dtype=np.float32)
    messages = sent(random_frames(2, (6, 5)), "bslz4", Dectris2(channels="ab"), tables=tables)
    (start, *_) = parse_all(DectrisV2Parser(), messages)
    assert isinstance(start, Start)
    assert set(start.tables) == set(tables)
    for name, table in tables.items():
        np.testing.assert_array_equal(start.tables[name], table)
    (both, *_) = parse_all(DectrisV2Parser(query={"channel": "all"}), messages)
    assert both.tables[PIXEL_MASK].shape == (12, 5)  # type: ignore[union-attr]
    basic = sent(random_frames(2, (6, 5)), "raw", Dectris2(header_detail="basic"), tables=tables)
    assert parse_all(DectrisV2Parser(), basic)[0].tables == {}  # type: ignore[union-attr]


# -- messages of a sender that is not ours ---------------------------------------------------------------


def start_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "type": "start",
        "series_id": 7,
        "series_unique_id": UNIQUE,
        "channels": ["threshold_1"],
        "frame_time": 0.001,
        "image_dtype": "uint16",
        "image_size_x": 3,
        "image_size_y": 2,
        "number_of_images": 5,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def an_array(array: Any, tag: int = 69, compression: Any = None) -> cbor2.CBORTag:
    data: Any = array.tobytes()
    if compression is not None:
        data = cbor2.CBORTag(56500, compression)
    return cbor2.CBORTag(40, [list(array.shape), cbor2.CBORTag(tag, data)])


PICTURE = np.arange(6, dtype="<u2").reshape(2, 3)


def image_fields(image_id: int = 0, **changes: Any) -> dict[str, Any]:
    fields = {
        "type": "image",
        "series_id": 7,
        "series_unique_id": UNIQUE,
        "image_id": image_id,
        "data": {"threshold_1": an_array(PICTURE)},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def parsed(*messages: dict[str, Any], query: dict[str, str] | None = None) -> list[Message]:
    return parse_all(DectrisV2Parser(query=query), [(cbor2.dumps(message),) for message in messages])


def test_keys_may_come_in_any_order_and_with_others_between() -> None:
    image = image_fields(0, goniometer={"a": [1.5, {"b": None}]}, start_time=[3, 50_000_000])
    shuffled = {"type": "image", **{name: image[name] for name in sorted(image, reverse=True)}}
    messages = parsed(start_fields(), image, shuffled | {"image_id": 1})
    assert [frame.tolist() for frame in received(messages).values()] == [PICTURE.tolist()] * 2


def test_compressed_tables_and_big_endian_ones_are_read() -> None:
    mask = np.array([[0, 1, 0], [2, 0, 0]], "<u4")
    flat = np.linspace(0.5, 2, 6, dtype=">f4").reshape(2, 3)
    blob = compress_bslz4(mask[None])[0]
    rates = cbor2.CBORTag(70, np.arange(4, dtype="<u4").tobytes())
    fields = start_fields(
        pixel_mask={"threshold_1": an_array(mask, 70, ["bslz4", 4, blob])},
        flatfield={"threshold_1": an_array(flat, 81)},
        countrate_correction_lookup_table=rates,
    )
    (start, *_) = parsed(fields, image_fields())
    assert isinstance(start, Start)
    np.testing.assert_array_equal(start.tables[PIXEL_MASK], mask)
    np.testing.assert_array_equal(start.tables[FLATFIELD], flat)
    assert start.tables[FLATFIELD].dtype == np.dtype("<f4")
    np.testing.assert_array_equal(start.tables[COUNTRATE], [0, 1, 2, 3])


def test_a_table_that_cannot_be_read_costs_only_itself() -> None:
    wrong = {"threshold_1": an_array(np.zeros((3, 3), "<u4"), 70)}
    odd = {"threshold_1": cbor2.CBORTag(1040, [[2, 3], cbor2.CBORTag(85, bytes(24))])}
    (start, *_) = parsed(start_fields(pixel_mask=wrong, flatfield=odd), image_fields())
    assert isinstance(start, Start)
    assert start.tables == {}


def test_user_data_may_be_the_text_of_a_map_and_must_not_cost_the_series() -> None:
    (start, *_) = parsed(start_fields(user_data='{"scan": {"shape": [1, 5]}}'), image_fields())
    assert start.series.scan == Scan((1, 5))  # type: ignore[union-attr]
    for odd, reasons in (
        ("free text", []),
        (3, []),
        (None, []),
        ({"scan": {"shape": [0, 5]}}, [Reason.BAD_SCAN]),
        ({"meta": {"frame_time": -1}}, [Reason.BAD_META]),
        ({"note": "x" * 65_500}, [Reason.BAD_META]),
        (b"bytes", [Reason.BAD_META]),
    ):
        parser = DectrisV2Parser()
        messages = [(cbor2.dumps(fields),) for fields in (start_fields(user_data=odd), image_fields())]
        series = the_series(said := parse_all(parser, messages))
        assert series.scan is None
        assert [each.reason for each in of_kind(said, Rejected)] == reasons
        assert parser.detail().startswith("not used:") == bool(reasons)


def test_what_the_start_leaves_out_the_first_image_says() -> None:
    bare = start_fields(
        image_dtype=..., image_size_x=..., image_size_y=..., channels=..., number_of_images=2_000_000_000
    )
    series = the_series(parsed(bare, image_fields()))
    assert (series.shape, series.dtype, series.count) == ((2, 3), "uint16", None)


def test_series_without_a_unique_id_are_told_apart_all_the_same() -> None:
    run = [start_fields(series_unique_id=...), image_fields(series_unique_id=...)]
    run.append({"type": "end", "series_id": 7})
    messages = parsed(*run, *run)
    first, second = of_kind(messages, Start)
    assert first.series.key != second.series.key
    assert [batch.key for batch in of_kind(messages, FrameBatch)] == [first.series.key, second.series.key]


# -- where images are numbered from ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "began", "query", "index", "words"),
    [
        (0, None, {}, 0, ""),
        (1, [100, 1_000_000], {}, 0, ""),  # 0.1 ms after the start: nothing can have been before it
        (1, [1001, 1_000_000], {}, 1, "the first image was number 1"),
        (1, None, {}, 1, "the first image was number 1"),
        (3, [0, 1], {}, 3, "the first image was number 3"),
        (1, None, {"first_id": "1"}, 0, ""),
        (1, [0, 1], {"first_id": "0"}, 1, ""),
    ],
)
def test_the_number_of_the_first_image_is_decided_once_and_told(
    first: int, began: Any, query: dict[str, str], index: int, words: str
) -> None:
    parser = DectrisV2Parser(query=query)
    timed = {} if began is None else {"start_time": began}
    fields = [start_fields(), image_fields(first, **timed), image_fields(first + 1)]
    messages = parse_all(parser, [(cbor2.dumps(each),) for each in fields])
    assert list(received(messages)) == [index, index + 1]
    assert parser.detail().startswith(words) == bool(words) or not words
    assert bool(parser.detail()) == bool(words)


def test_an_image_beyond_the_last_tells_where_images_are_numbered_from() -> None:
    parser = DectrisV2Parser()
    fields = [start_fields(), *(image_fields(number) for number in range(1, 6))]
    messages = parse_all(parser, [(cbor2.dumps(each),) for each in fields])
    assert max(received(messages)) == 5  # the assembler rejects it: beyond the count
    assert "seems to count from 1; write ?first_id=1" in parser.detail()


def test_a_run_ends_with_the_last_image_that_was_announced() -> None:
    images = [image_fields(number) for number in range(9)]
    messages = parsed(start_fields(number_of_images=5), *images)
    spans = [(batch.first, batch.count) for batch in of_kind(messages, FrameBatch)]
    assert spans == [(0, 1), (1, 4), (5, 4)]


def test_a_wrong_first_id_is_an_error_of_the_user() -> None:
    with pytest.raises(SourceError, match="numbered from 0 or from 1"):
        DectrisV2Parser(query={"first_id": "2"})


def test_an_image_before_the_first_is_refused() -> None:
    messages = parsed(start_fields(), image_fields(1), image_fields(0), query={"first_id": "1"})
    (rejected,) = of_kind(messages, Rejected)
    assert (rejected.reason, rejected.first) == (Reason.BAD_INDEX, None)


# -- what is not as it should be -------------------------------------------------------------------------

OTHER = np.zeros((3, 2), "<u2")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (image_fields(2, data={"threshold_1": an_array(OTHER)}), Reason.BAD_SHAPE),
        (image_fields(2, data={"threshold_1": an_array(PICTURE[None])}), Reason.BAD_SHAPE),
        (image_fields(2, data={"threshold_1": an_array(PICTURE.astype("<u4"), 70)}), Reason.BAD_DTYPE),
        (image_fields(2, data={"threshold_1": an_array(PICTURE, 67)}), Reason.BAD_PAYLOAD),
        (image_fields(2, data={"threshold_2": an_array(PICTURE)}), Reason.BAD_PAYLOAD),
        (image_fields(2, data={}), Reason.BAD_PAYLOAD),
        (image_fields(2, data=...), Reason.BAD_PAYLOAD),
        (image_fields(2, data=[1, 2]), Reason.BAD_PAYLOAD),
        (image_fields(2, data={"threshold_1": cbor2.CBORTag(1040, [[2, 3], 1])}), Reason.BAD_PAYLOAD),
        (image_fields(2, data={"threshold_1": cbor2.CBORTag(35, "(a+)+b")}), Reason.BAD_PAYLOAD),
        (image_fields(2, data={"threshold_1": 2**70}), Reason.BAD_PAYLOAD),
        (
            image_fields(2, data={"threshold_1": an_array(PICTURE, 69, ["bslz4", 2, bytes(20)])}),
            Reason.PAYLOAD_SIZE,
        ),
        (
            image_fields(
                2, data={"threshold_1": an_array(PICTURE, 69, ["lz4", 0, struct.pack(">QI", 12, 0) + b"x"])}
            ),
            Reason.BAD_PAYLOAD,
        ),
        (
            image_fields(2, data={"threshold_1": an_array(PICTURE, 69, ["zstd", 2, bytes(20)])}),
            Reason.BAD_PAYLOAD,
        ),
        (image_fields(2, data={"threshold_1": cbor2.CBORTag(40, [[2, 3], 5])}), Reason.BAD_PAYLOAD),
    ],
)
def test_an_image_that_does_not_fit_is_refused_by_its_number(image: dict[str, Any], reason: Reason) -> None:
    messages = parsed(start_fields(), image_fields(0), image, image_fields(3))
    (rejected,) = of_kind(messages, Rejected)
    assert (rejected.reason, rejected.first, rejected.count) == (reason, 2, 1)
    assert rejected.key == the_series(messages).key
    assert sorted(received(messages)) == [0, 3]


def test_a_raw_payload_of_another_size_costs_only_itself() -> None:
    short = image_fields(2, data={"threshold_1": cbor2.CBORTag(40, [[2, 3], cbor2.CBORTag(69, bytes(8))])})
    messages = parsed(start_fields(), *(image_fields(n) for n in range(2)), short, image_fields(3))
    (rejected,) = of_kind(messages, Rejected)
    assert (rejected.reason, rejected.first) == (Reason.PAYLOAD_SIZE, 2)
    assert sorted(received(messages)) == [0, 1, 3]


def test_another_encoding_in_mid_series_is_refused() -> None:
    frames = random_frames(4, (8, 8))
    start, *packed = sent(frames, "bslz4")
    _, *plain = sent(frames, "raw")
    messages = parse_all(DectrisV2Parser(), [start, packed[0], plain[1], packed[2]])
    (rejected,) = of_kind(messages, Rejected)
    assert (rejected.reason, rejected.first) == (Reason.BAD_ENCODING, 1)
    mixed = parse_all(DectrisV2Parser(), [start, plain[0], packed[1]])  # raw takes anything that decodes
    assert [frame.tolist() for frame in received(mixed).values()] == frames[:2].tolist()


def test_a_first_image_that_differs_from_the_start_is_refused_and_the_next_one_opens() -> None:
    for wrong in (OTHER, PICTURE.astype("<u4")):
        tag = 69 if wrong is OTHER else 70
        messages = parsed(
            start_fields(), image_fields(0, data={"threshold_1": an_array(wrong, tag)}), image_fields(1)
        )
        key = the_series(messages).key
        assert [type(message) for message in messages] == [Start, Rejected, FrameBatch]
        (refused,) = of_kind(messages, Rejected)
        assert (refused.key, refused.first, refused.count) == (key, 0, 1), "else it would count as lost, too"
        assert list(received(messages)) == [1]


WRONG = {"threshold_1": an_array(PICTURE[:1])}


def test_images_refused_before_the_first_good_one_leave_its_encoding_alone() -> None:
    start, *images, _ = sent(random_frames(6, (8, 8)), "bslz4")
    broken = [(bytes(image[0])[:-20],) for image in images[:3]]
    parser = DectrisV2Parser()
    assert parse_all(parser, [start, *broken]) == []
    assert parser.detail().startswith("armed: series 34, waiting for the first image; refused: ")
    messages = parse_all(parser, images[3:])
    assert the_series(messages).encoding == "bslz4"
    assert [refused.first for refused in of_kind(messages, Rejected)] == [0, 1, 2]
    assert sorted(received(messages)) == [3, 4, 5]
    assert parser.detail() == ""


def test_a_series_whose_images_are_all_refused_is_announced_all_the_same() -> None:
    start = start_fields(number_of_images=20)
    wrong = [image_fields(number, data=WRONG) for number in range(20)]
    messages = parsed(start, *wrong)
    assert isinstance(messages[0], Start)
    assert [refused.first for refused in of_kind(messages, Rejected)] == list(range(20))
    messages = parsed(start, *wrong[:9], image_fields(9))
    assert sorted(received(messages)) == [9]


@pytest.mark.parametrize(
    "then",
    [{"type": "end", "series_id": 7, "series_unique_id": UNIQUE}, start_fields(series_unique_id="next")],
)
def test_what_was_withheld_is_told_when_the_series_is_over(then: dict[str, Any]) -> None:
    messages = parsed(start_fields(), image_fields(0, data=WRONG), image_fields(1, data={}), then)
    series = the_series(messages)
    assert [(refused.key, refused.first) for refused in of_kind(messages, Rejected)] == [
        (series.key, 0),
        (series.key, 1),
    ]


def test_a_refused_first_image_decides_where_images_are_numbered_from() -> None:
    times = {"start_time": [0, 50_000_000]}
    messages = parsed(start_fields(), image_fields(1, data=WRONG, **times), image_fields(2, **times))
    assert [refused.first for refused in of_kind(messages, Rejected)] == [0]
    assert sorted(received(messages)) == [1]
    messages = parsed(start_fields(), image_fields(0, data=WRONG, **times), image_fields(1, **times))
    assert [refused.first for refused in of_kind(messages, Rejected)] == [0]
    assert sorted(received(messages)) == [1]


def test_where_only_an_image_could_announce_a_series_refusals_are_told_at_once() -> None:
    (refused,) = parsed(start_fields(image_dtype=...), image_fields(0, data=WRONG))
    assert (refused.reason, refused.first) == (Reason.BAD_SHAPE, None)  # type: ignore[union-attr]


def test_images_and_ends_of_series_that_were_not_heard_are_refused() -> None:
    messages = parsed(image_fields(3), {"type": "end", "series_id": 7, "series_unique_id": UNIQUE})
    assert [message.reason for message in of_kind(messages, Rejected)] == [Reason.UNKNOWN_SERIES] * 2
    messages = parsed(start_fields(), image_fields(0), image_fields(1, series_unique_id="another"))
    (rejected,) = of_kind(messages, Rejected)
    assert rejected.key != the_series(messages).key


def test_a_series_may_end_without_an_image() -> None:
    start, end = parsed(start_fields(), {"type": "end", "series_id": 7, "series_unique_id": UNIQUE})
    assert isinstance(start, Start)
    assert end == End(start.series.key, None)


def test_a_start_that_comes_twice_is_told() -> None:
    messages = parsed(start_fields(), image_fields(0), start_fields(), image_fields(1))
    (rejected,) = of_kind(messages, Rejected)
    assert rejected.reason is Reason.DUPLICATE_START
    assert sorted(received(messages)) == [0, 1]


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (start_fields(series_id=-1), Reason.BAD_SERIES),
        (start_fields(series_id=True), Reason.BAD_SERIES),
        (start_fields(series_unique_id=5), Reason.BAD_SERIES),
        (start_fields(image_size_x=0), Reason.BAD_SHAPE),
        (start_fields(image_size_x=...), Reason.BAD_SHAPE),
        (start_fields(image_size_y=65_537), Reason.BAD_SHAPE),
        (start_fields(image_dtype="object"), Reason.BAD_DTYPE),
        (start_fields(number_of_images="many"), Reason.BAD_COUNT),
        (start_fields(channels=["a", "a"]), Reason.BAD_HEADER),
        (start_fields(channels=[str(n) for n in range(17)]), Reason.BAD_HEADER),
        (start_fields(channels=[""]), Reason.BAD_HEADER),
        (start_fields(type="stop"), Reason.BAD_TYPE),
        (start_fields(type=...), Reason.BAD_TYPE),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(start: dict[str, Any], reason: Reason) -> None:
    (rejected,) = parsed(start)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is reason


def test_a_frame_beyond_the_limit_is_refused_before_anything_is_allocated() -> None:
    big = start_fields(image_size_x=65_536, image_size_y=65_536)
    image = image_fields(data={"threshold_1": cbor2.CBORTag(40, [[65_536, 65_536], cbor2.CBORTag(69, b"x")])})
    messages = [(cbor2.dumps(fields),) for fields in (big, image)]
    (rejected,) = parse_all(DectrisV2Parser(limits=Limits()), messages)
    assert rejected.reason is Reason.FRAME_TOO_LARGE  # type: ignore[union-attr]


def test_messages_of_several_parts_are_not_of_this_protocol() -> None:
    (rejected,) = parse_all(DectrisV2Parser(), [(cbor2.dumps(start_fields()), b"more")])
    assert rejected.reason is Reason.BAD_PARTS  # type: ignore[union-attr]
    parser = DectrisV2Parser()
    assert [parser.speaks(byte) for byte in (0xD9, 0xA3, 0xB8, ord("{"), -1, 0x80)] == [True] * 3 + [
        False
    ] * 3


# -- after a restart -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", ["a", "ab"])
def test_a_restarted_reader_goes_on_with_the_series(channels: str) -> None:
    frames = random_frames(12, (64, 64))
    messages = sent(frames, "bslz4", Dectris2(channels=channels, first_id=1))
    before = parse_all(DectrisV2Parser(query={"channel": "all", "first_id": "1"}), messages[:5])
    after = DectrisV2Parser(query={"channel": "all"})
    series = the_series(before)
    after.resume(replace(series, meta=dict(series.meta)))
    assert after.frame_bytes() == series.frame_bytes
    rest = parse_all(after, messages[5:])
    assert of_kind(rest, Rejected) == []
    got = pixels_of(series, of_kind(before, FrameBatch) + of_kind(rest, FrameBatch))
    assert sorted(got) == list(range(12))
    np.testing.assert_array_equal(got[7][:64], frames[7])
    assert rest[-1] == End(series.key, None)
    assert [batch.count for batch in of_kind(rest, FrameBatch)] == [1, 7]


@pytest.mark.parametrize(
    "said", [{"stream": "run 7"}, {"stream": {"channels": ["b"], "first_id": 1}}, {"meta": {"stream": 5}}]
)
def test_a_users_word_does_not_replace_what_a_restart_needs(said: Any) -> None:
    (start, first) = parsed(start_fields(user_data=said), image_fields(0))
    assert start.series.meta["stream"]["channels"] == ["threshold_1"]  # type: ignore[union-attr]
    after = DectrisV2Parser()
    after.resume(start.series)  # type: ignore[union-attr]
    (batch,) = parse_all(after, [(cbor2.dumps(image_fields(1)),)])
    assert (batch.key, batch.first) == (first.key, 1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "own",
    [
        None,
        {"channels": 5, "first_id": 0},
        {"channels": [], "first_id": 0},
        {"channels": ["a", 3], "first_id": 0},
        {"channels": ["a"], "first_id": "1"},
        {"channels": ["a"], "first_id": 0, "block_bytes": "many"},
        {"channels": ["a", "b", "c"], "first_id": 0},
    ],
)
def test_a_series_that_was_not_of_this_stream_is_not_gone_on_with(own: Any) -> None:
    parser = DectrisV2Parser()
    parser.resume(Series(KEY, (4, 4), "uint16", meta={"stream": own}))
    assert parser.frame_bytes() is None
    (rejected,) = parse_all(parser, [(cbor2.dumps(image_fields(1)),)])
    assert rejected.reason is Reason.UNKNOWN_SERIES  # type: ignore[union-attr]


# -- hostile bytes ---------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_survived(noise: bytes) -> None:
    for prefix in (b"", b"\xd9\xd9\xf7", b"\xa3dtypecend"):
        (message,) = parse_all(DectrisV2Parser(), [(prefix + noise,)]) or [None]
        assert message is None or isinstance(message, Rejected)


GOOD = [
    bytes(parts[0])
    for parts in sent(random_frames(3, (8, 8)), "bslz4", scan=Scan((1, 3)), clock=time.time_ns)
]


@settings(max_examples=400, deadline=None)
@given(
    which=st.integers(0, len(GOOD) - 1),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 10_000),
)
def test_damaged_messages_are_survived_and_never_read_beyond(
    which: int, changes: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(GOOD[which])
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    if cut % 3 == 0:
        del damaged[cut % len(damaged) :]
    messages = [(message,) for message in GOOD]
    messages[which] = (bytes(damaged),)
    for message in parse_all(DectrisV2Parser(), messages):
        if isinstance(message, FrameBatch):
            expected = message.count * 128 if message.sizes is None else int(message.sizes.sum())
            assert message.payload.nbytes == expected
        assert not isinstance(message, Rejected) or len(message.detail) <= 300


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x81" * 100_000,
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x9f" * 1000,
        b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xc1" * 100_000,
        b"\x9a\x00\x10\x00\x00" + b"\x80" * (1 << 20),
        b"\xba\x00\x08\x00\x00" + b"\x60\x80" * (1 << 19),
    ],
    ids=["deep", "long array", "long map", "indefinite", "long bytes", "tags", "many arrays", "twins"],
)
@pytest.mark.parametrize("key", ["user_data", "data", "pixel_mask", "anything"])
def test_bombs_cost_no_more_than_themselves(bomb: bytes, key: str) -> None:
    message = (
        b"\xa4dtypeestartiseries_id\x07" + cbor2.dumps("image_size_x") + b"\x03" + cbor2.dumps(key) + bomb
    )
    burst = burst_of([(message,)])
    parser, out = DectrisV2Parser(), deque[Message]()
    parser.parse(burst, 0, out)
    tracemalloc.start()
    try:
        parser.parse(burst, 0, out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20
    assert all(isinstance(message, Rejected) for message in out)


def test_numbers_beyond_all_measure_are_left_out_or_refused() -> None:
    date = cbor2.CBORTag(0, "2026-11-23T00:00:00Z")
    times = ([2**62, 1], [2**64 - 1, 1], [1, 0], [-1, 5], ["a", 1], [1], 7, [5, 2])
    images = [image_fields(n, start_time=when, series_date=date) for n, when in enumerate(times)]
    messages = parsed(start_fields(number_of_images=...), *images, image_fields(2**62), image_fields(2**63))
    assert {batch.time_ns for batch in of_kind(messages, FrameBatch)} == {None, 1_795_392_002_500_000_000}
    rejected = of_kind(messages, Rejected)
    assert [each.reason for each in rejected] == [Reason.BAD_INDEX] * 2
    assert max(received(messages)) == len(times) - 1


def test_lz4_is_read_whatever_its_unused_element_size_says() -> None:
    frames = random_frames(5, (8, 8))
    start, *images = [parts[0] for parts in sent(frames, "lz4")]
    changed = [image.replace(b"clz4\x00", b"clz4\x02") for image in images]
    messages = parse_all(DectrisV2Parser(), [(each,) for each in (start, *changed)])
    assert changed[0] != images[0]
    assert [batch.count for batch in of_kind(messages, FrameBatch)] == [1, 4]
    np.testing.assert_array_equal(np.stack(list(received(messages).values())), frames)


def test_a_payload_that_claims_terabytes_allocates_nothing() -> None:
    huge = struct.pack(">QI", 1 << 40, 8192) + bytes(100)
    shape = [[2, 3], cbor2.CBORTag(65, cbor2.CBORTag(56500, ["bslz4", 2, huge]))]
    messages = parsed(start_fields(), image_fields(data={"threshold_1": cbor2.CBORTag(40, shape)}))
    assert of_kind(messages, Rejected)[0].reason is Reason.PAYLOAD_SIZE


def test_two_images_in_one_message_or_bytes_behind_it_are_refused() -> None:
    image = cbor2.dumps(image_fields(1))
    twice = bytearray(cbor2.dumps(image_fields(1)))
    twice[0] += 1
    twice += cbor2.dumps("image_id") + b"\x05"
    messages = [(cbor2.dumps(start_fields()),), (cbor2.dumps(image_fields(0)),), (image + b"\x00",)]
    rejected = of_kind(parse_all(DectrisV2Parser(), [*messages, (bytes(twice),)]), Rejected)
    assert [each.reason for each in rejected] == [Reason.BAD_HEADER] * 2
    assert [each.first for each in rejected] == [1, 1]


# -- CBOR ------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=10).filter(lambda text: "\ud800" not in text),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), plain, max_size=5), st.booleans())
def test_plain_values_are_read_as_another_library_wrote_them(values: dict[str, Any], canonical: bool) -> None:
    message = memoryview(cbor2.dumps(values, canonical=canonical))
    fields = read_fields(message, frozenset(values))
    assert fields.faults == {}
    assert fields.values == values
    assert read_fields(message, frozenset()).values == {}


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1.5, -2.0, 65504.0, 5.960464477539063e-08, 1e-310, 3.4e38, np.inf]
)
def test_floats_of_all_widths_are_exact(number: float) -> None:
    for fmt, head in ((">d", b"\xfb"), (">f", b"\xfa"), (">e", b"\xf9")):
        try:
            packed = struct.pack(fmt, number)
        except OverflowError:
            continue
        fields = read_fields(memoryview(b"\xa1\x61x" + head + packed), frozenset("x"))
        expected = struct.unpack(fmt, packed)[0]
        assert struct.pack(">d", fields.values["x"]) == struct.pack(">d", expected)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "no CBOR at byte 0"),
        (b"\x80", "a map was expected"),
        (b"\xa1\x61x\x18", "is cut"),
        (b"\xa1\x00\x00", "a text of at most 64 bytes"),
        (b"\xa1\x61\xff\x00", "not UTF-8"),
        (b"\xa1\x61x\x00\x00", "1 bytes behind the map"),
        (b"\xa2\x61x\x00\x61x\x00", "there twice"),
        (b"\xbf\x61x\x00\xff", "no CBOR"),
        (b"\xa1\x61y\x5a\x00\xff\xff\xff", "is cut"),
    ],
)
def test_what_is_no_message_is_said(message: bytes, words: str) -> None:
    with pytest.raises(CborError, match=words):
        read_fields(memoryview(message), frozenset("x"))


def test_arrays_stay_where_they_are_until_asked_for() -> None:
    array = np.arange(12, dtype="<u4").reshape(3, 4)
    for compression in (None, ["lz4", 0, compress_lz4(array[None])[0]]):
        message = cbor2.dumps({"x": an_array(array, 70, compression)})
        numbers = read_fields(memoryview(message), frozenset("x")).values["x"]
        assert isinstance(numbers, Numbers)
        np.testing.assert_array_equal(numbers.array(48), array)
        assert numbers.array(47) is None


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("2026-11-23T00:22:47.123456789123Z", 1_795_393_367_123_456_789),
        ("2026-11-23T00:22:47", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_to_the_nanosecond(date: str, expected: int | None) -> None:
    assert nanoseconds(date) == expected


def test_the_key_of_a_series_is_the_detectors_own() -> None:
    messages = sent(random_frames(2, (4, 4)))
    keys = {the_series(parse_all(DectrisV2Parser(), messages)).key for _ in range(2)}
    assert len(keys) == 1
    assert keys.pop().number == KEY.number
