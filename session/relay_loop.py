"""The relay: a process that serves viewers on other machines, so that a slow line is nobody else's affair.

It listens to the session's bus as a viewer does, and gives each of its own viewers what its windows show:
cut, reduced, packed, 60 times a second at most and within that viewer's budget. A viewer asks, and is
answered when there is something new; one that does not ask is sent nothing. Pixels that the preview's picture
for everybody does not have are asked for at the preview (consumers/work/views.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import zmq

from ..errors import SourceError
from ..kernels.cutouts import Cutout
from ..stream.bus import Subscriber
from ..stream.bus_codec import MAX_PART, decode
from ..stream.control import open_socket
from ..stream.desk import waiting
from ..stream.plain_map import BadMessage, Part, pack_map, unpack_map
from ..stream.results import PRIVATE, Result, is_removed
from .onlooker import Keepsakes, Newest, Onlooker, Packed, is_frame, needs_view
from .relay import RelayOptions, Views

BUSY_MS, IDLE_MS = 4, 100
"""How often new results are looked for while a viewer waits, and while none does."""
FORGOTTEN_S = 10.0
"""A viewer that has not asked for so long is gone, or stands still; it comes back as a new one."""
MOST_ONLOOKERS = 16
MOST_CUTOUTS = 64
HWM = 4


class Relay:
    """See the module.

    Parameters
    ----------
    tell_views : callable
        Told what is to be asked of previews, at every change.

    Raises
    ------
    SourceError
        When the address cannot be bound.
    """

    def __init__(
        self,
        options: RelayOptions,
        tell_views: Callable[[Views], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._tell_views = clock, tell_views
        self._newest: dict[str, Newest] = {}
        self._viewed: dict[tuple[str, Cutout], Newest] = {}
        self._kept = Keepsakes()
        self._onlookers: dict[bytes, Onlooker] = {}
        self._views: Views = {}
        self._numbers = count(1)
        self._session: Any = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._desk = open_socket(self._context, zmq.ROUTER, hwm=HWM)
        self._private = open_socket(self._context, zmq.SUB, hwm=HWM, max_bytes=MAX_PART)
        try:
            self._desk.bind(options.bind)
            self._private.connect(options.private)
            self._private.setsockopt(zmq.SUBSCRIBE, b"")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise SourceError(f"the relay cannot listen at {options.bind}: {error}") from error
        self._subscriber = Subscriber(options.control)
        self.address = str(self._desk.getsockopt_string(zmq.LAST_ENDPOINT))
        self._poller = zmq.Poller()
        for socket in (self._desk, self._private):
            self._poller.register(socket, zmq.POLLIN)

    def turn(self) -> None:
        """Take what is there, waiting a moment for it, and answer whoever can be answered."""
        waiting = any(one.question is not None for one in self._onlookers.values())
        self._poller.poll(BUSY_MS if waiting else IDLE_MS)
        self._take_requests()
        self._take_results()
        self._take_private()
        self._forget_silent()
        self._renew_views()
        for route, onlooker in self._onlookers.items():
            chosen = onlooker.bundle(self._newest, self._viewed)
            if chosen is not None:
                self._answer(route, onlooker, chosen)

    def close(self) -> None:
        """Let go of everything."""
        self._subscriber.close()
        self._context.destroy(linger=0)

    # -- viewers -----------------------------------------------------------------------------------

    def _take_requests(self) -> None:
        for parts in waiting(self._desk):
            request = unpack_map(parts[1]) if len(parts) == 2 else BadMessage("wrong number of parts")
            if not isinstance(request, BadMessage) and type(request.get("id")) is int:
                self._ask(parts[0], request)

    def _ask(self, route: bytes, request: Mapping[str, Any]) -> None:
        onlooker = self._onlookers.get(route)
        if onlooker is None:
            if len(self._onlookers) >= MOST_ONLOOKERS:
                return self._send(route, {"id": request["id"], "ok": False, "error": _FULL}, [])
            kept = () if request.get("known") == self._session else tuple(self._kept)
            onlooker = self._onlookers[route] = Onlooker(kept, self._clock)
        budget = request.get("budget")
        onlooker.ask(
            int(request["id"]),
            _cutouts(request.get("cutouts")),
            float(budget) if isinstance(budget, int | float) else 0.0,
        )
        return None

    def _answer(self, route: bytes, onlooker: Onlooker, chosen: list[tuple[Packed, bool]]) -> None:
        state = self._subscriber.state
        reply = {
            "id": onlooker.question,
            "ok": True,
            "session": self._session,
            "phase": state.phase,
            "text": state.text,
            "results": [[kept, packed.item_sizes] for packed, kept in chosen],
        }
        onlooker.question = None
        self._send(route, reply, [part for packed, _ in chosen for part in packed.parts])

    def _send(self, route: bytes, reply: Mapping[str, Any], parts: list[Part]) -> None:
        """One that is gone, or takes nothing, loses its answer; it asks again."""
        try:
            self._desk.send_multipart([route, pack_map(reply), *parts], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:
            self._onlookers.pop(route, None)

    def _forget_silent(self) -> None:
        limit = self._clock() - FORGOTTEN_S
        silent = [route for route, one in self._onlookers.items() if one.asked_at < limit]
        for route in silent:
            del self._onlookers[route]

    # -- results -----------------------------------------------------------------------------------

    def _take_results(self) -> None:
        session = self._subscriber.session.get("session")
        if session != self._session:
            self._session = session
            self._newest.clear()
        for topic, result in self._subscriber.poll().items():
            self._newest[topic] = self._numbered(result)
            if is_removed(result):
                self._forget_views(topic)
        for result in (*self._subscriber.finals(), *self._subscriber.events()):
            kept = self._numbered(result)
            self._kept.keep(kept)
            for onlooker in self._onlookers.values():
                onlooker.keep(kept)

    def _take_private(self) -> None:
        for parts in waiting(self._private, copy=False):
            result = decode(parts)
            if not isinstance(result, BadMessage):
                cutout = Cutout.parse(result.attrs.get("cutout"))
                topic = result.topic.partition(PRIVATE)[0]
                if cutout is not None:
                    self._viewed[topic, cutout] = self._numbered(replace(result, topic=topic))

    def _numbered(self, result: Result) -> Newest:
        return Newest(result, next(self._numbers))

    def _forget_views(self, topic: str) -> None:
        for key in [key for key in self._viewed if key[0] == topic]:
            del self._viewed[key]

    def _renew_views(self) -> None:
        """What previews are to be asked for now; told when it changes, and to one that is new here."""
        frames = {topic for topic, newest in self._newest.items() if is_frame(newest.result)}
        views = {topic.partition(".")[0]: self._wanted_of(topic) for topic in sorted(frames)}
        if views == self._views:
            return
        self._views = views
        wanted = {(topic, cutout) for topic in frames for cutout in self._cutouts_of(topic)}
        for key in self._viewed.keys() - wanted:
            del self._viewed[key]
        self._tell_views(views)

    def _wanted_of(self, topic: str) -> list[list[int]]:
        return [cutout.plain() for cutout in self._cutouts_of(topic)]

    def _cutouts_of(self, topic: str) -> list[Cutout]:
        """Each once."""
        frame = self._newest[topic].result
        wanted = (one.cutouts.get(topic) for one in self._onlookers.values())
        return list(dict.fromkeys(one for one in wanted if one is not None and needs_view(frame, one)))


_FULL = f"{MOST_ONLOOKERS} viewers look at this session from elsewhere already; close one of them"


def _cutouts(value: object) -> dict[str, Cutout]:
    """By topic; what is none is left out."""
    items = list(value.items())[:MOST_CUTOUTS] if isinstance(value, dict) else []
    parsed = ((topic, Cutout.parse(one)) for topic, one in items)
    return {topic: cutout for topic, cutout in parsed if cutout is not None}
