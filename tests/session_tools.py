"""Shared by the session tests: small sessions that a test drives step by step."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from livem.pipeline import Pipeline, parse
from livem.session import Session, SessionOptions

SHARED = Path(__file__).resolve().parents[2] / "shared"
TINY = "sim:4dstem?shape=32x32&scan=16x16"


def a_pipeline(**tables: Any) -> Pipeline:
    """Preview and virtual detectors on a 16 MiB ring, so that tests need little memory."""
    return parse({"ring": {"bytes": 16 << 20}, **tables})


def run(url: str, out: Path, pipeline: Pipeline | None = None, **options: Any) -> dict[str, Any]:
    """A whole session, from start to summary."""
    chosen = SessionOptions(url, out=out, **options)
    return Session(pipeline or a_pipeline(), chosen).run()


def step_until(session: Session, done: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Serve a session until ``done``; fails with its status when that takes too long."""
    deadline = time.monotonic() + timeout
    while not (result := done()):
        assert time.monotonic() < deadline, session.status()
        assert session.error is None, session.error
        session.step(0.01)
    return result


def free_address() -> str:
    """A TCP address of this machine that nobody has, for whoever binds it soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def identity_holds(account: dict[str, Any]) -> bool:
    """sent = received + lost + rejected, and for every edge received = processed + dropped + in flight."""
    known = account["received"] + account["lost"] + sum(account["rejected"].values())
    edges = all(
        account["received"] == edge["processed"] + sum(edge["dropped"].values()) + edge["in_flight"]
        for edge in account["edges"].values()
    )
    return edges and account["sent"] in (None, known)


def load(account: dict[str, Any], topic: str) -> np.ndarray:
    return np.load(account["results"][topic])


def nothing_left() -> list[str]:
    """Names of this process' segments that lie in shared memory now."""
    return sorted(path.name for path in Path("/dev/shm").glob(f"livem-{os.getpid()}-*"))
