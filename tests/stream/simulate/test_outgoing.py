"""A series as wire messages: complete, in order, and read back by the decoder pixel for pixel."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dectris.compression import decompress
from simplon_tools import Pictures, random_frames

from livem.errors import SourceError
from livem.stream.files.acquisition import FrameBank
from livem.stream.messages import End, FrameBatch, Start, check
from livem.stream.series import Encoding, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.compress import BlobCache, compress_bslz4
from livem.stream.simulate.outgoing import frames_per_message, series_messages
from livem.stream.wire import decode

KEY = SeriesKey(b"01234567", 3)


def test_a_series_is_start_frames_end() -> None:
    scan = open_acquisition("sim:4dstem?shape=8x8&scan=3x5&skip=1")
    start, *middle, end = (decode(message.parts) for message in series_messages(scan, KEY, 7))
    assert isinstance(start, Start)
    assert isinstance(end, End)
    assert (start.series.key, start.series.count, start.series.scan) == (KEY, 18, scan.scan)
    assert end.count == 18
    assert [(batch.first, batch.count) for batch in middle] == [(0, 7), (7, 7), (14, 4)]  # type: ignore[union-attr]
    pixels = np.concatenate([batch.payload for batch in middle])  # type: ignore[union-attr]
    assert np.array_equal(pixels.view("<u2").reshape(-1, 8, 8), scan.frames(0, 18))
    assert all(check(batch, start.series) is None for batch in middle if isinstance(batch, FrameBatch))


def test_positions_travel_with_their_samples() -> None:
    scan = open_acquisition("sim:sparse?scan=8x8&fraction=0.5")
    start, *middle, _ = (decode(message.parts) for message in series_messages(scan, KEY, 20))
    assert isinstance(start, Start)
    positions = [batch.positions for batch in middle if isinstance(batch, FrameBatch)]
    assert np.array_equal(np.concatenate(positions), scan.positions(0, 32))  # type: ignore[arg-type]


def test_bslz4_decodes_to_the_same_pixels() -> None:
    scan = open_acquisition("sim:4dstem?shape=24x20&scan=3x3")
    start, *middle, _ = series_messages(scan, KEY, 4, "bslz4")
    series = decode(start.parts).series  # type: ignore[union-attr]
    assert series.encoding == "bslz4"
    for message in middle:
        batch = decode(message.parts)
        assert isinstance(batch, FrameBatch)
        assert check(batch, series) is None
        assert batch.sizes is not None
        edges = np.cumsum([0, *batch.sizes])
        blobs = [batch.payload[a:b].tobytes() for a, b in itertools.pairwise(edges)]
        frames = [np.frombuffer(decompress(blob, "bslz4", elem_size=2), "<u2") for blob in blobs]
        assert np.array_equal(np.stack(frames).reshape(-1, 24, 20), scan.frames(batch.first, batch.count))


def test_rounds_repeat_the_acquisition_in_one_series() -> None:
    scan = open_acquisition("sim:4dstem?shape=4x4&scan=2x2&frames=3")
    start, *middle, end = (decode(message.parts) for message in series_messages(scan, KEY, 2, repeat=2))
    assert start.series.count == end.count == 6  # type: ignore[union-attr]
    assert start.series.scan.repeats == 2  # type: ignore[union-attr]
    assert [batch.first for batch in middle] == [0, 2, 3, 5]  # type: ignore[union-attr]
    assert bytes(middle[0].payload) == bytes(middle[2].payload)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "repeat"), [("sim:insitu?shape=32x32&particles=1&frames=0&fps=1", 1), ("m", 0)]
)
def test_an_endless_series_announces_no_count(spec: str, repeat: int, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.zeros((2, 3, 3), np.uint8))
    source = open_acquisition(spec if spec.startswith("sim") else str(tmp_path / "m.npy"))
    messages = list(itertools.islice(series_messages(source, KEY, 2, repeat=repeat), 10))
    assert decode(messages[0].parts).series.count is None  # type: ignore[union-attr]
    assert messages[-1].first == 16


def test_the_same_arguments_give_the_same_bytes_and_a_clock_labels_them() -> None:
    scan = open_acquisition("sim:4dstem?shape=4x4&scan=2x2")
    once, twice = ([m.parts for m in series_messages(scan, KEY)] for _ in range(2))
    assert once == twice
    labelled = list(series_messages(scan, KEY, clock=lambda: 42))
    assert decode(labelled[1].parts).time_ns == 42  # type: ignore[union-attr]


def test_what_the_wire_refuses_is_a_source_error(tmp_path: Path) -> None:
    scan = open_acquisition("sim:4dstem?shape=4x4&scan=2x2")
    with pytest.raises(SourceError, match="encoding 'lz4' cannot be sent; there are raw, bslz4"):
        list(series_messages(scan, KEY, encoding="lz4"))
    scan.meta = {"frame_time": -1.0}
    with pytest.raises(SourceError, match="sim:4dstem: series"):
        list(series_messages(scan, KEY))


def test_messages_hold_five_milliseconds_or_eight_mebibytes() -> None:
    scan = open_acquisition("sim:4dstem?shape=256x256&scan=2x2")
    assert frames_per_message(scan, 2000.0) == 10
    assert frames_per_message(scan, float("inf")) == 64
    assert frames_per_message(scan, 1.0) == 1
    samples = open_acquisition("sim:sparse?scan=8x8")
    assert frames_per_message(samples, float("inf")) == 65_536
    assert frames_per_message(samples, float("inf"), "bslz4") == 1024


def test_blobs_are_made_once_while_the_budget_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counting(frames: npt.NDArray[Any]) -> list[bytes]:
        made.append(len(frames))
        return compress_bslz4(frames)

    monkeypatch.setattr("livem.stream.simulate.compress.compress_bslz4", counting)
    bank = FrameBank(np.arange(6 * 64, dtype=np.uint16).reshape(6, 8, 8))
    plenty = BlobCache(bank)
    plenty.prepare(None)
    assert plenty.take(4, 4) == [plenty.take(i, 1)[0] for i in (4, 5, 0, 1)]
    assert made == [6]
    nothing = BlobCache(bank, budget=0)
    nothing.prepare(None)
    assert nothing.take(4, 4) == plenty.take(4, 4)
    assert made == [6, 4]


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_a_recording_is_sent_as_it_was_stored_with_gaps_and_times(encoding: Encoding) -> None:
    frames = random_frames(9, (8, 8))
    blobs = compress_bslz4(frames)
    there = np.array([0, 1, 1, 0, 0, 1, 1, 1, 0], bool)
    stored = {"payloads": blobs, "encoding": "bslz4"} if encoding == "bslz4" else {}
    times = 1_700_000_000_000_000_000 + np.arange(9)
    times[5] = 0
    recording = Pictures(frames, present=there, times=times, **stored)
    messages = series_messages(recording, KEY, 6, encoding, clock=lambda: 42)
    start, *middle, end = (decode(message.parts) for message in messages)
    batches = [batch for batch in middle if isinstance(batch, FrameBatch)]
    assert [(batch.first, batch.count) for batch in batches] == [(1, 2), (5, 1), (6, 2)]
    assert [batch.time_ns for batch in batches] == [times[1], 42, times[6]]
    payload = b"".join(bytes(batch.payload) for batch in batches)
    sent = [1, 2, 5, 6, 7]
    assert payload == (b"".join(blobs[n] for n in sent) if encoding == "bslz4" else frames[sent].tobytes())
    assert isinstance(end, End)
    assert (start.series.count, end.count) == (9, 9)  # type: ignore[union-attr]
