"""The feed of a viewer on another machine: it asks the session's relay for what its windows show.

One question at a time: the next one is asked when the answer has come, so that nothing old ever waits on a
slow line. The thread alone touches the sockets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq

from ..errors import LivemError, SessionError
from ..kernels.cutouts import Cutout
from ..kernels.packing import unpack
from ..stream.bus_codec import MAX_PART, decode
from ..stream.control import ControlClient, nobody, open_socket
from ..stream.plain_map import BadMessage, Part, pack_map, unpack_map
from ..stream.results import Result
from ..stream.slots import KEPT_MESSAGES
from .models.feed import FeedState

BUDGET = 10e6
"""Bytes a second: a line of 100 Mbit/s keeps a little for others."""
SILENT_S = 3.0
"""After which a relay that says nothing is asked for anew. It says something five times a second, but a
picture may take its time on a slow line."""
LOOK_MS = 50
ASK_S = 0.5
PAUSE_S = 0.2


class RemoteFeed:
    """The latest results of a session elsewhere, as far as its windows show them; comes back by itself.

    Parameters
    ----------
    address : str
        The session's control address, tcp://host:port.
    budget : float
        Bytes a second that it may be sent; at least 50 kB/s.
    """

    def __init__(self, address: str, budget: float = BUDGET) -> None:
        self.address, self.budget = address, budget
        self.received = 0
        """Bytes of answers so far."""
        self._lock = threading.Lock()
        self._changed: dict[str, Result] = {}
        self._events: list[Result] = []
        self._finals: list[Result] = []
        self._cutouts: Mapping[str, Cutout] = {}
        self._state = FeedState("connecting", nobody(address))
        self._session: bytes | None = None
        self._heard = 0.0
        self._closing = threading.Event()
        with ControlClient(address):
            pass  # what is no address is said at once
        self._thread = threading.Thread(target=self._run, name="livem-remote", daemon=True)
        self._thread.start()

    # -- for the window ----------------------------------------------------------------------------

    def look(self, cutouts: Mapping[str, Cutout]) -> None:
        """By topic: what the windows show now."""
        with self._lock:
            self._cutouts = dict(cutouts)

    def poll(self) -> Mapping[str, Result]:
        with self._lock:
            changed, self._changed = self._changed, {}
        return changed

    def events(self) -> Sequence[Result]:
        with self._lock:
            events, self._events = self._events, []
        return events

    def finals(self) -> Sequence[Result]:
        with self._lock:
            finals, self._finals = self._finals, []
        return finals

    @property
    def state(self) -> FeedState:
        return self._state

    def close(self) -> None:
        """End the thread; it looks up twice a second at least."""
        self._closing.set()
        self._thread.join(2 * ASK_S + 1.0)

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while not self._closing.is_set():
                relay = self._find()
                if relay:
                    self._listen(context, relay)
        finally:
            context.destroy(linger=0)

    def _find(self) -> str:
        """Where the relay is; empty while there is none, and the state says why."""
        try:
            with ControlClient(self.address) as control:
                relay = str(control.request({"do": "relay", "endpoint": self.address}, ASK_S)["address"])
        except LivemError as error:
            self._say_missing(error)
            relay = ""
        if not relay:
            self._closing.wait(PAUSE_S)
        return relay

    def _say_missing(self, error: LivemError) -> None:
        if self._state.link == "connecting":
            self._state = FeedState("connecting", str(error))
        else:
            away = f"{time.monotonic() - self._heard:.0f} s"
            text = f"the session at {self.address} is gone for {away}; waiting for it to return"
            self._state = FeedState("lost", text)

    def _listen(self, context: zmq.Context[zmq.Socket[bytes]], relay: str) -> None:
        """Ask and take, until the relay is silent."""
        desk = open_socket(context, zmq.DEALER, hwm=4, max_bytes=MAX_PART)
        try:
            desk.connect(relay)
            number, silent_at = 0, time.monotonic() + SILENT_S
            while not self._closing.is_set() and time.monotonic() < silent_at:
                number += 1
                if not desk.poll(LOOK_MS, zmq.POLLOUT):
                    continue
                desk.send(self._question(number))
                if self._answered(desk, number, silent_at):
                    silent_at = time.monotonic() + SILENT_S
        except zmq.ZMQError as error:
            self._say_missing(SessionError(f"{relay}: {error}"))
        finally:
            desk.close()

    def _question(self, number: int) -> bytes:
        with self._lock:
            cutouts = {topic: cutout.plain() for topic, cutout in self._cutouts.items()}
        known = {} if self._session is None else {"known": self._session}
        return pack_map({"id": number, "budget": self.budget, "cutouts": cutouts, **known})

    def _answered(self, desk: zmq.Socket[bytes], number: int, silent_at: float) -> bool:
        """Wait for the answer to a question; False when there is none."""
        while not self._closing.is_set() and time.monotonic() < silent_at:
            if not desk.poll(LOOK_MS):
                continue
            head, *parts = desk.recv_multipart(copy=False)
            answer = unpack_map(head)
            if not isinstance(answer, BadMessage) and answer.get("id") == number:
                self.received += len(head) + sum(map(len, parts))
                self._take(answer, parts)
                return True
        return False

    def _take(self, answer: Mapping[str, Any], parts: list[Part]) -> None:
        self._heard = time.monotonic()
        if answer.get("ok") is not True:
            self._state = FeedState("connecting", str(answer.get("error") or "refused"))
            self._closing.wait(PAUSE_S)
            return
        results = list(results_in(answer.get("results"), parts))
        with self._lock:
            if answer.get("session") != self._session:
                self._session = answer.get("session")
                self._changed.clear()
            for result, kept in results:
                self._enter(result, kept)
        phase = answer.get("phase")
        text = str(answer.get("text") or "")
        self._state = FeedState(phase if phase in ("live", "lost") else "connecting", text)

    def _enter(self, result: Result, kept: bool) -> None:
        if not kept:
            self._changed[result.topic] = result
            return
        queue = self._events if result.kind == "event" else self._finals
        queue.append(result)
        del queue[:-KEPT_MESSAGES]


def results_in(described: object, parts: list[Part]) -> list[tuple[Result, bool]]:
    """The results of an answer, and which of them are not to be missed; what is none is left out."""
    results: list[tuple[Result, bool]] = []
    start = 0
    for one in described if isinstance(described, list) else ():
        match one:
            case [bool(kept), list(sizes)]:
                message = parts[start : start + 2 + len(sizes)]
                start += len(message)
                result = _unpacked(message, sizes)
                if result is not None:
                    results.append((result, kept))
            case _:
                return results
    return results


def _unpacked(message: list[Part], sizes: Sequence[object]) -> Result | None:
    arrays: list[Part] = []
    for part, size in zip(message[2:], sizes, strict=False):
        plain = part if size == 0 else unpack(memoryview(part), size if type(size) is int else 0, MAX_PART)
        if plain is None:
            return None
        arrays.append(plain if size == 0 else plain.data)
    result = decode([*message[:2], *arrays])
    return None if isinstance(result, BadMessage) else result


Look = Callable[[Mapping[str, Cutout]], None]


def look_of(feed: object) -> Look | None:
    """How to tell a feed what the windows show; None where all of it comes anyway."""
    return feed.look if isinstance(feed, RemoteFeed) else None
