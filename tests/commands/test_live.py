"""``livem live`` as a user runs it: results, summaries, clear errors, clean ends."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import karabo_bridge
import numpy as np
import pytest
from click.testing import CliRunner
from session_tools import free_address

from livem.cli import main
from livem.stream import session_directory

TINY = "sim:4dstem?shape=16x16&scan=8x8&fps=400"
ENDLESS = f"{TINY}&repeats=0"
Start = Callable[..., Any]


def test_summary_on_stdout_and_results_on_disk(start: Start, pipeline: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    live = start("live", TINY, "-p", pipeline, "--headless", "--json", "--out", out, "--batch", 4)
    stdout, stderr = live.end()
    assert live.returncode == 0, stderr
    (line,) = stdout.splitlines()
    summary = json.loads(line)
    (series,) = summary["series"]
    assert (series["state"], series["announced"], series["sent"]) == ("complete", 64, 64)
    assert (series["received"], series["lost"], series["rejected"]) == (64, 0, {})
    assert series["edges"]["vd"]["policy"] == "lossless"
    assert series["edges"]["vd"]["processed"] == 64
    assert {"latency_ms", "first_result_ms", "last_result_ms", "frames_per_second"} <= set(series)
    assert np.load(series["results"]["vd.bf"]).shape == (8, 8)
    assert Path(series["results"]["vd.bf"]).with_suffix(".png").is_file()
    assert json.loads((out / "summary.json").read_text())["series"] == summary["series"]
    assert json.loads((out / "1" / "summary.json").read_text()) == series
    assert "livem: starting\n" in stderr
    assert "livem: stopping: the source has ended\n" in stderr


def test_ctrl_c_ends_cleanly_with_what_was_measured(start: Start, pipeline: Path) -> None:
    karabo = free_address()
    live = start("live", ENDLESS, "-p", pipeline, "--headless", "--karabo-out", karabo)
    (said,) = (line for line in live.lines_until("running") if "livem view" in line)
    address = said.split("`")[1].removeprefix("livem view ")
    assert address in session_directory.running()
    told = json.loads(CliRunner().invoke(main, ["info", address, "--json"]).stdout)
    assert told["series"]["series"] == 1
    with karabo_bridge.Client(karabo, timeout=60) as client:
        assert client.next()[0]
    live.ctrl_c()
    stdout, stderr = live.end()
    assert live.returncode == 130
    assert "stopping: Ctrl-C" in stderr
    assert "Traceback" not in stderr
    assert "series 1: incomplete: the session was stopped" in stdout
    assert "vd       lossless" in stdout


def test_a_duration_ends_a_run_by_itself_with_what_was_measured(start: Start, pipeline: Path) -> None:
    out = pipeline.parent / "out"
    live = start("live", ENDLESS, "-p", pipeline, "--headless", "--duration", 2, "--json", "--out", out)
    stdout, stderr = live.end()
    assert live.returncode == 0, stderr
    summary = json.loads(stdout)
    assert summary["ended"] == "2 s are over"
    (series,) = summary["series"]
    assert (series["state"], series["reason"]) == ("incomplete", "the session was stopped")
    assert series["edges"]["vd"]["processed"] == series["received"] > 0
    assert np.isfinite(np.load(series["results"]["vd.bf"])).any()


def test_ctrl_c_while_processes_start_is_no_traceback(start: Start, pipeline: Path) -> None:
    live = start("live", ENDLESS, "-p", pipeline, "--headless")
    live.lines_until("livem view")
    live.ctrl_c()
    stdout, stderr = live.end()
    assert live.returncode == 130
    assert "Traceback" not in stderr
    assert stdout == "no series was received\n"


def test_sigterm_is_like_ctrl_c_and_a_second_signal_ends_at_once(start: Start, pipeline: Path) -> None:
    live = start("live", ENDLESS, "-p", pipeline, "--headless", "--json")
    live.lines_until("starting")
    live.send_signal(signal.SIGTERM)
    live.send_signal(signal.SIGINT)
    stdout, stderr = live.end()
    assert live.returncode == 130
    assert "Traceback" not in stderr
    assert json.loads(stdout)["version"]


def test_a_stream_that_never_starts(start: Start, pipeline: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    live = start("live", f"tcp://127.0.0.1:{port}", "-p", pipeline, "--headless", "--wait", 1, "--json")
    stdout, stderr = live.end()
    told = json.loads(stdout)
    assert (live.returncode, told["exit_code"]) == (1, 1)
    assert told["series"] == []
    assert "within 1 s" in told["error"]
    assert "--wait" in told["error"]
    assert stderr.count(told["error"]) == 1


def test_a_port_in_use(start: Start, pipeline: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        live = start("live", f"bind+tcp://{place}", "-p", pipeline, "--headless")
        stdout, stderr = live.end()
    assert live.returncode == 2
    assert stdout == ""
    last = stderr.splitlines()[-1]
    assert last.startswith("livem: error: ")
    assert place in last


def test_a_mask_outside_the_frame(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "masks.toml"
    file.write_text(
        "[ring]\nbytes = 16777216\n"
        '[source]\nurl = "sim:4dstem?shape=16x16&scan=8x8&fps=400"\n'
        '[[consumers]]\nname = "vd"\ntype = "virtual_detectors"\n'
        '[consumers.detectors]\nbf = { kind = "disk", radius = 3, center = [100, 100] }\n'
    )
    live = start("live", "-p", file, "--headless")
    _, stderr = live.end()
    assert live.returncode == 2
    last = stderr.splitlines()[-1]
    assert last.startswith("livem: error: ")
    assert "'bf'" in last


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[consumers]]\nname = "vd"\ntyp = "virtual_detectors"\n', "'type'"),
        ('[[consumer]]\nname = "vd"\n', "did you mean 'consumers'?"),
        ('[source]\nurl = "sim:4dstem"\nwiat = 3\n', "did you mean 'wait'?"),
        ("[scan]\nshape = [0, 64]\n", "two whole numbers from 1"),
        ('[[consumers]]\nname = "vd"\ntype = "virtual_detector"\n', "did you mean 'virtual_detectors'?"),
        ("[source\n", "is not TOML"),
    ],
)
@pytest.mark.parametrize("command", ["live", "info"])
def test_a_pipeline_file_with_a_fault(command: str, text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    args = ["live", "sim:4dstem", "-p", str(file), "--headless"] if command == "live" else ["info", str(file)]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert words in done.stderr


def test_an_output_directory_that_cannot_be_written_is_known_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    args = ["live", TINY, "--headless", "--out", str(tmp_path / "file" / "below")]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
