"""A session's recorder: there from the start, or started on request and from the open series on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..stream.desk import Reply
from . import crew

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from .session import Session

FOLDER = Path("recordings")
"""In the session's working directory."""


def start(session: Session, folder: Path, pipeline: Pipeline) -> None:
    """Begin to keep the stream, in files of this folder."""
    notes = session.directory / "recorder.json"
    session.processes.start(crew.recorder(folder, pipeline, session.hub.addresses, session.ring, notes))


def begin(session: Session) -> Reply:
    """Start one that there is not, unless it starts already; the session's status says when it writes.

    It keeps the open series as far back as the ring goes, and all that come.
    """
    if crew.RECORDER not in set(session.processes):
        everything = replace(session.pipeline.record, continuous=True)
        start(session, FOLDER, replace(session.pipeline, record=everything))
    return {"ok": True, "starting": True}


def take_in(session: Session, name: str) -> None:
    """The process reads its input: from now on it is waited for; of series that are over it has nothing."""
    spec = next((spec for spec in session.ring.awake() if spec.name == name), None)
    if spec is None or spec in session.edges:
        return
    session.edges.append(spec)
    session.stages.join(name)
    for serial in range(session.accounts.series_count()):
        if session.accounts.is_over(serial):
            session.settling.promise(name, serial, [])
