"""The stages of a running session: what the status says of them, changed and switched while it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from session_tools import a_pipeline, identity_holds, step_until

from livem.session import Session, SessionOptions
from livem.session.stages import Stages
from livem.stream.bus import Subscriber

pytestmark = pytest.mark.timeout(300)
URL = "sim:4dstem?shape=32x32&scan=16x16&fps=1000&repeats=0"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """With a consumer of a user's beside ours."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pipeline = a_pipeline(
        consumers=[
            {"name": "preview", "type": "preview", "max_size": 64},
            {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}},
            {"name": "mine", "type": "awkward_consumers:Raising"},
        ]
    )
    with Session(pipeline, SessionOptions(URL)) as session:
        session.start()
        yield session
        session.stop("test")
        session.finish()
        assert all(identity_holds(account) for account in session.settling.settled)


def asked(session: Session, **request: Any) -> Any:
    """The answer to a request."""
    replies: list[Any] = []
    answer = session._answer(request)
    if isinstance(answer, dict):
        return answer
    answer.then(replies.append)  # type: ignore[union-attr]
    return step_until(session, lambda: replies)[0]


def stage(session: Session, name: str) -> dict[str, Any]:
    (found,) = [one for one in session.status()["stages"] if one["name"] == name]
    return found


def edge(session: Session, name: str) -> dict[str, Any]:
    return session.status()["edges"][name]


def test_stages_are_told_changed_switched_and_kept(session: Session) -> None:
    subscriber = Subscriber(session.hub.addresses.control)
    try:
        step_until(session, lambda: subscriber.latest("vd.all"), timeout=200)  # a cold cache compiles
        step_until(session, lambda: stage(session, "vd")["ms"]["p50"])
        told = stage(session, "vd")
        assert [one["name"] for one in session.status()["stages"]] == ["preview", "vd", "mine"]
        assert (told["is_there"], told["enabled"], told["fault"]) == (True, True, "")
        assert 0 < told["ms"]["p50"] <= told["ms"]["p95"]
        assert told["device"].startswith(("CPU", "CUDA"))
        assert session.status()["latency_ms"]["p95"] >= session.status()["latency_ms"]["p50"]
        step_until(session, lambda: stage(session, "mine")["fault"].endswith("a frame that ends in 7"))

        answer = asked(session, do="parameters", consumer="preview")
        described = {one["name"]: one for one in answer["described"]}
        assert (described["max_size"]["low"], described["max_size"]["high"]) == (16, 4096)
        assert answer["file"] == {}
        revision = stage(session, "preview")["revision"]
        assert asked(session, do="set", consumer="preview", name="max_size", value=16)["ok"]
        step_until(session, lambda: subscriber.latest("preview.frame").arrays["image"].shape == (16, 16))
        step_until(session, lambda: stage(session, "preview")["revision"] > revision)
        assert asked(session, do="parameters", consumer="preview")["file"] == {"max_size": 64}
        refused = asked(session, do="set", consumer="preview", name="max_size", value=5)
        assert (refused["ok"], refused["code"]) == (False, 2)
        assert "max_size = 5; it must be a whole number from 16 to 4096" in refused["error"]

        os.kill(session.processes.pids()["preview"], signal.SIGKILL)
        step_until(session, lambda: not stage(session, "preview")["is_there"])
        step_until(session, lambda: stage(session, "preview")["is_there"])
        kept = step_until(
            session, lambda: asked(session, do="parameters", consumer="preview").get("parameters")
        )
        assert kept["max_size"] == 16, "a process that was restarted is told what was set"

        assert (
            "enabled = 'off'" in asked(session, do="set", consumer="vd", name="enabled", value="off")["error"]
        )
        assert asked(session, do="set", consumer="vd", name="enabled", value=False)["ok"]
        step_until(session, lambda: subscriber.latest("vd.all") is None)
        step_until(session, lambda: edge(session, "vd")["dropped"].get("switched_off", 0) > 100)
        step_until(session, lambda: stage(session, "vd")["enabled"] is False)
        before = edge(session, "vd")["processed"]
        assert asked(session, do="set", consumer="vd", name="enabled", value=True)["ok"]
        step_until(session, lambda: edge(session, "vd")["processed"] > before)
        step_until(session, lambda: subscriber.latest("vd.all") is not None)
    finally:
        subscriber.close()


def test_a_stage_that_is_off_in_the_file_begins_so_and_sees_all_once_it_is_on() -> None:
    all_of_it = {"type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}
    pipeline = a_pipeline(consumers=[{"name": n, **all_of_it, "enabled": n == "on"} for n in ("on", "off")])
    with Session(pipeline, SessionOptions(URL)) as session:
        session.start()
        assert stage(session, "off")["enabled"] is False
        subscriber = Subscriber(session.hub.addresses.control)
        try:
            step_until(session, lambda: subscriber.latest("on.all"), timeout=200)
            step_until(session, lambda: edge(session, "off")["dropped"].get("switched_off", 0) > 100)
            assert (subscriber.latest("off.all"), edge(session, "off")["processed"]) == (None, 0)
            assert asked(session, do="parameters", consumer="off")["parameters"]["enabled"] is False
            assert asked(session, do="set", consumer="off", name="enabled", value=True)["ok"]
            step_until(session, lambda: subscriber.latest("off.all") is not None)
            answer = asked(session, do="parameters", consumer="off")
            assert answer["file"] == {"enabled": False}
        finally:
            subscriber.close()
        session.stop("test")
        session.finish()
        assert all(identity_holds(account) for account in session.settling.settled)


def test_nobody_is_told_by_name() -> None:
    stages = Stages(a_pipeline(), ["recorder"])
    assert stages.stranger("recorder") is None
    refused = stages.stranger("vdd")
    assert refused is not None
    assert refused["error"] == "no consumer 'vdd'; there are: preview, vd, recorder"


def test_only_what_was_taken_and_stays_is_told_to_a_new_process() -> None:
    stages = Stages(a_pipeline())
    for name, value, reply in (
        ("max_size", 32, {"ok": True, "parameters": {"max_size": 32}}),
        ("mode", "max", {"ok": True, "parameters": {"mode": "max"}}),
        ("max_size", 16, {"ok": True, "parameters": {"max_size": 16}}),
        ("trace_length", 1, {"ok": False}),
        ("calibrate", True, {"ok": True, "parameters": {"calibrate": False}}),
    ):
        stages.answered({"do": "set", "consumer": "preview", "name": name, "value": value}, reply)
    stages.answered({"do": "parameters", "consumer": "preview"}, {"ok": True})
    told = list(stages.began("preview", {"device": "CPU"}))
    assert [(one["name"], one["value"]) for one in told] == [("mode", "max"), ("max_size", 16)]
    assert list(stages.began("vd", {})) == []
    assert stages.status({"preview"}, {"vd"})[0]["device"] == "CPU"
