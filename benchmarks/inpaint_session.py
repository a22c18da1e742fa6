"""A session that reconstructs sparse video, and a subscriber that counts its pictures."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from ..pipeline import ConsumerConfig, Pipeline
from ..session import Session, SessionOptions
from ..stream.ring_layout import S_LAST_ARRIVAL
from .listening import results_of
from .partner import Partner

TOPIC = "inpaint.image"
WAIT_S = 0.001
SIDE, FRACTION, RATE = 512, 0.1, 300_000
"""11 passes a second, each of a tenth of the pixels."""
SETTLED_NS = 1_000_000_000
"""Pictures of the first second are left out of the rate: processes are still starting."""


@dataclass(slots=True)
class Pictures:
    """What a subscriber received: when (time.monotonic_ns()), and of how many samples."""

    at_ns: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    made_ns: list[int] = field(default_factory=list)
    """When the worker gave them out."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of a session."""

    per_second: float | None
    last_ms: float | None
    """From the arrival of the last sample to the first picture that knows all of them."""


def play(seconds: float) -> Watched:
    """A session of so many seconds, and to the end of its last pass."""
    passes = math.ceil(seconds * RATE / (FRACTION * SIDE**2))
    url = f"sim:sparse?scan={SIDE}x{SIDE}&fraction={FRACTION}&fps={RATE}&repeats={passes}"
    inpaint = ConsumerConfig("inpaint", "inpaint", params={"hz": 40.0, "uncertainty": False})
    with ExitStack() as stack:
        session = stack.enter_context(Session(replace(Pipeline(), consumers=(inpaint,)), SessionOptions(url)))
        looker = stack.enter_context(Partner(watch, session.hub.addresses.control))
        looker.hear()
        session.start()
        while not session.over():
            session.step()
        session.finish()
        looker.tell(None)
        if session.error is not None:
            raise session.error
        last_ns = int(session.ring.views.series_words(0)[S_LAST_ARRIVAL])
        pictures: Any = looker.hear()
    return judged(pictures, last_ns)


def judged(pictures: Pictures, last_ns: int) -> Watched:
    """The rate while samples came, and how long the last picture took."""
    if not pictures.at_ns:
        return Watched(None, None)
    shown = [at for at in pictures.at_ns if pictures.at_ns[0] + SETTLED_NS <= at <= last_ns]
    rate = 1e9 * (len(shown) - 1) / (shown[-1] - shown[0]) if len(shown) > 1 else None
    most = max(pictures.samples)
    whole = next(at for at, samples in zip(pictures.at_ns, pictures.samples, strict=True) if samples == most)
    return Watched(rate, (whole - last_ns) / 1e6)


def watch(pipe: Connection, address: str) -> None:
    """Body of the subscriber's process: note every picture until asked for what was seen."""
    seen = Pictures()
    for result in results_of(pipe, address, TOPIC, WAIT_S):
        seen.at_ns.append(time.monotonic_ns())
        seen.made_ns.append(result.t_ns)
        seen.samples.append(int(result.attrs["samples"]))
    pipe.send(seen)
