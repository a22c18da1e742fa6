"""How the processes of a session end: quickly, and with nothing left undone."""

from __future__ import annotations

import atexit
import time
from pathlib import Path
from threading import Event

import pytest

from livem.stream.processes import Death, Processes, ProcessSpec

PATIENCE_S = 60.0


def leave_word(path: str) -> None:
    """A body whose module has something left to be done at exit."""
    atexit.register(Path(path).write_text, "done")


def speak_last(path: str) -> None:
    """A body with its last words still in a buffer."""
    import sys

    sys.stdout = open(path, "w", encoding="utf-8")  # noqa: SIM115 - as the interpreter's own: nobody closes it
    print("last words")


def fail(_path: str) -> None:
    raise SystemExit(7)


def _death_of(processes: Processes) -> Death:
    until = time.monotonic() + PATIENCE_S
    while not (deaths := processes.check()):
        assert time.monotonic() < until
        Event().wait(0.01)
    return deaths[0]


@pytest.mark.parametrize(
    ("body", "code", "text"), [(leave_word, 0, "done"), (speak_last, 0, "last words\n"), (fail, 7, None)]
)
def test_a_process_leaves_nothing_undone(body, code, text, tmp_path):
    processes = Processes()
    path = tmp_path / "word"
    processes.start(ProcessSpec("one", body, (str(path),), restart=False))
    assert _death_of(processes) == Death("one", code, False)
    assert (path.read_text(encoding="utf-8") if path.exists() else None) == text
