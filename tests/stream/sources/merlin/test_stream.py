"""Bytes of a Merlin's data connection: series, gaps, damage, and whatever else may come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merlin_tools import NS, READOUT, acquisition, content, drain, feed, frame, frames_in, hdr

from livem.stream.messages import End, FrameBatch, Limits, Reason, Rejected, Start
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.simulate.merlin_frames import Readout, frame_text, message
from livem.stream.sources.merlin.series import _Running
from livem.stream.sources.merlin.stream import BATCH_BYTES, MerlinStream

FRAME = len(frame(0))


def kinds(messages: list) -> list[str]:
    return [type(each).__name__ for each in messages]


def rejections(messages: list) -> list[tuple]:
    return [(each.reason, each.first, each.count) for each in messages if isinstance(each, Rejected)]


def assert_frames(messages: list, indices, readout: Readout = READOUT) -> None:
    found = frames_in(messages, readout)
    assert sorted(found) == sorted(indices)
    for index, pixels in found.items():
        np.testing.assert_array_equal(pixels, content(index, readout))


def test_an_acquisition_becomes_a_series():
    start, *batches, end = feed(MerlinStream(), acquisition(12))
    assert isinstance(start, Start)
    assert (start.series.shape, start.series.dtype, start.series.count) == ((8, 16), "uint16", 12)
    assert start.series.meta["exposure_time"] == 0.001
    assert end == End(start.series.key, 12)
    assert_frames(batches, range(12))
    assert {batch.key for batch in batches} == {start.series.key}
    assert [batch.time_ns for batch in batches] == [NS + batch.first for batch in batches]


def test_frames_that_came_together_travel_together():
    assert kinds(feed(MerlinStream(), acquisition(100))) == ["Start", "FrameBatch", "FrameBatch", "End"]


def test_a_batch_is_bounded_and_a_frame_may_be_larger():
    readout = Readout("uint16", (600, 1024))
    assert readout.shape[0] * readout.shape[1] * 2 > BATCH_BYTES
    messages = feed(MerlinStream(), acquisition(9, readout=readout))
    assert [each.count for each in messages if isinstance(each, FrameBatch)] == [1] * 9
    assert_frames(messages, range(9), readout)


def test_a_frame_larger_than_the_buffer():
    readout = Readout("uint32", (1100, 1024))
    messages = feed(MerlinStream(), acquisition(3, readout=readout))
    assert_frames(messages, range(3), readout)


@given(cuts=st.lists(st.integers(0, 512 + 15 + 6 * FRAME), max_size=12))
def test_the_pieces_in_which_bytes_arrive_do_not_matter(cuts):
    messages = feed(MerlinStream(), acquisition(6), cuts)
    assert isinstance(messages[0], Start)
    assert isinstance(messages[-1], End)
    assert_frames(messages, range(6))


def test_every_byte_for_itself():
    data = acquisition(3)
    messages = feed(MerlinStream(), data, range(1, len(data)))
    assert kinds(messages) == ["Start", *["FrameBatch"] * 3, "End"]


def test_a_gap_shifts_nothing():
    messages = feed(MerlinStream(), acquisition(10, [0, 1, 2, 5, 6, 9]))
    assert_frames(messages, [0, 1, 2, 5, 6, 9])
    assert kinds(messages)[-1] == "End"


def test_the_first_frame_may_be_missing():
    start, *rest = feed(MerlinStream(), acquisition(6, [2, 3, 4, 5]))
    assert isinstance(start, Start)
    assert_frames(rest, [2, 3, 4, 5])


@pytest.mark.parametrize(
    ("header", "count", "scan"),
    [
        (hdr(64, 16), 64, Scan((4, 16))),
        (hdr(64), 64, None),
        (hdr(64, 64), 64, None),
        (hdr(60, 16), 60, None),
        (hdr(64, 64, ScanX=16, ScanY=4), 64, Scan((4, 16))),
        (hdr(192, 64, ScanX=16, ScanY=4), 192, Scan((4, 16), repeats=3)),
        (hdr(580, 580, ScanX=28, ScanY=20), 580, None),
        (hdr(0), None, None),
        (hdr(0, 16), None, None),
        (hdr(0, 1, ScanX=16, ScanY=4), None, Scan((4, 16), repeats=0)),
        (hdr(1 << 31, 1 << 17), 1 << 31, None),
    ],
)
def test_the_acquisition_header_decides_count_and_scan(header, count, scan):
    start = feed(MerlinStream(), header + frame(0))[0]
    assert isinstance(start, Start)
    assert (start.series.count, start.series.scan) == (count, scan)


def test_the_scan_can_be_left_to_the_user():
    start = feed(MerlinStream(use_scan=False), hdr(64, 16) + frame(0))[0]
    assert isinstance(start, Start)
    assert start.series.scan is None


def test_meta_comes_from_the_header():
    more = {
        "Sensor Bias (V)": "120 V",
        "Thresholds (keV)": "1.2E+2,5.1E+2",
        "Gain": "SLGM",
        "Unheard of": "x",
    }
    start = feed(MerlinStream(), hdr(4, **more) + frame(0))[0]
    assert isinstance(start, Start)
    meta = start.series.meta
    assert meta["detector"] == "Quantum Detectors Merlin"
    assert (meta["sensor_bias"], meta["thresholds_keV"], meta["gain"]) == ("120 V", "1.2E+2,5.1E+2", "SLGM")
    assert "x" not in meta.values()


@pytest.mark.parametrize(("fill", "masked"), [("None", True), ("Interpolate", True), ("Distribute", False)])
def test_gap_pixels_are_masked_unless_they_hold_counts(fill, masked):
    readout = Readout("uint16", (34, 66), layout="2x2G")
    start = feed(MerlinStream(), hdr(4, **{"Gap Fill Mode": fill}) + frame(0, readout))[0]
    assert isinstance(start, Start)
    assert list(start.tables) == (["pixel_mask"] if masked else [])


# -- where series begin and end ---------------------------------------------------------------------------


def test_series_follow_each_other():
    messages = feed(MerlinStream(), acquisition(4) + acquisition(3))
    starts = [each.series.key for each in messages if isinstance(each, Start)]
    ends = [each for each in messages if isinstance(each, End)]
    assert [key.number for key in starts] == [1, 2]
    assert len({key.epoch for key in starts}) == 1
    assert ends == [End(starts[0], 4), End(starts[1], 3)]


def test_a_new_header_ends_an_unfinished_series():
    messages = feed(MerlinStream(), acquisition(10, range(4)) + acquisition(3))
    starts = [each.series.key for each in messages if isinstance(each, Start)]
    assert [each for each in messages if isinstance(each, End)] == [End(starts[0], None), End(starts[1], 3)]


def test_numbers_that_begin_anew_are_a_new_series_and_say_so():
    stream = MerlinStream()
    messages = feed(stream, acquisition(4) + b"".join(map(frame, range(4))))
    first, second = (each.series for each in messages if isinstance(each, Start))
    assert (second.key.number, second.count) == (2, 4)
    assert "anew" in second.meta["note"]
    assert "note" not in first.meta
    assert "anew" in stream.note


def test_an_endless_acquisition_whose_numbers_begin_anew():
    many = range(80)
    messages = feed(MerlinStream(), hdr(0) + b"".join(map(frame, [*many, *many])))
    starts = [each.series.key for each in messages if isinstance(each, Start)]
    assert [each for each in messages if isinstance(each, End)] == [End(starts[0], None)]
    assert len(starts) == 2


def test_frames_beyond_the_announced_number_cost_the_others_nothing():
    start, *rest = feed(MerlinStream(), acquisition(4, range(9)))
    assert isinstance(start, Start)
    batches = [(each.first, each.count) for each in rest if isinstance(each, FrameBatch)]
    assert batches == [(0, 1), (1, 3), (4, 5)]
    assert_frames(rest, range(9))
    assert [each for each in rest if isinstance(each, End)] == [End(start.series.key, 4)]


def test_an_absurd_number_ends_nothing():
    absurd = frame(5).replace(b"MQ1,000006", b"MQ1,999999999", 1)[:-30]
    data = hdr(4) + frame(0) + absurd + frame(10**8) + frame(1) + frame(2) + frame(3)
    messages = feed(MerlinStream(), data)
    assert kinds(messages)[-1] == "End"
    assert sum(isinstance(each, End) for each in messages) == 1
    assert set(frames_in(messages)) == {0, 10**8, 1, 2, 3}


def test_a_copy_of_the_first_frame_begins_nothing():
    messages = feed(MerlinStream(), hdr(8) + b"".join(map(frame, [0, 0, 1, 2, 0, 3])))
    assert kinds(messages).count("Start") == 1
    assert_frames(messages, range(4))


def test_an_endless_series_ends_with_its_connection():
    stream = MerlinStream()
    start, *_ = feed(stream, hdr(0) + frame(0) + frame(1))
    stream.line_lost(orderly=True)
    assert drain(stream) == [End(start.series.key, None)]


@pytest.mark.parametrize(("count", "orderly"), [(8, True), (8, False), (0, False)])
def test_a_broken_connection_leaves_the_series_open(count, orderly):
    stream = MerlinStream()
    (start, *_) = feed(stream, hdr(count) + frame(0) + frame(1))
    stream.line_lost(orderly)
    assert drain(stream) == []
    (batch,) = feed(stream, frame(4))
    assert (batch.key, batch.first) == (start.series.key, 4)


def test_after_a_reconnection_the_first_frame_begins_a_series():
    stream = MerlinStream()
    feed(stream, hdr(8) + frame(0) + frame(1))
    stream.line_lost(orderly=False)
    end, start, batch = feed(stream, frame(0))
    assert isinstance(end, End)
    assert isinstance(start, Start)
    assert batch.key == start.series.key


def test_frames_of_an_acquisition_that_began_before_are_counted_and_not_shown():
    stream = MerlinStream()
    messages = feed(stream, frame(70) + frame(71) + frame(72))
    assert {each.reason for each in messages} == {Reason.UNKNOWN_SERIES}
    assert sum(each.count for each in messages) == 3
    assert "began before" in stream.note
    assert kinds(feed(stream, acquisition(2))) == ["Start", "FrameBatch", "End"]


HOUR = 3600 * 10**9
MS = 10**6


def at_pace(indices, begun: int = NS) -> bytes:
    """Frames of an acquisition at 1,000 a second."""
    return b"".join(frame(i, time_ns=begun + i * MS) for i in indices)


def without_clock(index: int) -> bytes:
    return frame(index).replace(b"MQ1A", b"\0\0\0\0")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def interrupted(data: bytes, seconds: float, monkeypatch) -> MerlinStream:
    """A stream that has lost its connection behind these bytes, so long ago."""
    stream, clock = MerlinStream(), Clock()
    monkeypatch.setattr(stream._book, "_clock", clock)
    feed(stream, data)
    stream.line_lost(orderly=False)
    clock.now += seconds
    return stream


@pytest.mark.parametrize("seconds", [1, 3600])
@pytest.mark.parametrize(
    ("first", "begun", "joined"),
    [
        (10, NS, True),
        (10_000, NS, True),
        (10_000, NS + 40 * MS, True),
        (30, NS + HOUR, False),
        (30, NS + 3000 * MS, False),
        (3, NS + 3000 * MS, False),
        (30, NS - HOUR, False),
    ],
)
def test_behind_an_interruption_the_detectors_clock_tells_whose_frames_they_are(
    first, begun, joined, seconds, monkeypatch
):
    stream = interrupted(hdr(20_000) + at_pace(range(100)), seconds, monkeypatch)
    messages = feed(stream, at_pace(range(first, first + 11), begun))
    if joined:
        assert sorted(frames_in(messages)) == list(range(first, first + 11))
    else:
        assert kinds(messages) == ["End", *["Rejected"] * (len(messages) - 1)]
        assert {each[0] for each in rejections(messages)} == {Reason.UNKNOWN_SERIES}
        assert "began before this connection" in stream.note


@pytest.mark.parametrize(("index", "seconds", "joined"), [(5, 1, True), (1, 1, False), (5, 60, False)])
def test_without_a_clock_only_a_short_interruption_is_bridged(index, seconds, joined, monkeypatch):
    stream = interrupted(hdr(9) + b"".join(map(without_clock, range(3))), seconds, monkeypatch)
    messages = feed(stream, without_clock(index))
    assert kinds(messages) == (["FrameBatch"] if joined else ["End", "Rejected"])


@given(
    period=st.integers(20_000, 10**9),
    seen=st.integers(2, 100_000),
    missed=st.integers(0, 100_000),
    pause=st.integers(0, 10 * HOUR),
    to=st.integers(1, 200_000),
)
def test_the_same_pace_goes_on_and_an_acquisition_begun_anew_does_not(period, seen, missed, pause, to):
    running = _Running(SeriesKey(b"8 bytes!", 1), (8, 16), "uint16", None, furthest=seen)
    running.tick(1, NS)
    running.tick(seen, NS + (seen - 1) * period)
    later = seen + 1 + missed
    assert running.goes_on(later, NS + (later - 1) * period, soon=False)
    begun = NS + seen * period + pause
    assert not running.goes_on(to, begun + (to - 1) * period, soon=False)


@pytest.mark.parametrize(("seconds", "expected"), [(1, ["FrameBatch"]), (60, ["End", "Rejected"])])
def test_a_resumed_series_waits_for_its_frames_some_seconds(seconds, expected, monkeypatch):
    stream, clock = MerlinStream(), Clock()
    monkeypatch.setattr(stream._book, "_clock", clock)
    stream.resume(Series(SeriesKey(b"8 bytes!", 5), READOUT.shape, "uint16", count=9))
    clock.now += seconds
    assert kinds(feed(stream, frame(6))) == expected


def short(index: int) -> bytes:
    """A frame that has lost its last bytes."""
    return frame(index)[:-40]


def test_a_bad_first_frame_belongs_to_the_series_that_the_next_one_names():
    start, *rest = feed(MerlinStream(), hdr(4) + short(0) + short(1) + frame(2) + frame(3))
    assert isinstance(start, Start)
    assert kinds(rest) == ["Rejected", "Rejected", "FrameBatch", "FrameBatch", "End"]
    assert rejections(rest) == [(Reason.PAYLOAD_SIZE, 0, 1), (Reason.PAYLOAD_SIZE, 1, 1)]
    assert {each.key for each in rest} == {start.series.key}


@pytest.mark.parametrize("joined", [True, False])
def test_a_bad_frame_behind_an_interruption_waits_for_a_good_one(joined, monkeypatch):
    stream = interrupted(hdr(9) + at_pace(range(3)), 1, monkeypatch)
    assert feed(stream, lying(4, kind=b"U64")) == []
    assert "waiting for a good first frame" in stream.note
    messages = feed(stream, at_pace([5], NS if joined else NS + HOUR))
    if joined:
        assert kinds(messages) == ["Rejected", "FrameBatch"]
        assert rejections(messages) == [(Reason.BAD_DTYPE, 4, 1)]
        assert stream.note == ""
    else:
        assert kinds(messages) == ["End", "Rejected", "Rejected"]
        assert rejections(messages) == [(Reason.BAD_DTYPE, None, 1), (Reason.UNKNOWN_SERIES, None, 1)]


def test_bad_frames_are_told_even_if_no_good_one_comes():
    stream = MerlinStream()
    assert feed(stream, hdr(100) + b"".join(map(short, range(5)))) == []
    assert "waiting for a good first frame: frame " in stream.note
    told = rejections(feed(stream, b"".join(map(short, range(5, 20)))))
    assert told[:9] == [(Reason.PAYLOAD_SIZE, None, 1)] * 9
    stream.line_lost(orderly=False)
    assert len(told) + len(drain(stream)) == 20


def test_a_first_frame_without_any_header_begins_an_open_series():
    start, batch = feed(MerlinStream(), frame(0))
    assert isinstance(start, Start)
    assert start.series.count is None
    assert batch.key == start.series.key


def test_a_resumed_series_goes_on_with_its_key():
    series = Series(SeriesKey(b"8 bytes!", 5), READOUT.shape, "uint16", count=9)
    stream = MerlinStream()
    stream.resume(series)
    batch, *rest = feed(stream, frame(6) + frame(7) + frame(8))
    assert (batch.key, batch.first) == (series.key, 6)
    assert rest[-1] == End(series.key, 9)
    (start, *_) = feed(stream, acquisition(2))
    assert start.series.key == SeriesKey(b"8 bytes!", 6)


# -- damage ------------------------------------------------------------------------------------------------


def test_garbage_before_messages_is_skipped_and_counted():
    data = b"GARBAGE MPX" * 100 + hdr(3) + b"\n" + frame(0) + frame(1) + frame(2)
    messages = feed(MerlinStream(), data)
    assert_frames(messages, range(3))
    assert rejections(messages) == [(Reason.BAD_PARTS, None, 1)] * 2
    assert f"{1100:,} bytes" in messages[0].detail


def test_a_frame_followed_by_garbage_is_not_trusted():
    """It may have lost bytes, and hold in their place some of what follows."""
    messages = feed(MerlinStream(), hdr(4) + frame(0) + frame(1) + b"garbage" + frame(2) + frame(3))
    assert_frames(messages, [0, 2, 3])
    assert rejections(messages) == [(Reason.PAYLOAD_SIZE, 1, 1)]


def test_a_frame_that_is_cut_and_followed_by_a_garbled_one():
    garbled = b"\xc1" + frame(2)[1:]
    messages = feed(MerlinStream(), hdr(4) + frame(0) + frame(1)[:-5] + garbled + frame(3))
    assert_frames(messages, [0, 3])
    assert rejections(messages) == [(Reason.PAYLOAD_SIZE, 1, 1)]


@pytest.mark.parametrize("missing", [1, 100, 256, 400])
def test_a_frame_that_is_shorter_than_it_says_is_rejected_alone(missing):
    data = hdr(6) + frame(0) + frame(1) + frame(2)[:-missing] + frame(3) + frame(4) + frame(5)
    messages = feed(MerlinStream(), data)
    assert_frames(messages, [0, 1, 3, 4, 5])
    assert rejections(messages) == [(Reason.PAYLOAD_SIZE, 2, 1)]
    assert kinds(messages)[-1] == "End"


def test_a_frame_without_pixels_or_text():
    cut = frame(2)[:60]
    messages = feed(MerlinStream(), hdr(5) + frame(0) + frame(1) + cut + frame(3) + frame(4))
    assert_frames(messages, [0, 1, 3, 4])
    assert len(rejections(messages)) == 1


def test_a_garbled_header_costs_its_frame():
    for place in (0, 5, 14, 16, 20, 30, 40, 46, 48, 50):
        bad = bytearray(frame(1))
        bad[place] = 0xC1
        messages = feed(MerlinStream(), hdr(3) + frame(0) + bytes(bad) + frame(2))
        assert_frames(messages, [0, 2])
        assert len(rejections(messages)) == 1, place


def test_frames_unlike_the_first_are_rejected():
    other, wide = Readout("uint16", (16, 8)), Readout("uint32", (8, 16))
    data = hdr(5) + frame(0) + frame(1, other) + frame(2) + frame(3, wide) + frame(4)
    messages = feed(MerlinStream(), data)
    assert_frames(messages, [0, 2, 4])
    assert rejections(messages) == [(Reason.BAD_SHAPE, 1, 1), (Reason.BAD_DTYPE, 3, 1)]
    assert messages[-1] == End(messages[0].series.key, 5)


def lying(index: int, **replaced: bytes) -> bytes:
    """A frame whose text has been tampered with, at its full length."""
    data = frame(index)
    for old, new in ((b"00384", replaced.get("length")), (b"U16", replaced.get("kind"))):
        if new is not None:
            data = data.replace(old, new, 1)
    if "mpx" in replaced:
        data = b"MPX," + replaced["mpx"] + data[14:]
    return data


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lying(1, length=b"00010"), Reason.BAD_HEADER),
        (lying(1, length=b"99999"), Reason.BAD_HEADER),
        (lying(1, length=b"00383"), Reason.PAYLOAD_SIZE),
        (lying(1, kind=b"U64"), Reason.BAD_DTYPE),
        (lying(1, kind=b"U32"), Reason.PAYLOAD_SIZE),
        (lying(1, mpx=b"9999999999"), Reason.PAYLOAD_SIZE),
        (lying(1, mpx=b"0000000000"), Reason.BAD_HEADER),
        (lying(1, mpx=b"0000000020"), Reason.BAD_HEADER),
        (b"MPX,9999999999,HDR,", Reason.HEADER_TOO_LARGE),
        (b"MPX,0000000400,HDR,", Reason.BAD_PARTS),
        (b"MPX,0000000019,HDR,", Reason.BAD_PARTS),
        (frame(1).replace(b"MQ1,000002", b"MQ1,000000", 1), Reason.BAD_INDEX),
    ],
)
def test_lies_are_found_before_anything_is_believed(bad, reason):
    messages = feed(MerlinStream(), hdr(4) + frame(0) + bad + frame(2) + frame(3))
    assert next(each.reason for each in messages if isinstance(each, Rejected)) is reason
    found = frames_in(messages)
    assert {0, 2, 3} - set(found) <= {2}
    for index, pixels in found.items():
        np.testing.assert_array_equal(pixels, content(index))


def test_a_header_that_says_nothing_ends_what_was_before():
    start, batch, *rest = feed(MerlinStream(), hdr(4) + frame(0) + message(4) + b"HDR," + frame(1) + frame(0))
    assert isinstance(start, Start)
    assert kinds(rest) == ["Rejected", "End", "Rejected", "Start", "FrameBatch"]
    assert rejections(rest) == [(Reason.BAD_COUNT, None, 1), (Reason.UNKNOWN_SERIES, None, 1)]
    assert batch.key == rest[1].key != rest[-1].key


@pytest.mark.parametrize("missing", [1, 3, 12, 18, 40])
def test_a_header_that_is_shorter_than_it_says(missing):
    messages = feed(MerlinStream(), hdr(9)[:-missing] + acquisition(2))
    assert rejections(messages)[0] == (Reason.BAD_PARTS, None, 1)
    assert kinds(messages)[-1] == "End"
    assert_frames(messages, range(2))


def test_limits_hold():
    limits = Limits(max_frame_bytes=255)
    messages = feed(MerlinStream(limits), acquisition(3))
    assert {each.reason for each in messages} == {Reason.FRAME_TOO_LARGE}
    assert len(messages) == 3


def test_what_is_left_of_a_broken_connection_is_counted():
    stream = MerlinStream()
    start, *_ = feed(stream, hdr(4) + frame(0) + frame(1)[:200])
    stream.line_lost(orderly=False)
    (rejected,) = drain(stream)
    assert (rejected.reason, rejected.key, rejected.first) == (Reason.PAYLOAD_SIZE, start.series.key, 1)
    feed(stream, b"no Merlin")
    stream.line_lost(orderly=False)
    assert [each.reason for each in drain(stream)] == [Reason.BAD_PARTS]


def test_sequence_numbers_may_have_more_than_six_digits():
    first = 999_998
    messages = feed(MerlinStream(), hdr(0) + b"".join(frame(first + i) for i in range(4)))
    assert_frames(messages, range(first, first + 4))


def test_a_frame_without_the_second_part_of_its_header():
    text = frame_text(READOUT, 1, 0).partition(b"MQ1A")[0].ljust(384, b"\0")
    pixels = frame(0)[-256:]
    start, batch = feed(MerlinStream(), hdr(2) + message(640) + text + pixels)
    assert isinstance(start, Start)
    assert batch.time_ns is None


# -- any bytes ---------------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b"MPX,", b"MPX,0000000641,MQ1,", b"MPX,0000000019,HDR,", hdr(3), hdr(0)]),
    st.builds(frame, st.integers(0, 5)),
    st.builds(lambda index, cut: frame(index)[:cut], st.integers(0, 5), st.integers(0, FRAME)),
)


@st.composite
def damaged(draw) -> bytes:
    data = bytearray(b"".join(draw(st.lists(PIECES, max_size=12))))
    for place in draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=6)):
        if data:
            data[place] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(data=damaged(), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_no_bytes_make_it_raise_and_it_finds_its_way_again(data, cuts):
    stream = MerlinStream()
    messages = feed(stream, data, [cut for cut in cuts if cut <= len(data)])
    stream.line_lost(orderly=False)
    messages += drain(stream)
    for each in messages:
        if isinstance(each, FrameBatch):
            assert each.payload.nbytes == each.count * 256
            assert each.first >= 0
        if isinstance(each, Rejected):
            assert len(each.detail) < 400
    assert_frames(feed(stream, acquisition(3)), range(3))
