"""What viewers and scripts ask of a session, and who answers it. Knows requests; keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..stream.desk import Deferred, Reply
from . import crew, recorder

if TYPE_CHECKING:
    from .session import Session


def answer(session: Session, request: dict[str, Any]) -> Reply | Deferred:
    """The reply to one request of the control channel (`stream.control.REQUESTS`)."""
    match request["do"]:
        case "status":
            return {"ok": True, "status": session.status()}
        case "stop":
            session.stop(str(request.get("reason", "asked to stop")))
            return {"ok": True}
        case "relay":
            return session.relaying.ask(str(request.get("endpoint", "")))
        case "replay":
            return session.hub.forward("ingest", _without_number(request))
        case what if what in session.past.requests:
            return session.past.answer(request)
    return _of_consumer(session, request)


def _of_consumer(session: Session, request: dict[str, Any]) -> Reply | Deferred:
    name = str(request.get("consumer", ""))
    if (stranger := session.stages.stranger(name)) is not None:
        if name == crew.RECORDER and (request.get("name"), request.get("value")) == ("recording", True):
            return recorder.begin(session)
        return stranger
    command = {**_without_number(request), **session.recordings()}
    reply = session.past.learn(name, session.hub.forward(name, command))
    reply.then(lambda said: session.stages.answered(request, said))
    return reply


def _without_number(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "id"}
