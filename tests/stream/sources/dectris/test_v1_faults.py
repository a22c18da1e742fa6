"""What goes wrong with a DECTRIS stream, from the socket to decoded frames: the scan goes on, the hole shows.

Each row of the table "How LiberTEM-live 0.3.0 answers the same faults" that names the stream has a test here;
each ends with a second series on the same connection, which must be whole.
"""

from __future__ import annotations

import multiprocessing
import socket

import numpy as np
import pytest
from dectris_tools import Detector, Stage, configuration, end, frames, header, image, scan_messages

N = 40
BAD = 17
DATA = frames(N)
NEXT = frames(N, seed=2)


@pytest.fixture(params=[False, True], ids=["compiled", "plain"])
def stage(request):
    with Stage(plain=request.param) as made:
        yield made


def identity_holds(account) -> bool:
    known = account["received"] + account["lost"] + sum(account["rejected"].values())
    return account["sent"] is None or account["sent"] == known


def the_next_scan_is_whole(stage: Stage, series: int = 2) -> bool:
    account = stage.play(*scan_messages(NEXT, series))
    return account["state"] == "complete" and account["received"] == N and not stage.wrong(NEXT)


def hole_at_bad(stage: Stage) -> bool:
    """Every frame but one is there and right."""
    return sorted(stage.frames[-1]) == [i for i in range(N) if i != BAD] and not stage.wrong(DATA)


def with_bad(message: list[bytes], **config) -> list[list[bytes]]:
    """The scan with another message in place of image BAD."""
    messages = scan_messages(DATA, **config)
    messages[1 + BAD] = message
    return messages


def test_peer_fault_none(stage):
    account = stage.play(*scan_messages(DATA))
    assert (account["state"], account["sent"], account["received"], account["rejected"]) == (
        "complete",
        N,
        N,
        {},
    )
    assert not stage.wrong(DATA)
    assert stage.unascribed == {}


def test_peer_fault_one_frame_missing(stage):
    messages = scan_messages(DATA)
    del messages[1 + BAD]
    account = stage.play(*messages)
    assert (account["lost"], account["received"], account["reason"]) == (1, N - 1, "1 frames lost")
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_one_frame_twice(stage):
    messages = scan_messages(DATA)
    messages.insert(BAD, messages[1 + BAD - 1])
    account = stage.play(*messages)
    assert (account["duplicate"], account["received"], account["state"]) == (1, N, "complete")
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_broken_json_in_the_identity(stage):
    message = image(BAD, DATA[BAD])
    account = stage.play(*with_bad([message[0][:-3], *message[1:]]))
    assert (account["lost"], account["rejected"]) == (1, {})
    assert stage.unascribed == {"bad_header": 1}
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_broken_json_in_the_description(stage):
    message = image(BAD, DATA[BAD])
    account = stage.play(*with_bad([message[0], b"{" + message[1], *message[2:]]))
    assert (account["lost"], account["rejected"]) == (0, {"bad_header": 1})
    assert identity_holds(account)
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_three_parts_in_place_of_four(stage):
    account = stage.play(*with_bad(image(BAD, DATA[BAD])[:3]))
    assert account["rejected"] == {"bad_parts": 1}
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_other_series_number(stage):
    account = stage.play(*with_bad(image(BAD, DATA[BAD], series=99)))
    assert account["lost"] == 1
    assert stage.unascribed == {"unknown_series": 1}
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_series_ends_early(stage):
    messages = scan_messages(DATA)
    account = stage.play(*messages[:11], messages[-1])
    assert (account["sent"], account["received"], account["lost"]) == (10, 10, 0)
    assert account["reason"] == f"ended after 10 of {N} announced frames"
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_corrupt_compressed_data(stage):
    """The header of the blob is good, its LZ4 is not: every other frame is right."""
    good = image(BAD, DATA[BAD])[2]
    account = stage.play(*with_bad(image(BAD, DATA[BAD], blob=good[:16] + b"\xff" * (len(good) - 16))))
    assert account["received"] == N
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


@pytest.mark.parametrize("blob", [b"", b"short", b"\x00" * 7 + b"\x01" + b"\x00\x00\x20\x00" + b"x" * 40])
def test_fault_a_blob_whose_header_is_wrong(stage, blob):
    account = stage.play(*with_bad(image(BAD, DATA[BAD], blob=blob)))
    assert sum(account["rejected"].values()) == 1
    assert identity_holds(account)
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


def test_peer_fault_end_message_missing(stage):
    account = stage.play(*scan_messages(DATA)[:-1])
    assert (account["state"], account["received"], account["sent"]) == ("complete", N, N)
    assert the_next_scan_is_whole(stage)


def test_fault_end_message_and_a_frame_missing(stage):
    """The next series' header ends the one before."""
    messages = scan_messages(DATA)[:-1]
    del messages[1 + BAD]
    account = stage.play(*messages, *scan_messages(NEXT, 2), series=2)
    assert account["state"] == "complete"
    assert stage.accounts.of(0)["reason"] == "a newer series began"
    assert stage.accounts.of(0)["received"] == N - 1


def test_peer_fault_announces_512x512_and_sends_256x256(stage):
    """All rejected, nothing shown in the wrong place."""
    messages = scan_messages(DATA)
    messages[0] = header(1, configuration(N, (24, 32)))
    account = stage.play(*messages)
    assert (account["received"], account["rejected"], account["lost"]) == (0, {"bad_shape": N}, 0)
    assert stage.series[0].shape == (24, 32)
    assert stage.frames[-1] == {}
    assert the_next_scan_is_whole(stage)


def test_fault_announces_32_bits_and_sends_16(stage):
    messages = scan_messages(DATA)
    messages[0] = header(1, configuration(N, bits=32))
    account = stage.play(*messages)
    assert (account["received"], account["rejected"]) == (0, {"bad_dtype": N})
    assert the_next_scan_is_whole(stage)


def test_peer_fault_one_frame_of_half_the_shape(stage):
    half = DATA[BAD, :6]
    account = stage.play(*with_bad(image(BAD, half)))
    assert account["rejected"] == {"bad_shape": 1}
    assert hole_at_bad(stage)
    assert the_next_scan_is_whole(stage)


@pytest.mark.parametrize("bad", [0, BAD])
def test_peer_fault_one_frame_that_says_it_is_raw(stage, bad):
    """Even the first one does not make the others wrong."""
    messages = scan_messages(DATA)
    messages[1 + bad] = image(bad, DATA[bad], coding="<", blob=messages[1 + bad][2])
    account = stage.play(*messages)
    assert account["rejected"] == {"bad_encoding": 1}
    assert account["received"] == N - 1
    assert not stage.wrong(DATA)
    assert the_next_scan_is_whole(stage)


def test_fault_all_zero_blob_headers_are_taken_for_the_announced_shape(stage):
    messages = scan_messages(DATA)
    for parts in messages[1:-1]:
        parts[2] = bytes(12) + parts[2][12:]
    account = stage.play(*messages)
    assert (account["state"], account["received"]) == ("complete", N)
    assert not stage.wrong(DATA)


def test_fault_stale_frames_of_an_earlier_series_are_counted(stage):
    stale = [image(i, NEXT[i], series=4) for i in range(30, 36)]
    account = stage.play(*stale, *scan_messages(DATA, 5), *stale[:2])
    assert (account["state"], account["received"]) == ("complete", N)
    assert the_next_scan_is_whole(stage, 6)
    assert stage.unascribed == {"unknown_series": 8}


def test_fault_joined_in_mid_series(stage):
    stage.play(*scan_messages(DATA)[20:], *scan_messages(NEXT, 2))
    assert not stage.wrong(NEXT)
    assert stage.unascribed["unknown_series"] == N - 19 + 1, "images, and the end message"


def test_fault_a_restarted_detector_counts_from_the_start_again(stage):
    for data in (DATA, NEXT, DATA):
        account = stage.play(*scan_messages(data, 1))
        assert account["state"] == "complete"
        assert not stage.wrong(data)
    assert len({series.key for series in stage.series}) == 3


def test_fault_late_frames_do_not_wait_for_ever(stage):
    """Swapped within the reorder window: nothing is lost."""
    messages = scan_messages(DATA)
    messages[5], messages[9] = messages[9], messages[5]
    account = stage.play(*messages)
    assert (account["state"], account["duplicate"], account["lost"]) == ("complete", 0, 0)
    assert not stage.wrong(DATA)


def send_and_wait(port: int, messages: list[list[bytes]]) -> None:
    """Body of a sender's process: as much as is asked, then nothing until it is killed."""
    detector = Detector(port)
    detector.send(*messages)
    multiprocessing.Event().wait()


def test_peer_fault_sender_killed_in_mid_scan():
    """Closed in less than a second with all that came; the detector comes back and goes on being read."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Stage() as stage:
        stage.connect(port)
        process = multiprocessing.get_context("spawn").Process(
            target=send_and_wait, args=(port, scan_messages(DATA)[:21]), daemon=True
        )
        process.start()
        stage.until(lambda: stage.frames and len(stage.frames[-1]) == 20)
        process.kill()
        process.join()
        stage.until(lambda: stage.ended)
        account = stage.accounts.of(0)
        assert (account["state"], account["reason"]) == ("incomplete", "the sender is gone")
        assert account["received"] == 20
        assert not stage.wrong(DATA)
        stage.detector.close()
        stage.detector = Detector(port)
        assert the_next_scan_is_whole(stage)


def test_fault_sender_hostile_parts(stage):
    """A million parts, a huge one, empty ones, other protocols: counted, and the series after it is whole."""
    stage.detector.send(
        [b""],
        [b"x"] * 5_000,
        [b"{}"],
        [b"\xa0"],
        [b"[]", b""],
        [b"{" * 50_000],
        [b"\xff" * 100],
        [b'{"htype":7}'],
    )
    assert stage.play(*scan_messages(DATA))["state"] == "complete"
    assert not stage.wrong(DATA)
    assert sum(stage.unascribed.values()) == 8


def test_a_scan_that_is_too_large_or_too_small_loses_no_frame(stage):
    """What the user's scan says is the consumers' business: the source brings every frame."""
    account = stage.play(
        header(1, configuration(N), b'{"scan": {"shape": [64, 70]}}'), *scan_messages(DATA)[1:]
    )
    assert account["received"] == N
    assert stage.series[-1].scan.shape == (64, 70)
    assert np.array_equal(stage.frames[-1][3], DATA[3])


def test_an_end_without_an_image_is_a_series_without_frames(stage):
    account = stage.play(header(1, configuration(N)), end(1))
    assert (account["received"], account["sent"], account["announced"]) == (0, 0, N)
    assert the_next_scan_is_whole(stage)


def test_an_end_without_an_image_and_without_a_shape_is_counted(stage):
    stage.play(header(1), end(1), *scan_messages(DATA, 2))
    assert len(stage.series) == 1
    assert stage.unascribed == {"bad_shape": 1}
