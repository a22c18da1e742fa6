"""A simulated DECTRIS detector: what it sends is what was asked for, in bytes that others read too."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cbor2
import numpy as np
import pytest
from dectris.compression import decompress
from dectris_tools import Stage
from hypothesis import given, settings
from hypothesis import strategies as st
from simplon_tools import KEY, Pictures, parse_all, pixels_of, random_frames, speech

from livem.errors import SourceError
from livem.stream.messages import COUNTRATE, FLATFIELD, PIXEL_MASK, End, FrameBatch, Rejected, Start, check
from livem.stream.series import Encoding, Scan, Series
from livem.stream.simulate.compress import compress_bslz4
from livem.stream.simulate.dectris_dialect import Dectris1, Dectris2
from livem.stream.simulate.dialects import Dialect, dialect_of
from livem.stream.simulate.fault_report import LOST, REFUSED
from livem.stream.simulate.fault_spec import FaultSpec
from livem.stream.simulate.faults import FaultInjector
from livem.stream.simulate.outgoing import Outgoing
from livem.stream.simulate.sender import Sender, SenderOptions
from livem.stream.simulate.simplon_payloads import compress_lz4
from livem.stream.sources.dectris.series_namer import SeriesNamer
from livem.stream.sources.dectris.v1 import DectrisV1Parser
from livem.stream.sources.dectris.v2 import DectrisV2Parser

ENCODINGS: tuple[Encoding, ...] = ("raw", "bslz4", "lz4")
THREE = pytest.mark.parametrize(
    "dialect", [Dectris1(), Dectris1(configuration_apart=True), Dectris2()], ids=["v1", "v1 apart", "v2"]
)
BOTH = pytest.mark.parametrize("dialect", [Dectris1(), Dectris2()], ids=["v1", "v2"])


def parser_of(dialect: Dialect) -> Any:
    return DectrisV1Parser(SeriesNamer()) if isinstance(dialect, Dectris1) else DectrisV2Parser()


def messages_of(
    dialect: Dialect, acquisition: Any, encoding: Encoding = "bslz4", **more: Any
) -> list[Outgoing]:
    return list(dialect.messages(speech(acquisition, encoding, **more)))


def heard(dialect: Dialect, messages: Sequence[Outgoing]) -> list[Any]:
    return parse_all(parser_of(dialect), [message.parts for message in messages])


def of_kind(messages: list[Any], kind: type) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def frames_of(messages: list[Any]) -> tuple[Series, dict[int, Any]]:
    (start,) = of_kind(messages, Start)
    batches = of_kind(messages, FrameBatch)
    assert [check(batch, start.series) for batch in batches] == [None] * len(batches)
    return start.series, pixels_of(start.series, batches)


# -- read by our own sources -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    dtype=st.sampled_from(["uint8", "uint16", "uint32"]),
    encoding=st.sampled_from(ENCODINGS),
    big_endian=st.booleans(),
    shuffle=st.sampled_from([None, 1]),
    detail=st.sampled_from([None, "none", "basic", "all"]),
    apart=st.booleans(),
)
def test_stream_v1_arrives_in_every_shape_type_and_encoding(
    height: int,
    width: int,
    dtype: str,
    encoding: Encoding,
    big_endian: bool,
    shuffle: int | None,
    detail: Any,
    apart: bool,
) -> None:
    frames = random_frames(5, (height, width), dtype)
    dialect = Dectris1(
        big_endian=big_endian, element_bytes=shuffle, header_detail=detail, configuration_apart=apart
    )
    messages = heard(dialect, messages_of(dialect, Pictures(frames), encoding))
    assert of_kind(messages, Rejected) == []
    series, got = frames_of(messages)
    assert (series.shape, series.dtype, series.key.number) == ((height, width), dtype, KEY.number)
    assert series.count == (None if detail == "none" else 5)
    assert sorted(got) == list(range(5))
    for index, frame in got.items():
        np.testing.assert_array_equal(frame, frames[index])
    assert messages[-1] == End(series.key, None)


@THREE
def test_scan_meta_and_positions_reach_our_receiver(dialect: Dialect) -> None:
    positions = np.random.default_rng(0).random((12, 2), np.float32) * 7
    scan = Scan((8, 8), "positions")
    sparse = Pictures(
        random_frames(12, (4, 4)), scan, positions=positions, meta={"scan_step": 0.5, "sample": "x"}
    )
    messages = heard(dialect, messages_of(dialect, sparse))
    series, _ = frames_of(messages)
    assert (series.scan, series.meta["scan_step"], series.meta["sample"]) == (scan, 0.5, "x")
    got = np.concatenate([batch.positions for batch in of_kind(messages, FrameBatch)])
    np.testing.assert_array_equal(got, positions)


@THREE
def test_tables_go_out_with_the_header(dialect: Dialect) -> None:
    tables: dict[str, Any] = {
        PIXEL_MASK: np.eye(6, 5, dtype=np.uint32),
        FLATFIELD: np.full((6, 5), 1.5, np.float32),
        COUNTRATE: np.arange(8, dtype=np.float32).reshape(2, 4),
    }
    messages = heard(dialect, messages_of(dialect, Pictures(random_frames(2, (6, 5)), tables=tables)))
    (start,) = of_kind(messages, Start)
    np.testing.assert_array_equal(start.tables[PIXEL_MASK], tables[PIXEL_MASK])
    np.testing.assert_array_equal(start.tables[FLATFIELD], tables[FLATFIELD])
    np.testing.assert_array_equal(start.tables[COUNTRATE].ravel(), tables[COUNTRATE].ravel())


@BOTH
@pytest.mark.parametrize("encoding", ["bslz4", "lz4"])
def test_what_a_recording_holds_is_sent_byte_for_byte_with_its_gaps(
    dialect: Dialect, encoding: Encoding
) -> None:
    frames = random_frames(9, (64, 64))
    stored = (compress_bslz4 if encoding == "bslz4" else compress_lz4)(frames)
    there = np.array([1, 1, 1, 0, 0, 1, 1, 0, 1], bool)
    kept: list[bytes] = [blob if present else b"" for blob, present in zip(stored, there, strict=True)]
    recording = Pictures(np.zeros_like(frames), payloads=kept, present=there, encoding=encoding)
    images = [message for message in messages_of(dialect, recording, encoding) if message.kind == "frames"]
    assert [message.first for message in images] == [0, 1, 2, 5, 6, 8]
    bare = 16 if encoding == "lz4" and isinstance(dialect, Dectris1) else 0
    for message in images:
        payload = bytes(message.parts[message.payload_part][message.payload_at :])
        assert payload == stored[message.first][bare:]
    _, got = frames_of(heard(dialect, messages_of(dialect, recording, encoding)))
    assert sorted(got) == [0, 1, 2, 5, 6, 8]
    for index, frame in got.items():
        np.testing.assert_array_equal(frame, frames[index])


def test_rounds_repeat_the_acquisition_and_an_endless_one_says_so() -> None:
    frames = random_frames(3, (4, 4))
    for dialect in (Dectris1(), Dectris2()):
        series, got = frames_of(heard(dialect, messages_of(dialect, Pictures(frames), repeat=2)))
        assert (series.count, sorted(got)) == (6, list(range(6)))
        endless = dialect.messages(speech(Pictures(frames), "raw", repeat=0))
        start, *_ = heard(dialect, list(itertools.islice(endless, 9)))
        assert start.series.count is None
        endless.close()


# -- read by others --------------------------------------------------------------------------------------


def test_the_parts_of_stream_v1_are_a_detectors() -> None:
    frames = random_frames(2, (6, 10))
    tables = {PIXEL_MASK: np.zeros((6, 10), np.uint32)}
    start, image, _, end = messages_of(Dectris1(), Pictures(frames, tables=tables))
    header, config, *rest = start.parts
    assert json.loads(header) == {"htype": "dheader-1.0", "header_detail": "all", "series": 34}
    wanted = {
        "ntrigger": 2,
        "nimages": 1,
        "trigger_mode": "exte",
        "bit_depth_image": 16,
        "compression": "bslz4",
    }
    assert wanted.items() <= json.loads(config).items()
    assert "htype" not in json.loads(config)
    words = [json.loads(part) for part in rest[::2]]
    assert [each.get("htype") for each in words] == [
        "dflatfield-1.0",
        "dpixelmask-1.0",
        "dcountrate_table-1.0",
        None,
    ]
    assert [each["shape"] for each in words[:2]] == [[10, 6]] * 2
    assert [len(part) for part in rest[1:4:2]] == [240, 240]
    assert len(start.parts) == 9
    identity, data, blob, times = image.parts
    assert json.loads(identity) == {
        "htype": "dimage-1.0",
        "series": 34,
        "frame": 0,
        "hash": hashlib.md5(blob).hexdigest(),
    }
    assert json.loads(data) == {
        "htype": "dimage_d-1.0",
        "shape": [10, 6],
        "type": "uint16",
        "encoding": "bs16-lz4<",
        "size": len(blob),
    }
    assert set(json.loads(times)) == {"htype", "start_time", "stop_time", "real_time"}
    assert json.loads(end.parts[0]) == {"htype": "dseries_end-1.0", "series": 34}
    np.testing.assert_array_equal(
        np.frombuffer(decompress(bytes(blob), "bslz4", elem_size=2), "<u2").reshape(6, 10), frames[0]
    )


def test_stream_v2_is_cbor_that_another_library_reads() -> None:
    frames = random_frames(3, (6, 10))
    clock = itertools.count(1_700_000_000_000_000_000, 1_000_000).__next__
    start, image, *_, end = messages_of(Dectris2(channels="ab"), Pictures(frames), "bslz4", clock=clock)
    assert all(
        message.parts[0][:3] == b"\xd9\xd9\xf7" and len(message.parts) == 1 for message in (start, image, end)
    )
    said = cbor2.loads(start.parts[0])
    assert next(iter(said)) == "type"
    assert (said["number_of_images"], said["image_size_x"], said["image_size_y"]) == (3, 10, 6)
    shown = cbor2.loads(image.parts[0])
    assert list(shown)[:4] == ["type", "series_id", "series_unique_id", "image_id"]
    assert (shown["image_id"], shown["start_time"][1]) == (0, 1_000_000_000)
    assert shown["series_date"].timestamp() == 1_700_000_000
    for channel, expected in zip("ab", frames, strict=False):
        array = shown["data"][channel]
        dims, typed = array.value
        algorithm, element, blob = typed.value.value
        assert (array.tag, list(dims), typed.tag, typed.value.tag) == (40, [6, 10], 69, 56500)
        pixels = np.frombuffer(decompress(blob, algorithm, elem_size=element), "<u2").reshape(dims)
        np.testing.assert_array_equal(pixels, expected)
    assert dict(cbor2.loads(end.parts[0])) == {
        "type": "end",
        "series_id": 34,
        "series_unique_id": said["series_unique_id"],
    }


def test_without_a_clock_the_same_arguments_give_the_same_bytes() -> None:
    for dialect in (Dectris1(), Dectris2()):
        once, twice = (
            [message.parts for message in messages_of(dialect, Pictures(random_frames(3, (4, 4))), "raw")]
            for _ in "ab"
        )
        assert [list(map(bytes, parts)) for parts in once] == [list(map(bytes, parts)) for parts in twice]


def test_a_frame_that_lz4_cannot_shrink_is_a_block_of_literals() -> None:
    for size in (3, 14, 15, 16, 269, 270, 271, 5000):
        frames = np.random.default_rng(size).integers(0, 256, (2, 1, size), np.uint8)
        dialect = Dectris1()
        _, got = frames_of(heard(dialect, messages_of(dialect, Pictures(frames), "lz4")))
        np.testing.assert_array_equal(np.stack([got[0], got[1]]), frames)


# -- what cannot be said ---------------------------------------------------------------------------------


def test_pixels_that_stream_v1_does_not_have_are_told() -> None:
    with pytest.raises(SourceError, match="stream v1 has pixels of uint8, uint16, uint32, not float32"):
        messages_of(Dectris1(), Pictures(random_frames(2, (4, 4), "float32")))


def test_a_series_that_cannot_be_announced_is_told() -> None:
    for dialect in (Dectris1(), Dectris2()):
        with pytest.raises(SourceError, match=r"pictures: series 34 .* 'frame_time'"):
            messages_of(dialect, Pictures(random_frames(2, (4, 4)), meta={"frame_time": "soon"}))


def test_a_chunk_of_several_lz4_blocks_cannot_go_out_as_one() -> None:
    frames = random_frames(2, (8, 8))
    blocks = b"".join((64).to_bytes(4, "big") + frames[0].tobytes()[at : at + 64] for at in (0, 64))
    stored = (128).to_bytes(8, "big") + (64).to_bytes(4, "big") + blocks
    recording = Pictures(frames, payloads=[stored, stored], encoding="lz4")
    with pytest.raises(
        SourceError, match=r"frame 0 is stored as an LZ4 chunk of 128 bytes in blocks of 64; .*dectris2"
    ):
        messages_of(Dectris1(), recording, "lz4")
    _, got = frames_of(heard(Dectris2(), messages_of(Dectris2(), recording, "lz4")))
    np.testing.assert_array_equal(got[1], frames[0])


# -- faults ----------------------------------------------------------------------------------------------

FRAMES = 60


@dataclass
class Receiver:
    """Sorts what arrives as the sources see it."""

    parser: Any
    received: list[int] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    nameless: int = 0
    undecodable: set[int] = field(default_factory=set)
    series: Series | None = None

    def take(self, parts: Sequence[bytes | memoryview]) -> None:
        for message in parse_all(self.parser, [parts]):
            if isinstance(message, Start):
                self.series = message.series
            elif isinstance(message, FrameBatch):
                self._frames(message)
            elif isinstance(message, Rejected):
                self._refuse(message)

    def _frames(self, batch: FrameBatch) -> None:
        assert self.series is not None
        refusal = check(batch, self.series)
        if refusal is not None:
            return self._refuse(refusal)
        self.received.append(batch.first)
        try:
            pixels_of(self.series, [batch])
        except AssertionError:
            self.undecodable.add(batch.first)
        return None

    def _refuse(self, refusal: Rejected) -> None:
        if refusal.first is None:
            self.nameless += 1
        else:
            self.refused.add(refusal.first)


def frames_in(ranges: list[tuple[int, int]]) -> list[int]:
    return [index for start, stop in ranges for index in range(start, stop)]


@settings(max_examples=40, deadline=None)
@given(
    shares=st.fixed_dictionaries(
        {
            name: st.sampled_from([0.0, 0.05, 0.2])
            for name in ("drop", "duplicate", "corrupt", "truncate", "shape")
        }
    ),
    reorder=st.integers(0, 5),
    seed=st.integers(0, 2**31),
    dialect=st.sampled_from([Dectris1(), Dectris2(), Dectris2(channels="ab")]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_the_report_of_faults_is_what_a_receiver_sees(
    shares: dict[str, Any], reorder: int, seed: int, dialect: Dialect, encoding: Encoding
) -> None:
    injector = FaultInjector(replace(FaultSpec(reorder=reorder, seed=seed), **shares))
    start, first, *rest = messages_of(dialect, Pictures(random_frames(FRAMES + 1, (8, 8), seed=1)), encoding)
    receiver = Receiver(
        DectrisV2Parser(query={"channel": "1"})
        if getattr(dialect, "_channels", "x")[-1] == "b"
        else parser_of(dialect)
    )
    receiver.take(start.parts)
    receiver.take(first.parts)  # tells the encoding: without it a broken image could not be held against it
    for step in injector.inject(rest):
        assert isinstance(step, Outgoing)
        receiver.take(step.parts)
    report = injector.report
    assert sorted(set(receiver.received) - {0}) == frames_in(report.ranges("delivered", KEY))
    assert receiver.nameless == report.tally("garbled", KEY).messages
    assert sorted(receiver.refused) == frames_in(report.ranges(REFUSED, KEY))
    assert receiver.undecodable == set(frames_in(report.ranges("undecodable", KEY)))
    lost = set(range(1, FRAMES + 1)) - set(receiver.received) - receiver.refused
    assert sorted(lost) == frames_in(report.ranges(LOST, KEY))


@BOTH
def test_damaged_starts_and_ends_are_survived(dialect: Dialect) -> None:
    messages = messages_of(dialect, Pictures(random_frames(20, (8, 8))))
    for name in ("corrupt", "truncate"):
        receiver = Receiver(parser_of(dialect))
        injector = FaultInjector(replace(FaultSpec(on="all"), **{name: 1.0}))  # type: ignore[arg-type]
        for step in injector.inject(messages):
            assert isinstance(step, Outgoing)
            receiver.take(step.parts)
        assert set(receiver.received) <= set(frames_in(injector.report.ranges("delivered", KEY)))


# -- over a socket ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["dectris1", "dectris2"])
def test_a_sender_fills_the_ring_through_our_source(protocol: str) -> None:
    spec = "sim:4dstem?shape=32x32&scan=12x10"
    sender = Sender(
        SenderOptions(spec, "bind+tcp://127.0.0.1:*", float("inf"), encoding="bslz4", protocol=protocol)
    )
    port = int(sender.prepare().rsplit(":", 1)[1])
    thread = threading.Thread(target=sender.run, daemon=True)
    with Stage() as stage:
        stage.connect(port)
        thread.start()
        stage.until(lambda: stage.ended)
        (series,), (frames,) = stage.series, stage.frames
    thread.join(20)
    assert (series.encoding, series.scan, series.count) == ("bslz4", Scan((12, 10)), 120)
    expected = sender.acquisition.frames(0, 120)
    assert sorted(frames) == list(range(120))
    for index, frame in frames.items():
        np.testing.assert_array_equal(frame, expected[index])


def test_the_dialects_are_found_by_name() -> None:
    assert isinstance(dialect_of("dectris1"), Dectris1)
    assert isinstance(dialect_of("dectris2"), Dectris2)
