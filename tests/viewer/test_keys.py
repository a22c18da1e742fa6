"""Every key of the sheet does something, and every key that does something is on the sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from livem.viewer.models.keys import KEYS

ALL = [key for group in KEYS.values() for key in group]


def test_no_key_does_two_things() -> None:
    keys = [each for key in ALL for each in (key.key, *key.more)]
    assert len(set(keys)) == len(keys)
    assert len({key.action for key in ALL}) == len(ALL)


def test_what_is_bound_is_what_the_sheet_says(window: Any) -> None:
    bound = {shortcut.key().toString() for shortcut in window.findChildren(QShortcut)}
    assert bound == {each for key in ALL for each in (key.key, *key.more)}
    said = " ".join(label.text() for label in window.sheet.findChildren(QLabel))
    assert all(key.does in said and key.text.replace("&", "&amp;") in said for key in ALL)


@pytest.mark.parametrize("key", [Qt.Key.Key_F1, Qt.Key.Key_Question])
def test_the_sheet_comes_and_goes(window: Any, show: Any, make: Any, key: Any) -> None:
    show(make.frame(np.zeros((8, 8), np.uint8)))
    plain = window.grab().toImage()
    QTest.keyClick(window, key)
    assert window.sheet.isVisible()
    assert window.rect().contains(window.sheet.geometry())
    middle = window.sheet.geometry()
    drawn = window.grab(middle).toImage()
    assert (
        sum(
            drawn.pixel(x, y) != plain.pixel(middle.x() + x, middle.y() + y)
            for x in range(200)
            for y in range(60)
        )
        > 500
    )
    QTest.keyClick(window.sheet, Qt.Key.Key_Escape)
    assert not window.sheet.isVisible()
    QTest.keyClick(window, key)
    QTest.mouseClick(window.sheet, Qt.MouseButton.LeftButton)
    assert not window.sheet.isVisible()


def test_one_to_one_and_all(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.zeros((2000, 1500), np.uint8)))
    view = window.frame.pane.view
    QTest.keyClick(window, Qt.Key.Key_1)
    assert view.units_per_screen_pixel() == pytest.approx(1.0, rel=0.01)
    assert view.part is not None
    QTest.keyClick(window, Qt.Key.Key_0)
    assert view.part is None


def test_a_picture_is_kept_on_a_key(
    window: Any, show: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    show(make.frame(np.zeros((64, 64), np.uint8)))
    QTest.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    window.tick()
    window.kept.close()
    window.tick()
    (folder,) = tmp_path.glob("livem_*")
    assert QImage(str(folder / "window.png")).size() == window.size()
    assert str(folder) in window.status.message.text()
