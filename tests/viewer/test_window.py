from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from livem.viewer import theme
from livem.viewer.models.feed import FeedState

STATUS: dict[str, Any] = {
    "state": "running",
    "series": {"series": 3, "announced": 100, "received": 60, "lost": 4, "rejected": {}},
    "edges": {"vd": {"policy": "lossless", "processed": 59, "dropped": {}}},
}


def mean_colour(label: Any) -> tuple[int, int, int]:
    """Colour of the edge of a pill, where no letter is."""
    colour = label.grab().toImage().pixelColor(6, label.height() // 2)
    return (colour.red(), colour.green(), colour.blue())


def is_reddish(label: Any) -> bool:
    picture = label.grab().toImage()
    pixels = [picture.pixelColor(x, y) for x in range(picture.width()) for y in range(picture.height())]
    return any(p.red() > 200 and p.green() < 120 for p in pixels)


def test_before_anything_came_it_says_what_it_waits_for(window: Any, feed: Any) -> None:
    feed.state = FeedState("connecting", "no session answers at tcp://a:1")
    window.tick()
    assert window.waiting.isVisible()
    assert "tcp://a:1" in window.waiting.text()
    assert window.status.text("state") == "CONNECTING"


def test_the_status_bar_says_how_things_stand(window: Any, show: Any, make: Any) -> None:
    show(make.status(**STATUS), make.frame(np.zeros((8, 8), np.uint8)))
    show(make.frame(np.zeros((8, 8), np.uint8)))
    bar = window.status
    assert bar.text("state") == "LIVE"
    assert bar.text("in") == "in 60 / 100"
    assert bar.text("analysed") == "analysed 59"
    assert bar.text("shown") == "shown 2"
    assert bar.text("lost") == "lost at source 4"
    assert bar.text("duplicate") == ""


@pytest.mark.parametrize("width", [420, 700, 1000, 1600])
def test_numbers_are_whole_or_not_there(window: Any, show: Any, make: Any, width: int) -> None:
    window.resize(width, 500)
    full = {"rates": {"frames_per_second": 2e3, "bytes_per_second": 2e8}, "ring": {"bytes": 3e9}}
    show(make.status(**STATUS, **full, latency_ms={"p50": 3.1, "p95": 48.0}))
    labels = [label for label in window.status.findChildren(QLabel) if label.objectName()]
    shown = [label for label in labels if label.isVisible()]
    assert {"chip-state", "chip-lost", "chip-dropped", "chip-rejected"} <= {x.objectName() for x in shown}
    assert all(label.width() >= label.sizeHint().width() for label in shown)
    assert len(shown) == len(labels) or width < 1600


def test_states_have_their_colours(window: Any, show: Any, make: Any, feed: Any) -> None:
    show(make.status(**STATUS), make.frame(np.zeros((8, 8), np.uint8)))
    pill = window.status.label("state")
    r, g, b = mean_colour(pill)
    assert g > 150 > max(r, b)
    assert is_reddish(window.status.label("lost"))
    assert not is_reddish(window.status.label("dropped"))
    feed.state = FeedState("lost", "the session at tcp://a:1 is gone for 3 s")
    show()
    r, g, b = mean_colour(pill)
    assert r > 200
    assert 120 < g < 200
    assert b < 110


def test_a_lost_feed_keeps_its_last_pictures_and_says_so(
    window: Any, show: Any, make: Any, feed: Any, colour_at: Any
) -> None:
    show(make.status(**STATUS), make.frame(np.tile(np.arange(64, dtype=np.uint8), (64, 1))))
    view = window.frame.pane.view
    live = colour_at(view, 30, 60)
    feed.state = FeedState("lost", "the session at tcp://a:1 is gone for 3 s")
    show()
    assert window.banner.isVisible()
    assert "gone for 3 s" in window.banner.text()
    assert window.status.text("state") == "LOST"
    assert 20 < max(colour_at(view, 30, 60)) < max(live)
    feed.state = FeedState("live", "")
    show()
    assert not window.banner.isVisible()
    assert colour_at(view, 30, 60) == live


def test_events_are_said_for_a_while(window: Any, feed: Any, make: Any, clock: Any) -> None:
    feed.happened = [make.event("denoise.error", "3 frames failed")]
    window.tick()
    assert window.status.message.text() == "denoise.error: 3 frames failed"
    clock.forward(60.0)
    window.tick()
    assert window.status.message.text() == ""


def test_alarms_are_a_banner(window: Any, show: Any, make: Any) -> None:
    show(make.status(**STATUS, alarms=["disk full: recording stopped"]))
    assert window.banner.isVisible()
    assert window.banner.text() == "disk full: recording stopped"


def test_unknown_results_do_no_harm(window: Any, show: Any, make: Any) -> None:
    show(
        make.scan("a.rgb", np.zeros((4, 4, 3))),
        make.scan("a.empty", np.zeros((0, 3))),
        make.curve("a.curve", np.zeros(3), np.zeros(3)),
        make.frame(np.zeros((4, 4)), shape=(0, 0)),
    )
    assert window.images.panes == {}


def test_keys(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.tile(np.arange(64, dtype=np.uint8), (64, 1))))
    pane = window.frame.pane
    window.activateWindow()
    QTest.keyClick(window, Qt.Key.Key_G)
    assert pane.transfer == "sqrt"
    QTest.keyClick(window, Qt.Key.Key_A)
    assert pane.contrast.locked
    before = pane.view.box.viewRect()
    pane.view.box.scaleBy((0.5, 0.5))
    assert pane.view.box.viewRect() != before
    QTest.keyClick(window, Qt.Key.Key_0)
    assert pane.view.box.viewRect() == before


def test_zoom_stays_while_frames_come(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.zeros((64, 64), np.uint8)))
    box = window.frame.pane.view.box
    box.scaleBy((0.5, 0.5))
    zoomed = box.viewRect()
    show(make.frame(np.ones((64, 64), np.uint8)))
    assert box.viewRect() == zoomed
    show(make.frame(np.ones((32, 64), np.uint8)))
    assert box.viewRect() != zoomed


def test_closing_ends_feed_commands_and_timer(qapp: Any, feed: Any, commands: Any, clock: Any) -> None:
    from livem.viewer import qt
    from livem.viewer.window import ViewerWindow

    window = ViewerWindow(feed, commands, clock)
    window.start()
    window.show()
    threads = set(threading.enumerate())
    window.close()
    assert feed.closed
    assert commands.closed
    qt.finish_deletions()
    assert qapp.topLevelWidgets() == []
    assert set(threading.enumerate()) <= threads


def test_the_timer_follows_the_feed(qtbot: Any, window: Any, feed: Any, make: Any) -> None:
    window.start()
    feed.give(make.frame(np.zeros((8, 8), np.uint8)))
    qtbot.waitUntil(lambda: window.pacing.shown == 1, timeout=20_000)


def test_detector_colours_differ() -> None:
    assert len(set(theme.DETECTOR_COLOURS)) == len(theme.DETECTOR_COLOURS)
