"""Colours, fonts and colour maps of the window: one place, so that panels agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from .colour import GREY
from .models.chips import Tone

WidgetT = TypeVar("WidgetT", bound=QWidget)

WINDOW = "#12151a"
PANEL = "#191d24"
BORDER = "#2b323d"
TEXT = "#e3e8ef"
MUTED = "#8d98a8"
GOOD = "#2fbf71"
WARN = "#f2a93b"
BAD = "#ff5c5c"
IDLE = "#5b7694"

TONES: Mapping[Tone, str] = {"plain": TEXT, "good": GOOD, "warn": WARN, "bad": BAD, "muted": MUTED}
PILLS: Mapping[Tone, str] = {"plain": IDLE, "good": GOOD, "warn": WARN, "bad": BAD, "muted": IDLE}

# Okabe & Ito's palette, told apart by every kind of colour vision; the dark blue is lightened for a dark
# background and black is left out.
DETECTOR_COLOURS = ("#56b4e9", "#e69f00", "#00b184", "#f0e442", "#cc79a7", "#d55e00", "#6f9bff")
CURVE_COLOURS = DETECTOR_COLOURS
TRACK_COLOURS = DETECTOR_COLOURS

STYLE = f"""
QWidget {{ background: {WINDOW}; color: {TEXT}; font-size: 9.5pt; }}
QFrame#pane {{ background: {PANEL}; border: 1px solid {BORDER}; border-radius: 6px; }}
QFrame#pane[past="true"] {{ border: 2px solid {WARN}; }}
QFrame#pane QWidget {{ background: {PANEL}; border: none; }}
QLabel#title {{ font-weight: 600; }}
QLabel#reading {{ color: {MUTED}; }}
QFrame#bar {{ background: {PANEL}; border-top: 1px solid {BORDER}; }}
QFrame#bar QLabel {{ background: transparent; }}
QLabel#banner {{ color: #201503; background: {WARN}; font-weight: 600; padding: 6px 12px; }}
QLabel#waiting {{ color: {MUTED}; font-size: 13pt; }}
QFrame#bar QSlider {{ background: transparent; min-height: 24px; }}
QFrame#bar QSlider::groove:horizontal {{ background: {BORDER}; height: 4px; border-radius: 2px; }}
QFrame#bar QSlider::sub-page:horizontal {{ background: {IDLE}; height: 4px; border-radius: 2px; }}
QFrame#bar QSlider::handle:horizontal {{
    background: {TEXT}; width: 12px; height: 12px; margin: -4px 0; border-radius: 6px;
}}
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
QToolTip {{ color: {TEXT}; background: {PANEL}; border: 1px solid {BORDER}; padding: 4px; }}
"""


def pill_style(tone: Tone) -> str:
    """Style of the word that says how things stand."""
    return (
        f"background: {PILLS[tone]}; color: #0c1014; font-weight: 700; border-radius: 4px; padding: 3px 12px;"
    )


def named(widget: WidgetT, name: str) -> WidgetT:
    """The widget, with the name by which STYLE finds it."""
    widget.setObjectName(name)
    return widget


def colour_map(name: str) -> npt.NDArray[np.uint8]:
    """A colour map of (n, 3) bytes: "grey", or one of pyqtgraph's ("inferno", "viridis", "CET-C6")."""
    if name == "grey":
        return GREY
    colours: Any = pg.colormap.get(name).getLookupTable(nPts=256, alpha=False)
    return np.asarray(colours, np.uint8)
