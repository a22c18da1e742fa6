"""The real command in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 100


class Livem(subprocess.Popen[str]):
    """A running ``livem``, its children in its process group, as on a terminal."""

    def ctrl_c(self) -> None:
        """SIGINT for the whole group."""
        os.killpg(self.pid, signal.SIGINT)

    def lines_until(self, word: str) -> list[str]:
        """Lines of stderr up to the first with the word in it; fails when it ends before."""
        assert self.stderr is not None
        lines: list[str] = []
        for line in self.stderr:
            lines.append(line)
            if word in line:
                return lines
        raise AssertionError(f"{word!r} was never said; stderr: {''.join(lines)}")

    def end(self) -> tuple[str, str]:
        """The rest of stdout and stderr, once it has ended."""
        return self.communicate(timeout=PATIENCE_S)


Start = Callable[..., Livem]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``livem ARGS``, and ends what a failing test leaves."""
    running: list[Livem] = []
    quiet = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}

    def begin(*args: object) -> Livem:
        command = [sys.executable, "-m", "livem", *map(str, args)]
        pipe = subprocess.PIPE
        process = Livem(command, stdout=pipe, stderr=pipe, text=True, env=quiet, start_new_session=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline file whose ring is small."""
    path = tmp_path / "small.toml"
    path.write_text("[ring]\nbytes = 16777216\n", encoding="utf-8")
    return path
