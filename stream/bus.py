"""The ends of the result bus outside the hub: a worker's Publisher, a viewer's or script's Subscriber.

Neither may ever be slowed by the other: a publisher drops what is not final when the hub is behind, and a
subscriber drains into latest-slots on a thread of its own, however seldom it is looked at.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import zmq

from ..errors import SessionError, UsageError
from .bus_codec import MAX_PART, encode
from .bus_line import BusLine, LinkState
from .control import WORKER_HWM, Context, open_socket, unbundle
from .plain_map import Part
from .results import Result, is_removed
from .slots import ViewerSlots
from .stamp import HEARTBEAT, Message

BACKLOG_BYTES: Final = 64 * 1024 * 1024
"""Final results and events that a worker holds while the hub does not take them."""
BLOCKED_S: Final = 5.0
"""How long a full backlog may hold a worker up before the hub counts as gone."""


class Publisher:
    """A worker's way to the hub; not for use by several threads at once.

    Results that are not final are dropped (and counted) rather than waited for; final ones and events wait
    in a backlog of copies, which every later call tries to hand over, in order.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.dropped = 0
        """Results, none of them final, that the hub was too far behind to take."""
        self._context: Context = zmq.Context()
        self._socket = open_socket(self._context, zmq.PUSH, hwm=WORKER_HWM, max_bytes=MAX_PART)
        self._socket.connect(endpoint)
        self._backlog: deque[list[bytes]] = deque()
        self._waiting_bytes = 0

    def publish(self, result: Result, *, final: bool | None = None) -> bool:
        """Send a result, copying its arrays; ``final`` overrides the result's own mark.

        Returns
        -------
        bool
            False when it was dropped. Never for a final result or an event.

        Raises
        ------
        ResultError
            When the result is against the contract (see bus_codec.encode).
        SessionError
            When the backlog is full and the hub has taken nothing for BLOCKED_S seconds.
        """
        if final is not None and final is not result.final:
            result = replace(result, final=final)
        parts = encode(result)
        if self._hand_over() and self._try(parts):
            return True
        if not result.final and result.kind != "event":
            self.dropped += 1
            return False
        self._keep([bytes(part) for part in parts])
        return True

    def flush(self, timeout: float = 1.0) -> bool:
        """Hand the backlog over within ``timeout`` seconds; False when some of it still waits."""
        deadline = time.monotonic() + timeout
        while not self._hand_over():
            left = deadline - time.monotonic()
            if left <= 0 or not self._socket.poll(max(1, int(left * 1000)), zmq.POLLOUT):
                return False
        return True

    def close(self, timeout: float = 1.0) -> bool:
        """Hand over what waits, within ``timeout`` seconds, and let go; False when some of it was lost."""
        deadline = time.monotonic() + timeout
        flushed = self.flush(timeout)
        self._context.destroy(linger=max(0, int((deadline - time.monotonic()) * 1000)))
        return flushed

    def _hand_over(self) -> bool:
        while self._backlog:
            if not self._try(self._backlog[0]):
                return False
            self._waiting_bytes -= sum(map(len, self._backlog.popleft()))
        return True

    def _try(self, parts: Sequence[bytes | memoryview]) -> bool:
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _keep(self, parts: list[bytes]) -> None:
        self._backlog.append(parts)
        self._waiting_bytes += sum(map(len, parts))
        deadline = time.monotonic() + BLOCKED_S
        while self._waiting_bytes > BACKLOG_BYTES and not self._hand_over():
            left = deadline - time.monotonic()
            if left <= 0 or not self._socket.poll(max(1, int(left * 1000)), zmq.POLLOUT):
                raise SessionError(
                    f"the session at {self.endpoint} has taken no result for {BLOCKED_S:g} s and "
                    f"{self._waiting_bytes} bytes of final results wait; it is gone or hangs"
                )


class Subscriber:
    """What a viewer or a script sees of a session; survives its restarts.

    Parameters
    ----------
    address : str
        The session's control address: "tcp://host:port" or "ipc://path".
    topics : sequence of str
        Prefixes of the topics wanted; "" is everything.

    No method blocks (but ``wait``), and all may be called from any thread. The arrays of a result are
    read-only views of the received bytes; they stay valid as long as they are held.
    """

    def __init__(
        self,
        address: str,
        topics: Sequence[str] = ("",),
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.address = address
        self.repaired = 0
        """Messages that the bus had dropped for this subscriber and that it asked for again."""
        self._clock = clock
        self._slots = ViewerSlots(topics)
        self._arrived = threading.Condition()
        self._closed = False
        self._context: Context = zmq.Context()
        self._bell = self._context.socket(zmq.PAIR)
        bell = f"inproc://bell-{secrets.token_hex(4)}"
        self._bell.bind(bell)
        try:
            self._line = BusLine(self._context, address, tuple(topics), clock)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UsageError(f"{address!r} is no address: {error}; write tcp://host:port") from error
        self._thread = threading.Thread(target=self._run, args=(bell,), name="livem-subscriber", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and its sockets; what was received stays readable."""
        if not self._closed:
            self._closed = True
            self._bell.send(b"")
            self._thread.join()
            self._context.destroy(linger=0)
            with self._arrived:
                self._arrived.notify_all()

    @property
    def state(self) -> LinkState:
        return self._line.state()

    @property
    def session(self) -> Mapping[str, Any]:
        """The session's answer to "hello" (name, version, pid, bus, topics); empty before the first one."""
        return self._line.hello

    @property
    def forgotten(self) -> int:
        """Events and final results of the session that can no longer be had here."""
        return self._slots.forgotten

    @property
    def unreadable(self) -> int:
        """Messages that were no results as this livem knows them: the session may be a newer one."""
        return self._line.unreadable

    def topics(self) -> tuple[str, ...]:
        with self._arrived:
            return self._slots.topics()

    def poll(self) -> dict[str, Result]:
        """The newest result of each topic that changed since the last call; see `results.is_removed`."""
        with self._arrived:
            changed = self._slots.take_changed()
        return {result.topic: result for result in _decoded(changed)}

    def latest(self, topic: str) -> Result | None:
        with self._arrived:
            message = self._slots.newest(topic)
        result = None if message is None else message.result()
        return None if result is None or is_removed(result) else result

    def events(self) -> list[Result]:
        """Events since the last call, each once, as long as the bounded queue held them (``forgotten``)."""
        with self._arrived:
            events = self._slots.take_events()
        return _decoded(events)

    def finals(self) -> list[Result]:
        """Final results since the last call, each once: the results of the series that ended."""
        with self._arrived:
            finals = self._slots.take_finals()
        return _decoded(finals)

    def wait(
        self, topic: str, timeout: float, predicate: Callable[[Result], bool] = lambda result: True
    ) -> Result | None:
        """The newest, or newest final, result of a topic that satisfies ``predicate``.

        Blocks up to ``timeout`` seconds; None when there was no such result by then. Results that were
        overwritten before they could be looked at are not seen.
        """
        deadline = time.monotonic() + timeout
        seen: tuple[Message | None, ...] = ()
        while True:
            with self._arrived:
                candidates = (self._slots.newest(topic), self._slots.newest_final(topic))
                if candidates == seen:
                    if self._closed or not self._arrived.wait(max(0.0, deadline - time.monotonic())):
                        return None
                    continue
            seen = candidates
            for result in _decoded([message for message in candidates if message is not None]):
                if not is_removed(result) and predicate(result):
                    return result

    # -- the thread --------------------------------------------------------------------------------

    def _run(self, bell: str) -> None:
        ended = self._context.socket(zmq.PAIR)
        ended.connect(bell)
        while True:
            ready = self._line.wait_for(ended)
            if ended in ready:
                break
            if self._line.control in ready:
                self._take_answers()
            if self._line.bus in ready:
                self._take_results()
            # Last: after a hang of this process its queue still holds signs of life.
            self._line.tick()
        self._line.close()
        ended.close()

    def _take_answers(self) -> None:
        for answer, parts in self._line.answers():
            if answer.get("do") == "hello":
                self._meet(answer)
            else:
                self._repair(answer, parts)

    def _meet(self, hello: dict[str, Any]) -> None:
        if self._line.meet(hello):
            with self._arrived:
                self._slots.clear()
                self._arrived.notify_all()

    def _repair(self, answer: dict[str, Any], parts: list[Part]) -> None:
        self._line.repaired()
        if answer.get("session") != self._line.session:
            return
        messages = unbundle(answer.get("sizes"), parts)
        with self._arrived:
            for message in messages:
                if message.stamp.session == self._line.session:
                    self._slots.put(message)
                    self.repaired += 1
            self._slots.settle(_counts(answer.get("topics")))
            self._arrived.notify_all()

    def _take_results(self) -> None:
        for message in self._line.messages():
            if message.topic == HEARTBEAT:
                self._check(message)
                continue
            with self._arrived:
                self._slots.put(message)
                self._arrived.notify_all()

    def _check(self, heartbeat: Message) -> None:
        """Ask for what the hub has sent and what never came: the bus drops for whoever is slow."""
        result = heartbeat.result()
        if result is not None:
            behind = self._slots.behind(_counts(result.attrs.get("topics")))
            if behind:
                self._line.ask_for(behind)


def _decoded(messages: Sequence[Message]) -> list[Result]:
    return [result for message in messages if (result := message.result()) is not None]


def _counts(value: object) -> dict[str, tuple[int, int]]:
    """{topic: [messages, kept ones]} as the hub says it; what has another form is left out."""
    counts: dict[str, tuple[int, int]] = {}
    for topic, pair in value.items() if isinstance(value, dict) else ():
        match topic, pair:
            case str(), [int(newest), int(kept)]:
                counts[topic] = newest, kept
    return counts
