"""The real window on a real X server: dragged, frozen, kept, and looked at on the screen itself.

Each test here runs in one process of its own with Qt's xcb plugin, as does a choice of the others, since a
process has one platform for all of its life. Without Xvfb (Debian package xvfb) none of it runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage
from PySide6.QtTest import QTest

from livem.errors import MissingDependencyError
from livem.viewer import qt
from livem.viewer.snapshot import save_snapshot

HERE = Path(__file__).parent
LEFT = Qt.MouseButton.LeftButton
IS_CHILD = os.environ.get("QT_QPA_PLATFORM") == "xcb"
ALSO = ("test_frame_panel.py", "test_keys.py")
on_screen = pytest.mark.skipif(not IS_CHILD, reason="runs on the X server of test_on_a_real_x_server")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A new X server's name; it ends with the test."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("no Xvfb here (Debian package xvfb)")
    try:
        qt.require_x11()
    except MissingDependencyError as missing:
        pytest.skip(str(missing))
    read, write = os.pipe()
    command = [
        server,
        "-displayfd",
        str(write),
        "-screen",
        "0",
        "1400x1000x24",
        "-nolisten",
        "tcp",
        "-noreset",
    ]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.PIPE, text=True) as running:
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            pytest.fail(f"Xvfb: {running.communicate()[1]}")
        yield f":{number}"
        running.terminate()


@pytest.mark.skipif(IS_CHILD, reason="this is that process")
def test_on_a_real_x_server(display: str) -> None:
    """Also what the other tests of frame and keys do offscreen."""
    environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    chosen = [str(HERE / name) for name in (Path(__file__).name, *ALSO)]
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *chosen]
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def colour_on_screen(view: Any, y: float, x: float) -> QColor:
    """Of a picture's point, as the X server has it."""
    QTest.qWait(0)
    at = view.viewport().mapToGlobal(view.to_screen(y, x).toPoint())
    return QGuiApplication.primaryScreen().grabWindow(0).toImage().pixelColor(at)


@pytest.fixture
def exposed(window: Any) -> Any:
    window.move(0, 0)
    assert QGuiApplication.platformName() == "xcb"
    assert QTest.qWaitForWindowExposed(window)
    return window


@on_screen
def test_the_screen_has_the_picture_and_freezing_keeps_it(
    exposed: Any, show: Any, make: Any, qapp: Any
) -> None:
    image = np.zeros((64, 64), np.uint16)
    image[16:32, 16:32] = 900
    show(make.frame(image))
    qapp.processEvents()
    view = exposed.frame.pane.view
    assert colour_on_screen(view, 24, 24).value() > 250
    assert colour_on_screen(view, 50, 24).value() < 5
    QTest.keyClick(exposed, Qt.Key.Key_Space)
    show(make.frame(image[::-1]))
    qapp.processEvents()
    assert colour_on_screen(view, 24, 24).value() > 250
    QTest.keyClick(exposed, Qt.Key.Key_L)
    show(make.frame(image[::-1], index=42))
    qapp.processEvents()
    assert colour_on_screen(view, 24, 24).value() < 5
    assert colour_on_screen(view, 40, 24).value() > 250


@on_screen
def test_a_detector_is_dragged_with_the_mouse(
    exposed: Any, show: Any, make: Any, qapp: Any, commands: Any
) -> None:
    image = np.random.default_rng(0).poisson(20, (256, 256)).astype(np.uint16)
    show(make.frame(image), make.disk(np.ones((8, 8)), (127.5, 127.5), 30.0))
    view = exposed.frame.pane.view
    start, stop = (view.to_screen(*point).toPoint() for point in ((127.5, 127.5), (100.0, 90.0)))
    before = colour_on_screen(view, 100.0, 60.0)
    QTest.mouseMove(view.viewport(), start)
    QTest.mousePress(view.viewport(), LEFT, pos=start)
    for place in (start + QPoint(-5, -5), stop):
        QTest.mouseMove(view.viewport(), place)
    QTest.mouseRelease(view.viewport(), LEFT, pos=stop)
    qapp.processEvents()
    exposed.tick()
    (change,) = commands.asked[-1:]
    np.testing.assert_allclose(change.value["center"], (100.0, 90.0), atol=2.0)
    after = colour_on_screen(view, 100.0, 60.0)  # where the rim of the disk is now
    assert (before.red(), before.green(), before.blue()) != (after.red(), after.green(), after.blue())


@on_screen
def test_a_snapshot_is_what_the_screen_shows(
    exposed: Any, show: Any, make: Any, qapp: Any, tmp_path: Path
) -> None:
    image = np.zeros((64, 64), np.uint16)
    image[:32] = 900
    show(make.frame(image))
    qapp.processEvents()
    view = exposed.frame.pane.view
    save_snapshot(exposed, tmp_path / "a.png")
    kept = QImage(str(tmp_path / "a.png"))
    for y, bright in ((16, True), (48, False)):
        at = view.viewport().mapTo(exposed, view.to_screen(y, 30).toPoint())
        assert (kept.pixelColor(at).value() > 250) is bright
        assert (colour_on_screen(view, y, 30).value() > 250) is bright
