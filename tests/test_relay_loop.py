"""The relay between a real hub and viewers that ask it: who is served, with what, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import zmq
from hub_tools import ServedHub

from livem.session.onlooker import HEARTBEAT_S
from livem.session.relay import RelayOptions
from livem.session.relay_loop import FORGOTTEN_S, MOST_ONLOOKERS, Relay
from livem.stream.bus import Publisher
from livem.stream.bus_codec import decode
from livem.stream.plain_map import pack_map, unpack_map
from livem.stream.results import Result
from livem.stream.series import SeriesKey

SERIES = SeriesKey(b"\x01" * 8, 3)
TURNS = 600
"""Of 0.1 s at most."""
FINE = [0, 0, 64, 64, 1]


def event(number: int) -> Result:
    return Result("track.events", "event", SERIES, (number, number + 1), number + 1, attrs={"n": number})


def frame() -> Result:
    attrs = {"index": 7, "factor": 4, "shape": [200, 200], "mode": "mean"}
    return Result("preview.frame", "image", SERIES, (0, 8), 1, {"image": np.ones((50, 50))}, {}, attrs)


class Desk:
    """A relay, the hub it listens to, and viewers with sockets of their own; the clock is the test's."""

    def __init__(self, hub: Any) -> None:
        self.hub, self.now, self.views = hub, 100.0, list[Mapping[str, Any]]()
        addresses = hub.addresses
        options = RelayOptions("tcp://127.0.0.1:*", addresses.control, addresses.private)
        self.relay = Relay(options, self.views.append, lambda: self.now)
        self.publisher = Publisher(addresses.results)
        self._context, self._sockets = zmq.Context(), list[Any]()
        self.until(lambda: self.relay._session is not None)

    def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(TURNS):
            self.relay.turn()
            if condition():
                return
        raise AssertionError("it never happened")

    def viewer(self) -> Any:
        socket = self._context.socket(zmq.DEALER)
        self._sockets.append(socket)
        socket.connect(self.relay.address)
        return socket

    def ask(self, socket: Any, number: int, **more: Any) -> None:
        """A question, and wait until the relay has it."""
        known = len(self.relay._onlookers)
        socket.send(pack_map({"id": number, "budget": 1e9, **more}))
        self.until(lambda: len(self.relay._onlookers) > known or self._has(number) or socket.poll(0))

    def _has(self, number: int) -> bool:
        return any(one.question == number for one in self.relay._onlookers.values())

    def answer(self, socket: Any) -> tuple[dict[str, Any], list[Result]]:
        """Of the relay, once it has something, or is to give a sign of life."""
        self.now += HEARTBEAT_S
        self.until(lambda: socket.poll(0))
        head, *parts = socket.recv_multipart()
        reply: Any = unpack_map(head)
        results = []
        for _, sizes in reply.get("results", ()):
            taken, parts = parts[: 2 + len(sizes)], parts[2 + len(sizes) :]
            results.append(decode(taken))
        return reply, results

    def close(self) -> None:
        self.publisher.close()
        self.relay.close()
        for socket in self._sockets:
            socket.close(0)
        self._context.term()


@pytest.fixture
def desk() -> Iterator[Desk]:
    served = ServedHub()
    desk = Desk(served.hub)
    yield desk
    desk.close()
    served.close()


def test_one_more_viewer_than_there_is_room_for_is_told_so_until_others_are_silent(desk: Desk) -> None:
    viewers = [desk.viewer() for _ in range(MOST_ONLOOKERS + 1)]
    for number, viewer in enumerate(viewers[:-1]):
        desk.ask(viewer, number)
    desk.ask(viewers[-1], 99)
    reply, _ = desk.answer(viewers[-1])
    assert (reply["id"], reply["ok"]) == (99, False)
    assert f"{MOST_ONLOOKERS} viewers look at this session" in reply["error"]
    desk.now += FORGOTTEN_S + 1
    desk.until(lambda: not desk.relay._onlookers)
    desk.ask(viewers[-1], 100)
    assert desk.answer(viewers[-1])[0]["ok"] is True


def test_each_question_is_answered_once_and_what_is_none_not_at_all(desk: Desk) -> None:
    viewer = desk.viewer()
    for hostile in (
        [b"junk"],
        [b"a", pack_map({"id": 1})],
        [pack_map({"id": "x"})],
        [pack_map({"budget": 3})],
    ):
        viewer.send_multipart(hostile)
    viewer.send(pack_map({"id": True}))
    desk.ask(viewer, 5, cutouts=[1, 2], known=7)
    reply, results = desk.answer(viewer)
    assert (reply["id"], reply["ok"], results) == (5, True, [])
    assert reply["session"] == desk.relay._session
    desk.now += HEARTBEAT_S
    for _ in range(3):
        desk.relay.turn()
    assert not viewer.poll(0)


def test_one_that_comes_back_is_not_given_events_again_and_one_that_is_new_gets_them_all(desk: Desk) -> None:
    early, back, new = (desk.viewer() for _ in range(3))
    desk.ask(early, 1)
    for number in range(3):
        desk.publisher.publish(event(number))
    desk.until(lambda: len(desk.relay._kept) == 3)
    reply, results = desk.answer(early)
    while len(results) < 3:
        desk.ask(early, 2)
        results += desk.answer(early)[1]
    assert [one.attrs["n"] for one in results] == [0, 1, 2]
    assert [kept for kept, _ in reply["results"]] == [True] * len(reply["results"])
    desk.ask(back, 3, known=reply["session"])
    assert desk.answer(back)[1] == []
    desk.ask(new, 4, known="another")
    assert [one.attrs["n"] for one in desk.answer(new)[1]] == [0, 1, 2]


def test_previews_are_asked_for_what_viewers_look_at_and_no_longer_when_they_are_gone(desk: Desk) -> None:
    desk.publisher.publish(frame())
    desk.until(lambda: "preview.frame" in desk.relay._newest)
    one, other, coarse = (desk.viewer() for _ in range(3))
    desk.ask(one, 1, cutouts={"preview.frame": FINE, "junk": "?", "vd.bf": FINE})
    desk.ask(other, 2, cutouts={"preview.frame": FINE})
    desk.ask(coarse, 3, cutouts={"preview.frame": [0, 0, 200, 200, 4]})
    desk.until(lambda: desk.views and desk.views[-1] == {"preview": [FINE]})
    told = len(desk.views)
    desk.relay.turn()
    assert len(desk.views) == told, "only what changed is told"
    desk.now += FORGOTTEN_S + 1
    desk.until(lambda: desk.views[-1] == {"preview": []})
