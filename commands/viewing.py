"""The viewer as a process of a session, and whether there can be a window at all.

Imports Qt only inside that process.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

from ..errors import LivemError
from ..stream.processes import ProcessSpec
from ..viewer.qt import EXTRA, has_display

ORPHAN_GRACE_S = 3.0
"""A viewer that has not ended so long after its session's death ends itself."""


@dataclass(frozen=True, slots=True)
class ViewerPlan:
    """How a session shows itself."""

    window: bool
    make: Callable[[str], ProcessSpec] | None
    """Makes the viewer's process from the control address; None = no viewer."""
    snapshot: Path | None = None
    """Where a viewer without a window leaves its picture."""
    note: str = ""
    """Why there is no window, where one was wanted."""


def plan_viewer(*, headless: bool, snapshot: Path | None) -> ViewerPlan:
    """A window where one is wanted and possible; else a picture in ``snapshot`` where one is given."""
    why_not = "" if headless else why_no_window()
    if not headless and not why_not:
        return ViewerPlan(True, functools.partial(viewer_spec, headless=False, snapshot=None))
    if snapshot is None or missing_package() is not None:
        return ViewerPlan(False, None, note=why_not)
    make = functools.partial(viewer_spec, headless=True, snapshot=snapshot)
    return ViewerPlan(False, make, snapshot, why_not)


def why_no_window() -> str:
    """In words; empty when a window can be opened."""
    if missing := missing_package():
        return f"no window: {missing} is not installed; get it with: {EXTRA}"
    if not has_display():
        return "no window: there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def missing_package() -> str | None:
    """The first package of the viewer extra that is not installed."""
    return next((name for name in ("PySide6", "pyqtgraph") if find_spec(name) is None), None)


def viewer_spec(control_address: str, *, headless: bool, snapshot: Path | None) -> ProcessSpec:
    """The viewer's process; it is not started again when its window is closed."""
    return ProcessSpec("viewer", view_process, (control_address, headless, snapshot), restart=False)


def view_process(control_address: str, headless: bool, snapshot: Path | None) -> None:
    """Body of the viewer's process: show the session until it ends or the window is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    from ..viewer.app import run_viewer

    try:
        code = run_viewer(control_address, headless=headless, snapshot=snapshot)
    except LivemError as error:
        print(f"livem: viewer: {error}", file=sys.stderr)
        code = error.exit_code
    raise SystemExit(code)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        threading.Event().wait(ORPHAN_GRACE_S)
        os._exit(1)
