"""``livem replay``: the command as a user runs it, and a session that is paused, stepped and sought."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from livem.cli import main
from livem.session import Session, SessionOptions
from livem.stream.desk import Deferred
from livem.stream.sources.replay.source import ReplayOptions, replay_plan

sys.path.insert(0, str(Path(__file__).parents[1]))
from session_tools import a_pipeline, identity_holds, load, step_until

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]
TOTALS = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A raster scan of 12 x 10 frames of 8 x 8."""
    path = tmp_path / "scan.npy"
    np.save(path, np.random.default_rng(5).integers(0, 99, (12, 10, 8, 8)).astype(np.uint16))
    return path


def totals(path: Path) -> np.ndarray:
    return np.load(path).astype(np.int64).sum((2, 3))


def replay(*args: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, args)])


def test_results_and_accounts_are_those_of_the_file(start: Start, pipeline: Path, scan: Path) -> None:
    pipeline.write_text(
        "[ring]\nbytes = 16777216\n[[consumers]]\nname = 'vd'\ntype = 'virtual_detectors'\n"
        "[consumers.detectors]\nall = { kind = 'total' }\n"
    )
    out = scan.parent / "out"
    run = start("replay", scan, "-p", pipeline, "--headless", "--speed", "max", "--json", "--out", out)
    stdout, stderr = run.end()
    assert run.returncode == 0, stderr
    (series,) = json.loads(stdout)["series"]
    assert (series["state"], series["announced"], series["received"]) == ("complete", 120, 120)
    np.testing.assert_array_equal(np.load(series["results"]["vd.all"]), totals(scan))
    assert "stopping: the source has ended" in stderr


def test_a_loop_ends_after_as_many_series_as_wanted(start: Start, pipeline: Path, scan: Path) -> None:
    run = start(
        "replay", scan, "-p", pipeline, "--headless", "--speed", "max", "--loop", "--series", 2, "--json"
    )
    stdout, stderr = run.end()
    assert run.returncode == 0, stderr
    series = json.loads(stdout)["series"]
    assert [one["series"] for one in series[:2]] == [1, 2]
    assert {one["state"] for one in series[:2]} == {"complete"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere.h5"], "no such file"),
        (["a.npy", "--speed", "0"], "above 0"),
        (["a.npy", "--speed", "fast"], "or max"),
        (["a.npy", "--speed", "nan"], "above 0"),
        (["tcp://127.0.0.1:1"], "`livem live` takes detectors"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: list[str], words: str) -> None:
    done = replay(*args, "--headless")
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]


def test_a_file_that_holds_no_frames_is_told_by_its_reader(
    start: Start, pipeline: Path, tmp_path: Path
) -> None:
    path = tmp_path / "text.npy"
    path.write_text("no numbers")
    run = start("replay", path, "-p", pipeline, "--headless")
    _, stderr = run.end()
    assert run.returncode == 2
    assert "cannot be read as .npy" in stderr
    assert "Traceback" not in stderr


def a_session(path: Path, out: Path, **options: Any) -> Session:
    plan = replay_plan(ReplayOptions(str(path), **options))
    pipeline = a_pipeline(consumers=[TOTALS])
    return Session(pipeline, SessionOptions(str(path), plan=plan, out=out, end_with_source=False))


def ask(session: Session, action: str, value: Any = None) -> Mapping[str, Any]:
    """The session's answer to a request of a viewer."""
    deferred = session._answer({"do": "replay", "action": action, "value": value, "id": 3})
    assert isinstance(deferred, Deferred)
    replies: list[Mapping[str, Any]] = []
    deferred.then(replies.append)
    return step_until(session, lambda: replies)[0]


def received(session: Session) -> int:
    """Of the newest series."""
    serial = session.accounts.series_count() - 1
    return session.accounts.of(serial)["received"] if serial >= 0 else -1


def shown(session: Session) -> Mapping[str, Any]:
    return session.status()["source"].get("replay") or {}


def test_pause_step_and_seek_of_a_running_session(scan: Path, tmp_path: Path) -> None:
    """What came before a sought frame is not lost, and frames keep their places in the scan."""
    session = a_session(scan, tmp_path / "out", start_paused=True)
    with session:
        session.start()
        step_until(session, lambda: received(session) == 1)
        assert ask(session, "step", 4)["replay"]["index"] == 1
        step_until(session, lambda: received(session) == 5)
        step_until(session, lambda: shown(session).get("index") == 5)
        assert shown(session)["paused"]
        assert ask(session, "seek", 90)["ok"]
        step_until(session, lambda: session.accounts.series_count() == 2 and received(session) == 1)
        assert ask(session, "speed", "max")["replay"]["speed"] == "max"
        assert ask(session, "resume")["ok"]
        step_until(session, lambda: shown(session).get("ended") and session.settling.done)
        assert not session.over()
        refused = ask(session, "seek", 120)
        assert (refused["ok"], refused["code"]) == (False, 2)
        assert "has 120, from 0 on" in refused["error"]
        session.stop("test")
        session.finish()
        first, second = session.settling.settled
    assert all(map(identity_holds, (first, second)))
    assert (first["state"], first["sent"], first["received"], first["lost"]) == ("incomplete", 5, 5, 0)
    assert "ended after 5 of 120" in first["reason"]
    assert (second["received"], second["lost"], second["rejected"]) == (30, 0, {"not_replayed": 90})
    assert second["announced"] == second["sent"] == 120
    assert (second["state"], second["reason"]) == ("incomplete", "played from frame 90 on")
    image = load(second, "vd.all")
    np.testing.assert_array_equal(image[9:], totals(scan)[9:])
    assert np.isnan(image[:9]).all()


def test_a_pause_may_last_longer_than_a_detector_may_be_silent(scan: Path, tmp_path: Path) -> None:
    plan = replay_plan(ReplayOptions(str(scan), start_paused=True))
    pipeline = a_pipeline(consumers=[TOTALS], source={"idle_timeout": 0.1})
    session = Session(pipeline, SessionOptions(str(scan), plan=plan, out=tmp_path / "out"))
    with session:
        session.start()
        step_until(session, lambda: received(session) == 1)
        reports: set[float] = set()  # one each 0.2 s
        step_until(session, lambda: reports.add(session.reports.source.get("cpu_s")) or len(reports) > 3)
        assert not session.accounts.is_over(0)
        ask(session, "speed", "max")
        ask(session, "resume")
        step_until(session, session.over)
        session.finish()
    (account,) = session.settling.settled
    assert (account["state"], account["received"]) == ("complete", 120)


def test_live_and_replayed_are_the_same(start: Start, pipeline: Path, tmp_path: Path) -> None:
    """The same images to the last bit, the same frames lost, the same identity in every account."""
    kept, live, again = tmp_path / "kept", tmp_path / "live", tmp_path / "again"
    url, fault = "sim:4dstem?shape=32x32&scan=12x12&fps=3000", "drop=0.1,reorder=4,seed=3"
    common = ("-p", pipeline, "--headless", "--json")
    first = start("live", url, *common, "--fault", fault, "--batch", 3, "--record", kept, "--out", live)
    stdout, stderr = first.end()
    assert first.returncode == 0, stderr
    (before,) = json.loads(stdout)["series"]
    (file,) = kept.glob("*.h5")
    second = start("replay", file, *common, "--speed", "max", "--out", again)
    stdout, stderr = second.end()
    assert second.returncode == 0, stderr
    (after,) = json.loads(stdout)["series"]
    for what in ("series", "state", "reason", "announced", "sent", "received", "lost", "rejected"):
        assert after[what] == before[what], what
    assert before["lost"] > 0
    for topic in ("vd.bf", "vd.haadf", "vd.com"):
        np.testing.assert_array_equal(load(after, topic), load(before, topic))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_ingest_goes_on_where_it_was(scan: Path, tmp_path: Path) -> None:
    """What had not reached the ring is read again: nothing is lost, nothing comes twice."""
    session = a_session(scan, tmp_path / "out", speed=0.1)
    with session:
        session.start()
        step_until(session, lambda: received(session) > 3)
        killed = session.processes.pid("ingest")
        os.kill(killed, signal.SIGKILL)
        step_until(session, lambda: session.processes.pid("ingest") not in (None, killed))
        step_until(session, lambda: "ingest" in session._ready)
        ask(session, "speed", "max")
        step_until(session, lambda: session.settling.series == 1)
        session.stop("test")
        session.finish()
    (account,) = session.settling.settled
    assert (account["state"], account["received"], account["duplicate"]) == ("complete", 120, 0)
    np.testing.assert_array_equal(load(account, "vd.all"), totals(scan))


def test_a_detector_cannot_be_paused(tmp_path: Path) -> None:
    url = "sim:4dstem?shape=16x16&scan=8x8&fps=50&repeats=0"
    session = Session(a_pipeline(consumers=[TOTALS]), SessionOptions(url))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.series_count())
        refused = ask(session, "pause")
        assert (refused["ok"], refused["code"]) == (False, 2)
        assert "livem replay" in refused["error"]
        session.stop("test")
        session.finish()
