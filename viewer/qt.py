"""Getting Qt ready: is it there, can it draw here, has it a font; and pyqtgraph's settings.

Everything that touches Qt imports it after `ready`, so that what is missing is an error with a next step.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

EXTRA = 'pip install "livem[viewer]"'
APT = "apt-get install -y libglib2.0-0 libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
APT_X11 = (
    "apt-get install -y libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 "
    "libxcb-render-util0 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0"
)
FALLBACK_FONT_SIZE = 12


def has_display() -> bool:
    """Whether a window could be seen: always on Windows and macOS, by environment elsewhere."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def require_qt() -> None:
    """Import Qt and pyqtgraph.

    Raises
    ------
    MissingDependencyError
        With the real reason and the line that installs what is missing.
    """
    try:
        importlib.import_module("PySide6.QtWidgets")
        importlib.import_module("pyqtgraph")
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            f"the viewer needs {missing.name}, which is not installed; get it with: {EXTRA}"
        ) from missing
    except ImportError as broken:
        raise MissingDependencyError(
            f"Qt is installed but cannot start: {broken}. On Debian or Ubuntu: {APT}"
        ) from broken


def use_platform(headless: bool) -> None:
    """Choose Qt's platform before Qt starts.

    Raises UsageError without a display, MissingDependencyError when X11's libraries are missing (Qt itself
    would abort the process without a word that Python could catch).
    """
    if headless:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return
    if os.environ.get("QT_QPA_PLATFORM"):
        return
    if not has_display():
        raise UsageError(
            "no display here: neither DISPLAY nor WAYLAND_DISPLAY is set; "
            "use --headless (with --snapshot FILE.png for a picture), or view from a machine with a screen"
        )
    if sys.platform.startswith("linux") and not os.environ.get("WAYLAND_DISPLAY"):
        require_x11()


def require_x11() -> None:
    """Raises MissingDependencyError where Qt could not open a window on an X11 display."""
    import PySide6

    plugin = Path(PySide6.__file__).parent / "Qt" / "plugins" / "platforms" / "libqxcb.so"
    if not plugin.exists():
        return
    try:
        ctypes.CDLL(str(plugin))
    except OSError as missing:
        raise MissingDependencyError(
            f"Qt cannot open a window on X11: {missing}. On Debian or Ubuntu: {APT_X11}"
        ) from missing


def application(*, headless: bool) -> QApplication:
    """The process' QApplication, made if need be, with fonts and pyqtgraph's settings in place.

    Raises MissingDependencyError or UsageError where no window can be drawn.
    """
    require_qt()
    from PySide6.QtWidgets import QApplication

    from . import theme

    running = QApplication.instance()
    if not isinstance(running, QApplication):
        use_platform(headless)
        running = QApplication(["livem"])
        running.setApplicationName("livem")
    _configure_pyqtgraph()
    _require_font()
    theme.use_chosen()
    return running


def finish_deletions() -> None:
    """Let Qt delete what was closed: outside an event loop it would wait for ever."""
    from PySide6.QtCore import QCoreApplication, QEvent

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _configure_pyqtgraph() -> None:
    import pyqtgraph as pg

    # mouseRateLimit 0: drags are coalesced on their way to the session, not dropped on the way in.
    pg.setConfigOptions(imageAxisOrder="row-major", antialias=False, useNumba=False, mouseRateLimit=0)


def _require_font() -> None:
    """Without any font (a bare container) Qt draws boxes: lend it the one that Pillow carries."""
    from PySide6.QtGui import QFont, QFontDatabase, QFontMetrics
    from PySide6.QtWidgets import QApplication

    # A list of families proves nothing: with no font at all it still names "Sans Serif".
    if QFontMetrics(QApplication.font()).inFontUcs4(ord("A")):
        return
    number = QFontDatabase.addApplicationFontFromData(_pillow_font())
    for family in QFontDatabase.applicationFontFamilies(number)[:1]:
        # Named outright: without fontconfig nothing leads from "Sans Serif" to the only font there is.
        QApplication.setFont(QFont(family, QApplication.font().pointSize()))


def _pillow_font() -> bytes:
    """The TrueType font inside Pillow (>= 10.1, built with FreeType); empty without."""
    try:
        fonts: Any = importlib.import_module("PIL.ImageFont")
        font = fonts.load_default(FALLBACK_FONT_SIZE)
    except (ImportError, TypeError, OSError):
        return b""
    return bytes(getattr(font, "font_bytes", b""))
