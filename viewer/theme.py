"""Colours, fonts and colour maps of the window: one place, so that panels agree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from ..errors import UsageError
from .colour import GREY
from .models.chips import Tone

WidgetT = TypeVar("WidgetT", bound=QWidget)

VARIABLE = "LIVEM_THEME"
"""Environment variable that chooses: "dark" (also without it) or "light"."""
REVERSED = " reversed"
GAP = 6
"""px between panels."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of everything but pictures, which look the same by day and by night."""

    window: str
    panel: str
    border: str
    text: str
    muted: str
    good: str
    warn: str
    bad: str
    idle: str
    curves: tuple[str, ...]
    """Lines and words on a panel; in the order of `TRACK_COLOURS`, and of about their hues."""


# Okabe & Ito's palette, told apart by every kind of colour vision; the dark blue is lightened for a dark
# background and black is left out.
DETECTOR_COLOURS = ("#56b4e9", "#e69f00", "#00b184", "#f0e442", "#cc79a7", "#d55e00", "#6f9bff")
TRACK_COLOURS = DETECTOR_COLOURS

THEMES: Mapping[str, Theme] = {
    "dark": Theme(
        window="#12151a",
        panel="#191d24",
        border="#2b323d",
        text="#e3e8ef",
        muted="#8d98a8",
        good="#2fbf71",
        warn="#f2a93b",
        bad="#ff5c5c",
        idle="#5b7694",
        curves=DETECTOR_COLOURS,
    ),
    "light": Theme(
        window="#e7eaee",
        panel="#fbfcfd",
        border="#c6ccd4",
        text="#161b22",
        muted="#56616f",
        good="#1f9d57",
        warn="#d98a00",
        bad="#c62828",
        idle="#7f9ab8",
        curves=("#0072b2", "#b07800", "#00805c", "#857a00", "#a8447f", "#c25200", "#3a63c8"),
    ),
}
_now = THEMES["dark"]


def use(name: str) -> None:
    """Take a theme for all windows that are made from now on. UsageError names what there is."""
    global _now
    if name not in THEMES:
        raise UsageError(f"{VARIABLE} is {name!r}; it must be one of {', '.join(THEMES)}")
    _now = THEMES[name]


def use_chosen(kept: str = "") -> None:
    """The theme that the environment names, else the one that the user chose before, else the dark one."""
    use(os.environ.get(VARIABLE) or (kept if kept in THEMES else "dark"))


def name_in_use() -> str:
    """ "dark" or "light"."""
    return next(name for name, each in THEMES.items() if each is _now)


def __getattr__(name: str) -> str:
    """A colour of the theme in use: ``theme.PANEL``."""
    if name.isupper() and hasattr(_now, name.lower()):
        return str(getattr(_now, name.lower()))
    raise AttributeError(f"no colour {name}")


def curve_colour(number: int) -> str:
    """Of a line or a word on a panel; numbers beyond the last begin again."""
    return _now.curves[number % len(_now.curves)]


def tone_colour(tone: Tone) -> str:
    """Of a word that is plain, good, a warning, bad or beside the point."""
    return {"plain": _now.text, "good": _now.good, "warn": _now.warn, "bad": _now.bad, "muted": _now.muted}[
        tone
    ]


def style() -> str:
    """The style sheet of a window."""
    WINDOW, PANEL, BORDER, TEXT = _now.window, _now.panel, _now.border, _now.text
    MUTED, WARN, IDLE = _now.muted, _now.warn, _now.idle
    return f"""
QWidget {{ background: {WINDOW}; color: {TEXT}; font-size: 9.5pt; }}
QFrame#pane {{ background: {PANEL}; border: 1px solid {BORDER}; border-radius: 6px; }}
QFrame#pane[moment="live"] {{ border: 2px solid {_now.good}; }}
QFrame#pane[moment="frozen"], QFrame#pane[moment="paused"] {{ border: 2px solid {WARN}; }}
QFrame#pane[moment="rewind"] {{ border: 2px dashed {WARN}; }}
QFrame#pane[moment="replay"] {{ border: 2px dotted {WARN}; }}
QFrame#pane[moment="none"] {{ border: 2px solid {BORDER}; }}
QFrame#pane[past="true"] {{ border: 2px solid {WARN}; }}
QFrame#pane QWidget {{ background: {PANEL}; border: none; }}
QLabel#title {{ font-weight: 600; }}
QLabel#title[here="true"] {{ text-decoration: underline; }}
QLabel#reading {{ color: {MUTED}; }}
QLabel#badge, QFrame#pane QLabel#badge {{
    background: {WARN}; color: #201503; font-weight: 600; font-size: 8.5pt; border-radius: 4px;
    padding: 0 6px;
}}
QLabel#making {{ color: {MUTED}; }}
QLabel#making[doubtful="true"] {{ color: {WARN}; font-weight: 600; }}
QFrame#bar {{ background: {PANEL}; border-top: 1px solid {BORDER}; }}
QFrame#bar QLabel {{ background: transparent; }}
QFrame#alarms {{ background: {WARN}; }}
QLabel#banner {{ color: #201503; background: {WARN}; font-weight: 600; padding: 6px 12px; }}
QFrame#alarms QPushButton {{
    background: transparent; color: #201503; border: 1px solid #201503; border-radius: 4px; padding: 2px 8px;
}}
QFrame#alarms QPushButton:hover {{ background: #ffffff; }}
QFrame#pane QAbstractSpinBox, QFrame#pane QLineEdit, QFrame#pane QComboBox {{
    background: {WINDOW}; border: 1px solid {BORDER}; border-radius: 4px; padding: 2px 6px;
}}
QFrame#pane QAbstractSpinBox:focus, QFrame#pane QLineEdit:focus, QFrame#pane QComboBox:focus,
QFrame#pane QPushButton:focus {{ border-color: {IDLE}; }}
QFrame#pane QAbstractSpinBox:disabled {{ color: {MUTED}; }}
QLabel#waiting {{ color: {MUTED}; font-size: 13pt; }}
QFrame#bar QWidget#track {{ background: transparent; }}
QFrame#bar QComboBox {{
    background: {WINDOW}; border: 1px solid {BORDER}; border-radius: 4px; padding: 2px 6px; min-width: 52px;
}}
QFrame#bar QPushButton, QFrame#pane QPushButton, QFrame#series QPushButton {{
    background: {WINDOW}; border: 1px solid {BORDER}; border-radius: 4px; padding: 2px 8px;
}}
QFrame#bar QPushButton:hover, QFrame#pane QPushButton:hover {{ background: {BORDER}; }}
QFrame#bar QPushButton:checked, QFrame#pane QPushButton:checked {{
    border-color: {IDLE}; background: {BORDER};
}}
QFrame#bar QPushButton:disabled {{ color: {MUTED}; }}
QFrame#series {{ background: {PANEL}; border: 1px solid {BORDER}; border-radius: 6px; }}
QFrame#series QLabel {{ background: transparent; }}
QTableView, QTreeWidget {{ background: {PANEL}; alternate-background-color: {WINDOW}; border: none; }}
QTableView::item:selected, QTreeWidget::item:selected {{ background: {IDLE}; color: #ffffff; }}
QHeaderView::section {{
    background: {WINDOW}; color: {MUTED}; border: none; border-bottom: 1px solid {BORDER}; padding: 3px 6px;
}}
QScrollBar {{ background: {PANEL}; border: none; margin: 0; }}
QScrollBar:vertical {{ width: 9px; }}
QScrollBar:horizontal {{ height: 9px; }}
QScrollBar::handle {{ background: {BORDER}; border-radius: 4px; min-height: 24px; min-width: 24px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: {PANEL}; }}
QFrame#sheet {{ background: {PANEL}; border: 1px solid {IDLE}; border-radius: 8px; }}
QFrame#sheet QLabel {{ background: transparent; }}
QMenu {{ background: {PANEL}; border: 1px solid {BORDER}; }}
QMenu::item:selected {{ background: {BORDER}; }}
QMenu::item:disabled {{ color: {MUTED}; }}
QSplitter::handle {{ background: {WINDOW}; }}
QMainWindow::separator {{ background: {WINDOW}; width: {GAP}px; height: {GAP}px; }}
QMainWindow::separator:hover {{ background: {IDLE}; }}
QFrame#handle, QFrame#handle QLabel {{ color: {MUTED}; font-size: 8.5pt; }}
QDockWidget {{ color: {TEXT}; }}
QTabBar::tab {{
    background: {WINDOW}; color: {MUTED}; border: 1px solid {BORDER}; border-bottom: none;
    border-top-left-radius: 4px; border-top-right-radius: 4px; padding: 3px 10px;
}}
QTabBar::tab:selected {{ background: {PANEL}; color: {TEXT}; }}
QMenuBar {{ background: {WINDOW}; }}
QMenuBar::item:selected {{ background: {BORDER}; }}
QToolTip {{ color: {TEXT}; background: {PANEL}; border: 1px solid {BORDER}; padding: 4px; }}
"""


def pill_style(tone: Tone) -> str:
    """Style of the word that says how things stand."""
    ground = tone_colour(tone) if tone in ("good", "warn", "bad") else _now.idle
    return f"background: {ground}; color: #0c1014; font-weight: 700; border-radius: 4px; padding: 3px 12px;"


def named(widget: WidgetT, name: str) -> WidgetT:
    """The widget, with the name by which STYLE finds it."""
    widget.setObjectName(name)
    return widget


def restyle(widget: QWidget, name: str, value: bool | str) -> None:
    """Set a property by which STYLE tells widgets of one name apart."""
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def colour_map(name: str) -> npt.NDArray[np.uint8]:
    """A colour map of (n, 3) bytes: "grey", or one of pyqtgraph's ("inferno", "viridis", "CET-C6"); any of
    them also " reversed"."""
    plain = name.removesuffix(REVERSED)
    if plain != name:
        return colour_map(plain)[::-1]
    if name == "grey":
        return GREY
    colours: Any = pg.colormap.get(name).getLookupTable(nPts=256, alpha=False)
    return np.asarray(colours, np.uint8)
