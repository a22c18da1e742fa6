"""DECTRIS stream v1 without a socket: every encoding, every framing, and both ways of reading."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest
from dectris_tools import SHAPE, as_json, bare_lz4, configuration, end, frames, header, image, scan_messages
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.work.decode import FrameDecoder
from livem.stream.burst import TOO_LARGE, TOO_MANY_PARTS, Burst, pack
from livem.stream.messages import End, FrameBatch, Limits, Message, Reason, Rejected, Start
from livem.stream.series import Block, Scan, Series, SeriesKey
from livem.stream.sources.dectris.json_scan import read_identity
from livem.stream.sources.dectris.lz4_block import decode_lz4_block
from livem.stream.sources.dectris.series_namer import SeriesNamer
from livem.stream.sources.dectris.v1 import DectrisV1Parser

DATA = frames(30)
EPOCHS = [bytes([n]) * 8 for n in range(250)]


def new_parser(limits: Limits | None = None) -> DectrisV1Parser:
    return DectrisV1Parser(SeriesNamer(iter(EPOCHS).__next__), limits or Limits())


def parse(burst: Burst, parser: DectrisV1Parser | None = None, *, ordinary: bool = False) -> list[Message]:
    """What a burst means; ``ordinary``: message by message, never by the compiled scanner."""
    parser = parser or new_parser()
    out: deque[Message] = deque()
    at = 0
    while at < len(burst):
        if ordinary:
            parser._template = None
        reached = parser.parse(burst, at, out)
        assert at < reached <= len(burst)
        at = reached
    return list(out)


def read(*messages, parser: DectrisV1Parser | None = None, ordinary: bool = False) -> list[Message]:
    return parse(pack(messages), parser, ordinary=ordinary)


def the(kind: type, messages: list[Message]):
    found = [message for message in messages if isinstance(message, kind)]
    assert len(found) == 1, messages
    return found[0]


def decoded(messages: list[Message]) -> dict[int, np.ndarray]:
    """Frames by number, through the decoder that consumers have."""
    series = the(Start, messages).series
    decoder, found = FrameDecoder(series), {}
    for batch in messages:
        if isinstance(batch, FrameBatch):
            block = Block(
                series, batch.first, batch.count, batch.payload, batch.sizes, batch.positions, None, 0, 0
            )
            some, bad = decoder.decode(block)
            assert bad == 0
            found.update(zip(some.indices.tolist(), some.data.copy(), strict=True))
    return found


def described(message: Message) -> list[tuple]:
    """A message in a form that does not depend on how frames were put together."""
    if isinstance(message, Rejected):
        return [("rejected", message.reason, message.key, message.first)]
    if not isinstance(message, FrameBatch):
        return [("start", message.series) if isinstance(message, Start) else ("end", message.key)]
    sizes = (
        message.sizes
        if message.sizes is not None
        else [message.payload.nbytes // message.count] * message.count
    )
    ends = np.cumsum(sizes)
    pieces = [bytes(message.payload[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
    return [("frame", message.key, message.first + i, piece) for i, piece in enumerate(pieces)]


# -- encodings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("algorithm", ["", "lz4", "bs8-lz4", "bs16-lz4", "bs32-lz4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_encoding_gives_the_frames_that_were_sent(dtype, algorithm, order):
    data = frames(5, dtype=dtype)
    config = configuration(5, bits=data.dtype.itemsize * 8)
    messages = [image(i, frame, coding=algorithm + order) for i, frame in enumerate(data)]
    found = read(header(1, config), *messages, end())
    assert not [message for message in found if isinstance(message, Rejected)]
    series = the(Start, found).series
    assert (series.shape, series.dtype, series.count) == (SHAPE, dtype, 5)
    one_byte = dtype == "uint8"
    natural = algorithm == f"bs{8 * data.dtype.itemsize}-lz4"
    as_it_is = (order == "<" or one_byte) and (natural or algorithm == "lz4")
    assert series.encoding == (("bslz4" if natural else "lz4") if as_it_is else "raw")
    assert all(np.array_equal(frame, data[i]) for i, frame in decoded(found).items())
    assert len(decoded(found)) == 5


def lz4_as_long_as_its_contents(nbytes: int) -> tuple[bytes, bytes]:
    """(block, contents): one literal, a match of what its lengths cost, and literals to the end."""
    for match in range(4, 16):
        rest = nbytes - 1 - match
        tail = bytes(np.random.default_rng(3).integers(1, 200, rest, np.uint8))
        longer = rest - 15
        lengths = bytes([255] * (longer // 255) + [longer % 255])
        block = bytes([0x10 | (match - 4), 0, 1, 0, 0xF0]) + lengths + tail
        if len(block) == nbytes:
            return block, bytes(1 + match) + tail
    raise AssertionError


def test_an_lz4_block_as_long_as_its_contents_is_not_taken_for_stored():
    block, contents = lz4_as_long_as_its_contents(DATA[0].nbytes)
    assert decode_lz4_block(memoryview(block), len(contents)).tobytes() == contents
    odd = np.frombuffer(contents, "<u2").reshape(SHAPE)
    data = [DATA[0], odd, DATA[2]]
    blobs = [bare_lz4(DATA[0].tobytes()), block, bare_lz4(DATA[2].tobytes())]
    found = read(
        header(1, configuration(3)), *(image(i, data[i], coding="lz4<", blob=blobs[i]) for i in range(3))
    )
    assert the(Start, found).series.encoding == "lz4"
    assert all(np.array_equal(frame, data[i]) for i, frame in decoded(found).items())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_fault_06_no_lz4_block_writes_beyond_its_frame(block, nbytes):
    decoded = decode_lz4_block(memoryview(block), nbytes)
    assert decoded is None or decoded.nbytes == nbytes


@given(st.lists(st.integers(0, 3), min_size=200, max_size=400).map(bytes))
def test_lz4_blocks_of_another_library_are_decoded(raw):
    assert decode_lz4_block(memoryview(bare_lz4(raw)), len(raw)).tobytes() == raw


# -- headers ---------------------------------------------------------------------------------------------


def tables(shape=SHAPE) -> tuple[list[bytes], dict[str, np.ndarray]]:
    """The six parts of header_detail "all", and what they hold."""
    rng = np.random.default_rng(5)
    made = {
        "flatfield": rng.random(shape, np.float32),
        "pixel_mask": rng.integers(0, 2, shape, np.uint32),
        "countrate": rng.random((2, 100)).astype(np.float32),
    }
    htypes = {
        "flatfield": "dflatfield-1.0",
        "pixel_mask": "dpixelmask-1.0",
        "countrate": "dcountrate_table-1.0",
    }
    parts = []
    for name, values in made.items():
        words = {"htype": htypes[name], "shape": list(values.shape[::-1]), "type": values.dtype.name}
        parts += [json.dumps(words).encode(), values.tobytes()]
    return parts, made


@pytest.mark.parametrize("apart", [False, True], ids=["one message", "apart"])
@pytest.mark.parametrize("detail", ["none", "basic", "all"])
@pytest.mark.parametrize("appendix", [None, b'{"scan": {"shape": [5, 6]}, "sample": "gold"}'])
def test_every_header_in_both_framings(detail, apart, appendix):
    parts, made = tables()
    config = [] if detail == "none" else [json.dumps(configuration(30)).encode()]
    first = as_json(htype="dheader-1.0", header_detail=detail, series=7)
    start = [first, *config, *(parts if detail == "all" else []), *([appendix] if appendix else [])]
    messages = [[part] for part in start] if apart else [start]
    found = read(*messages, *(image(i, DATA[i], 7) for i in range(30)), end(7))
    begun = the(Start, found)
    assert begun.series.key.number == 7
    assert begun.series.shape == SHAPE
    assert begun.series.count == (None if detail == "none" else 30)
    assert begun.series.scan == (Scan((5, 6)) if appendix else None)
    assert begun.series.meta.get("sample") == ("gold" if appendix else None)
    assert set(begun.tables) == (set(made) if detail == "all" else set())
    assert all(np.array_equal(values, made[name]) for name, values in begun.tables.items())
    assert len(decoded(found)) == 30
    assert not [message for message in found if isinstance(message, Rejected)]


def test_an_appendix_of_text_is_kept():
    series = the(Start, read(header(1, configuration(1), b"Au on C, grid 7"), image(0, DATA[0]))).series
    assert series.meta["user_data"] == "Au on C, grid 7"


@pytest.mark.parametrize(
    "appendix",
    [
        b'{"scan": {"shape": [0, 6]}}',
        b'{"scan": 5}',
        b'{"meta": {"pixel_size": "wide"}}',
        b'{"meta": 3}',
        b'{"note": 1' + b"0" * 400 + b"}",
        b'{"note": "\\ud800"}',
        b'{"pixel_size": 1' + b"0" * 400 + b"}",
        b'{"note": ' + b"[" * 50 + b"]" * 50 + b"}",
        b'{"note": "' + b"x" * 100_000 + b'"}',
        b"{broken",
    ],
)
def test_an_appendix_that_makes_no_sense_is_told_and_left_out(appendix):
    found = read(header(1, configuration(2), appendix), image(0, DATA[0]), image(1, DATA[1]))
    assert the(Start, found).series.scan is None
    assert the(Start, found).series.meta["detector"] == "a detector"
    assert len(decoded(found)) == 2


def test_a_table_that_does_not_fit_the_images_is_left_out():
    parts, _ = tables((4, 4))
    found = read(header(1, configuration(1), *parts, detail="all"), image(0, DATA[0]))
    assert set(the(Start, found).tables) == {"countrate"}
    assert [m.reason for m in found if isinstance(m, Rejected)] == [Reason.BAD_SHAPE] * 2


def test_a_table_that_is_too_short_is_left_out():
    parts, _ = tables()
    parts[1] = parts[1][:-4]
    found = read(header(1, configuration(1), *parts, detail="all"), image(0, DATA[0]))
    assert set(the(Start, found).tables) == {"pixel_mask", "countrate"}
    assert the(Rejected, found).reason == Reason.PAYLOAD_SIZE


def test_bytes_of_a_table_that_were_lost_do_not_cost_the_next_series():
    parts, _ = tables()
    start = header(1, configuration(2), parts[0], detail="all")
    found = read(start, header(2, configuration(2)), image(0, DATA[0], 2), image(1, DATA[1], 2))
    assert the(Start, found).series.key.number == 2
    assert len(decoded(found)) == 2


def test_bytes_of_a_table_that_were_lost_do_not_cost_the_end():
    parts, _ = tables()
    found = read(header(1, configuration(2), parts[0], detail="all"), end(1))
    assert [type(message) for message in found] == [Start, End]


def test_bytes_of_a_table_that_were_lost_do_not_hide_a_broken_image():
    parts, _ = tables()
    found = read(
        header(1, configuration(2), parts[0], detail="all"), image(0, DATA[0])[:2], image(1, DATA[1])
    )
    rejected = the(Rejected, found)
    assert (rejected.reason, rejected.first) == (Reason.BAD_PARTS, 0)
    assert list(decoded(found)) == [1]


def test_junk_between_header_and_first_image_is_counted_at_once():
    parser = new_parser()
    found = read(header(1, configuration(2)), *[[b"{}", b""]] * 500, parser=parser)
    assert {message.reason for message in found} == {Reason.BAD_HEADER}
    assert len(found) == 1_000 - 1, "one appendix; a part each of the others"
    assert len(decoded(read(image(0, DATA[0]), image(1, DATA[1]), parser=parser))) == 2


@pytest.mark.parametrize(
    ("images", "triggers", "count"),
    [
        (1, 4096, 4096),
        (4096, 1, 4096),
        (64, 64, 4096),
        (1, 2_000_000_000, None),
        (0, 5, None),
        ("4", 2, None),
    ],
)
def test_frames_announced(images, triggers, count):
    config = configuration(1) | {"nimages": images, "ntrigger": triggers}
    assert the(Start, read(header(1, config), image(0, DATA[0]))).series.count == count


def test_what_a_detector_says_of_itself_is_kept_in_known_units():
    more = {
        "incident_energy": 200_000.0,
        "photon_energy": 8041.0,
        "countrate_correction_count_cutoff": 60_000,
    }
    meta = the(Start, read(header(1, configuration(1, **more)), image(0, DATA[0]))).series.meta
    assert meta["beam_energy"] == 200.0
    assert (meta["pixel_size"], meta["pixel_unit"]) == (pytest.approx(75.0), "um")
    assert (meta["saturation"], meta["frame_time"], meta["detector"]) == (60_000, 0.001, "a detector")
    assert 8041.0 not in meta.values()


def test_a_region_of_interest_is_the_images_own_size():
    config = configuration(1, (512, 512), roi_mode="lines")
    assert the(Start, read(header(1, config), image(0, DATA[0]))).series.shape == SHAPE


def test_an_image_appendix_is_no_pixel():
    messages = [[*image(i, DATA[i]), b"anything"] for i in range(30)]
    assert len(decoded(read(header(1, configuration(30)), *messages))) == 30


def test_positions_in_image_appendices_are_those_of_the_frames():
    words = json.dumps({"scan": {"shape": [8, 8], "order": "positions"}}).encode()
    images = [[*image(i, DATA[i]), b'{"position": [%d.5, 2]}' % i] for i in range(3)]
    images.append([*image(3, DATA[3]), b'{"position": ["x", 2]}'])
    found = read(header(1, configuration(4), words), *images)
    batches = [message for message in found if isinstance(message, FrameBatch)]
    assert [batch.positions.tolist() for batch in batches] == [[[i + 0.5, 2.0]] for i in range(3)]
    assert the(Rejected, found).reason == Reason.BAD_POSITIONS


# -- series ----------------------------------------------------------------------------------------------


def test_a_series_is_announced_with_its_first_image_and_ends_without_a_count():
    parser = new_parser()
    assert read(header(3, configuration(2)), parser=parser) == []
    assert parser.detail() == "armed: series 3, waiting for the first image of 2"
    assert parser.frame_bytes() == DATA[0].nbytes
    found = read(image(0, DATA[0], 3), end(3), parser=parser)
    assert [type(message) for message in found] == [Start, FrameBatch, End]
    assert found[-1] == End(SeriesKey(EPOCHS[0], 3), None)
    assert parser.detail() == ""


@pytest.mark.parametrize("coding", ["bs8-lz4<", "bs16-lz4>", "bs16-lz4<"])
@pytest.mark.parametrize("lost", ["its bytes", "half", "two parts"])
def test_a_broken_first_image_does_not_cost_the_others(coding, lost):
    """The configuration knows neither the width of a shuffle nor the order of bytes."""
    first, *rest = (image(i, DATA[i], coding=coding) for i in range(4))
    broken = (
        first[:2] if lost == "two parts" else [*first[:2], b"" if lost == "its bytes" else first[2][:9], b""]
    )
    found = read(header(1, configuration(4)), broken, *rest)
    series = the(Start, found).series
    assert series.encoding == ("bslz4" if coding == "bs16-lz4<" else "raw")
    frames_found = decoded([message for message in found if getattr(message, "first", 1) != 0])
    assert sorted(frames_found) == [1, 2, 3]
    assert all(np.array_equal(frame, DATA[i]) for i, frame in frames_found.items())


def test_a_run_of_images_is_one_batch():
    found = read(*scan_messages(DATA))
    assert [m.count for m in found if isinstance(m, FrameBatch)] == [1, 29], "the first one is read in words"
    batch = next(m for m in found if isinstance(m, FrameBatch) and m.count == 29)
    assert not batch.payload.flags.writeable
    assert batch.sizes.sum() == batch.payload.nbytes


def test_a_payload_of_a_suspicious_size_is_a_batch_by_itself():
    """A batch that does not fit a block is refused as a whole: no good frame may be in it."""
    messages = scan_messages(DATA)
    messages[11][2] += bytes(1_000)
    found = read(*messages)
    assert [m.count for m in found if isinstance(m, FrameBatch)] == [1, 9, 1, 19]


def test_series_numbers_that_come_back_get_another_epoch():
    keys = [the(Start, read(*scan_messages(DATA[:2], number), parser=parser)).series.key
            for parser in [new_parser()] for number in (1, 2, 2, 1, 5)]  # fmt: skip
    assert [key.number for key in keys] == [1, 2, 2, 1, 5]
    assert [key.epoch for key in keys] == [EPOCHS[0], EPOCHS[0], EPOCHS[1], EPOCHS[2], EPOCHS[2]]


def test_a_resumed_series_goes_on_under_its_key():
    series = Series(SeriesKey(b"earlier.", 4), SHAPE, "uint16", "bslz4", 30)
    parser = new_parser()
    parser.resume(series)
    found = read(*(image(i, DATA[i], 4) for i in range(10, 30)), end(4), parser=parser)
    assert [(m.key, m.first) for m in found if isinstance(m, FrameBatch)] == [
        (series.key, 10),
        (series.key, 11),
    ]
    assert found[-1] == End(series.key, None)
    assert the(Start, read(*scan_messages(DATA[:2], 5), parser=parser)).series.key == SeriesKey(
        b"earlier.", 5
    )


def test_images_before_any_header_are_counted_as_one():
    found = read(*(image(i, DATA[i], 9) for i in range(5, 20)))
    assert (the(Rejected, found).reason, the(Rejected, found).count) == (Reason.UNKNOWN_SERIES, 15)


def test_a_frame_too_large_is_refused_before_anything_is_made_for_it():
    config = configuration(5, (60_000, 60_000))
    found = read(header(1, config), image(0, DATA[0], shape=[60_000, 60_000]), image(1, DATA[1]))
    assert {message.reason for message in found} <= {Reason.FRAME_TOO_LARGE, Reason.BAD_SHAPE}
    assert [message.first for message in found] == [0, 1]


def test_flagged_messages_are_rejected_with_their_frame():
    for flag, reason in ((TOO_LARGE, Reason.FRAME_TOO_LARGE), (TOO_MANY_PARTS, Reason.BAD_PARTS)):
        burst = pack(scan_messages(DATA[:3]))
        burst.flags[2] = flag
        rejected = the(Rejected, parse(burst))
        assert (rejected.reason, rejected.first, rejected.count) == (reason, 1, 1)


# -- the compiled reading --------------------------------------------------------------------------------

json_text = st.text(max_size=12)
words = st.dictionaries(
    st.sampled_from(["htype", "series", "frame", "hash", "x"]) | json_text,
    st.integers(-5, 1 << 54)
    | json_text
    | st.sampled_from(["dimage-1.0", "dimage_d-1.0"])
    | st.floats()
    | st.none(),
    max_size=6,
)
spaced = st.builds(
    lambda value, indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii).encode(
        "utf-8", "replace"
    ),
    words | words.map(lambda w: {"htype": "dimage-1.0", "series": 3, "frame": 4, **w}),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(spaced | st.binary(max_size=60), st.integers(0, 100), st.binary(max_size=2))
def test_an_identity_is_read_as_json_reads_it_or_left(text, at, change):
    text = text[:at] + change + text[at + len(change) :] if change else text
    found = read_identity(text)
    if found is not None:
        value = json.loads(text)
        assert (value["series"], value["frame"]) == found
        assert value["htype"].startswith("dimage-")


@pytest.mark.parametrize(
    "text",
    [
        b'{"htype":"dimage-1.0","series":34,"frame":0,"hash":"fc67f000d08fe6b380ea9434b8362d22"}',
        b'{"htype": "dimage-1.0", "series": 34, "frame": 0}',
        b' {\n"series":34 ,"frame" :0,"htype":"dimage-1.0"}\r\n',
    ],
)
def test_identities_as_detectors_write_them_are_read(text):
    assert read_identity(text) == (34, 0)


@pytest.mark.parametrize(
    "text",
    [
        b'{"htype":"dimage-1.0","series":34,"frame":00}',
        b'{"htype":"dimage-1.0","series":34,"frame":1.0}',
        b'{"htype":"dimage-1.0","series":34,"frame":-1}',
        b'{"htype":"dimage-1.0","series":34,"frame":1e3}',
        b'{"htype":"dimage-1.0","series":34,"frame":9999999999999999}',
        b'{"htype":"dimage-1.0","series":34,"frame":1,"frame":2}',
        b'{"htype":"dimage-1.0","series":34,"fr\\u0061me":1,"frame":2}',
        b'{"htype":"dimage_d-1.0","series":34,"frame":1}',
        b'{"htype":"dimage-1.0","series":34}',
        b'{"htype":"dimage-1.0","series":34,"frame":1,}',
        b'{"htype":"dimage-1.0","series":34,"frame":1} x',
        b'{"htype":"dimage-1.0","series":34,"frame":1',
        b"",
    ],
)
def test_anything_else_is_left_to_the_ordinary_reading(text):
    assert read_identity(text) is None


def changed(draw, messages: list[list[bytes]]) -> list[list[bytes]]:
    """Some bytes, parts and messages of a stream are not what they were."""
    for _ in range(draw(st.integers(0, 6))):
        number = draw(st.integers(0, len(messages) - 1))
        parts = list(messages[number])
        at = draw(st.integers(0, len(parts) - 1))
        kind = draw(st.sampled_from(["bytes", "cut", "drop", "double", "part", "swap", "again"]))
        if kind == "bytes" and parts[at]:
            where = draw(st.integers(0, len(parts[at]) - 1))
            parts[at] = parts[at][:where] + draw(st.binary(max_size=3)) + parts[at][where + 1 :]
        elif kind == "cut":
            parts[at] = parts[at][: draw(st.integers(0, len(parts[at])))]
        elif kind == "part" and len(parts) > 1:
            del parts[at]
        elif kind == "double":
            parts.insert(at, parts[at])
        elif kind == "swap":
            other = draw(st.integers(0, len(messages) - 1))
            messages[number], messages[other] = messages[other], messages[number]
            continue
        elif kind == "again":
            messages.insert(number, messages[draw(st.integers(0, len(messages) - 1))])
            continue
        elif kind == "drop" and len(messages) > 1:
            del messages[number]
            continue
        messages[number] = parts
    return messages


@st.composite
def streams(draw) -> list[list[bytes]]:
    coding = draw(st.sampled_from(["<", "bs16-lz4<", "lz4<", ">"]))
    images = [image(i, DATA[i], coding=coding) for i in range(6)]
    messages = [header(1, draw(st.sampled_from([None, configuration(6)]))), *images, end(1)]
    messages += [header(2, configuration(3)), *(image(i, DATA[i], 2) for i in range(3)), end(2)]
    return changed(draw, messages)


@settings(max_examples=300, deadline=None)
@given(streams())
def test_fault_04_the_compiled_reading_is_the_ordinary_one(messages):
    """Whatever is damaged: the same frames with the same bytes, the same rejections, in the same order."""
    fast = [entry for message in read(*messages) for entry in described(message)]
    slow = [entry for message in read(*messages, ordinary=True) for entry in described(message)]
    assert without_strangers(fast) == without_strangers(slow)


def without_strangers(entries: list[tuple]) -> list[tuple]:
    """Images of unknown series are told one by one or together."""
    return [entry for entry in entries if entry[1] != Reason.UNKNOWN_SERIES]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=6), min_size=1, max_size=8), st.data())
def test_fault_04_any_bytes_in_any_part_never_raise(garbage, data):
    messages = scan_messages(DATA[:4])
    for parts in garbage:
        messages.insert(data.draw(st.integers(0, len(messages))), parts)
    assert len(decoded(read(*messages))) == 4 or any(parts[0][:1] == b"{" for parts in garbage)
