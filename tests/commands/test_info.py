"""``livem info``: simulators, files, pipelines, sessions that are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import livem
from livem.cli import main


def info(*args: object) -> Result:
    return CliRunner().invoke(main, ["info", *map(str, args)])


def test_a_simulator() -> None:
    told = json.loads(info("sim:4dstem?shape=16x8&scan=4x6&fps=100", "--json").stdout)
    assert (told["shape"], told["dtype"], told["count"]) == ([16, 8], "uint16", 24)
    assert told["scan"] == {"shape": [4, 6], "order": "raster", "skip": 0, "repeats": 1}
    assert (told["frame_bytes"], told["bytes"], told["rate"]) == (256, 24 * 256, 100.0)
    assert told["seconds"] == 0.24


def test_an_endless_simulator_has_no_size() -> None:
    done = info("sim:insitu?shape=32x32&frames=0", "--json")
    assert json.loads(done.stdout)["bytes"] is None
    assert "endless frames of 32 x 32" in info("sim:insitu?shape=32x32&frames=0").stdout


def test_a_movie_file(tmp_path: Path) -> None:
    path = tmp_path / "movie.npy"
    np.save(path, np.zeros((7, 4, 5), np.uint8))
    lines = info(path).stdout.splitlines()
    assert lines[0] == "movie.npy: 7 frames of 4 x 5 uint8"
    assert "none: a movie" in lines[1]
    assert "as fast as possible" in "".join(lines)


def test_a_pipeline_file_is_checked_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '[source]\nurl = "sim:4dstem"\n[scan]\nshape = [4, 6]\n[ring]\nbytes = 16777216\n'
        '[[consumers]]\nname = "vd"\ntype = "virtual_detectors"\n'
        '[consumers.detectors]\nbf = { kind = "disk", radius = 3 }\n'
    )
    told = json.loads(info(path, "--json").stdout)
    assert told["consumers"][0]["policy"] == "lossless"
    assert told["scan"]["shape"] == [4, 6]
    text = info(path).stdout
    assert "vd: virtual_detectors, lossless" in text
    assert "16 MiB" in text
    assert "4 x 6, raster" in text


def test_the_examples_pipeline_with_a_class_of_its_own() -> None:
    path = Path(livem.__file__).parent / "examples" / "pipeline.toml"
    done = info(path)
    assert done.exit_code == 0, done.output
    assert "bright: consumer:Brightest" in done.stdout


@pytest.mark.parametrize("name", ["bad.zspy", "bad.hspy", "bad.tif", "bad.emd"])
def test_stdout_holds_one_json_object_whatever_libraries_log(name: str, tmp_path: Path) -> None:
    """rosettasciio logs in colour on stdout, to which it holds on from its import."""
    path = tmp_path / name
    path.write_bytes(b"II*\0\x08\0\0\0\2\0" + bytes(50))
    done = subprocess.run(
        [sys.executable, "-m", "livem", "info", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert name in json.loads(line)["error"]
    (said,) = done.stderr.splitlines()
    assert said.startswith("livem: error: ")


@pytest.mark.parametrize("content", [b"no numbers at all" * 9, b""])
def test_a_damaged_array_is_not_said_to_be_worth_unpickling(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    done = info(tmp_path / "a.npy")
    assert done.exit_code == 2
    assert "pickle" not in done.stderr
    np.save(tmp_path / "o.npy", np.array([{}, 1], object))
    assert "pickle" not in info(tmp_path / "o.npy").stderr


def test_no_session_at_the_address() -> None:
    done = info("tcp://127.0.0.1:1")
    assert done.exit_code == 1
    assert "no session answers" in done.stderr
