"""The real window on a real session with a faulty detector: forms, a stage off and on, warnings, accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from session_tools import a_pipeline, identity_holds, step_until

from livem.session import Session, SessionOptions
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.detector_faults import faulty_places
from livem.viewer import qt
from livem.viewer.connection import connect
from livem.viewer.window import ViewerWindow

pytestmark = pytest.mark.timeout(300)
URL = "sim:insitu?shape=64x64&frames=0&fps=200&particles=4&dose=10&dead=2&hot=1&saturation=200"


def test_the_pipeline_is_changed_in_the_window_and_its_detector_is_not_trusted(qapp: Any) -> None:
    qt.application(headless=True)
    pipeline = a_pipeline(consumers=[{"name": "preview", "type": "preview"}])
    with Session(pipeline, SessionOptions(URL)) as session:
        window = ViewerWindow(*connect(session.hub.addresses.control))
        window.resize(1600, 900)
        window.show()
        window.start()
        session.start()

        def until(done: Callable[[], Any], timeout: float = 60.0) -> Any:
            def served() -> Any:
                qapp.processEvents()
                return done()

            return step_until(session, served, timeout)

        def drawn() -> np.ndarray | None:
            """The live picture, if it is live."""
            frame, picture = window.session.frame, window.frame.pane.picture
            return None if frame is None or picture is None else picture.image

        until(lambda: drawn() is not None, timeout=200)  # a cold cache compiles
        QTest.keyClick(window, Qt.Key.Key_E)
        rows = window.pipeline.form.rows
        until(lambda: "max_size" in rows or window.pipeline.form.rows)
        rows = window.pipeline.form.rows
        assert window.pipeline.chosen == "preview"
        assert rows["max_size"].limits.text() == "16 .. 4,096 px"

        size = rows["max_size"].editor.spin
        assert size.value() == 512
        size.setValue(32.0)
        until(lambda: (image := drawn()) is not None and image.shape == (32, 32))
        until(lambda: rows["max_size"].reset.isVisible())
        means = {tuple(np.round(mean, 3)) for mean in first_means()}
        until(lambda: (image := drawn()) is not None and tuple(np.round(image[0, :4], 3)) in means)
        rows["max_size"].reset.click()
        until(lambda: (image := drawn()) is not None and image.shape == (64, 64))

        window.session.pipeline.set("preview", "max_size", 5, window.commands)
        until(lambda: rows["max_size"].error.isVisible())
        assert "max_size = 5; it must be a whole number from 16 to 4096" in rows["max_size"].error.text()
        assert size.value() == 512

        window.actions_by_name["turn_stage"]()
        until(lambda: window.session.frame is None)
        until(lambda: window.pipeline.tree.topLevelItem(0).text(1) == "off")
        until(lambda: session.status()["edges"]["preview"]["dropped"].get("switched_off"))
        window.actions_by_name["turn_stage"]()
        until(lambda: window.session.frame is not None)
        until(lambda: window.pipeline.tree.topLevelItem(0).text(1) == "works")

        dead, hot = faulty_places(open_acquisition(URL.replace("frames=0", "frames=4")).options)
        until(lambda: "always leads" in window.banner.text() and "never change" in window.banner.text())
        for y, x in (*dead, *hot):
            assert f"y {y} x {x}" in window.banner.text()
        assert "are at the detector's limit (200 counts)" in window.banner.text()
        assert window.status.text("dose").startswith("dose ")
        assert "e/Å²" in window.status.text("dose")

        session.stop("test")
        session.finish()
        qapp.processEvents()
        until(lambda: window.session.status.state == "ended")
        (account,) = session.settling.settled
        assert identity_holds(account)
        shown, edge = window.session.status, account["edges"]["preview"]
        assert window.status.text("in").startswith(f"in {account['received']:,}")
        assert window.status.text("lost") == f"lost at source {account['lost']:,}"
        (told,) = shown.stages
        assert (told.processed, told.dropped) == (edge["processed"], edge["dropped"])
        assert (shown.p50_ms, shown.p95_ms) == (account["latency_ms"]["p50"], account["latency_ms"]["p95"])
        window.close()
        qt.finish_deletions()


def first_means() -> list[np.ndarray]:
    """The first four pixels of every frame, two by two averaged."""
    frames = open_acquisition(URL.replace("frames=0", "frames=4000")).frames(0, 4000)
    return list(frames[:, :2, :8].reshape(-1, 2, 4, 2).mean(axis=(1, 3)))
