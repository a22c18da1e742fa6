"""The control channel: questions to a session, commands to its children, and both when nobody answers."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from livem.errors import PipelineError, ResultError, SessionError, UsageError
from livem.stream.bus import Publisher, Subscriber
from livem.stream.control import MAX_REPORT_TEXT, ChildLink, ControlClient, fault_of_request
from livem.stream.desk import Deferred
from livem.stream.hub import Hub
from livem.stream.plain_map import MAX_HEADER
from livem.stream.results import Result


class Session:
    """A hub on a thread, with a handler that forwards "set" to the child "vd"."""

    def __init__(self, **options: Any) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lv")
        self.children: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[Callable[[], None]] = []
        options = {"handler": self.handle, "on_child": self._note, **options}
        self.hub = Hub(Path(self._directory.name), "test", **options)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def handle(self, request: dict[str, Any]) -> dict[str, Any] | Deferred:
        match request["do"]:
            case "set":
                return self.hub.forward(request["consumer"], request)
            case "status":
                return {"ok": True, "frames": np.int64(7)}
            case "stop":
                raise ZeroDivisionError("a bug in the handler")
        raise PipelineError("no consumer 'xy'; it has: vd")

    def _note(self, name: str, message: dict[str, Any]) -> None:
        self.children.append((name, message))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.hub.step(0.01)
            while self.calls:
                self.calls.pop(0)()
        self.hub.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._directory.cleanup()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture
def client(session: Session) -> Iterator[ControlClient]:
    with ControlClient(session.hub.addresses.control) as client:
        yield client


@contextmanager
def child(session: Session, name: str = "vd") -> Iterator[ChildLink]:
    link = ChildLink(session.hub.addresses.children, name)
    try:
        link.ready({"pid": 1})
        wait_until(lambda: any(who == name and m["type"] == "ready" for who, m in session.children))
        yield link
    finally:
        link.close()


def wait_until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    deadline, tick = time.monotonic() + timeout, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        tick.wait(0.002)


def answering(link: ChildLink, answer: Callable[[dict[str, Any]], None]) -> threading.Thread:
    def run() -> None:
        assert link.pollable.poll(20_000)
        command = link.receive()
        assert command is not None
        answer(command)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# -- clients ---------------------------------------------------------------------------------------


def test_hello_names_the_bus_by_the_host_that_the_client_used(session: Session) -> None:
    port = session.hub.addresses.control.rpartition(":")[2]
    bus_port = session.hub.addresses.bus[-1].rpartition(":")[2]
    with ControlClient(f"tcp://localhost:{port}") as client:
        hello = client.request({"do": "hello"})
    assert hello["bus"] == f"tcp://localhost:{bus_port}"
    assert (hello["name"], hello["topics"]) == ("test", [])
    assert hello["version"]
    assert hello["pid"] > 0
    with Subscriber(f"tcp://localhost:{port}") as viewer:
        wait_until(lambda: viewer.state.phase == "live")


def test_hello_over_a_local_socket_names_the_local_bus() -> None:
    with tempfile.TemporaryDirectory(prefix="lv") as directory:
        session = Session(control=f"ipc://{directory}/control")
        with ControlClient(session.hub.addresses.control) as client:
            hello = client.request({"do": "hello"})
        assert len(session.hub.addresses.bus) == 1
        assert hello["bus"] == session.hub.addresses.bus[0]
        session.close()


def test_answers_of_the_handler_come_back(client: ControlClient) -> None:
    assert client.request({"do": "status"}) == {"frames": 7}
    with pytest.raises(UsageError, match="no consumer 'xy'"):
        client.request({"do": "parameters", "consumer": "xy"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_handler_is_an_answer_not_the_end(client: ControlClient) -> None:
    with pytest.raises(SessionError, match="ZeroDivisionError: a bug"):
        client.request({"do": "stop"})
    assert client.request({"do": "status"}) == {"frames": 7}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "fly"}, "must be one of hello, status"),
        ({"do": ["set"]}, "must be one of"),
        ({}, "must be one of"),
        ({"do": "status", "verbose": True}, "takes no 'verbose'"),
        ({"do": "parameters", "consumer": 3}, "a int"),
        ({"do": "set", "consumer": "vd"}, "needs name, value"),
    ],
)
def test_wrong_requests_are_refused_with_what_is_possible(
    client: ControlClient, request_: dict[str, Any], words: str
) -> None:
    assert words in str(fault_of_request(request_))
    with pytest.raises(UsageError, match=words):
        client.request(request_)


def test_a_request_that_is_no_map_or_too_long(session: Session, client: ControlClient) -> None:
    with pytest.raises(ResultError, match="limit"):
        client.request({"do": "stop", "reason": "x" * MAX_HEADER})
    assert client.request({"do": "status"}) == {"frames": 7}


def test_a_plain_req_socket_is_answered_too(session: Session) -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as script:
        script.setsockopt(zmq.LINGER, 0)
        script.connect(session.hub.addresses.control)
        script.send(msgpack.packb({"do": "status"}))
        assert script.poll(20_000)
        assert msgpack.unpackb(script.recv()) == {"ok": True, "frames": 7}
        script.send(b"\xc1 no msgpack")
        assert script.poll(20_000)
        assert msgpack.unpackb(script.recv())["ok"] is False


def test_nobody_at_the_address() -> None:
    with (
        ControlClient("tcp://127.0.0.1:9") as client,
        pytest.raises(
            SessionError, match=r"no session answers at tcp://127.0.0.1:9; start one with `livem live`"
        ),
    ):
        client.request({"do": "status"}, timeout=0.1)
    with pytest.raises(UsageError, match="no address: Invalid argument; write"):
        ControlClient("nonsense")


def test_snapshot_without_a_subscription(session: Session, client: ControlClient) -> None:
    publisher = Publisher(session.hub.addresses.results)
    for topic in ("a.x", "b.y"):
        publisher.publish(Result(topic, "image", None, (0, 1), 1, {"image": np.ones((2, 2))}), final=True)
    publisher.close()
    wait_until(lambda: set(client.snapshot()) == {"a.x", "b.y"})
    assert list(client.snapshot("b.y", "none")) == ["b.y"]
    assert client.request({"do": "snapshot", "topics": [["no"], 3, None]})["topics"] == {}


# -- children --------------------------------------------------------------------------------------


def test_set_goes_to_the_child_and_its_answer_back(session: Session, client: ControlClient) -> None:
    with child(session) as link:
        thread = answering(link, lambda command: link.reply(command, now=command["value"]))
        request = {"do": "set", "consumer": "vd", "name": "radius", "value": 12}
        assert client.request(request) == {"now": 12}
        thread.join()


def test_a_refusal_of_the_child_is_an_error_at_the_client(session: Session, client: ControlClient) -> None:
    with child(session) as link:
        thread = answering(link, lambda c: link.reply(c, ok=False, error="radius must be > 0", code=2))
        with pytest.raises(UsageError, match="radius must be > 0"):
            client.request({"do": "set", "consumer": "vd", "name": "radius", "value": -1})
        thread.join()


def test_answers_find_their_questions_whatever_their_order(session: Session) -> None:
    values: list[int] = []
    with child(session) as link, ControlClient(session.hub.addresses.control) as other:

        def ask(value: int) -> None:
            with ControlClient(session.hub.addresses.control) as client:
                fields = {"do": "set", "consumer": "vd", "name": "r", "value": value}
                values.append(value - client.request(fields)["now"])

        threads = [threading.Thread(target=ask, args=(value,)) for value in range(4)]
        for thread in threads:
            thread.start()
        commands: list[dict[str, Any]] = []
        while len(commands) < 4:
            assert link.pollable.poll(20_000)
            commands += [command] if (command := link.receive()) is not None else []
        for command in reversed(commands):
            link.reply(command, now=command["value"])
        for thread in threads:
            thread.join()
        assert values == [0, 0, 0, 0]
        assert other.request({"do": "status"})


def test_a_child_that_is_not_there_is_said_at_once(session: Session, client: ControlClient) -> None:
    start = time.monotonic()
    with pytest.raises(SessionError, match="'vd' is not running"):
        client.request({"do": "set", "consumer": "vd", "name": "radius", "value": 1})
    assert time.monotonic() - start < 2
    said: list[bool] = []
    session.calls.append(lambda: said.append(session.hub.send_child("vd", {"do": "stop"})))
    wait_until(lambda: said == [False])


def test_a_child_that_died_is_not_running(session: Session, client: ControlClient) -> None:
    with child(session):
        pass
    request = {"do": "set", "consumer": "vd", "name": "radius", "value": 1}
    with pytest.raises(SessionError, match=r"is not running|did not answer in time"):
        client.request(request)


def test_a_silent_child_is_answered_for_after_two_seconds() -> None:
    now = [0]
    session = Session(clock=lambda: now[0])
    with child(session), ControlClient(session.hub.addresses.control) as client:
        errors: list[str] = []

        def ask() -> None:
            with pytest.raises(SessionError) as caught:
                client.request({"do": "set", "consumer": "vd", "name": "r", "value": 1}, timeout=20)
            errors.append(str(caught.value))

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: len(session.hub._children._pending) == 1)
        now[0] = 1_900_000_000
        with ControlClient(session.hub.addresses.control) as other:
            other.request({"do": "status"})
        assert errors == []
        now[0] = 2_100_000_000
        thread.join()
        assert "'vd' did not answer in time" in errors[0]
    session.close()


def test_the_death_of_a_child_answers_what_it_was_asked(session: Session) -> None:
    with child(session), ControlClient(session.hub.addresses.control) as client:
        session_error: list[str] = []

        def ask() -> None:
            with pytest.raises(SessionError) as caught:
                client.request({"do": "set", "consumer": "vd", "name": "r", "value": 1})
            session_error.append(str(caught.value))

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: len(session.hub._children._pending) == 1)
        session.calls.append(lambda: session.hub.child_gone("vd"))
        thread.join()
        assert "has ended before it answered" in session_error[0]


def test_a_restarted_child_takes_its_name_over(session: Session) -> None:
    said: list[bool] = []
    first = ChildLink(session.hub.addresses.children, "vd")
    first.ready()
    wait_until(lambda: len(session.children) == 1)
    second = ChildLink(session.hub.addresses.children, "vd")
    second.ready({"attempt": 2})
    wait_until(lambda: len(session.children) == 2)
    assert session.children[1] == ("vd", {"type": "ready", "attempt": 2})
    session.calls.append(lambda: said.append(session.hub.send_child("vd", {"do": "parameters"})))
    assert second.pollable.poll(20_000)
    assert second.receive() == {"do": "parameters"}
    wait_until(lambda: said == [True])
    assert first.receive() is None
    first.close()
    second.close()


def test_reports_are_cut_to_size_and_never_raise(session: Session) -> None:
    with child(session) as link:
        link.report("log", text="x" * 1_000_000, level="error")
        link.report("numbers", values=list(range(100_000)))
        link.report("odd", thing=object())
        wait_until(lambda: len(session.children) == 4)
        _, log, numbers, odd = (message for _, message in session.children)
        assert len(log["text"]) == MAX_REPORT_TEXT
        assert (numbers["kind"], odd["kind"]) == ("numbers", "odd")
        assert "limit is" in numbers["error"]
        assert "plain" in odd["error"]


def test_the_command_line_of_a_child_survives_garbage(session: Session) -> None:
    said: list[bool] = []
    with child(session) as link:
        router = session.hub._children.socket
        session.calls.append(lambda: said.append(router.send_multipart([b"vd", b"\xc1"]) is None))
        session.calls.append(lambda: said.append(session.hub.send_child("vd", {"do": "stop"})))
        assert link.pollable.poll(20_000)
        wait_until(lambda: link.receive() == {"do": "stop"})
        wait_until(lambda: said == [True, True])
        assert link.receive() is None


def test_an_answer_to_no_question_is_counted(session: Session) -> None:
    with child(session) as link, child(session, "other") as other:
        link.reply({"id": 99}, now=1)
        other.reply({"id": [1]}, now=1)
        link.reply({}, now=1)
        wait_until(lambda: session.hub.refused().get("answer to no question") == 2)


def test_deferred_keeps_its_first_answer() -> None:
    deferred = Deferred()
    got: list[Any] = []
    deferred.then(got.append)
    deferred.resolve({"ok": True})
    deferred.resolve({"ok": False})
    deferred.then(got.append)
    assert got == [{"ok": True}, {"ok": True}]
