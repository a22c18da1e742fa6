from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage

from livem.errors import SessionError
from livem.viewer import qt
from livem.viewer.models.feed import FeedState, GivenResults
from livem.viewer.snapshot import save_snapshot, snapshot_from_results


def by_topic(*results: Any) -> dict[str, Any]:
    return {result.topic: result for result in results}


def brightness(picture: QImage, left: float, right: float) -> np.ndarray:
    """Grey values of a vertical strip of the picture, in shares of its width."""
    grey = picture.convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(grey.constBits(), np.uint8).reshape(grey.height(), grey.bytesPerLine())
    return rows[:, int(left * grey.width()) : int(right * grey.width())].copy()  # pixels end with `grey`


def test_a_snapshot_has_all_its_pictures(qapp: Any, make: Any, tmp_path: Path) -> None:
    frame = np.zeros((64, 64), np.uint8)
    frame[20:40, 20:40] = 200
    scan = np.full((32, 32), np.nan)
    scan[:20] = np.linspace(0, 9, 32)
    path = tmp_path / "deeper" / "picture.png"
    snapshot_from_results(
        by_topic(make.frame(frame), make.disk(scan, (30, 30), 9), make.status(state="running")), path
    )
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (1400, 900)
    assert (brightness(picture, 0.05, 0.40) > 180).mean() > 0.03
    assert (brightness(picture, 0.55, 0.90) > 180).mean() > 0.03
    assert not list(path.parent.glob(".*"))
    assert qapp.topLevelWidgets() == []


def test_two_snapshots_of_the_same_results_are_the_same(qapp: Any, make: Any, tmp_path: Path) -> None:
    results = by_topic(make.frame(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        snapshot_from_results(results, path, size=(600, 400))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_nothing_to_show_is_a_picture_too(qapp: Any, tmp_path: Path) -> None:
    snapshot_from_results({}, tmp_path / "empty.png", size=(400, 300))
    assert QImage(str(tmp_path / "empty.png")).width() == 400


def test_a_window_that_was_never_shown_is_painted(qapp: Any, feed: Any, make: Any, tmp_path: Path) -> None:
    from livem.viewer import qt
    from livem.viewer.window import ViewerWindow

    feed.give(make.frame(np.full((8, 8), 7, np.uint8) * np.eye(8, dtype=np.uint8)))
    window = ViewerWindow(feed)
    save_snapshot(window, tmp_path / "a.png")
    window.close()
    qt.finish_deletions()
    assert (brightness(QImage(str(tmp_path / "a.png")), 0.05, 0.9) > 200).mean() > 0.02


def test_a_file_that_cannot_be_written_is_an_error(qapp: Any, make: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SessionError, match="cannot write the snapshot"):
        snapshot_from_results({}, tmp_path / "file" / "a.png")
    assert qapp.topLevelWidgets() == []


ALONE = """
import sys, pathlib, numpy as np
from livem.stream.results import Result
from livem.viewer import qt
from livem.viewer.models.feed import FeedState, GivenResults
from livem.viewer.snapshot import snapshot_from_results
attrs = {"factor": 1, "shape": [9, 9]}
frame = Result("p.frame", "image", None, (0, 1), 1, {"image": np.eye(9)}, attrs=attrs)
snapshot_from_results({"p.frame": frame}, pathlib.Path(sys.argv[1]), (500, 400))
"""


def test_a_process_without_a_display_makes_a_snapshot(tmp_path: Path) -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    path = tmp_path / "alone.png"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (brightness(QImage(str(path)), 0.1, 0.9) > 200).mean() > 0.02


def test_at_twice_the_pixels_the_window_is_the_same_and_finer(tmp_path: Path) -> None:
    paths = {factor: tmp_path / f"{factor}.png" for factor in ("1", "2")}
    for factor, path in paths.items():
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": factor}
        arguments = [sys.executable, "-c", ALONE, str(path)]
        subprocess.run(arguments, env=environment, check=True, capture_output=True, timeout=60)
    plain, fine = (QImage(str(path)) for path in paths.values())
    assert (fine.width(), fine.height()) == (2 * plain.width(), 2 * plain.height())
    smooth = Qt.TransformationMode.SmoothTransformation
    halved = fine.scaled(plain.size(), mode=smooth)
    apart = np.abs(brightness(halved, 0, 1).astype(int) - brightness(plain, 0, 1))
    assert apart.mean() < 8
    rows = brightness(fine, 0, 1)[: 2 * 40 : 2], brightness(fine, 0, 1)[1 : 2 * 40 : 2]
    assert (rows[0] != rows[1]).any()  # drawn finer, not stretched


def test_a_window_that_closes_while_it_is_painted_leaves_no_picture(qapp: Any, tmp_path: Path) -> None:
    """A close that waits in the event queue is taken by the first pass of painting."""
    from livem.viewer.window import ViewerWindow

    qt.application(headless=True)
    window = ViewerWindow(GivenResults({}, FeedState("live")))
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    window.show()
    QTimer.singleShot(0, window.close)
    QTimer.singleShot(0, qt.finish_deletions)
    save_snapshot(window, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
