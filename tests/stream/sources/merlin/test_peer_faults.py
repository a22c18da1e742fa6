"""The rows of the peer table for a Merlin: one bad frame costs itself, the next series is whole."""

from __future__ import annotations

from merlin_tools import acquisition, content, feed, frame, frames_in, hdr

from livem.stream.messages import End, Rejected, Start
from livem.stream.simulate.merlin_frames import Readout
from livem.stream.sources.merlin.stream import MerlinStream

N, BAD = 12, 5
OTHERS = [i for i in range(N) if i != BAD]


def heard(*pieces: bytes) -> list:
    """Messages of the first series; the second, behind it on the same connection, is held to be whole."""
    messages = feed(MerlinStream(), b"".join(pieces) + acquisition(N))
    starts = [i for i, each in enumerate(messages) if isinstance(each, Start)]
    assert_right(messages[starts[-1] :], range(N))
    return messages[: starts[-1]]


def assert_right(messages: list, indices) -> None:
    found = frames_in(messages)
    assert sorted(found) == list(indices)
    assert all((found[i] == content(i)).all() for i in found)


def scan(bad: bytes) -> bytes:
    """An acquisition with other bytes in place of frame BAD."""
    return hdr(N) + b"".join(bad if i == BAD else frame(i) for i in range(N))


def test_peer_fault_none() -> None:
    messages = heard(acquisition(N))
    assert_right(messages, range(N))
    assert isinstance(messages[-1], End)


def test_peer_fault_one_frame_missing() -> None:
    assert_right(heard(scan(b"")), OTHERS)


def test_peer_fault_one_frame_twice() -> None:
    assert_right(heard(scan(frame(BAD) * 2)), range(N))


def test_peer_fault_broken_header() -> None:
    messages = heard(scan(frame(BAD).replace(b"MQ1", b"M?1", 1)))
    assert_right(messages, OTHERS)
    assert [each for each in messages if isinstance(each, Rejected)]


def test_peer_fault_series_ends_early() -> None:
    assert_right(heard(acquisition(N, range(BAD))), range(BAD))


def test_peer_fault_cut_frame() -> None:
    messages = heard(scan(frame(BAD)[:-7]))
    assert_right(messages, OTHERS)
    assert [each for each in messages if isinstance(each, Rejected)]


def test_peer_fault_one_frame_of_half_the_shape() -> None:
    messages = heard(scan(frame(BAD, Readout("uint16", (4, 16)))))
    assert_right(messages, OTHERS)
    (rejected,) = [each for each in messages if isinstance(each, Rejected)]
    assert (rejected.first, rejected.count) == (BAD, 1)
