"""The real window on a real session: an annulus is dragged with the mouse while its image fills."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import zmq
from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtTest import QTest
from session_tools import a_pipeline, identity_holds, load, step_until

from livem.session import Session, SessionOptions
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.wire import encode_end, encode_frames, encode_start
from livem.viewer import qt
from livem.viewer.connection import connect
from livem.viewer.window import ViewerWindow

SERIES = Series(SeriesKey(bytes(range(8)), 3), (32, 32), "uint16", count=192, scan=Scan((12, 16)))
FRAMES = np.random.default_rng(3).poisson(4.0, (192, 32, 32)).astype(np.uint16)
CENTRE = (15.5, 15.5)
RING = {"kind": "annulus", "inner": 8, "outer": 10}
LEFT = Qt.MouseButton.LeftButton


def numpys(inner: float, outer: float, count: int) -> np.ndarray:
    """The image of the annulus when so many frames have come."""
    y, x = np.indices((32, 32))
    radius = np.hypot(y - CENTRE[0], x - CENTRE[1])
    image = np.full(192, np.nan)
    image[:count] = (FRAMES[:count] * ((radius >= inner) & (radius < outer))).sum((1, 2), dtype=np.int64)
    return image.reshape(12, 16)


class QtWatch:
    """What threads that begin while it watches call of Qt, of pyqtgraph and of our widgets."""

    WIDGETS = ("PySide6", "shiboken6", "pyqtgraph", "livem.viewer.window", "livem.viewer.panels")

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.calls: list[str] = []

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        thread = threading.current_thread().name
        self.threads.add(thread)
        if event == "c_call":
            homes = {kind.__module__ for kind in type(getattr(called, "__self__", None)).__mro__}
        else:
            homes = {str(frame.f_globals.get("__name__"))}
        if any(home.startswith(self.WIDGETS) for home in homes):
            self.calls.append(f"{thread}: {called if event == 'c_call' else frame.f_code.co_qualname}")


@pytest.fixture
def watch() -> Iterator[QtWatch]:
    watching = QtWatch()
    threading.setprofile(watching)
    yield watching
    threading.setprofile(None)


class Microscope:
    """A detector that sends as many frames as the test wants, into a session with a window."""

    def __init__(self, session: Session, window: ViewerWindow, sender: zmq.Socket[bytes], qapp: Any) -> None:
        self._session, self.window, self._sender, self._qapp = session, window, sender, qapp
        self.view = window.frame.pane.view

    def send(self, first: int, stop: int) -> None:
        frames = FRAMES[first:stop].tobytes()
        self._sender.send_multipart(encode_frames(SERIES.key, first, stop - first, frames))

    def end(self) -> dict[str, Any]:
        """The account of the scan, which is over."""
        self._sender.send_multipart(encode_end(SERIES.key, len(FRAMES)))
        step_until(self._session, self._session.over)
        self._session.finish()
        (account,) = self._session.settling.settled
        return account

    def until(self, done: Callable[[], Any]) -> None:
        """Serve session and window until then."""

        def served() -> Any:
            self._qapp.processEvents()
            return done()

        step_until(self._session, served)

    def shows(self, count: int, inner: float, outer: float) -> bool:
        """Whether the window draws exactly numpy's image of the annulus."""
        pane = self.window.images.panes.get("vd.ring")
        picture = None if pane is None else pane.picture
        expected = numpys(inner, outer, count)
        return picture is not None and np.array_equal(picture.image, expected, equal_nan=True)

    def at_radius(self, radius: float) -> QPoint:
        where: QPoint = self.view.to_screen(CENTRE[0], CENTRE[1] + radius).toPoint()
        return where

    def drag_to(self, radius: float) -> None:
        QTest.mouseMove(self.view.viewport(), self.at_radius(radius))

    def follows(self, radius: float, count: int) -> bool:
        """Whether the annulus is where the mouse is, to a pixel of the screen, and its image is numpy's."""
        return abs(self.asked_for - radius) < 0.5 and self.shows(count, 8, self.asked_for)

    @property
    def asked_for(self) -> float:
        """The outer radius that the results say."""
        detector = self.window.session.detectors.get("vd.ring")
        return 0.0 if detector is None else detector.geometry.outer


@pytest.fixture
def microscope(qapp: Any, tmp_path: Path, watch: QtWatch) -> Iterator[Microscope]:
    qt.application(headless=True)
    vd = {"name": "vd", "type": "virtual_detectors", "detectors": {"ring": RING}}
    pipeline = a_pipeline(consumers=[{"name": "preview", "type": "preview"}, vd])
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        url = f"tcp://127.0.0.1:{sender.bind_to_random_port('tcp://127.0.0.1')}"
        with Session(pipeline, SessionOptions(url, series=1, out=tmp_path)) as session:
            window = ViewerWindow(*connect(session.hub.addresses.control))
            window.resize(1000, 700)
            window.show()
            window.start()
            session.start()
            sender.send_multipart(encode_start(SERIES))
            yield Microscope(session, window, sender, qapp)
            window.close()
            qt.finish_deletions()


def test_a_drag_with_the_mouse_changes_the_whole_image_while_it_fills(
    microscope: Microscope, watch: QtWatch
) -> None:
    scan, target = microscope, microscope.view.viewport()
    scan.send(0, 96)
    scan.until(lambda: scan.shows(96, 8, 10) and "vd.ring" in scan.window.frame.overlay.geometries)
    QTest.mouseMove(target, scan.at_radius(10))
    QTest.mousePress(target, LEFT, pos=scan.at_radius(10))
    for radius in (12.0, 14.5):
        scan.drag_to(radius)
        scan.until(partial(scan.follows, radius, 96))
    QTest.mouseRelease(target, LEFT, pos=scan.at_radius(14.5))
    scan.send(96, 192)
    scan.until(lambda: scan.shows(192, 8, scan.asked_for))
    account = scan.end()
    np.testing.assert_array_equal(load(account, "vd.ring"), numpys(8, scan.asked_for, 192))
    assert identity_holds(account)
    assert {"livem-subscriber", "livem-commands"} <= watch.threads
    assert watch.calls == []


def test_a_call_from_another_thread_is_seen(qapp: Any, watch: QtWatch) -> None:
    touched = QObject()
    thread = threading.Thread(target=lambda: touched.objectName())
    thread.start()
    thread.join()
    assert len(watch.calls) == 1
