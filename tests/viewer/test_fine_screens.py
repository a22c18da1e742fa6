"""The window on a screen with two pixels where others have one: drawn with all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
from conftest import FakeClock, FakeCommands, FakeFeed, Make
from livem.viewer import qt

qt.application(headless=True)
from livem.viewer.snapshot import paint
from livem.viewer.window import ViewerWindow

make, feed = Make(), FakeFeed()
window = ViewerWindow(feed, FakeCommands(), FakeClock())
window.resize(800, 600)
window.show()
stripes = np.tile(np.array([0, 200], np.uint8), (512, 256))
columns = {"particle": [1], "y": [300.0], "x": [256.0], "radius": [60.0], "provisional": [False]}
arrays = {name: np.array(values) for name, values in columns.items()}
tracks = make._result("follow.tracks", "table", arrays=arrays, attrs={"of_frame": True, "index": 41})
field = np.zeros((64, 64, 2))
field[:, :, 1] = np.linspace(-1, 1, 64)
feed.give(make.frame(stripes), tracks, make.scan("vd.com", field, kind="com"))
paint(window)
assert window.devicePixelRatioF() == 2.0
pane = window.frame.pane
view = pane.view
view.one_to_one()
paint(window)
assert abs(view.units_per_screen_pixel() - 1.0) < 0.01, view.units_per_screen_pixel()
picture = view.grab().toImage()
assert picture.width() == 2 * view.width(), (picture.width(), view.width())


def pixel(y, x, dx=0):
    at = 2 * view.to_screen(y, x)
    return picture.pixelColor(int(at.x()) + dx, int(at.y())).getRgb()[:3]


bright = [np.mean(pixel(256, 200, dx)) for dx in range(8)]
assert sorted(round(value) for value in bright) == [0] * 4 + [255] * 4, bright
assert all(abs(a - b) > 250 for a, b in zip(bright, bright[1:])), bright
ring = [pixel(300, 256 + 60, dx) for dx in range(-3, 4)]
assert any(max(one) - min(one) > 60 for one in ring), ring
assert not any(max(pixel(300, 256, dx)) - min(pixel(300, 256, dx)) > 60 for dx in range(-3, 4))
wheel = window.images.panes["vd.com"].bar._wheel
assert wheel is not None and wheel.width() == 96, wheel.width()
title = pane.title.grab().toImage()
assert title.width() == 2 * pane.title.width()
window.close()
print("as it should be")
"""


def test_every_pixel_of_a_fine_screen_is_drawn(tmp_path: Path) -> None:
    """At 1:1 a frame's columns of 0 and 200 are columns of the screen; circles, words and wheels are fine."""
    program = tmp_path / "fine.py"
    program.write_text(PROGRAM)
    env = {**os.environ, "QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, str(program), str(Path(__file__).parent)], env=env, capture_output=True, text=True
    )
    assert "as it should be" in done.stdout, done.stdout + done.stderr


pytestmark = pytest.mark.timeout(300)
