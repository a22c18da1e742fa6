"""The real window on a real session, over sockets: freeze, rewind to a known frame, clip, live; a replay."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from livem.session import Session, SessionOptions
from livem.stream.files.recordings import open_recording
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.source import ReplayOptions, replay_plan
from livem.viewer import qt, theme

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from microscope import PREVIEW, Microscope
from session_tools import TINY, a_pipeline

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def live(qapp: Any, tmp_path: Path) -> Iterator[Microscope]:
    qt.application(headless=True)
    options = SessionOptions(f"{TINY}&fps=150&repeats=0", out=tmp_path)  # 16 MiB: 54 s
    scope = Microscope(Session(a_pipeline(consumers=PREVIEW), options), qapp)
    yield scope
    scope.close()


def border_of(pane: Any) -> str:
    """Colour of the middle of a pane's left edge."""
    return str(pane.grab().toImage().pixelColor(0, pane.height() // 2).name())


def test_freeze_rewind_clip_and_live_again_while_frames_come(
    live: Microscope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, sent = live.window, open_acquisition(TINY)
    bar, pane = window.timeline, window.frame.pane
    live.until(lambda: window.session.status.received > 60 and bar.badge.text == "LIVE")
    assert border_of(pane) == QColor(theme.GOOD).name()

    live.press(Qt.Key.Key_Space)
    live.until(lambda: bar.badge.text == "FROZEN" and live.session.past._ready is not None)
    frozen, shown, received = live.index, window.pacing.shown, window.session.status.received
    live.until(lambda: window.session.status.received > received + 30)
    assert (live.index, window.pacing.shown) == (frozen, shown)
    assert border_of(pane) == QColor(theme.WARN).name()

    live.press(Qt.Key.Key_Left)
    live.until(lambda: live.index == frozen - 1)
    track, past = bar.track, window.playhead.past
    middle = QPoint(round(track.x_of(0.5)), track.height() // 2)
    QTest.mouseClick(track, Qt.MouseButton.LeftButton, pos=middle)
    live.until(lambda: window.playhead._wanted is None and live.index != frozen - 1)
    assert bar.badge.text.startswith("REWIND \N{MINUS SIGN}")
    assert past.stretches[0].first <= live.index < window.session.status.received
    np.testing.assert_array_equal(pane.picture.image, sent.frames(live.index % 256, 1)[0])
    assert f"frame {live.index:,}" in pane.picture.caption

    first = live.index
    live.press(Qt.Key.Key_BracketLeft)
    live.press(Qt.Key.Key_Right)
    live.until(lambda: live.index == first + 1)
    live.press(Qt.Key.Key_BracketRight)
    QTest.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    live.until(lambda: not window.playhead.clip.writing)
    assert window.playhead.clip.said[0].startswith("2 frames are in ")
    kept = open_recording(str(next(tmp_path.glob("*_clip.h5"))))
    assert np.flatnonzero(kept.present(0, kept.count)).tolist() == [first, first + 1]
    expected = [frame.tobytes() for frame in sent.frames(first % 256, 1)]
    assert list(map(bytes, kept.payloads(first, 1))) == expected
    kept.close()

    monkeypatch.chdir(tmp_path)
    bar.kind.setCurrentText("png")
    QTest.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    live.until(lambda: not bar.pictures)
    drawn = [path.name for path in sorted(tmp_path.glob("livem_series_*/*.png"))]
    assert drawn == [f"frame_{first:07d}.png", f"frame_{first + 1:07d}.png"]

    before = live.index
    live.press(Qt.Key.Key_L)
    live.until(lambda: live.index > before + 60 and bar.badge.text == "LIVE")
    assert border_of(pane) == QColor(theme.GOOD).name()

    live.press(Qt.Key.Key_Space)
    frozen = live.index
    live.end()
    while not window.session.lost:
        live.turn()
        QTest.qWait(20)
    live.turn()
    assert (live.index, bar.badge.text) == (frozen, "FROZEN")
    assert "the session is gone" in bar.text.toolTip()


def test_a_click_on_the_timeline_of_a_replay_seeks_there(qapp: Any, tmp_path: Path) -> None:
    qt.application(headless=True)
    path, sent = tmp_path / "recorded.h5", open_acquisition(TINY)
    series = Series(SeriesKey(bytes(8), 1), sent.shape, sent.dtype, count=256, meta={"frame_time": 0.05})
    file = RecordingFile(path, series)
    file.append(0, 256, sent.frames(0, 256).reshape(-1).view(np.uint8), None)
    file.flush()
    file.write_accounts({"state": "complete", "sent": 256})
    file.close()
    plan = replay_plan(ReplayOptions(str(path)))
    scope = Microscope(
        Session(a_pipeline(consumers=PREVIEW), SessionOptions(str(path), out=tmp_path, plan=plan)), qapp
    )
    try:
        window = scope.window
        bar = window.timeline
        scope.until(lambda: bar.badge.text == "REPLAY")
        scope.press(Qt.Key.Key_Space)
        scope.until(lambda: bar.badge.text == "REPLAY PAUSED")
        where = QPointF(bar.track.x_of(200 / 255), bar.track.height() / 2).toPoint()
        QTest.mouseClick(bar.track, Qt.MouseButton.LeftButton, pos=where)
        scope.until(lambda: abs(scope.index - 200) <= 1)
        image = window.session.frame.arrays["image"]
        np.testing.assert_array_equal(image, sent.frames(scope.index, 1)[0])
        at = scope.index
        scope.press(Qt.Key.Key_BracketLeft)
        scope.press(Qt.Key.Key_Right)
        scope.until(lambda: scope.index == at + 1 and window.session.status.playback.index == at + 2)
        scope.press(Qt.Key.Key_BracketRight)
        QTest.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
        scope.until(lambda: not window.playhead.clip.writing)
        kept = open_recording(str(next(tmp_path.glob("*_clip.h5"))))
        np.testing.assert_array_equal(kept.frames(at, 2), sent.frames(at, 2))
        kept.close()
    finally:
        scope.close()
