"""What goes wrong with stream v2, from the socket to decoded frames: the rows of test_v1_faults.py in CBOR.

Each ends with a second series on the same connection, which must be whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dectris_tools import Stage, frames
from simplon_tools import KEY, Pictures, speech

from livem.stream.series import SeriesKey
from livem.stream.simulate.dectris_dialect import Dectris2

N, BAD = 24, 9
DATA, NEXT = frames(N), frames(N, seed=2)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        yield made


def spoken(data: Any = DATA, number: int = 1) -> list[list[bytes]]:
    """Start, one message an image, end."""
    said = speech(Pictures(data), "bslz4")
    key = SeriesKey(KEY.epoch[:-1] + bytes([number]), number)
    return [list(map(bytes, m.parts)) for m in Dectris2().messages(replace(said, key=key))]


def hole_at_bad(stage: Stage) -> bool:
    return sorted(stage.frames[-1]) == [i for i in range(N) if i != BAD] and not stage.wrong(DATA)


def the_next_scan_is_whole(stage: Stage) -> bool:
    account = stage.play(*spoken(NEXT, 2))
    return account["state"] == "complete" and account["received"] == N and not stage.wrong(NEXT)


def test_peer_fault_none(stage: Stage) -> None:
    account = stage.play(*spoken())
    assert (account["state"], account["sent"], account["received"]) == ("complete", N, N)
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_one_frame_missing(stage: Stage) -> None:
    messages = spoken()
    del messages[1 + BAD]
    account = stage.play(*messages)
    assert (account["received"], account["lost"]) == (N - 1, 1)
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_one_frame_twice(stage: Stage) -> None:
    messages = spoken()
    messages.insert(1 + BAD, messages[1 + BAD])
    account = stage.play(*messages)
    assert (account["state"], account["received"], account["duplicate"]) == ("complete", N, 1)
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_broken_header(stage: Stage) -> None:
    """What says which image it is cannot be read: refused, and its place is a hole."""
    messages = spoken()
    messages[1 + BAD] = [messages[1 + BAD][0][:20]]
    account = stage.play(*messages)
    assert account["received"] == N - 1
    assert account["lost"] + sum(account["rejected"].values()) == 1
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_other_series_number(stage: Stage) -> None:
    messages = spoken()
    messages[1 + BAD] = spoken(number=7)[1 + BAD]
    account = stage.play(*messages)
    assert (account["received"], account["lost"]) == (N - 1, 1)
    assert stage.unascribed == {"unknown_series": 1}
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_series_ends_early(stage: Stage) -> None:
    messages = spoken()
    account = stage.play(*messages[: 1 + BAD], messages[-1])
    assert account["state"] == "incomplete"
    assert account["received"] == BAD
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_corrupt_compressed_data(stage: Stage) -> None:
    """The blob's header is good, its LZ4 is not: every other frame is right."""
    messages = spoken()
    (message,) = messages[1 + BAD]
    at = message.index(bytes([0, 0, 0, 0, 0, 0]) + (DATA[0].nbytes).to_bytes(2, "big")) + 16
    messages[1 + BAD] = [message[:at] + b"\xff" * 40 + message[at + 40 :]]
    stage.play(*messages)
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_end_message_missing(stage: Stage) -> None:
    account = stage.play(*spoken()[:-1])
    assert (account["state"], account["received"]) == ("complete", N)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_announces_another_shape_than_it_sends(stage: Stage) -> None:
    """All rejected, nothing shown in the wrong place."""
    messages = spoken()
    messages[0] = spoken(np.zeros((N, 24, 32), np.uint16))[0]
    account = stage.play(*messages)
    assert (account["received"], sum(account["rejected"].values())) == (0, N)
    assert stage.frames[-1] == {}
    assert the_next_scan_is_whole(stage)


def test_peer_fault_one_frame_of_half_the_shape(stage: Stage) -> None:
    messages = spoken()
    messages[1 + BAD] = spoken(np.ascontiguousarray(DATA[:, :6]))[1 + BAD]
    account = stage.play(*messages)
    assert sum(account["rejected"].values()) == 1
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)
