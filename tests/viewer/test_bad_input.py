"""What a viewer meets on a bad day: sessions that go and come, results it cannot show, no Qt, no display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage
from session_tools import free_address

from livem.stream.bus import Publisher
from livem.stream.hub import Hub
from livem.stream.stamp import Stamp
from livem.viewer import qt
from livem.viewer.connection import BusFeed, connect
from livem.viewer.models.feed import FeedState
from livem.viewer.models.remarks import Remarks

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is X11's")


class ServedHub:
    """A session's hub at a fixed address, on a thread."""

    def __init__(self, address: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lv")
        self.hub = Hub(Path(self._directory.name), "test", control=address)
        self.tasks: list[Callable[[], object]] = []
        """To be done on the thread, which alone may touch the sockets."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.hub.step(0.01)
            while self.tasks:
                self.tasks.pop()()
        self.hub.close()

    def publish(self, result: Any) -> None:
        publisher = Publisher(self.hub.addresses.results)
        publisher.publish(result)
        publisher.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._directory.cleanup()


@pytest.fixture
def shown(qapp: Any) -> Iterator[Callable[[str], Any]]:
    """Opens the real window on a session's address."""
    from livem.viewer.window import ViewerWindow

    windows: list[Any] = []

    def open_at(address: str, budget: float | None = None) -> Any:
        qt.application(headless=True)
        windows.append(ViewerWindow(*connect(address, budget)))
        windows[-1].show()
        windows[-1].start()
        return windows[-1]

    yield open_at
    for window in windows:
        window.close()
    qt.finish_deletions()
    assert qapp.topLevelWidgets() == []


def test_a_session_that_is_gone_and_back_is_shown_again(shown: Any, make: Any, qtbot: Any) -> None:
    address = free_address()
    first = ServedHub(address)
    window = shown(address)
    try:
        first.publish(make.frame(np.eye(16, dtype=np.uint8)))
        qtbot.waitUntil(lambda: window.frame.pane.picture is not None, timeout=30_000)
    finally:
        first.close()
    qtbot.waitUntil(lambda: window.session.lost, timeout=30_000)
    qtbot.waitUntil(lambda: "gone" in window.banner.text(), timeout=30_000)
    assert window.frame.pane.view.veiled
    second = ServedHub(address)
    try:
        second.publish(make.frame(np.full((16, 16), 7, np.uint8)))
        qtbot.waitUntil(lambda: window.frame.pane.picture.image[0, 1] == 7, timeout=30_000)
        assert not window.session.lost
        assert not window.banner.isVisible()
        assert "the session is back" in window.status.message.text()
        assert not window.frame.pane.view.veiled
    finally:
        second.close()


def test_a_kind_from_a_newer_livem_is_said_and_the_rest_is_shown(make: Any) -> None:
    address = free_address()
    served = ServedHub(address)
    feed = BusFeed(address)
    try:
        served.publish(make.frame(np.eye(4)))
        waited = threading.Event()
        while not feed.poll():
            waited.wait(0.01)
        stamp = bytearray(Stamp(served.hub.session, 1, 0, "image", False).pack())
        stamp[-2] = 200  # a kind that is not in the table
        served.tasks.append(lambda: served.hub._bus.send_multipart([b"new.thing", bytes(stamp), b"\x80"]))
        while not feed.state.unread:
            waited.wait(0.01)
        assert "cannot be read here" in feed.state.unread
    finally:
        feed.close()
        served.close()


def test_what_no_panel_can_show_is_said_once(window: Any, show: Any, make: Any, clock: Any) -> None:
    colours = np.zeros((4, 4, 3))
    show(make.scan("mine.rgb", colours), make.frame(np.eye(8)))
    said = window.status.message.text()
    assert said == "mine.rgb cannot be shown here: image image float64 (4, 4, 3)"
    clock.forward(60.0)
    show(make.scan("mine.rgb", colours))
    assert window.status.message.text() == ""


def test_remarks_on_a_session_that_was_never_lost() -> None:
    remarks = Remarks()
    assert remarks.see(FeedState("live", "live"), ()) == ""
    assert remarks.see(FeedState("live", "live", "odd"), ()) == "odd"
    assert remarks.see(FeedState("live", "live", "odd"), ()) == ""


# -- programs --------------------------------------------------------------------------------------


BROKEN = """
import sys
from importlib.abc import MetaPathFinder

class Broken(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "PySide6.QtWidgets":
            raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")

sys.meta_path.insert(0, Broken())
from livem.cli import main
main(["view"])
"""


def livem(tmp_path: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python where no session is and no display, with a state of its own."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {
        "TMPDIR": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        **more,
    }
    return subprocess.run(
        [*words], env=env, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path
    )


def test_a_library_that_qt_lacks_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    done = livem(tmp_path, sys.executable, "-c", BROKEN, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 2
    assert "libEGL.so.1: cannot open shared object file" in done.stderr
    assert "apt-get install -y libglib2.0-0 libgl1 libegl1" in done.stderr
    assert "Traceback" not in done.stderr


@LINUX
def test_without_a_display_the_program_says_what_to_do(tmp_path: Path) -> None:
    done = livem(tmp_path, sys.executable, "-m", "livem", "view")
    assert done.returncode == 2
    assert "no display here" in done.stderr
    assert "--headless" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="xvfb-run is not installed")
def test_on_an_x_server_the_window_opens_and_asks(tmp_path: Path) -> None:
    picture = tmp_path / "window.png"
    words = ("-m", "livem", "view", "--duration", "2", "--snapshot", str(picture))
    done = livem(tmp_path, "xvfb-run", "-a", sys.executable, *words)
    assert done.returncode == 0, done.stderr
    assert QImage(str(picture)).width() > 400
