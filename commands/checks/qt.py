"""Whether Qt really loads here, and whether a window could be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from ...viewer.qt import APT, EXTRA, has_display
from .finding import Finding

PROBE = "from PySide6.QtWidgets import QApplication; import pyqtgraph; QApplication([]); print('drawn')"
PATIENCE_S = 60.0


def findings() -> Iterator[Finding]:
    yield loads()
    yield display(has_display())


def loads(probe: str = PROBE) -> Finding:
    """Qt in a process of its own: where a library is missing, Qt may abort without an exception."""
    if find_spec("PySide6") is None:
        return Finding("Qt", "note", "not installed: no window, no snapshots", EXTRA)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", probe],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("Qt", "problem", f"did not start within {PATIENCE_S:g} s", f"reinstall: {EXTRA}")
    if done.returncode == 0 and "drawn" in done.stdout:
        return Finding("Qt", "ok", "loads and draws offscreen")
    words = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return Finding("Qt", "problem", f"cannot start: {words[-1]}", APT)


def display(there: bool) -> Finding:
    if there:
        return Finding("display", "ok", "windows can be opened")
    return Finding(
        "display",
        "note",
        "none here (neither DISPLAY nor WAYLAND_DISPLAY is set): runs are headless",
        "`livem view tcp://HOST:PORT` on a machine with a screen shows a session that runs here",
    )
