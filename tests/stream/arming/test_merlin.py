"""Setting a Merlin up, against a control port of our own and LiberTEM-live's."""

from __future__ import annotations

import socket as bsd
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from livem.errors import SourceError
from livem.stream.arming.base import CancelledError
from livem.stream.arming.merlin import CONTROL_PORT, SETTINGS, MerlinArmer

PATIENCE_S = 20.0
Answer = Callable[[str], "bytes | None"]


def framed(text: str) -> bytes:
    return f"MPX,{len(text) + 1:010d},{text}".encode()


def success(said: str) -> bytes:
    kind, name, *_ = said.split(",")
    return framed(f"{kind},{name},42,0" if kind == "GET" else f"{kind},{name},0")


class Control:
    """A control port that answers each command as it is told to."""

    def __init__(self, answer: Answer, connections: int = 1) -> None:
        self._answer, self._connections = answer, connections
        self.commands: list[str] = []
        self._server = bsd.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._server:
            for _ in range(self._connections):
                self._converse()

    def _converse(self) -> None:
        with self._server.accept()[0] as peer, suppress(ConnectionError):
            peer.settimeout(PATIENCE_S)
            while head := peer.recv(15, bsd.MSG_WAITALL):
                said = peer.recv(int(head[4:14]) - 1, bsd.MSG_WAITALL).decode()
                self.commands.append(said)
                reply = self._answer(said)
                if reply is None:
                    return
                peer.sendall(reply)

    def close(self) -> None:
        bsd.create_connection(("127.0.0.1", self.port)).close() if not self.commands else None
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def control() -> Iterator[Callable[..., Control]]:
    made: list[Control] = []

    def make(answer: Answer = success, connections: int = 1) -> Control:
        made.append(Control(answer, connections))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_settings_are_made_in_order_and_the_acquisition_starts(control):
    detector = control()
    settings = {"NumFramesToAcquire": "256", "counterdepth": "12", "acquisitiontime": "0.5"}
    armer = MerlinArmer("127.0.0.1", detector.port, settings)
    said = armer.arm()
    armer.trigger()
    assert armer.get("detectorstatus") == "42"
    armer.disarm()
    armer.disarm()
    assert detector.commands == [
        "SET,COUNTERDEPTH,12",
        "SET,ACQUISITIONTIME,0.5",
        "SET,NUMFRAMESTOACQUIRE,256",
        "CMD,STARTACQUISITION",
        "CMD,SOFTTRIGGER",
        "GET,DETECTORSTATUS",
        "CMD,STOPACQUISITION",
    ]
    assert said == (
        f"Merlin at 127.0.0.1:{detector.port} started with counterdepth=12, acquisitiontime=0.5, "
        "numframestoacquire=256"
    )


@pytest.mark.parametrize(("code", "words"), [(1, "busy"), (2, "does not know"), (3, "range"), (9, "code 9")])
def test_a_refusal_names_the_command_and_the_reason(control, code, words):
    detector = control(lambda said: framed(f"SET,COUNTERDEPTH,{code}"))
    armer = MerlinArmer("127.0.0.1", detector.port, {"counterdepth": "6"})
    with pytest.raises(SourceError, match=f"refused SET,COUNTERDEPTH,6: .*{words}"):
        armer.arm()
    armer.close()


def test_stopping_what_has_ended_is_no_error_but_a_lost_detector_is(control):
    refusing = MerlinArmer("127.0.0.1", control(lambda s: framed(f"{s},{int('STOP' in s)}")).port)
    refusing.arm()
    refusing.disarm()
    gone = MerlinArmer("127.0.0.1", control(lambda s: None if "STOP" in s else success(s)).port)
    gone.arm()
    with pytest.raises(SourceError, match="cannot be reached for CMD,STOPACQUISITION"):
        gone.disarm()


def in_background(armer: MerlinArmer) -> tuple[threading.Thread, list[Exception]]:
    errors: list[Exception] = []

    def arm() -> None:
        try:
            armer.arm()
        except SourceError as error:
            errors.append(error)

    thread = threading.Thread(target=arm)
    thread.start()
    return thread, errors


SET = ["SET,COUNTERDEPTH,12", "SET,GAIN,1"]
START, STOP = "CMD,STARTACQUISITION", "CMD,STOPACQUISITION"


@pytest.mark.parametrize("at", range(3))
def test_cancelling_at_any_command_sends_nothing_more_but_the_stop_of_what_was_started(control, at):
    def answer(said: str) -> bytes:
        if said == [*SET, START][at]:
            armer.cancel()
        return success(said)

    detector = control(answer)
    armer = MerlinArmer("127.0.0.1", detector.port, {"counterdepth": "12", "gain": "1"})
    thread, errors = in_background(armer)
    thread.join(PATIENCE_S)
    armer.disarm()
    assert not armer.armed
    assert detector.commands == ([*SET, START, STOP] if at == 2 else SET[: at + 1])
    with pytest.raises(CancelledError):
        armer.arm()
    armer.close()
    assert errors == [] or isinstance(errors[0], CancelledError)


def test_cancelling_before_arming_sends_nothing(control):
    detector = control()
    armer = MerlinArmer("127.0.0.1", detector.port)
    armer.cancel()
    with pytest.raises(CancelledError, match="CMD,STARTACQUISITION was given up"):
        armer.arm()
    armer.close()
    assert detector.commands == []


def test_a_start_that_is_being_answered_is_stopped_over_the_same_connection(control):
    started, over = threading.Event(), threading.Event()

    def answer(said: str) -> bytes:
        if said == START:
            started.set()
            assert over.wait(PATIENCE_S)
        return success(said)

    detector = control(answer)
    armer = MerlinArmer("127.0.0.1", detector.port)
    thread, errors = in_background(armer)
    assert started.wait(PATIENCE_S)
    armer.cancel()
    thread.join(PATIENCE_S)
    assert armer.armed
    assert isinstance(errors[0], CancelledError)
    over.set()
    armer.disarm()
    assert detector.commands == [START, STOP]
    assert not armer.armed


def test_a_start_that_was_answered_too_late_is_stopped_all_the_same(control):
    over = threading.Event()

    def answer(said: str) -> bytes | None:
        return success(said) if said == STOP else (None if over.wait(PATIENCE_S) else b"")

    detector = control(answer, connections=2)
    armer = MerlinArmer("127.0.0.1", detector.port, timeout_s=0.05)
    with pytest.raises(SourceError, match="has not answered CMD,STARTACQUISITION"):
        armer.arm()
    assert armer.armed
    over.set()
    armer._timeout_s = PATIENCE_S
    armer.disarm()
    assert detector.commands == [START, STOP]
    assert not armer.armed


def test_a_connection_that_is_lost_meanwhile_is_made_anew_to_stop(control):
    detector = control(lambda said: success(said) if said == STOP or not gone else None, connections=2)
    gone: list[bool] = []
    armer = MerlinArmer("127.0.0.1", detector.port)
    armer.arm()
    gone.append(True)
    with pytest.raises(SourceError):
        armer.get("gain")
    armer.disarm()
    assert detector.commands == [START, "GET,GAIN", STOP]


def test_what_was_refused_is_not_ours_to_stop(control):
    detector = control(lambda said: framed(f"{said},1"))
    armer = MerlinArmer("127.0.0.1", detector.port)
    with pytest.raises(SourceError, match="busy"):
        armer.arm()
    armer.disarm()
    assert detector.commands == [START]


def test_silence_ends_with_the_next_step(control):
    detector = control(lambda said: b"")
    armer = MerlinArmer("127.0.0.1", detector.port, timeout_s=0.05)
    with pytest.raises(SourceError, match=r"has not answered CMD,STARTACQUISITION within 0\.05 s"):
        armer.arm()


@pytest.mark.parametrize(
    ("reply", "words"),
    [(None, "hung up"), (b"\0" * 70_000, "more than 65,536 bytes")],
)
def test_a_stranger_on_the_port_is_told_from_a_detector(control, reply, words):
    detector = control(lambda said: reply)
    with pytest.raises(SourceError, match=words):
        MerlinArmer("127.0.0.1", detector.port).arm()


def test_a_reply_in_pieces_and_with_a_value_that_has_commas(control):
    whole = framed("GET,CHIPS,W1,W2,W3,0")
    detector = control(lambda said: whole)
    armer = MerlinArmer("127.0.0.1", detector.port)
    assert armer.get("chips") == "W1,W2,W3"
    armer.close()


def test_nobody_there_is_said_with_the_next_step():
    with bsd.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match="check host, control port and its software"):
        MerlinArmer("127.0.0.1", port).arm()
    MerlinArmer("127.0.0.1", port).disarm()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("numframes", "5", "did you mean 'numframes"),
        ("hvbias", "200", "that livem sets"),
        ("counterdepth", "8", "none of 1, 6, 12, 24"),
        ("counterdepth", "12,1", "no whole number"),
        ("acquisitiontime", "-1", "not from 0"),
        ("acquisitiontime", "1\r\nMPX", "no number"),
        ("threshold0", "nan", "no number"),
        ("numframespertrigger", "0", "not from 1"),
    ],
)
def test_settings_are_a_closed_table(name, value, words):
    with pytest.raises(SourceError, match=words):
        MerlinArmer("127.0.0.1", settings={name: value})


def test_the_table_is_what_it_says():
    assert CONTROL_PORT == 6341
    assert all(name == name.lower() and setting.meaning for name, setting in SETTINGS.items())


def test_libertem_lives_simulated_control_port_understands(tmp_path):
    sim = pytest.importorskip("libertem_live.detectors.merlin.sim", reason="libertem-live is not installed")
    armed, triggered = threading.Event(), threading.Event()
    server = sim.ControlSocketServer(armed, triggered, host="127.0.0.1", port=0)
    server.daemon = True
    server.start()
    server.wait_for_listen()
    armer = MerlinArmer("127.0.0.1", server.sockname[1], {"numframestoacquire": "16", "counterdepth": "6"})
    try:
        armer.arm()
        assert armed.wait(PATIENCE_S)
        armer.trigger()
        assert triggered.wait(PATIENCE_S)
        assert armer.get("COUNTERDEPTH") == "6"
    finally:
        armer.disarm()
        server.stop()
        server.join(PATIENCE_S)
    assert not server.is_alive()
