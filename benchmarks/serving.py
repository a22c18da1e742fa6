"""A session of a benchmark, driven by hand until something has come about."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import SessionError
from ..session import Session

PATIENCE_S = 120.0
STEP_S = 0.005


def serve(session: Session, done: Callable[[], bool], fault: str) -> None:
    """Drive the session until ``done``. Raises its error, or SessionError when that takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        session.step(STEP_S)
        if session.error is not None:
            raise session.error
        if time.monotonic() > deadline:
            raise SessionError(f"{fault} within {PATIENCE_S:g} s: {session.status()['message']}")
