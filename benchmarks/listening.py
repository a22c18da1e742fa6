"""A subscriber in a process of its own, that notes what comes of a session."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.connection import Connection

from ..stream.bus import Subscriber
from ..stream.results import Result


def results_of(pipe: Connection, address: str, topic: str, wait_s: float) -> Iterator[Result]:
    """Every result of a topic until the process that started this one asks for what was seen.

    It is told "ready" when the subscriber listens. ``wait_s``: how often its question is looked for.
    """
    with Subscriber(address, (topic,)) as subscriber:
        pipe.send("ready")
        newest = -1
        while not pipe.poll():
            result = subscriber.wait(topic, wait_s, lambda result, after=newest: result.t_ns > after)  # type: ignore[misc]
            if result is not None:
                newest = result.t_ns
                yield result
