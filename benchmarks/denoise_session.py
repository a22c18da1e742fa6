"""Movies denoised in a real session, from the sender to the bus: frames a second, and memory over time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

import psutil

from ..pipeline import ConsumerConfig, Pipeline
from ..session import Session, SessionOptions
from .figures import Gate, Row, at_least, at_most
from .listening import results_of
from .memory import GROWTH_MB_H, Track
from .partner import Partner

TOPIC = "denoise.image"
WAIT_S = 0.01
BUDGET_MS = 1000.0
"""So long that no quality is lost: frames a second are those of the whole filter."""
RATES = {256: 50.0, 512: 15.0}
"""Frames a second that are promised, of 256 x 256 and of 512 x 512."""
SETTLED_S = 2.0
"""The first seconds count for nothing: gain and memories are found, processes still start."""
SAMPLE_S = 1.0
LONG_S = 300.0
"""From how long a run on a slope of memory is judged."""


@dataclass(slots=True)
class Seen:
    """What a subscriber received: when (s, time.monotonic()), and how many frames were denoised by then."""

    at_s: list[float] = field(default_factory=list)
    denoised: list[int] = field(default_factory=list)

    def per_second(self) -> float | None:
        """Frames a second after the first seconds; None of too few pictures."""
        late = [k for k, at in enumerate(self.at_s) if at >= self.at_s[0] + SETTLED_S]
        if len(late) < 2:
            return None
        first, last = late[0], late[-1]
        return (self.denoised[last] - self.denoised[first]) / (self.at_s[last] - self.at_s[first])


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of a session."""

    per_second: float | None
    cpu_ms: float | None
    """Of the consumer's process, for a frame that it denoised."""
    memory: Track


def measure(side: int, seconds: float) -> tuple[Sequence[Row], Sequence[Gate]]:
    """Frames a second, their processor time, and the memory of the process that denoises."""
    found = play(side, seconds)
    where = f"{side}x{side}, a session of {seconds:g} s"
    growth = found.memory.growth()
    row = {
        "session": where,
        "frames/s": found.per_second,
        "CPU ms a frame": found.cpu_ms,
        "RSS, MiB": f"{min(found.memory.resident):.0f} to {max(found.memory.resident):.0f}",
        "growth, MiB/h": "" if growth is None else str(growth),
    }
    gates = [at_least(f"{where}: frames/s", found.per_second, RATES[side])]
    if seconds >= LONG_S:
        slope = None if growth is None else growth.median
        gates.append(at_most(f"{where}: growth, MiB/h", slope, GROWTH_MB_H))
    return [row], gates


def play(side: int, seconds: float) -> Watched:
    """A session on a simulated movie that comes faster than it can be denoised."""
    url = f"sim:insitu?shape={side}x{side}&frames=0&fps={4 * RATES[side]:g}&dose=1"
    denoise = ConsumerConfig("denoise", "denoise", params={"budget_ms": BUDGET_MS})
    options = SessionOptions(url, duration=seconds)
    with ExitStack() as stack:
        session = stack.enter_context(Session(replace(Pipeline(), consumers=(denoise,)), options))
        looker = stack.enter_context(Partner(watch, session.hub.addresses.control))
        looker.hear()
        session.start()
        memory, cpu_s, worker = Track(), [], None
        began = next_at = time.monotonic()
        while not session.over():
            session.step()
            if worker is None and (pid := session.status()["processes"].get("denoise")):
                worker = psutil.Process(pid)
            if worker is not None and time.monotonic() >= next_at:
                next_at = time.monotonic() + SAMPLE_S
                cpu_s.append(_sampled(worker, memory, next_at - began))
        session.finish()
        looker.tell(None)
        if session.error is not None:
            raise session.error
        seen: Any = looker.hear()
    spent = [one for one in cpu_s if one is not None]
    frames = seen.denoised[-1] - seen.denoised[0] if seen.denoised else 0
    cpu_ms = 1e3 * (spent[-1] - spent[0]) / frames if len(spent) > 1 and frames else None
    return Watched(seen.per_second(), cpu_ms, memory)


def _sampled(worker: psutil.Process, memory: Track, seconds: float) -> float | None:
    """Processor seconds of the worker so far; None once it has ended."""
    try:
        memory.sample(worker, seconds)
        times = worker.cpu_times()
    except psutil.NoSuchProcess:
        return None
    return float(times.user + times.system)


def watch(pipe: Connection, address: str) -> None:
    """Body of the subscriber's process: note every picture until asked for what was seen."""
    seen = Seen()
    for result in results_of(pipe, address, TOPIC, WAIT_S):
        seen.at_s.append(time.monotonic())
        seen.denoised.append(int(result.attrs["denoised"]))
    pipe.send(seen)
