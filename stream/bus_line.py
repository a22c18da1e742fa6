"""A subscriber's connection to its session: says hello, listens to the bus, notices silence, comes back.

Lives on the subscriber's thread, which alone touches the sockets; ``state``, ``hello`` and ``session`` may be
read from others. It does not keep results (slots.py) and does not wait for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import zmq

from .bus_codec import MAX_PART
from .control import VIEWER_HWM, Context, Socket, nobody, open_socket
from .plain_map import BadMessage, Part, pack_map, unpack_map
from .stamp import HEARTBEAT, Message

SILENT_NS: Final = 800_000_000
"""Four heartbeats missed: the session is lost. Less than the 1 s that is promised."""
ASK_NS: Final = 200_000_000
REPAIR_NS: Final = 2_000_000_000
"""After which a repair that was not answered is asked for again."""
DRAIN: Final = 256


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a subscriber stands with its session."""

    phase: Literal["connecting", "live", "lost"]
    text: str
    """For people; says what to do."""
    silent_ns: int
    """Since the last message of the session (since the start, when there was none)."""


class BusLine:
    """The sockets of a subscriber's thread, and what it knows of the session at the other end."""

    def __init__(
        self, context: Context, address: str, topics: tuple[str, ...], clock: Callable[[], int]
    ) -> None:
        self.address, self._topics, self._context, self._clock = address, topics, context, clock
        self.hello: Mapping[str, Any] = {}
        self.session = b""
        self.bus: Socket | None = None
        self.unreadable = 0
        """Messages on the bus that were no results: of a kind that this livem does not know, say."""
        self._phase: Literal["connecting", "live", "lost"] = "connecting"
        self._heard = clock()
        self._asked = self._heard - ASK_NS
        self._repair_due = 0
        self._number = 0
        self._poller = zmq.Poller()
        self.control = open_socket(context, zmq.DEALER, hwm=64, max_bytes=MAX_PART)
        # Questions to nobody must not queue up: a session that starts later would get them all at once.
        self.control.setsockopt(zmq.IMMEDIATE, 1)
        self.control.setsockopt(zmq.RECONNECT_IVL, 50)
        self.control.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        self.control.connect(address)
        self._poller.register(self.control, zmq.POLLIN)

    def state(self) -> LinkState:
        silent = max(0, self._clock() - self._heard)
        if self._phase == "live":
            text = f"live: {self.hello.get('name', '')} at {self.address}"
        elif self._phase == "lost":
            text = f"the session at {self.address} is gone for {silent / 1e9:.0f} s; waiting for it to return"
        elif self.hello:
            text = f"the session at {self.address} answers, but nothing comes from {self.hello['bus']}"
        else:
            text = nobody(self.address)
        return LinkState(self._phase, text, silent)

    def wait_for(self, ended: Socket) -> list[Any]:
        """Sockets that are ready; empty when there is something to look after."""
        if ended not in self._poller:
            self._poller.register(ended, zmq.POLLIN)
        return [socket for socket, _ in self._poller.poll(20 if self.bus is None else 100)]

    def tick(self) -> None:
        """Notice silence, and say hello to whoever may be there as long as nobody is."""
        now = self._clock()
        if self.bus is not None and now - self._heard > SILENT_NS:
            self._drop_bus()
            self._phase = "lost" if self._phase == "live" else self._phase
        if self.bus is None:
            self._say_hello()

    def _say_hello(self) -> None:
        now = self._clock()
        if now - self._asked >= ASK_NS and self._ask({"do": "hello", "endpoint": self.address}):
            self._asked = now

    def meet(self, hello: dict[str, Any]) -> bool:
        """Listen to the session that answered; True when it is another one than before."""
        session, bus = hello.get("session"), hello.get("bus")
        if not isinstance(session, bytes) or not isinstance(bus, str):
            return False
        changed = session != self.session
        if changed or self.bus is None:
            self.session, self.hello = session, hello
            self._connect_bus(bus)
        return changed

    def _connect_bus(self, address: str) -> None:
        self._drop_bus()
        bus = open_socket(self._context, zmq.SUB, hwm=VIEWER_HWM, max_bytes=MAX_PART)
        for topic in (*self._topics, HEARTBEAT):
            bus.setsockopt_string(zmq.SUBSCRIBE, topic)
        try:
            bus.connect(address)
        except zmq.ZMQError:
            bus.close()
            return
        self.bus = bus
        self._poller.register(bus, zmq.POLLIN)
        self._heard = self._clock()

    def _drop_bus(self) -> None:
        if self.bus is not None:
            self._poller.unregister(self.bus)
            self.bus.close()
            self.bus = None

    def answers(self) -> list[tuple[dict[str, Any], list[Part]]]:
        """What the session answered, with the question's name under "do"."""
        answers = []
        for head, *parts in self._received(self.control):
            answer = unpack_map(head)
            if not isinstance(answer, BadMessage) and answer.get("ok") is True:
                answers.append(({**answer, "do": "snapshot" if "sizes" in answer else "hello"}, parts))
        return answers

    def messages(self) -> list[Message]:
        """Stamped messages of the session that we know; another one's make us say hello again."""
        messages = []
        for parts in self._received(self.bus):
            message = Message.of(parts)
            if message is None:
                self.unreadable += 1
                continue
            if message.stamp.session == self.session:
                messages.append(message)
            else:
                self._say_hello()
        if messages:
            self._heard, self._phase = self._clock(), "live"
        return messages

    def ask_for(self, topics: list[str]) -> None:
        """Ask for all that the hub keeps of these topics; one question at a time, the answer may be long."""
        now = self._clock()
        if now >= self._repair_due and self._ask({"do": "snapshot", "topics": topics}):
            self._repair_due = now + REPAIR_NS

    def repaired(self) -> None:
        self._repair_due = 0

    def _ask(self, request: dict[str, Any]) -> bool:
        self._number += 1
        try:
            self.control.send(pack_map({**request, "id": self._number}), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _received(self, socket: Socket | None) -> list[list[Any]]:
        received: list[list[Any]] = []
        while socket is not None and len(received) < DRAIN:
            try:
                received.append(socket.recv_multipart(zmq.NOBLOCK, copy=False))
            except zmq.Again:
                break
        return received

    def close(self) -> None:
        self._drop_bus()
        self.control.close()
