"""Recording beside the live pictures: whole sessions with ``--record``, replayed and recorded again."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cbor2
import h5py
import numpy as np
import pytest
import zmq
from click.testing import CliRunner

from livem.cli import main
from livem.session import Session, SessionOptions
from livem.session.reports import Reports
from livem.stream import wire
from livem.stream.files.recordings import open_recording
from livem.stream.messages import FrameBatch
from livem.stream.results import Result
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.source import ReplayOptions, replay_plan

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, identity_holds, load, run, step_until

pytestmark = pytest.mark.timeout(300)

TOTAL = [{"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}]


def recorded(account: dict[str, Any]) -> Path:
    (path,) = account["recordings"]
    return Path(path)


def replayed(path: Path, out: Path, **options: Any) -> dict[str, Any]:
    """The account of a replay as fast as possible."""
    plan = replay_plan(ReplayOptions(str(path), speed=float("inf")))
    (account,) = run(str(path), out, a_pipeline(consumers=TOTAL), plan=plan, **options)["series"]
    return account


def sent(path: Path, protocol: str) -> list[list[bytes]]:
    """The messages of `livem send PATH --protocol PROTOCOL`, as they come out of a plain socket."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.rcvhwm, socket.rcvtimeo = 0, 20_000
        socket.bind("tcp://127.0.0.1:*")
        here = f"connect+{socket.last_endpoint.decode()}"
        done = CliRunner().invoke(
            main, ["send", str(path), "--to", here, "--protocol", protocol, "--rate", "inf", "--json"]
        )
        assert done.exit_code == 0, done.output
        (series,) = json.loads(done.stdout)["series"]
        return [socket.recv_multipart() for _ in range(series["messages"])]


def payloads_of(protocol: str, messages: list[list[bytes]]) -> dict[int, bytes]:
    """Encoded frames by number, read as each protocol's description says."""
    if protocol == "dectris1":
        images = [parts for parts in messages if b"dimage-" in parts[0]]
        return {json.loads(parts[0])["frame"]: parts[2] for parts in images}
    if protocol == "dectris2":
        said = [word for (part,) in messages if (word := cbor2.loads(part))["type"] == "image"]
        arrays = {image["image_id"]: image["data"]["threshold_1"] for image in said}
        # Tag 40: shape and pixels; these by a tag of their type, around the tag of compressed bytes.
        return {index: array.value[1].value.value[2] for index, array in arrays.items()}
    found: dict[int, bytes] = {}
    for batch in map(wire.decode, messages):
        if isinstance(batch, FrameBatch) and batch.sizes is not None:
            pieces = np.split(batch.payload, np.cumsum(batch.sizes)[:-1])
            found |= {batch.first + number: piece.tobytes() for number, piece in enumerate(pieces)}
    return found


def is_sent_as_it_lies_there(path: Path) -> None:
    """Chunk by chunk, in the protocols that have the encoding; a gap stays one."""
    with h5py.File(path, "r") as file:
        data, valid = file["entry/data/data"], file["entry/frames/valid"][:]
        chunks = {int(i): data.id.read_direct_chunk((i, 0, 0))[1] for i in np.flatnonzero(valid)}
    assert 0 < len(chunks) < len(valid)
    for protocol in ("dectris1", "dectris2", "livem"):
        assert payloads_of(protocol, sent(path, protocol)) == chunks


def same_frames(first: Path, second: Path) -> None:
    one, two = open_recording(str(first)), open_recording(str(second))
    assert (one.count, one.encoding, one.scan) == (two.count, two.encoding, two.scan)
    n = one.count
    assert n is not None
    np.testing.assert_array_equal(one.present(0, n), two.present(0, n))
    assert list(map(bytes, one.payloads(0, n))) == list(map(bytes, two.payloads(0, n)))
    np.testing.assert_array_equal(one.positions(0, n), two.positions(0, n))


@pytest.mark.parametrize("url", [TINY, "sim:sparse?scan=24x24"])
@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_what_is_recorded_is_replayed_and_recorded_again_the_same(url, encoding, tmp_path):
    sender = {"fault": "drop=0.1,seed=4,on=frames", "batch": 4, "encoding": encoding}
    live = run(url, tmp_path / "live", a_pipeline(consumers=TOTAL), sender=sender, record=tmp_path / "a")
    (account,) = live["series"]
    assert account["lost"] > 0
    assert identity_holds(account)
    assert account["edges"]["recorder"]["processed"] == account["received"]
    again = replayed(recorded(account), tmp_path / "again", record=tmp_path / "b")
    assert identity_holds(again)
    for key in ("received", "lost", "state", "announced"):
        assert again[key] == account[key], key
    np.testing.assert_array_equal(load(again, "vd.all"), load(account, "vd.all"))
    same_frames(recorded(account), recorded(again))
    if (url, encoding) == (TINY, "bslz4"):
        is_sent_as_it_lies_there(recorded(account))


def test_the_last_seconds_are_kept_on_request(tmp_path):
    """`livem keep`: nothing was recorded, and yet what the ring holds can be written down."""
    pipeline = a_pipeline(consumers=TOTAL, record={"continuous": False})
    url = f"{TINY}&fps=500&repeats=0"
    session = Session(pipeline, SessionOptions(url, record=tmp_path, out=tmp_path / "out"))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 300)
        request = {"do": "set", "consumer": "recorder", "name": "keep_last", "value": 60.0}
        replies: list = []
        session._answer(request).then(replies.append)
        step_until(session, lambda: replies)
        assert replies[0]["ok"], replies
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    kept = open_recording(str(recorded(account)))
    (indices,) = np.nonzero(kept.present(0, kept.count))
    assert len(indices) >= 300
    frames = open_acquisition(TINY).frames(0, 256)
    np.testing.assert_array_equal(kept.frames(0, kept.count)[indices], frames[indices % 256])


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")
def test_a_killed_recorder_leaves_its_file_and_its_switch_to_the_next(tmp_path):
    pipeline = a_pipeline(consumers=TOTAL, record={"continuous": False}, ring={"bytes": 1 << 20})
    url = f"{TINY}&fps=500&repeats=0"
    session = Session(pipeline, SessionOptions(url, record=tmp_path, out=tmp_path / "out"))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0])
        session._answer({"do": "set", "consumer": "recorder", "name": "recording", "value": True})
        step_until(
            session, lambda: session.reports.recording.get("frames", 0) > 600
        )  # more than the ring has
        os.kill(session.processes.pid("recorder"), signal.SIGKILL)
        session._ready.discard("recorder")
        step_until(session, lambda: "recorder" in session._ready)
        step_until(session, lambda: session.reports.recording.get("frames", 0) > 100)
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    first, second = map(open_recording, account["recordings"])
    edge = account["edges"]["recorder"]
    assert identity_holds(account)
    assert edge["processed"] > 700
    for recording in (first, second):
        assert recording.rows > 100
        recording.close()


def test_every_trouble_of_the_recorder_is_an_alarm_and_fails_the_run_in_the_end():
    alarms: list[str] = []
    for said in (
        {"state": "idle", "error": "a.h5 may lack its last frames"},
        {"state": "recording", "error": None, "kept": {"file": "b.h5", "done": True, "error": "disk full"}},
    ):
        reports = Reports(alarms.append, print, print, lambda name: False, lambda: False)
        reports.take("recorder", {"kind": "recording", **said})
        assert "recording failed" in str(reports.unrecorded)
    assert alarms == ["recording: a.h5 may lack its last frames", "recording: disk full"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process and let it go on")
def test_fault_11_a_recorder_that_hangs_costs_the_recording_and_not_the_pictures(tmp_path, monkeypatch):
    """Its disk answers no more: the detector is made to wait for PATIENCE_S, no longer."""
    monkeypatch.setattr("livem.stream.recording.recorder.PATIENCE_S", 0.2)
    pipeline = a_pipeline(consumers=TOTAL, ring={"bytes": 1 << 20})  # 500 frames
    url = f"{TINY}&fps=2000&repeats=0"
    session = Session(pipeline, SessionOptions(url, record=tmp_path, out=tmp_path / "out"))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 300)
        os.kill(session.processes.pid("recorder"), signal.SIGSTOP)
        hung_at = session.accounts.entered()[0]
        step_until(session, lambda: session.accounts.entered()[0] > hung_at + 2000)
        step_until(session, lambda: any("recorder hangs" in alarm for alarm in session.alarms))
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    assert account["edges"]["vd"]["processed"] == account["received"] > 2000
    recorder = account["edges"]["recorder"]
    assert identity_holds(account)
    assert recorder["dropped"]["passed"] > 1000
    assert "stopped" not in recorder["dropped"]
    assert "not recorded" in str(session.error)


def test_a_folder_that_cannot_be_written_costs_the_recording_and_not_the_pictures(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    session = Session(a_pipeline(consumers=TOTAL), SessionOptions(TINY, record=blocked, out=tmp_path / "out"))
    with session:
        session.start()
        while not session.over():
            session.step()
        session.finish()
    (account,) = session.summary()["series"]
    assert (account["state"], account["edges"]["vd"]["processed"]) == ("complete", 256)
    assert account["edges"]["recorder"]["dropped"] == {"not_recorded": 256}
    assert session.error is not None
    assert "recording failed" in str(session.error)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of another process")
def test_fault_11_a_disk_that_fills_in_mid_scan_costs_the_recording_and_not_the_pictures(tmp_path):
    """2 MiB of frames where 1 MiB fits: what was kept is whole, and a plain program opens it."""
    import resource

    url = "sim:4dstem?shape=32x32&scan=32x32"
    options = SessionOptions(url, record=tmp_path, out=tmp_path / "out", sender={"encoding": "raw"})
    session = Session(a_pipeline(consumers=TOTAL), options)
    with session:
        session.start()
        pid = session.processes.pid("recorder")
        assert pid is not None
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        while not session.over():
            session.step()
        session.finish()
    summary = session.summary()
    (account,) = summary["series"]
    frames = open_acquisition(url).frames(0, 1024)
    assert (account["state"], account["edges"]["vd"]["processed"]) == ("complete", 1024)
    np.testing.assert_array_equal(load(account, "vd.all"), frames.sum((1, 2), np.int64).reshape(32, 32))
    assert identity_holds(account)
    edge = account["edges"]["recorder"]
    assert 0 < edge["processed"] < 1024
    assert edge["dropped"] == {"not_recorded": 1024 - edge["processed"]}
    (alarm,) = (text for text in summary["alarms"] if text.startswith("recording"))
    assert "too large" in alarm
    assert "recording failed" in str(session.error)
    with h5py.File(recorded(account), "r") as file:
        (kept,) = np.nonzero(file["entry/frames/valid"][:])
        assert len(kept) >= edge["processed"]
        np.testing.assert_array_equal(file["entry/data/data"][:].reshape(-1, 32, 32)[kept], frames[kept])


def calibrated(
    ring_bytes: int, detectors: dict[str, Any], **options: Any
) -> tuple[dict[str, Any], list[str]]:
    """The last results of a scan and the session's alarms."""
    vd = {"name": "vd", "type": "virtual_detectors", "detectors": detectors}
    tables = {"ring": {"bytes": ring_bytes}, "record": {"compression": "bslz4"}}
    url = "sim:4dstem?shape=64x64&scan=24x24"
    session = Session(a_pipeline(consumers=[vd], **tables), SessionOptions(url, **options))
    last: dict[str, Any] = {}
    with session:
        take = session.settling.take

        def hear(result: Result) -> None:
            last.update({result.topic: result} if result.final else {})
            take(result)

        session.hub._on_result = hear
        session.start()
        step_until(session, lambda: session.settling.settled)
        session.stop("seen")
        session.finish()
    return last, list(session.alarms)


def test_a_disk_that_is_found_late_costs_nothing_where_a_recording_has_what_the_ring_has_lost(tmp_path):
    """The ring holds a fifth of the scan, and the disk is known at its end."""
    presets = {"bf": {"preset": "bf"}, "adf": {"preset": "adf"}}
    found, alarms = calibrated(1 << 20, presets, record=tmp_path / "kept")
    assert not alarms
    fixed = {}
    for name in presets:
        attrs = found[f"vd.{name}"].attrs
        assert "assumed" not in attrs
        fixed[name] = {
            key: attrs[key] for key in ("kind", "center", "radius", "inner", "outer") if key in attrs
        }
    from_the_start, _ = calibrated(16 << 20, fixed)
    for name in presets:
        image = found[f"vd.{name}"].arrays["image"]
        assert np.isfinite(image).all()
        np.testing.assert_array_equal(image, from_the_start[f"vd.{name}"].arrays["image"])
    alone, alarms = calibrated(1 << 20, presets)
    assert np.isnan(alone["vd.bf"].arrays["image"]).any()
    assert any("record, or make the ring" in alarm for alarm in alarms)
