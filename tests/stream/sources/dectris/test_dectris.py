"""The source ``dectris://``: urls, the connection, both formats on one socket, and a sender of others."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from dectris_tools import Stage, configuration, end, frames, header, image, scan_messages

from livem.errors import SourceError
from livem.stream.files.acquisition import Acquisition, FrameBank
from livem.stream.messages import DEFAULT_LIMITS, FrameBatch, Limits, Start
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.simulate.compress import BlobCache
from livem.stream.simulate.dialects import Speech, dialect_of
from livem.stream.sources.dectris.source import BYTE_BUDGET, open_dectris
from livem.stream.sources.detector_url import parse_detector_url


class Movie(Acquisition):
    """A few frames, for livem's own senders."""

    name, scan, meta = "movie", Scan((5, 8)), {"sample": "gold"}

    def __init__(self, stock: np.ndarray) -> None:
        self.bank, self.count = FrameBank(stock), len(stock)

    def truth(self):
        return {}


def spoken(protocol: str, data: np.ndarray, number: int, encoding: str = "bslz4") -> list[list[bytes]]:
    """A series as livem's own sender speaks it."""
    movie = Movie(data)
    speech = Speech(movie, SeriesKey(b"\1" * 8, number), 1, encoding, 1, BlobCache(movie.bank), None)
    return [[bytes(part) for part in outgoing.parts] for outgoing in dialect_of(protocol).messages(speech)]


def test_an_url_without_a_port_is_tried_at_both():
    source = open_dectris(parse_detector_url("dectris://127.0.0.1"), DEFAULT_LIMITS)
    assert [endpoint.port for endpoint in source._endpoints] == [9999, 31001]
    source = open_dectris(parse_detector_url("dectris://[::1]:1234"), DEFAULT_LIMITS)
    assert [endpoint.address for endpoint in source._endpoints] == ["tcp://[::1]:1234"]


def test_an_unknown_parameter_is_named_with_the_nearest():
    with pytest.raises(SourceError, match=r"chanel.*channel"):
        open_dectris(parse_detector_url("dectris://127.0.0.1?chanel=0"), DEFAULT_LIMITS)


def test_a_host_that_nobody_knows_is_told_at_once():
    source = open_dectris(parse_detector_url("dectris://no-such-host.invalid"), Limits())
    with pytest.raises(SourceError, match=r"no-such-host\.invalid"):
        source.open()


def test_a_source_that_is_not_open_says_so():
    source = open_dectris(parse_detector_url("dectris://127.0.0.1:1"), Limits())
    for method in (source.pollables, source.receive):
        with pytest.raises(SourceError, match="not open"):
            method()
    source.close()
    source.close()


def test_the_link_says_what_the_detector_is_about_to_do():
    with Stage() as stage:
        stage.detector.send(header(34, configuration(12)))
        stage.until(lambda: "armed" in stage.source.link().detail)
        assert stage.source.link().detail.endswith("armed: series 34, waiting for the first image of 12")
        stage.play(*scan_messages(frames(12), 35))
        assert "armed" not in stage.source.link().detail


@pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])
def test_the_format_may_change_on_a_living_connection(plain):
    data = frames(40)
    with Stage(plain=plain) as stage:
        for number, protocol in enumerate(["dectris1", "dectris2", "dectris1", "dectris2"], 1):
            account = stage.play(*spoken(protocol, data, number))
            assert (account["state"], account["received"]) == ("complete", 40)
            assert not stage.wrong(data)
            assert stage.series[-1].meta["sample"] == "gold"
            assert stage.series[-1].scan == Scan((5, 8))
        assert stage.unascribed == {}


@pytest.mark.parametrize("encoding", ["raw", "bslz4", "lz4"])
@pytest.mark.parametrize("protocol", ["dectris1", "dectris2"])
def test_livems_own_sender_is_understood(protocol, encoding):
    data = frames(20)
    with Stage() as stage:
        assert stage.play(*spoken(protocol, data, 1, encoding))["state"] == "complete"
        assert not stage.wrong(data)
        assert stage.series[0].encoding == encoding


@pytest.mark.parametrize(
    ("budget", "marks"),
    [(1, (32, 32)), (BYTE_BUDGET, (1000, 1000)), (400 * 1600, (400, 100))],
    ids=["short", "long", "shorter"],
)
def test_a_queue_that_changes_loses_and_stops_nothing(budget, marks):
    """Its length follows the size of the frames while the sender waits for room."""
    with Stage(byte_budget=budget) as stage:  # one source only: a former one takes its share until it is gone
        for number, (shape, mark) in enumerate(zip([(20, 40), (40, 80)], marks, strict=True), 1):
            data = frames(1_200, shape)
            sender = threading.Thread(target=stage.detector.send, args=scan_messages(data, number))
            sender.start()
            stage.until(lambda wanted=number: len(stage.ended) == wanted)
            sender.join()
            account = stage.accounts.of(number - 1)
            assert (account["state"], account["received"]) == ("complete", 1_200)
            assert not stage.wrong(data)
            assert stage.source._water.mark == mark


def test_frames_stay_whole_for_as_long_as_they_are_held():
    """The assembler holds batches back while an earlier frame is missing; here all of them are held."""
    data = frames(1_000, (32, 32))
    with Stage() as stage:
        held: list[FrameBatch] = []
        stage.detector.socket.sndhwm = 0
        sender = threading.Thread(target=stage.detector.send, args=scan_messages(data))
        sender.start()
        while sum(batch.count for batch in held) < len(data):
            stage._poller.poll(1_000)
            while (message := stage.source.receive()) is not None:
                held += [message] if isinstance(message, FrameBatch) else []
        sender.join()
        expected = iter(messages[2] for messages in scan_messages(data)[1:-1])
        for batch in held:
            ends = np.cumsum(batch.sizes)
            for stop, size in zip(ends, batch.sizes, strict=True):
                assert bytes(batch.payload[stop - size : stop]) == next(expected)


def test_a_resumed_series_needs_no_header():
    data = frames(30)
    with Stage() as stage:
        series = Series(SeriesKey(b"resumed!", 7), (12, 16), "uint16", "bslz4", 30)
        stage.assembler.feed(Start(series), time.monotonic_ns())
        stage.source.resume(series)
        account = stage.play(*(image(i, data[i], 7) for i in range(30)), end(7))
        assert (account["state"], account["received"]) == ("complete", 30)
        assert not stage.wrong(data)


def recorded(path: Path, messages: list[list[bytes]]) -> Path:
    """A session as LiberTEM records it: each part behind its length, no message marks."""
    parts = [part for message in messages for part in message]
    path.write_bytes(b"".join(struct.pack("<q", len(part)) + part for part in parts))
    return path


def play_foreign(stage: Stage, simulator) -> None:
    """Let LiberTEM's simulator send a series to a stage, and wait for its end."""
    stage.connect(int(simulator.get_uri().rpartition(":")[2]))

    def send() -> None:
        simulator.send_headers()
        simulator.send_frames(None)
        simulator.send_footer()

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    stage.until(lambda: stage.ended)
    sender.join()


def test_the_simulator_of_libertem_is_understood(tmp_path):
    """A sender that is not ours: header and configuration as two messages."""
    foreign = pytest.importorskip("libertem_dectris", reason="the DECTRIS simulator of libertem-live")
    data = frames(50, (64, 32))
    path = recorded(tmp_path / "session", scan_messages(data, 34))
    with Stage() as stage:
        play_foreign(stage, foreign.DectrisSim("tcp://127.0.0.1", str(path), None, True))
        account = stage.accounts.of(0)
        assert (account["state"], account["received"], account["rejected"]) == ("complete", 50, {})
        assert sorted(stage.frames[0]) == list(range(50))
        assert not stage.wrong(data)
        assert stage.unascribed == {}


def test_the_mock_frames_of_libertem_are_received():
    """Their blobs begin with 12 zero bytes."""
    foreign = pytest.importorskip("libertem_dectris", reason="the DECTRIS simulator of libertem-live")
    with Stage() as stage:
        play_foreign(stage, foreign.DectrisSim.new_mocked("tcp://127.0.0.1", 20, None, True))
        assert (stage.accounts.of(0)["state"], len(stage.frames[0])) == ("complete", 20)
        assert stage.series[0].shape == (512, 512)
