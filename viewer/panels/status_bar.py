"""The bar that says how things stand: state, counts, rates, latency, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel

from .. import theme
from ..models.chips import Chip
from .labels import ElidedLabel

HEIGHT = 38
SPACING = 18
SHORT_BELOW = 700
"""px of width."""
DISPENSABLE = ("device", "ring", "slowest", "latency", "shown", "analysed", "series", "dose")
"""What a narrow window leaves out first: a number is whole or not there, never cut. What is missing stays."""


class StatusBar(QFrame):
    """Chips from left to right; a message takes the room that is left."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setFixedHeight(HEIGHT)
        self._is_short = False
        self._labels: dict[str, QLabel] = {}
        self._shown: dict[str, Chip] = {}
        self.message = ElidedLabel()
        self.message.setStyleSheet(f"color: {theme.MUTED};")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(10, 0, 12, 0)
        self._row.setSpacing(SPACING)
        self._row.addWidget(self.message, 1)

    def show_chips(self, chips: Sequence[Chip], message: str) -> None:
        """Show these chips; only what changed is touched."""
        for name in self._labels.keys() - {chip.name for chip in chips}:
            self._labels[name].hide()
            self._shown.pop(name, None)
        for place, chip in enumerate(chips):
            if self._shown.get(chip.name) != chip:
                self._show(chip, place)
        if message != self.message.text():
            self.message.setText(message)
        self._make_room()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def text(self, name: str) -> str:
        """What a chip says, without its colours; empty when it is not there."""
        chip = self._shown.get(name)
        return "" if chip is None else f"{chip.label} {chip.text}".strip()

    def label(self, name: str) -> QLabel:
        """The widget of a chip."""
        return self._labels[name]

    def _make_room(self) -> None:
        """Say it shortly, and hide dispensable chips until the others fit."""
        if self._is_short != (self.width() < SHORT_BELOW):
            self._is_short = not self._is_short
            for chip in self._shown.values():
                self._write(chip)
        margins = self._row.contentsMargins()
        widths = {name: self._labels[name].sizeHint().width() + SPACING for name in self._shown}
        excess = sum(widths.values()) - (self.width() - margins.left() - margins.right())
        hidden = set()
        for name in DISPENSABLE:
            if excess > 0 and name in widths:
                hidden.add(name)
                excess -= widths[name]
        for name in self._shown:
            self._labels[name].setVisible(name not in hidden)

    def _show(self, chip: Chip, place: int) -> None:
        label = self._labels.get(chip.name) or self._add(chip.name, place)
        if chip.name == "state":
            label.setText(chip.text)
            label.setStyleSheet(theme.pill_style(chip.tone))
        else:
            self._write(chip)
        label.setToolTip(chip.tip)
        self._shown[chip.name] = chip

    def _write(self, chip: Chip) -> None:
        if chip.short is not None and self._is_short:
            chip = replace(chip, label=chip.short[0], text=chip.short[1])
        if chip.name != "state":
            self._labels[chip.name].setText(chip_html(chip))

    def _add(self, name: str, place: int) -> QLabel:
        label = theme.named(QLabel(), f"chip-{name}")
        self._labels[name] = label
        self._row.insertWidget(place, label, 0, Qt.AlignmentFlag.AlignVCenter)
        return label


def chip_html(chip: Chip) -> str:
    """Label in grey, value in the colour of its tone."""
    weight = "700" if chip.tone in ("bad", "warn") else "400"
    value = (
        f'<span style="color:{theme.tone_colour(chip.tone)};font-weight:{weight}">{escape(chip.text)}</span>'
    )
    label = f'<span style="color:{theme.MUTED}">{escape(chip.label)}</span> ' if chip.label else ""
    return label + value
