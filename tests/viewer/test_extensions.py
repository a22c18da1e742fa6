"""Panels of other packages, by entry point, in the real window: installed, useless, and raising."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.viewer import qt

MODULE = '''
from PySide6.QtWidgets import QLabel

from livem.viewer.models.arrangement import Place
from livem.viewer.panel import Panel, Room


def counter(room: Room) -> Panel:
    """Says how many rows the newest tables have."""
    label = QLabel()

    def update(now: float) -> None:
        rows = sum(len(next(iter(table.arrays.values()))) for table in room.results("table"))
        label.setText(f"{rows} rows")

    return Panel("lab.rows", "Rows", label, update, lambda: bool(room.results("table")), Place("frame"))


def breaking(room: Room) -> Panel:
    def update(now: float) -> None:
        raise ZeroDivisionError("1 / 0 in the lab")

    return Panel("lab.breaking", "Breaking", QLabel("fine"), update)


def useless(room: Room) -> str:
    return "no panel"


def twin(room: Room) -> Panel:
    return Panel("frame", "Another frame", QLabel(), print)
'''
METADATA = "Metadata-Version: 2.1\nName: lab-panels\nVersion: 1.0\n"


@pytest.fixture
def installed(
    qapp: Any, feed: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """A window beside a package that offers these of its panels, as pip would install it."""
    from livem.viewer.snapshot import paint
    from livem.viewer.window import ViewerWindow

    windows = []

    def begin(*names: str) -> Any:
        (tmp_path / "lab_panels.py").write_text(MODULE, encoding="utf-8")
        info = tmp_path / "lab_panels-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA, encoding="utf-8")
        lines = [f"{name} = lab_panels:{name}" for name in names]
        (info / "entry_points.txt").write_text("\n".join(["[livem.panels]", *lines]), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(__import__("sys").modules, "lab_panels", raising=False)
        qt.application(headless=True)
        window = ViewerWindow(feed)
        windows.append(window)
        window.resize(800, 500)
        feed.give(make.frame(np.zeros((32, 32), np.uint8)))
        paint(window)
        return window

    yield begin
    for window in windows:
        window.close()
    qt.finish_deletions()
    assert qapp.topLevelWidgets() == []


def table(make: Any, rows: int) -> Any:
    return make._result("follow.sizes", "table", arrays={"size": np.arange(rows)})


def test_a_panel_of_another_package_is_there_once_it_has_something(
    installed: Callable[..., Any], feed: Any, make: Any
) -> None:
    from livem.viewer.snapshot import paint

    window = installed("counter")
    dock = window.docks.dock("lab.rows")
    assert not dock.isVisible()
    feed.give(table(make, 7))
    paint(window)
    assert dock.isVisible()
    assert dock.widget().text() == "7 rows"
    assert dock.geometry().top() > window.docks.dock("frame").geometry().bottom()
    window.view_menu.menu.aboutToShow.emit()
    assert any(action.text() == "Rows" and action.isChecked() for action, _ in window.view_menu._ticks)


def test_a_panel_that_raises_is_switched_off_and_the_window_goes_on(
    installed: Callable[..., Any], feed: Any, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from livem.viewer.snapshot import paint

    window = installed("breaking", "counter")
    assert window.guard.off == {"lab.breaking": "ZeroDivisionError: 1 / 0 in the lab"}
    assert "1 / 0 in the lab" in window.docks.dock("lab.breaking").widget().text()
    assert "Breaking is switched off: ZeroDivisionError" in window.status.message.text()
    assert capsys.readouterr().err.count("Traceback") == 1
    feed.give(table(make, 3), make.frame(np.full((32, 32), 9, np.uint8)))
    paint(window)
    assert window.docks.dock("lab.rows").widget().text() == "3 rows"
    assert window.frame.pane.picture.image.max() == 9


@pytest.mark.parametrize(
    ("name", "why"),
    [("useless", "no livem.viewer.panel.Panel"), ("twin", "is taken"), ("missing", "missing")],
)
def test_what_is_no_panel_is_named_and_left_out(
    installed: Callable[..., Any], name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    window = installed(name)
    assert f"the panel {name!r} cannot be used" in window.status.message.text()
    assert why in window.status.message.text()
    assert len(window.panels) == len({panel.name for panel in window.panels})
    assert window.frame.isVisible()
    assert "Traceback" in capsys.readouterr().err
