"""Raw 24-bit frames of four chips: the counts tell how their halves lie, and a wrong order is never taken."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from merlin_tools import drain, feed, format_of, frames_in, hdr, header_of, unpack

from livem.errors import SourceError
from livem.stream.messages import End, FrameBatch, Message, Reason, Rejected, Start
from livem.stream.simulate.merlin_frames import RAW24, Readout, frame_text, message, pixel_bytes
from livem.stream.simulate.sender import Sender, SenderOptions
from livem.stream.sources.detector_url import parse_detector_url
from livem.stream.sources.merlin.order_finder import LEAST, OrderFinder, _weigh, orders_that_fit
from livem.stream.sources.merlin.orders import ORDERS
from livem.stream.sources.merlin.pixels import PixelFormat, pixel_format
from livem.stream.sources.merlin.source import MerlinSource, open_merlin
from livem.stream.sources.merlin.stream import ORDER_KEY, MerlinStream

PATIENCE_S = 20.0
ROWS = 24
SHAPE = (2 * ROWS, 512)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
R = np.hypot(5 * (Y - SHAPE[0] / 2), X - 256)
MEANS = {
    "few electrons": np.full(SHAPE, 0.3),
    "counts of every pixel": np.full(SHAPE, 300.0),
    "flat and large": np.full(SHAPE, 10_000.0),
    "flat at the step of the high half": np.full(SHAPE, 4050.0),
    "a slope": 100 + 40.0 * X,
    "a beam on haze": np.where(R < 100, 2e4, 0.8),
    "a beam beyond 16 bits": 2e6 / (1 + (R / 30) ** 3),
    "lines": np.where(X // 8 % 2, 900.0, 20.0),
}


def readout_of(raw24: str, layout: str = "2x2") -> Readout:
    gap = 2 if layout.endswith("G") else 0
    return Readout("uint32", (SHAPE[0] + gap, 512 + gap), raw=True, layout=layout, raw24=raw24)


def counts(name: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(MEANS[name]).astype(np.uint32)


def wire(frame: np.ndarray, raw24: str) -> np.ndarray:
    return np.frombuffer(bytearray(pixel_bytes(frame, readout_of(raw24))), np.uint8)


def sent(index: int, frame: np.ndarray, raw24: str) -> bytes:
    readout = readout_of(raw24)
    pixels, text = pixel_bytes(frame, readout), frame_text(readout, index + 1, index)
    return message(len(text) + len(pixels)) + text + pixels


def test_the_simulator_knows_the_same_orders():
    assert tuple(ORDERS) == RAW24


@pytest.mark.parametrize("layout", ["2x2", "2x2G"])
@pytest.mark.parametrize("raw24", RAW24)
def test_frames_of_every_order_come_out_as_they_went_in(raw24, layout):
    readout = readout_of(raw24, layout)
    frames = np.random.default_rng(3).integers(0, 1 << 24, (2, *readout.shape)).astype(np.uint32)
    if readout.gap:
        frames[:, ROWS : ROWS + 2] = frames[:, :, 256:258] = 0
    form = format_of(readout).ordered(ORDERS[raw24])
    assert (form.shape, form.dtype) == (readout.shape, "uint32")
    np.testing.assert_array_equal(unpack(form, [pixel_bytes(frame, readout) for frame in frames]), frames)


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("raw24", RAW24)
def test_counts_tell_their_order(raw24, name):
    form = format_of(readout_of(raw24))
    assert orders_that_fit(form, wire(counts(name), raw24)) == (ORDERS[raw24],)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    raw24=st.sampled_from(RAW24),
    level=st.floats(-2, 6.9),
    contrast=st.floats(0, 4),
    inner=st.floats(0, 300),
)
def test_the_right_order_is_never_ruled_out(seed, raw24, level, contrast, inner):
    """Any specimen, even one that no lens would image: each pixel has a mean of its own, some are dark."""
    rng = np.random.default_rng(seed)
    mean = np.minimum(10.0 ** (level + contrast * (rng.random(SHAPE) - 1)), 1.2e7) * (inner < R)
    frame = rng.poisson(mean).astype(np.uint32)
    assert ORDERS[raw24] in orders_that_fit(format_of(readout_of(raw24)), wire(frame, raw24))


@pytest.mark.parametrize("mean", [4.2e3, 1e4, 1e5, 1e6, 4e6, 1.2e7])
@pytest.mark.parametrize("neighbour", [0, 700, 5000])
def test_the_odds_of_the_docstring(mean, neighbour):
    """Low halves near a given neighbour's: at most the share that the bound is computed with."""
    frame = np.random.default_rng(int(mean)).poisson(mean, 60_000).astype(np.uint32)
    frame[1::2] = neighbour
    frame[2::4] = neighbour
    _, large, *calm = _weigh(frame, 12)
    alone = large - np.count_nonzero(frame[1:-2] == 5000)
    assert max(calm) - (large - alone) <= 0.27 * alone
    chernoff = np.exp(-LEAST * 0.5 * (np.log(0.5 / 0.26) + np.log(0.5 / 0.74)))
    assert 2 * chernoff < 3e-29


def test_an_empty_rim_leaves_two_orders_and_nothing_is_chosen():
    frame = np.where(np.abs(Y - SHAPE[0] / 2 + 0.5) < ROWS / 2, counts("counts of every pixel"), 0)
    fit = orders_that_fit(format_of(readout_of("rows")), wire(frame.astype(np.uint32), "rows"))
    assert [order.name for order in fit] == ["halves", "rows"]


def test_a_test_pattern_without_noise_decides_nothing():
    finder = OrderFinder()
    pattern = np.full(SHAPE, 5000, np.uint32)
    fault = finder.look(format_of(readout_of("rows")), wire(pattern, "rows"), 0)
    assert fault is not None
    assert fault[0] is Reason.UNKNOWN_ORDER
    assert "none of the known orders" in fault[1]
    assert finder.order is None


def test_a_few_spoiled_bytes_rule_nothing_out():
    spoiled = wire(counts("flat and large"), "rows-low")
    spoiled[: 2 * 60 : 2] = 255
    assert orders_that_fit(format_of(readout_of("rows")), spoiled) == (ORDERS["rows-low"],)


@pytest.mark.parametrize(("rows", "columns"), [(ROWS, 2048), (ROWS, 1024), (512, 1024)])
def test_headers_may_count_halves_along_either_side(rows, columns):
    form = pixel_format(replace(header_of(readout_of("rows")), height=rows, width=columns))
    assert isinstance(form, PixelFormat)
    read_out = 256 if rows == 512 else ROWS
    assert (form.shape, form.wire_bytes) == ((2 * read_out, 512), 4 * read_out * 1024)


# -- over a connection -------------------------------------------------------------------------------------


BLANK = np.zeros(SHAPE, np.uint32)
DIM = np.where((Y == ROWS) & (X < 400), 3, 0).astype(np.uint32)
"""Too little to tell."""


@pytest.mark.parametrize("raw24", RAW24)
def test_frames_wait_until_one_tells_and_none_is_lost_silently(raw24):
    frames = [BLANK, DIM, BLANK, *(counts("a beam on haze", i) for i in range(3)), DIM, BLANK]
    stream = MerlinStream()
    data = hdr(len(frames)) + b"".join(sent(i, frame, raw24) for i, frame in enumerate(frames))
    start, *rest = feed(stream, data)
    assert isinstance(start, Start)
    assert start.series.meta[ORDER_KEY] == "not known at the first frame"
    refused = [each for each in rest if isinstance(each, Rejected)]
    assert [(each.reason, each.key, each.first, each.count) for each in refused] == [
        (Reason.UNKNOWN_ORDER, start.series.key, 1, 1)
    ]
    assert "raw24=" in refused[0].detail
    found = frames_in(rest, readout_of(raw24))
    assert sorted(found) == [0, 2, 3, 4, 5, 6, 7]
    for i, frame in found.items():
        np.testing.assert_array_equal(frame, frames[i])
    assert stream.note == f"raw 24-bit order found: {ORDERS[raw24]}"


def test_the_next_series_says_the_order_from_its_beginning():
    stream = MerlinStream()
    feed(stream, hdr(1) + sent(0, counts("a slope"), "chips"))
    start, batch, *_ = feed(stream, hdr(1) + sent(0, DIM, "chips"))
    assert start.series.meta[ORDER_KEY] == f"{ORDERS['chips']}, found"
    np.testing.assert_array_equal(frames_in([batch], readout_of("chips"))[0], DIM)


def test_another_connection_may_have_another_order():
    stream = MerlinStream()
    feed(stream, hdr(2) + sent(0, counts("a slope"), "rows"))
    stream.line_lost(orderly=False)
    drain(stream)
    messages = feed(stream, hdr(2) + sent(0, DIM, "words") + sent(1, counts("a slope"), "words"))
    assert [each.reason for each in messages if isinstance(each, Rejected)] == [Reason.UNKNOWN_ORDER]
    found = frames_in(messages, readout_of("words"))
    np.testing.assert_array_equal(found[1], counts("a slope"))


def test_an_order_that_is_told_holds_from_the_first_frame():
    stream = MerlinStream(order=ORDERS["words"])
    start, *rest = feed(stream, hdr(2) + sent(0, DIM, "words") + sent(1, counts("a slope"), "words"))
    assert start.series.meta[ORDER_KEY] == f"{ORDERS['words']}, as the url says"
    assert sum(each.count for each in rest if isinstance(each, FrameBatch)) == 2
    np.testing.assert_array_equal(frames_in(rest, readout_of("words"))[0], DIM)
    assert stream.note == ""


def test_an_order_that_the_counts_contradict_is_said():
    stream = MerlinStream(order=ORDERS["rows"])
    feed(stream, hdr(2) + sent(0, counts("a slope"), "rows-low"))
    assert stream.note.startswith("raw24=rows was asked for, but the counts fit rows-low")


@pytest.mark.parametrize("raw24", RAW24)
def test_what_is_sent_over_tcp_arrives(raw24, tmp_path):
    frames = np.stack([counts("a beam on haze", seed) for seed in range(4)])
    np.save(tmp_path / "frames.npy", frames)
    protocol = f"merlin?pixels=raw&layout=2x2&raw24={raw24}"
    sender = Sender(
        SenderOptions(str(tmp_path / "frames.npy"), "bind+tcp://127.0.0.1:*", rate=1e6, protocol=protocol)
    )
    source = open_merlin(parse_detector_url(sender.prepare().replace("tcp", "merlin", 1)))
    sending = threading.Thread(target=sender.run)
    sending.start()
    source.open()
    try:
        messages, details = received(source)
    finally:
        source.close()
        sender.stop()
        sending.join(PATIENCE_S)
    found = frames_in(messages, readout_of(raw24))
    np.testing.assert_array_equal(np.stack([found[i] for i in range(4)]), frames)
    assert f"raw 24-bit order found: {ORDERS[raw24]}" in details


def received(source: MerlinSource) -> tuple[list[Message], set[str]]:
    """All messages of a series, and what the status said meanwhile."""
    messages: list[Message] = []
    details: set[str] = set()
    poller, deadline = zmq.Poller(), time.monotonic() + PATIENCE_S
    poller.register(source.pollables()[0], zmq.POLLIN)
    while not (messages and isinstance(messages[-1], End)):
        assert time.monotonic() < deadline, (messages, source.link())
        source.link()
        poller.poll(20)
        while (message := source.receive()) is not None:
            messages.append(message)
            details.add(source.link().detail)
    return messages, details


def test_the_url_names_the_order():
    for name in ("auto", *ORDERS):
        open_merlin(parse_detector_url(f"merlin://10.0.0.1?raw24={name}")).close()
    with pytest.raises(SourceError, match="raw24=quarters is not one of auto, halves, halves-low"):
        open_merlin(parse_detector_url("merlin://10.0.0.1?raw24=quarters"))
