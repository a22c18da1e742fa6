"""Looking back while a session goes on: over its control channel, from a real sender, ring and process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.errors import SessionError
from livem.session import Session, SessionOptions
from livem.session.diary import Diary
from livem.stream.control import ControlClient
from livem.stream.files.recordings import open_recording
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.source import ReplayOptions, replay_plan

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, step_until

pytestmark = pytest.mark.timeout(300)

PREVIEW = [{"name": "preview", "type": "preview"}]


def asking(session: Session, ask: Callable[[ControlClient], Any]) -> Any:
    """What a client on another thread gets, while this one serves the session."""
    answers: list[Any] = []

    def run() -> None:
        with ControlClient(session.hub.addresses.control) as client:
            answers.append(ask(client))

    thread = threading.Thread(target=run)
    thread.start()
    step_until(session, lambda: not thread.is_alive())
    assert answers, "the client failed; see its traceback"
    return answers[0]


def request(session: Session, **fields: Any) -> dict[str, Any]:
    return asking(session, lambda client: client.request(fields, timeout=30))


def shown(session: Session, **fields: Any) -> dict[str, Any]:
    """The answer to "rewind" once the process for it has begun."""
    while (answer := request(session, do="rewind", **fields)).get("starting"):
        step_until(session, lambda: "rewind" in session.ready)
    return answer


def test_frames_of_the_ring_are_shown_again_and_those_that_are_gone_are_told(tmp_path):
    pipeline = a_pipeline(consumers=PREVIEW, ring={"bytes": 1 << 20})  # 512 frames
    session = Session(pipeline, SessionOptions(f"{TINY}&repeats=4", out=tmp_path))
    with session:
        session.start()
        step_until(session, lambda: session.settling.series)
        told = request(session, do="history")
        (there,) = told["stretches"]
        assert (there["state"], there["stop"]) == ("complete", 1024)
        assert 1024 - 512 <= there["first"] < 1024 - 256
        assert there["t_ns"][0] < there["t_ns"][-1] <= told["now_ns"]
        named = {"epoch": there["epoch"], "series": there["series"]}
        sent = open_acquisition(TINY)
        for index in (there["first"], 900, 1023):
            answer = shown(session, **named, index=index)
            assert (answer["found"], answer["index"], answer["stop"]) == (True, index, 1024)
            assert there["t_ns"][0] <= answer["t_ns"] < told["now_ns"]
            picture = answer["result"]
            assert (picture.topic, picture.attrs["index"]) == ("preview.frame", index)
            np.testing.assert_array_equal(picture.arrays["image"], sent.frames(index % 256, 1)[0])

        part = request(session, do="pixels", **named, index=900, part=[4, 8, 20, 32, 1])["result"]
        np.testing.assert_array_equal(part.arrays["image"], sent.frames(900 % 256, 1)[0, 4:20, 8:32])
        assert (part.topic, part.attrs["index"]) == ("preview.frame", 900)
        assert part.attrs["cut"] == {"corner": [4, 8], "factor": 1, "shape": [32, 32]}
        no_part = {"do": "pixels", **named, "index": 900, "part": [9]}
        assert "must be [top" in asking(session, lambda client: error_of(client, no_part))
        request(session, do="set", consumer="preview", name="max_size", value=16)
        assert shown(session, **named, index=900)["result"].arrays["image"].shape == (16, 16)
        gone = shown(session, **named, index=100)
        assert not gone["found"]
        assert "no longer in the buffer" in gone["why"]
        assert shown(session, **named, index=100, toward=1)["index"] == gone["first"] == there["first"]
        assert "has not come yet" in shown(session, **named, index=1024)["why"]
        assert shown(session, **named, index=1024, toward=1)["index"] == 1023  # the nearest that there is
        other = shown(session, epoch=bytes(8), series=5, index=0)
        assert not other["found"]
        session.stop("enough")
        session.finish()


def test_a_clip_is_written_while_frames_come_beside_a_session_that_records_nothing(tmp_path):
    options = SessionOptions(f"{TINY}&fps=200&repeats=0", out=tmp_path)  # 16 MiB: 40 s
    session = Session(a_pipeline(consumers=PREVIEW), options)
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 150 and session.past.diary.since(0))
        told = request(session, do="history")
        (there,) = told["stretches"]
        assert there["state"] == "open"
        assert [kind for _, kind, _ in told["marks"]] == ["series"]
        named = {"epoch": there["epoch"], "series": there["series"]}
        before = session.accounts.entered()[0]
        assert shown(session, **named, index=100)["found"]
        clip = request(session, do="clip", **named, first=100, stop=150)["clip"]
        while not clip["done"]:
            clip = request(session, do="clip")["clip"]
        assert (clip["frames"], clip["error"]) == (50, None)
        assert Path(clip["file"]).parent == tmp_path
        empty = {"do": "clip", **named, "first": 9, "stop": 9}
        assert "has no frames" in asking(session, lambda client: error_of(client, empty))
        step_until(session, lambda: session.accounts.entered()[0] > before)
        session.stop("enough")
        session.finish()
    (account,) = session.settling.settled
    assert account["lost"] == 0
    kept = open_recording(clip["file"])
    (numbers,) = np.nonzero(kept.present(0, kept.count))
    assert numbers.tolist() == list(range(100, 150))
    np.testing.assert_array_equal(kept.frames(100, 50), open_acquisition(TINY).frames(100, 50))


def error_of(client: ControlClient, fields: dict[str, Any]) -> str:
    with pytest.raises(SessionError) as failed:
        client.request(fields, timeout=30)
    return str(failed.value)


def test_a_clip_of_a_replay_comes_from_its_file(tmp_path):
    path, sent = tmp_path / "recorded.h5", open_acquisition(TINY)
    series = Series(SeriesKey(bytes(8), 1), sent.shape, sent.dtype, count=256)
    file = RecordingFile(path, series)
    file.append(0, 256, sent.frames(0, 256).reshape(-1).view(np.uint8), None)
    file.flush()
    file.write_accounts({"state": "complete", "sent": 256})
    file.close()
    plan = replay_plan(ReplayOptions(str(path), start_paused=True))
    session = Session(a_pipeline(consumers=PREVIEW), SessionOptions(str(path), out=tmp_path, plan=plan))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0])
        (there,) = request(session, do="history")["stretches"]
        assert there["stop"] == 1  # it waits at its first frame
        named = {"epoch": there["epoch"], "series": there["series"]}
        shown(session, **named, index=0)
        clip = request(session, do="clip", **named, first=200, stop=256)["clip"]
        while not clip["done"]:
            clip = request(session, do="clip")["clip"]
        session.stop("enough")
        session.finish()
    kept = open_recording(clip["file"])
    np.testing.assert_array_equal(kept.frames(200, 56), sent.frames(200, 56))


def a_status(**more: Any) -> dict[str, Any]:
    preview = {"policy": "latest", "dropped": {"lapped": 9}}
    edges = {"vd": {"policy": "lossless", "dropped": {}}, "preview": preview}
    series = {"series": 3, "epoch": "ab", "state": "open", "lost": 0, "edges": edges}
    return {"alarms": [], "series": {**series, **more}}


def test_the_diary_notes_each_thing_once_and_when():
    times = iter(range(100, 200))
    diary = Diary(lambda: next(times))
    diary.take_status({"alarms": [], "series": None})
    for status in (a_status(), a_status(), a_status(lost=5), a_status(lost=7), a_status(lost=7)):
        diary.take_status(status)
    diary.take_status({**a_status(lost=7), "alarms": ["the disk is full"]})
    dropped = {"vd": {"policy": "lossless", "dropped": {"stopped": 4}}}
    diary.take_status({**a_status(lost=7, state="complete", edges=dropped), "alarms": ["the disk is full"]})
    diary.take_status(a_status(series=4))
    assert [(mark.t_ns, mark.kind, mark.text) for mark in diary.since(0)] == [
        (100, "series", "series 3 begins"),
        (101, "missing", "5 frames lost on their way"),
        (102, "missing", "2 frames lost on their way"),
        (103, "alarm", "the disk is full"),
        (104, "dropped", "4 frames not analysed"),
        (105, "end", "series 3 is complete"),
        (106, "series", "series 4 begins"),
    ]
    assert [mark.t_ns for mark in diary.since(105)] == [105, 106]
