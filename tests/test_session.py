"""Whole sessions: real processes, real sockets, real shared memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import karabo_bridge
import numpy as np
import psutil
import pytest

from livem.errors import PipelineError, SessionError, SourceError, UnauthorisedBindError
from livem.session import Session, SessionOptions
from livem.stream import session_directory
from livem.stream.bus import Subscriber
from livem.stream.control import ControlClient
from livem.stream.simulate.catalogue import open_acquisition

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, free_address, identity_holds, load, nothing_left, run, step_until

pytestmark = pytest.mark.timeout(300)


def test_simulated_4d_scan_gives_exact_images_and_accounts(tmp_path):
    detectors = {"bf": {"kind": "disk", "radius": 6}, "com": {"kind": "com"}, "all": {"kind": "total"}}
    pipeline = a_pipeline(
        consumers=[
            {"name": "preview", "type": "preview"},
            {"name": "vd", "type": "virtual_detectors", "detectors": detectors},
        ]
    )
    summary = run(TINY, tmp_path, pipeline)
    (account,) = summary["series"]
    assert (account["state"], account["received"], account["lost"]) == ("complete", 256, 0)
    assert account["edges"]["vd"]["processed"] == 256
    assert identity_holds(account)
    frames = open_acquisition(TINY).frames(0, 256).astype(np.int64)
    np.testing.assert_array_equal(load(account, "vd.all"), frames.sum((1, 2)).reshape(16, 16))
    y, x = np.mgrid[:32, :32]
    inside = np.hypot(y - 15.5, x - 15.5) < 6
    np.testing.assert_array_equal(load(account, "vd.bf"), (frames * inside).sum((1, 2)).reshape(16, 16))
    total = frames.sum((1, 2))
    com = np.stack([(frames * y).sum((1, 2)) / total - 15.5, (frames * x).sum((1, 2)) / total - 15.5], -1)
    np.testing.assert_allclose(load(account, "vd.com"), com.reshape(16, 16, 2), rtol=0, atol=1e-12)
    assert json.loads((tmp_path / "summary.json").read_text())["series"] == summary["series"]
    assert (tmp_path / "1" / "vd.bf.png").stat().st_size > 100
    assert account["latency_ms"]["p50"] > 0
    assert nothing_left() == []


def test_several_series_each_have_their_own_results(tmp_path):
    summary = run(TINY, tmp_path, sender={"series_count": 3}, series=3)
    assert [account["received"] for account in summary["series"]] == [256] * 3
    assert len({account["results"]["vd.bf"] for account in summary["series"]}) == 3


def test_faults_of_the_sender_are_counted_and_leave_holes(tmp_path):
    sender = {"fault": "drop=0.2,duplicate=0.1,corrupt=0.05,shape=0.05,reorder=6,seed=3", "batch": 4}
    pipeline = a_pipeline(
        consumers=[{"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}]
    )
    (account,) = run(TINY, tmp_path, pipeline, sender=sender)["series"]
    assert account["state"] == "incomplete"
    assert account["lost"] > 0
    assert account["duplicate"] > 0
    assert identity_holds(account)
    image = load(account, "vd.all")
    valid = np.isfinite(image)
    assert valid.sum() == account["received"]
    frames = open_acquisition(TINY).frames(0, 256).astype(np.int64).sum((1, 2)).reshape(16, 16)
    np.testing.assert_array_equal(image[valid], frames[valid])


def going(status: dict[str, Any]) -> dict[str, Any] | None:
    """The status once it has seen a series for long enough to tell its speed."""
    known = status["rates"]["frames_per_second"] > 0 and status["latency_ms"]["p99"] is not None
    return status if known else None


def test_viewers_and_scripts_can_attach(tmp_path):
    karabo = free_address()
    options = SessionOptions("sim:4dstem?shape=32x32&scan=32x32&fps=500", out=tmp_path, karabo_out=karabo)
    session = Session(a_pipeline(), options)
    with session:
        assert session.hub.addresses.control in session_directory.running()
        session.start()
        subscriber = Subscriber(session.hub.addresses.control)
        try:
            wanted = {"status", "preview.frame", "vd.bf", "vd.haadf", "vd.com"}
            step_until(session, lambda: wanted <= set(subscriber.topics()))
            assert subscriber.latest("vd.bf").arrays["image"].shape == (32, 32)
            status = step_until(session, lambda: going(subscriber.latest("status").attrs))
            assert status["source"]["url"].startswith("sim:4dstem")
            assert identity_holds(status["series"])
            assert set(status["edges"]) == {"preview", "vd"}
            assert status["edges"] == status["series"]["edges"]
            assert status["rates"]["bytes_per_second"] > 0
            assert 0 < status["latency_ms"]["p50"] <= status["latency_ms"]["p99"]
        finally:
            subscriber.close()
        session.stop("test")
        session.finish()
        (account,) = session.settling.settled
        assert account["state"] in ("incomplete", "complete")
        assert identity_holds(account)
        with karabo_bridge.Client(karabo, timeout=60) as client:
            while not (image := client.next()[0].get("vd.bf", {})).get("final"):
                pass
    np.testing.assert_array_equal(image["image"], load(account, "vd.bf"))
    assert (image["series"], image["epoch"]) == (account["series"], account["epoch"])


def test_wrong_requests_are_refused_with_the_next_step(tmp_path):
    session = Session(a_pipeline(), SessionOptions("sim:4dstem?shape=32x32&scan=32x32&fps=200"))
    with session:
        session.start()
        accounts = session.accounts  # the default detectors are there once frames are
        step_until(session, lambda: accounts.series_count() and accounts.of(0)["edges"]["vd"]["processed"])
        for request, expected in (
            ({"consumer": "vdd", "name": "x", "value": 1}, "no consumer 'vdd'; there are: preview, vd"),
            ({"consumer": "vd", "name": "detectors.haadf.inner", "value": -3}, "inner"),
            ({"consumer": "vd", "name": "detectors.hadf.inner", "value": 3}, "haadf"),
        ):
            answer = session._answer({"do": "set", **request})
            replies: list = []
            if isinstance(answer, dict):
                replies.append(answer)
            else:
                answer.then(replies.append)
            step_until(session, lambda got=replies: got)
            assert not replies[0]["ok"]
            assert expected in replies[0]["error"]
        session.stop("test")
        session.finish()


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("tcp://127.0.0.1", SourceError, "port"),
        ("tcp://no-such-host.invalid:9999", SourceError, "does not know the host"),
        ("tcq://127.0.0.1:9999", SourceError, "tcp://host:port"),
        ("bind+tcp://0.0.0.0:9999", UnauthorisedBindError, "insecure-bind"),
        ("sim:4dstm", SourceError, "4dstem"),
        ("sim:4dstem?scan=0x4", SourceError, "scan"),
        ("no-such-file.npy", SourceError, "is no file and no address"),
    ],
)
def test_a_wrong_source_is_said_at_once(url, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        run(url, tmp_path)
    assert nothing_left() == []


def test_a_mask_outside_the_frame_ends_a_run_without_a_window(tmp_path):
    detectors = {"far": {"kind": "disk", "radius": 2, "center": [900, 900]}}
    pipeline = a_pipeline(consumers=[{"name": "vd", "type": "virtual_detectors", "detectors": detectors}])
    with pytest.raises(PipelineError, match="far"):
        run(TINY, tmp_path, pipeline)


def test_a_port_in_use_is_said_at_once(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SourceError, match="already in use"):
            run(f"bind+tcp://127.0.0.1:{port}", tmp_path)


def test_a_stream_that_never_starts_ends_with_the_reason(tmp_path):
    pipeline = a_pipeline(source={"wait": 0.5})
    with pytest.raises(SessionError, match=r"no series began at .* within 0.5 s"):
        run("tcp://127.0.0.1:9", tmp_path, pipeline)


def test_control_client_stops_a_session(tmp_path):
    import threading

    session = Session(a_pipeline(), SessionOptions("tcp://127.0.0.1:9", must_begin=False))
    with session:
        session.start()
        asked: list = []

        def ask() -> None:
            with ControlClient(session.hub.addresses.control) as client:
                asked.append(client.request({"do": "status"}, timeout=30))
                asked.append(client.request({"do": "stop", "reason": "enough"}, timeout=30))

        thread = threading.Thread(target=ask)
        thread.start()
        step_until(session, session.over)
        thread.join(30)
        session.finish()
    assert asked[0]["status"]["state"] in ("starting", "waiting")
    assert session.summary()["ended"] == "enough"


@pytest.mark.parametrize("lost", ["nothing", "ingest"])
def test_a_session_that_ends_in_mid_series_keeps_what_it_had(lost, tmp_path, monkeypatch):
    """Of a fast consumer, and of one that takes 0.1 s a block and is far behind."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    slow = {"name": "slow", "type": "awkward_consumers:Slow"}
    detectors = {"all": {"kind": "total"}}
    pipeline = a_pipeline(
        consumers=[{"name": "vd", "type": "virtual_detectors", "detectors": detectors}, slow]
    )
    session = Session(pipeline, SessionOptions("sim:4dstem?shape=32x32&scan=64x64&fps=1000", out=tmp_path))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 300)
        if lost == "ingest":
            psutil.Process(session.processes.pid("ingest")).kill()
            session.processes.stop("ingest")
            session._fail(SessionError("ingest died too often; see the alarms"))
        else:
            session.stop("test")
        session.finish()
    (account,) = session.summary()["series"]
    assert account["state"] == "incomplete"
    assert account["reason"]
    assert identity_holds(account)
    seen = account["edges"]["slow"]["processed"]
    assert seen > 0
    assert f"{seen}.0" in Path(account["results"]["slow.seen"]).read_text()
    assert np.isfinite(load(account, "vd.all")).sum() == account["edges"]["vd"]["processed"] > 300


def test_a_disk_that_takes_nothing_does_not_end_the_session(tmp_path):
    (tmp_path / "out").touch()  # a file where a folder should be: no user may write there
    session = Session(a_pipeline(), SessionOptions(TINY, out=tmp_path / "out", sender={"series_count": 2}))
    with pytest.raises(SessionError, match="cannot be written"):
        session.run()
    summary = session.summary()
    assert [account["received"] for account in summary["series"]] == [256, 256]
    assert summary["ended"] == "the source has ended"
    assert any("cannot be written" in alarm for alarm in summary["alarms"])


@pytest.fixture
def idle():
    """A session that has started no process."""
    with Session(a_pipeline(), SessionOptions("tcp://127.0.0.1:9")) as session:
        yield session


def test_a_misfit_ends_a_run_only_before_its_first_series_is_done(idle, monkeypatch):
    misfit = {"kind": "misfit", "series": 50, "error": "a mask outside the frame"}
    monkeypatch.setattr(idle.settling, "_count", 1)
    idle._hear("vd", misfit)
    assert idle.error is None
    assert "vd cannot take series 50" in idle.alarms[-1]
    monkeypatch.setattr(idle.settling, "_count", 0)
    idle._hear("vd", misfit)
    assert isinstance(idle.error, PipelineError)


def test_a_status_that_is_too_long_is_shortened_not_fatal(idle):
    idle._hear("ingest", {"kind": "source", "detail": "x" * 70_000})
    for i in range(30):
        idle._hear("vd", {"kind": "consumer_error", "times": i, "traceback": f"{i}{'y' * 9000}"})
    idle._publish_status()
    idle.alarms.append("z" * 70_000)
    idle._publish_status()
    idle.reports.source["refused"] = {"count": 1, "reason": "bad_header", "text": "w" * 70_000}
    idle._publish_status()
    idle.reports.recording["state"] = "v" * 70_000  # nothing that could be left out
    idle._publish_status()
    assert idle.error is None


def test_closing_gives_the_memory_back_and_may_be_done_twice():
    session = Session(a_pipeline(), SessionOptions("tcp://127.0.0.1:9"))
    name = session.ring.segment.name
    session.close()
    session.close()
    assert session.summary()["series"] == []
    if Path("/proc/self/maps").exists():
        assert name not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(("scan", "filled"), [([16, 8], 128), ([32, 16], 256)])
def test_peer_fault_a_scan_of_another_size_goes_on_and_says_so(scan, filled, tmp_path):
    """A movie of 256 frames under a scan too small, then too large: no frame stands at a wrong pixel."""
    movie = open_acquisition(TINY).frames(0, 256)
    path = tmp_path / "movie.npy"
    np.save(path, movie)
    detectors = [{"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}]
    pipeline = a_pipeline(scan={"shape": scan}, consumers=detectors)
    summary = run(str(path), tmp_path / "out", pipeline)
    (account,) = summary["series"]
    assert (account["state"], account["received"]) == ("complete", 256)
    image = load(account, "vd.all").reshape(-1)
    assert np.isfinite(image).sum() == filled
    np.testing.assert_array_equal(image[:filled], movie.sum((1, 2), dtype=np.int64)[:filled])
    assert any("check --scan" in alarm for alarm in summary["alarms"])
