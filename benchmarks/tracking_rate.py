"""Frames a second of the whole pipeline: in this process on two threads, and in a real session.

The movie is played back and forth, so that particles never jump. In the session frames are read from a file
as fast as they are taken (a lossless edge) and go through the ring; what is counted are frames in the tables
that a subscriber receives, after the first seconds.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ..pipeline import ConsumerConfig, Pipeline
from ..session import Session, SessionOptions
from ..stream.policy import Policy
from .denoise_session import WAIT_S, Seen
from .figures import Gate, Row, at_least
from .listening import results_of
from .partner import Partner
from .tracking_end import THREADS, Case, Movie, follow

RATES = {512: 200.0, 1024: 60.0}
"""Frames a second that are promised, of 512 x 512 with 200 particles and of 1024 x 1024 with 1,000."""
TOPIC = "track.tracks"
SEED = 11
SNR = 2


def measure(
    simulate: Any, size: int, count: int, frames: int, times: int, session: bool
) -> tuple[list[Row], list[Gate]]:
    """Rates of a movie of ``frames`` frames that is played ``times`` times."""
    case = Case.of(simulate, count, SNR, SEED, frames, size)
    movie = _played(case.frames, times)
    name = f"{size}x{size}, N={count}"
    here = follow(movie)
    rate = here.frames / here.seconds
    rows: list[Row] = [{
        "movie": name, "way": f"in this process, {THREADS} threads", "frames/s": f"{rate:.0f}",
        "CPU ms a frame": f"{1e3 * here.cpu / here.frames:.2f}",
        "of it merging": f"{1e3 * here.merging / here.frames:.2f}",
    }]  # fmt: skip
    gates = [at_least(f"{name}: frames/s in this process", rate, RATES[size])]
    if session:
        live = play(movie)
        shown = "" if live is None else f"{live:.0f}"
        rows.append({"movie": name, "way": "in a session", "frames/s": shown})
        gates.append(at_least(f"{name}: frames/s in a session", live, RATES[size]))
    return rows, gates


def play(movie: Movie) -> float | None:
    """Frames a second in a session; None where too few tables were seen."""
    track = ConsumerConfig("track", "track", Policy.parse("lossless"), threads=THREADS)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder, "movie.npy")
        np.save(path, movie)
        options = SessionOptions(str(path), series=1)
        session = stack.enter_context(Session(replace(Pipeline(), consumers=(track,)), options))
        looker = stack.enter_context(Partner(watch, session.hub.addresses.control))
        looker.hear()
        session.start()
        while not session.over():
            session.step()
        session.finish()
        if session.error is not None:
            raise session.error
        looker.tell(None)
        seen: Seen = looker.hear()
    return seen.per_second()


def watch(pipe: Connection, address: str) -> None:
    """Body of the subscriber's process: note every table until asked for what was seen."""
    seen = Seen()
    for result in results_of(pipe, address, TOPIC, WAIT_S):
        seen.at_s.append(time.monotonic())
        seen.denoised.append(int(result.attrs["frames"]))
    pipe.send(seen)


def _played(frames: Movie, times: int) -> Movie:
    """Back and forth, each time without the frame at which it turned."""
    forth = np.arange(len(frames))
    order = [forth] + [(forth[-2::-1], forth[1:])[k % 2] for k in range(times - 1)]
    return frames[np.concatenate(order)]
