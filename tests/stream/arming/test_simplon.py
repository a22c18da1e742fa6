"""Arming a DECTRIS detector, against a control unit of our own (another: tests/test_libertem_dectris.py)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from livem.errors import SourceError
from livem.stream.arming import simplon
from livem.stream.arming.base import CancelledError
from livem.stream.arming.simplon import SETTINGS, SimplonArmer

DEFAULTS = {
    "detector/config/trigger_mode": "exts",
    "detector/config/ntrigger": 1,
    "detector/config/nimages": 1,
    "detector/config/compression": "lz4",
    "stream/config/mode": "disabled",
}


class ControlUnit(ThreadingHTTPServer):
    """Keeps what it is told; ``answers`` overrides the answer to a path by (status, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values: dict[str, Any] = dict(DEFAULTS)
        self.requests: list[tuple[str, str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.version = "1.8.0"
        self.heard: Callable[[str], None] = lambda path: None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        self.requests.append((method, path, body))
        self.heard(path)
        if path in self.answers:
            return self.answers[path]
        if path == "detector/api/version/":
            return 200, json.dumps({"value": self.version, "value_type": "string"}).encode()
        name = path.replace(f"api/{self.version}/", "")
        if method == "GET":
            return (
                (200, json.dumps({"value": self.values[name]}).encode())
                if name in self.values
                else (404, b"")
            )
        if name == "detector/command/arm":
            return 200, b'{"sequence id": 12}'
        if body is not None:
            self.values[name] = body["value"]
        return 200, json.dumps([name]).encode()


class _Handler(BaseHTTPRequestHandler):
    server: ControlUnit

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, text = self.server.answer(self.command, self.path.lstrip("/"), body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = _serve

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def unit() -> Iterator[ControlUnit]:
    server = ControlUnit()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def armer(unit: ControlUnit, **settings: str) -> SimplonArmer:
    return SimplonArmer("127.0.0.1", unit.port, settings)


def test_settings_are_made_in_order_then_the_stream_is_on_then_it_is_armed(unit: ControlUnit) -> None:
    text = armer(
        unit,
        ntrigger="16384",
        trigger_mode="exte",
        frame_time="1e-3",
        stream_format="cbor",
        compression="bslz4",
    ).arm()
    assert text == "series 12 armed: exte, 16384 triggers, bslz4"
    put = [(path, body) for method, path, body in unit.requests if method == "PUT"]
    assert put == [
        ("detector/api/1.8.0/config/compression", {"value": "bslz4"}),
        ("detector/api/1.8.0/config/trigger_mode", {"value": "exte"}),
        ("detector/api/1.8.0/config/frame_time", {"value": 0.001}),
        ("detector/api/1.8.0/config/ntrigger", {"value": 16384}),
        ("stream/api/1.8.0/config/format", {"value": "cbor"}),
        ("stream/api/1.8.0/config/mode", {"value": "enabled"}),
        ("detector/api/1.8.0/command/arm", None),
    ]


def test_a_stream_that_is_on_or_meant_to_be_off_is_left_alone(unit: ControlUnit) -> None:
    armer(unit, stream_mode="disabled").arm()
    assert unit.values["stream/config/mode"] == "disabled"
    unit.values["stream/config/mode"] = "enabled"
    unit.requests.clear()
    armer(unit).arm()
    assert [path for method, path, _ in unit.requests if method == "PUT"] == [
        "detector/api/1.8.0/command/arm"
    ]


def test_other_versions_and_other_words_for_the_series(unit: ControlUnit) -> None:
    unit.version = "1.6.0"
    unit.answers["detector/api/1.6.0/command/arm"] = (200, b'{"series id": 3}')
    unit.values["detector/config/nimages"] = 100
    assert armer(unit).arm() == "series 3 armed: exts, 1 trigger, 100 images each, lz4"


def test_what_a_control_unit_does_not_tell_is_left_out(unit: ControlUnit) -> None:
    unit.values.clear()
    unit.answers["detector/api/1.8.0/command/arm"] = (200, b"")
    assert armer(unit).arm() == "series (unnamed) armed: as it is set up"


def test_disarming_undoes_only_what_was_done_here(unit: ControlUnit) -> None:
    one = armer(unit)
    one.disarm()
    assert unit.requests == []
    one.arm()
    one.trigger(0.5)
    one.disarm()
    one.disarm()
    assert [path for method, path, _ in unit.requests if method == "PUT"][-3:] == [
        "detector/api/1.8.0/command/arm",
        "detector/api/1.8.0/command/trigger",
        "detector/api/1.8.0/command/disarm",
    ]


ARM, DISARM = "detector/api/1.8.0/command/arm", "detector/api/1.8.0/command/disarm"
PATIENCE_S = 20.0
PATHS = [
    "detector/api/version/",
    "detector/api/1.8.0/config/compression",
    "detector/api/1.8.0/config/ntrigger",
    "stream/api/1.8.0/config/mode",
    ARM,
]


def commands(unit: ControlUnit) -> list[str]:
    return [path.rpartition("/")[2] for _, path, _ in unit.requests if "command" in path]


@pytest.mark.parametrize("at", PATHS)
def test_cancelling_at_any_request_sends_nothing_more_but_to_disarm_what_was_armed(
    unit: ControlUnit, at: str
) -> None:
    one = armer(unit, compression="lz4", ntrigger="9")
    unit.heard = lambda path: one.cancel() if path == at else None
    with pytest.raises(CancelledError, match="was given up, since the session has ended"):
        one.arm()
    one.disarm()
    assert unit.requests[-1][1] == (DISARM if at == ARM else at)
    assert commands(unit) == (["arm", "disarm"] if at == ARM else [])
    assert not one.armed


def test_a_request_to_arm_that_is_under_way_is_disarmed_at_once_and_behind_its_answer(
    unit: ControlUnit,
) -> None:
    arming, disarmed = threading.Event(), threading.Event()

    def heard(path: str) -> None:
        if path == ARM:
            arming.set()
            assert disarmed.wait(PATIENCE_S)
        elif path == DISARM:
            disarmed.set()

    unit.heard = heard
    one = armer(unit)

    def arm() -> None:
        with pytest.raises(CancelledError):
            one.arm()

    thread = threading.Thread(target=arm)
    thread.start()
    assert arming.wait(PATIENCE_S)
    one.cancel()
    assert one.armed
    one.disarm()
    thread.join(PATIENCE_S)
    assert commands(unit) == ["arm", "disarm", "disarm"]
    assert not one.armed


def test_a_detector_that_was_slow_to_arm_is_disarmed(
    unit: ControlUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simplon, "ARM_TIMEOUT_S", 0.05)
    disarmed = threading.Event()

    def heard(path: str) -> None:
        if path == ARM:
            disarmed.wait(PATIENCE_S)
        elif path == DISARM:
            disarmed.set()

    unit.heard = heard
    one = armer(unit)
    with pytest.raises(SourceError, match=r"has not answered PUT .*command/arm within"):
        one.arm()
    one.disarm()
    assert commands(unit) == ["arm", "disarm"]


@pytest.mark.parametrize(("status", "expected"), [(400, ["arm"]), (504, ["arm", "disarm"])])
def test_only_a_clear_refusal_to_arm_leaves_nothing_to_disarm(
    unit: ControlUnit, status: int, expected: list[str]
) -> None:
    unit.answers[ARM] = (status, b"no")
    one = armer(unit)
    with pytest.raises(SourceError, match=f"HTTP {status}"):
        one.arm()
    one.disarm()
    assert commands(unit) == expected


def test_a_refusal_is_told_in_the_units_own_words(unit: ControlUnit) -> None:
    unit.answers["detector/api/1.8.0/config/ntrigger"] = (
        400,
        b"<html><h1>Bad</h1> value 7 is\n  out of bounds</html>",
    )
    with pytest.raises(SourceError) as caught:
        armer(unit, ntrigger="7").arm()
    text = str(caught.value)
    assert f"127.0.0.1:{unit.port} refused PUT /detector/api/1.8.0/config/ntrigger" in text
    assert '{"value": 7}: HTTP 400, Bad value 7 is out of bounds' in text
    assert "command/arm" not in str(unit.requests)


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("detector/api/version/", (200, b'{"value": "../../evil"}'), "names no version"),
        ("detector/api/version/", (200, b"[1]"), "names no version"),
        ("detector/api/version/", (200, b"<html>hello</html>"), "with no JSON"),
        ("detector/api/version/", (404, b"not here"), "HTTP 404, not here"),
        ("detector/api/1.8.0/command/arm", (500, b""), "HTTP 500, Internal Server Error"),
        ("detector/api/1.8.0/command/arm", (200, b"[" * 100_000), "with no JSON"),
    ],
)
def test_answers_that_make_no_sense_are_told(
    unit: ControlUnit, path: str, answer: tuple[int, bytes], words: str
) -> None:
    unit.answers[path] = answer
    with pytest.raises(SourceError, match=words.replace("[", r"\[")):
        armer(unit).arm()


def test_what_does_not_speak_http_is_told() -> None:
    def hang_up(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(SourceError, match="cannot be reached for GET /detector/api/version/: SSH"):
            SimplonArmer("127.0.0.1", listener.getsockname()[1]).arm()
        thread.join(10)


def test_a_unit_that_is_not_there_or_silent_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SourceError, match=r"has not answered GET .* within 0\.05 s"):
            SimplonArmer("127.0.0.1", port, timeout_s=0.05).arm()
    with pytest.raises(SourceError, match=r"cannot be reached for GET .*refused; check the host"):
        SimplonArmer("127.0.0.1", port).arm()
    with pytest.raises(SourceError, match="cannot be reached"):
        SimplonArmer("no.such.host.invalid").arm()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("triger_mode", "exte", "has no setting 'triger_mode'; did you mean 'trigger_mode'"),
        ("voltage", "200", "there are photon_energy"),
        ("trigger_mode", "ntex", "did you mean 'inte'"),
        ("trigger_mode", "whenever", "there are exte, exts, inte, ints"),
        ("ntrigger", "many", "a whole number from 1"),
        ("ntrigger", "0", "a whole number from 1"),
        ("ntrigger", "2000000001", "a whole number from 1"),
        ("frame_time", "1 ms", "a number, as in frame_time"),
        ("frame_time", "nan", "a number"),
        ("auto_summation", "yes", "true or false"),
        ("header_appendix", "x" * 1025, "at most 1024 characters"),
        ("control_port", "0", "a whole number from 1 to 65535"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_sent(name: str, value: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        SimplonArmer("127.0.0.1", settings={name: value})


def test_every_setting_has_a_value_that_it_takes() -> None:
    samples = {str: "4M", int: "2000000000", float: ".5", bool: "true"}
    for name, setting in SETTINGS.items():
        text = setting.choices[0] if setting.choices else samples[setting.kind]
        assert isinstance(setting.value(name, text), setting.kind)


def test_the_port_may_be_a_setting(unit: ControlUnit) -> None:
    assert SimplonArmer("127.0.0.1", settings={"control_port": str(unit.port)}).arm().startswith("series 12")
