"""``livem record`` and ``livem keep`` as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from livem.cli import main
from livem.commands.keep import keep
from livem.errors import SessionError
from livem.stream.files.recordings import open_recording

ENDLESS = "sim:4dstem?shape=16x16&scan=8x8&fps=400&repeats=0"
Start = Callable[..., Any]


@pytest.mark.parametrize(
    "command", [["record", "dectris://192.0.2.1"], ["live", "dectris://192.0.2.1", "--record"]]
)
def test_record_says_at_once_that_it_cannot_write(command: list[str], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    done = CliRunner().invoke(main, [*command, str(blocked / "runs"), "--arm"])
    assert done.exit_code == 2
    assert "cannot be written" in done.output


def test_keep_ends_with_the_file_that_it_names(start: Start, pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(pipeline.read_text() + "[record]\ncontinuous = false\n")
    live = start("live", ENDLESS, "-p", pipeline, "--headless", "--record", tmp_path / "out")
    (said,) = (line for line in live.lines_until("running") if "livem view" in line)
    address = said.split("`")[1].removeprefix("livem view ")
    done = CliRunner().invoke(main, ["keep", "3600", address, "--json"])
    # It runs before its first series, and its first frame, have come.
    while any(words in done.output for words in ("no series yet", "ring holds no frames")):
        done = CliRunner().invoke(main, ["keep", "3600", address, "--json"])
    assert done.exit_code == 0, done.output
    kept = json.loads(done.stdout)
    recording = open_recording(kept["file"])
    assert recording.recorded(0, recording.rows).sum() == kept["frames"] > 0
    recording.close()
    live.ctrl_c()
    live.end()


def session_that_says(*kept: dict[str, Any] | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    words: Iterator[dict[str, Any] | None] = iter(kept)
    return lambda request: {"kept": next(words)}


BEGUN = {"file": "a_kept.h5", "frames": 0, "done": False, "error": None}


def test_keep_waits_for_the_outcome() -> None:
    done = {**BEGUN, "frames": 70, "done": True}
    assert keep(session_that_says(BEGUN, BEGUN, done), 2.0) == done


@pytest.mark.parametrize(
    ("kept", "word"),
    [
        ({**BEGUN, "done": True, "error": "a_kept.h5 cannot be written: No space left"}, "No space left"),
        (None, "the recorder died"),
    ],
)
def test_keep_that_fails_is_an_error(kept: dict[str, Any] | None, word: str) -> None:
    with pytest.raises(SessionError, match=word):
        keep(session_that_says(BEGUN, kept), 2.0)
