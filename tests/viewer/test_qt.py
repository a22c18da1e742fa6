from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal

from livem.errors import MissingDependencyError, UsageError
from livem.viewer import qt


@pytest.fixture
def broken_import(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make importing fail, as on a machine where something is missing."""

    def break_it(failure: ImportError) -> None:
        def fail(name: str) -> None:
            raise failure

        monkeypatch.setattr(importlib, "import_module", fail)

    return break_it


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="True and None are immortal from Python 3.12 on")
def test_emitting_signals_costs_no_reference() -> None:
    """PySide6 6.12.0 loses one reference to True per emit and aborts the interpreter within seconds."""

    class Sender(QObject):
        said = Signal(bool)

    sender = Sender()
    sender.said.connect(lambda value: None)
    before = sys.getrefcount(True)
    for _ in range(2000):
        sender.said.emit(True)
    assert before - sys.getrefcount(True) < 100


def test_a_missing_package_is_named_with_the_extra(broken_import: Any) -> None:
    broken_import(ModuleNotFoundError("No module named 'PySide6'", name="PySide6"))
    with pytest.raises(MissingDependencyError, match=r'PySide6.*pip install "livem\[viewer\]"'):
        qt.require_qt()


def test_a_missing_system_library_gives_the_whole_apt_line(broken_import: Any) -> None:
    broken_import(ImportError("libEGL.so.1: cannot open shared object file: No such file or directory"))
    with pytest.raises(MissingDependencyError) as caught:
        qt.require_qt()
    assert "libEGL.so.1" in str(caught.value)
    assert ("apt-get install -y libglib2.0-0 libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1") in str(
        caught.value
    )
    assert caught.value.exit_code == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is X11's")
def test_without_a_display_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert not qt.has_display()
    with pytest.raises(UsageError, match="--headless"):
        qt.use_platform(headless=False)
    qt.use_platform(headless=True)
    assert os.environ["QT_QPA_PLATFORM"] == "offscreen"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11's libraries")
def test_missing_x11_libraries_are_found_before_qt_aborts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise OSError("libxcb-cursor.so.0: cannot open shared object file")

    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ctypes, "CDLL", fail)
    with pytest.raises(MissingDependencyError, match="libxcb-cursor0"):
        qt.use_platform(headless=False)


def test_pyqtgraph_is_configured(qapp: Any) -> None:
    import pyqtgraph as pg

    qt.application(headless=True)
    assert pg.getConfigOption("imageAxisOrder") == "row-major"
    assert not pg.getConfigOption("antialias")
    assert not pg.getConfigOption("useNumba")


DRAW_TEXT = """
from livem.viewer import qt
qt.application(headless=True)
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QLabel
def ink(text):
    picture = QLabel(text).grab().toImage()
    return bytes(picture.constBits())
assert QFontDatabase.families(), "no font at all"
assert len({ink(letter) for letter in "ilMW8"}) == 5, "letters look alike: boxes"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fonts are found by fontconfig on Linux")
def test_text_is_drawn_on_a_machine_without_fonts(tmp_path: Path) -> None:
    pytest.importorskip("PIL.ImageFont", reason="the spare font comes with Pillow")
    config = tmp_path / "fonts.conf"
    config.write_text("<?xml version='1.0'?><fontconfig><cachedir>/nowhere</cachedir></fontconfig>")
    done = subprocess.run(
        [sys.executable, "-c", DRAW_TEXT],
        env=os.environ | {"FONTCONFIG_FILE": str(config), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
