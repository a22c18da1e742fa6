"""What a session says of messages that it cannot use: what, how many, the value and limit, the next step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import zmq

from livem.errors import LivemError, PipelineError, SessionError, SourceError
from livem.session import Session, SessionOptions
from livem.session.reports import REFUSED_KEPT, Reports
from livem.session.status import describe, nothing_came
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.sender import Sender, SenderOptions
from livem.stream.wire import encode_end, encode_frames, encode_start

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import a_pipeline, identity_holds, step_until

pytestmark = pytest.mark.timeout(300)
REFUSED = {
    "count": 408,
    "reason": "bad_header",
    "text": "the header is no map",
    "advice": "use dectris://h:1",
}
NAMED = "the header is no map (bad_header); use dectris://h:1"


# -- words -----------------------------------------------------------------------------------------------


def test_the_status_says_what_was_refused_how_often_and_what_to_do() -> None:
    source = {"peers": 1, "detail": "connected to h:1", "refused": REFUSED}
    assert describe("waiting", "tcp://h:1", source, None) == (
        f"waiting for tcp://h:1: connected to h:1; 408 refused, the first: {NAMED}"
    )
    one = {**source, "refused": {**REFUSED, "count": 1}}
    assert describe("waiting", "tcp://h:1", one, None).endswith(f"; 1 refused: {NAMED}")


def test_a_run_that_ends_for_it_gives_that_reason_and_no_other() -> None:
    source = {"peers": 1, "detail": "connected to h:1", "refused": REFUSED}
    said = nothing_came("tcp://h:1", source, 5.0)
    assert said.endswith(NAMED)
    assert "armed" not in said
    no_advice = {**source, "refused": {**REFUSED, "advice": ""}}
    assert nothing_came("tcp://h:1", no_advice, 5.0).endswith("; correct what the sender sends")


def test_a_sender_that_is_connected_has_connected() -> None:
    assert "no sender has connected" in nothing_came("merlin://h", {}, 5.0)
    connected = nothing_came("merlin://h", {"peers": 1, "detail": ""}, 5.0)
    assert "no sender" not in connected
    assert "1 connected; check that the detector is armed" in connected


@pytest.fixture
def told() -> tuple[Reports, list[str], list[LivemError]]:
    """Reports, the alarms that they raise, and the errors that end a run."""
    alarms: list[str] = []
    errors: list[LivemError] = []
    starting = {"vd"}
    reports = Reports(
        alarms.append, errors.append, lambda *said: None, starting.__contains__, lambda: bool(starting)
    )
    return reports, alarms, errors


def a_refusal(number: int | None, reason: str = "payload_size") -> dict[str, Any]:
    epoch = None if number is None else "00" * 8
    return {"kind": "refused", "series": number, "epoch": epoch, "reason": reason, "text": "30 bytes, not 32"}


def test_one_alarm_for_each_series_and_reason_though_ingest_may_tell_it_again(told) -> None:
    reports, alarms, _ = told
    for report in (a_refusal(1), a_refusal(1), a_refusal(1, "bad_shape"), a_refusal(2), a_refusal(None)) * 2:
        reports.take("ingest", report)
    assert alarms == [
        "series 1: frames refused: 30 bytes, not 32 (payload_size)",
        "series 1: frames refused: 30 bytes, not 32 (bad_shape)",
        "series 2: frames refused: 30 bytes, not 32 (payload_size)",
        "refused: 30 bytes, not 32 (payload_size)",
    ]
    assert list(reports.refused_in(SeriesKey(bytes(8), 1))) == ["payload_size", "bad_shape"]
    assert list(reports.refused_in(None)) == ["payload_size"]


def test_what_is_remembered_of_refusals_is_bounded(told) -> None:
    reports, _, _ = told
    reports.take("ingest", a_refusal(None))
    for number in range(3 * REFUSED_KEPT):
        reports.take("ingest", a_refusal(number))
    assert len(reports._refused) == REFUSED_KEPT
    assert reports.refused_in(None)
    assert reports.refused_in(SeriesKey(bytes(8), 3 * REFUSED_KEPT - 1))


def test_what_ends_the_run_is_said_once(told) -> None:
    reports, alarms, errors = told
    reports.take("vd", {"kind": "fatal", "error": "PipelineError: no detector 'bff'"})
    reports.take("vd", {"kind": "misfit", "series": 1, "error": "a mask outside the frame"})
    assert alarms == []
    assert [str(error) for error in errors] == ["no detector 'bff'", "a mask outside the frame"]
    reports.take("other", {"kind": "fatal", "error": "ValueError: later"})
    assert alarms == ["other: ValueError: later"]


# -- whole sessions --------------------------------------------------------------------------------------


def test_the_wrong_protocol_ends_a_run_with_the_right_one(tmp_path: Path) -> None:
    spec = "sim:4dstem?shape=16x16&scan=8x8&fps=500"
    sender = Sender(
        SenderOptions(spec, "bind+tcp://127.0.0.1:*", protocol="dectris1", series_count=0, linger_s=0.0)
    )
    address = sender.prepare()
    thread = Thread(target=sender.run)
    thread.start()
    session = Session(a_pipeline(source={"wait": 1.0}), SessionOptions(address, out=tmp_path))
    try:
        with pytest.raises(SessionError, match="refused, the first: ") as raised:
            session.run()
    finally:
        sender.stop()
        thread.join()
    assert str(raised.value).endswith(f"use {address.replace('tcp', 'dectris')}")
    summary = session.summary()
    assert sum(summary["unascribed"].values()) > 0
    assert list(summary["refused"]) == ["bad_header"]
    assert f"use {address.replace('tcp', 'dectris')}" in summary["refused"]["bad_header"]


def test_frames_of_another_size_are_told_with_value_and_limit_in_the_summary(tmp_path: Path) -> None:
    """One frame of eight is too short: the others are shown, and the account says why it is not."""
    frames = np.arange(8 * 16, dtype=np.uint16).reshape(8, 4, 4)
    series = Series(SeriesKey(b"12345678", 1), (4, 4), "uint16", count=8)
    messages: list[Any] = [encode_start(series)]
    messages += [encode_frames(series.key, i, 1, frame.tobytes()) for i, frame in enumerate(frames)]
    messages[4][1] = bytes(30)
    messages.append(encode_end(series.key, 8))
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.linger = 0
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        session = Session(a_pipeline(), SessionOptions(f"tcp://127.0.0.1:{port}", out=tmp_path, series=1))
        with session:
            session.start()
            step_until(session, lambda: session._armed_at and session.reports.source.get("peers"))
            for message in messages:
                sender.send_multipart(message)
            step_until(session, session.over)
            session.finish()
        summary = session.summary()
    (account,) = summary["series"]
    assert account["rejected"] == {"payload_size": 1}
    why = "1 raw frames of 4 x 4 uint16 are 32 bytes, received 30 (payload_size)"
    assert account["refused"] == {"payload_size": why}
    assert f"series 1: frames refused: {why}" in summary["alarms"]
    assert (account["received"], account["edges"]["vd"]["processed"]) == (7, 7), (
        account["edges"],
        summary["alarms"],
    )
    assert identity_holds(account)


# -- faults that need no detector ------------------------------------------------------------------------


def corrupt_file(folder: Path) -> str:
    path = folder / "movie.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00 nonsense")
    return str(path)


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (lambda folder: "sim:nope", SourceError, "no simulator 'nope'"),
        (lambda folder: "sim:4dstem?scn=4x4", SourceError, "did you mean"),
        (corrupt_file, SourceError, "cannot be read"),
    ],
)
def test_a_source_that_can_never_be_is_said_before_any_process_starts(
    source: Callable[[Path], str], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        Session(a_pipeline(), SessionOptions(source(tmp_path)))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"detectors": {"bf": {"kind": "disk", "radios": 3}}}, "radios"),
        ({"detektors": {}}, "did you mean 'detectors'"),
    ],
)
def test_a_wrong_table_is_said_before_any_process_starts(
    params: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import livem.consumers.virtual_detectors  # noqa: F401 - its kernels are compiled, then

    (tmp_path / "kernels").mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    pipeline = a_pipeline(consumers=[{"name": "vd", "type": "virtual_detectors", **params}])
    with pytest.raises(PipelineError, match=words):
        Session(pipeline, SessionOptions("tcp://127.0.0.1:9"))


def test_a_wrong_table_is_said_once_by_a_process_where_no_kernel_is_compiled_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The supervisor does not compile for half a minute to find a typing error."""
    monkeypatch.setattr("livem.session.crew._kernels_are_compiled", lambda: False)
    table = {"name": "vd", "type": "virtual_detectors", "detectors": {"bf": {"kind": "dsk"}}}
    session = Session(a_pipeline(consumers=[table]), SessionOptions("tcp://127.0.0.1:9"))
    with pytest.raises(PipelineError, match="disk"):
        session.run()
    assert session.summary()["alarms"] == []
