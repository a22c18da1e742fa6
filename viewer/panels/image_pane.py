"""A picture with its title, caption, colour bar and read-out: the piece that frame and scan images share."""

from __future__ import annotations

import math
from itertools import zip_longest

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from .. import theme
from ..colour import (
    TRANSFERS,
    Transfer,
    about_median,
    area_blind,
    area_mean,
    colour_wheel,
    palette,
    to_indices,
)
from ..models.contrast import SCAN_RULE, SIGNED_RULE, Contrast, ContrastRule
from ..models.picture import Picture
from .colour_bar import ColourBar
from .labels import PhraseLabel
from .picture_view import PictureView

HUES = "CET-C6"
SIGNED_COLOURS = "CET-D1A"
"""Blue below 0, white at 0, red above; darkest at the ends, as in print."""
BLENDED = 1.5
"""Picture pixels a screen pixel up to which bilinear blending loses none; beyond it, areas are averaged."""
SIDE = 10
"""px left and right of what a pane shows."""
MOST_LINES = 2
"""Of a caption or a note."""
BARELY = 1.01
"""Picture pixels a screen pixel from which on nearest neighbour would leave some of them out."""


class ImagePane(QFrame):
    """Draws the newest picture; contrast follows calmly, or stays when locked."""

    def __init__(self, colours: str = "grey", rule: ContrastRule = SCAN_RULE) -> None:
        super().__init__()
        self.setObjectName("pane")
        self.contrast = Contrast(rule)
        self._rule, self._plain_colours, self._signed = rule, colours, False
        self.transfer: Transfer = "linear"
        self.picture: Picture | None = None
        self._beside: Picture | None = None
        self._share = 0.5
        self.drawn = 0
        """How often the picture was drawn."""
        self.view = PictureView()
        self.bar = ColourBar(self.view)
        self.title = theme.named(QLabel(), "title")
        self.badge = theme.named(QLabel(), "badge")
        self.reading = theme.named(PhraseLabel(), "reading")
        left = Qt.AlignmentFlag.AlignLeft
        self.notes = [theme.named(PhraseLabel(left), name) for name in ("goodness", "making")]
        self._colours = ""
        self._dirty = self._past = False
        self._pointed: tuple[float, float] | None = None
        self._build()
        self.set_colours(colours)
        self.view.pointed.connect(self._point)
        self.view.left.connect(self._leave)
        self.view.zoomed.connect(self._redraw_later)

    def _build(self) -> None:
        self.head = head = QHBoxLayout()
        head.addWidget(self.title)
        head.addWidget(self.badge)
        head.addWidget(self.reading, 1)
        self.badge.hide()
        self._column = layout = QVBoxLayout(self)
        layout.setContentsMargins(SIDE, 6, SIDE, 8)
        layout.setSpacing(6)
        layout.addLayout(head)
        for note in self.notes:
            layout.addWidget(note)
            note.hide()
        layout.addWidget(self.view, 1)

    def set_colours(self, name: str) -> None:
        """Choose the colour map of values (vectors always have their wheel)."""
        if name == self._colours:
            return
        self._colours = name
        self._table = palette(theme.colour_map(name))
        self.bar.set_colours(self._table)
        self._dirty = True

    def _set_signed(self, signed: bool) -> None:
        """Values about 0 in two colours, others as before."""
        if signed != self._signed:
            self._signed = signed
            self.contrast.rule = SIGNED_RULE if signed else self._rule
            self.contrast.restart()
            self.set_colours(SIGNED_COLOURS if signed else self._plain_colours)

    def set_transfer(self, transfer: Transfer) -> None:
        """Linear, square root or logarithm between the levels."""
        self.transfer = transfer
        self._dirty = True

    def next_transfer(self) -> None:
        """The transfer after the present one."""
        self.set_transfer(TRANSFERS[(TRANSFERS.index(self.transfer) + 1) % len(TRANSFERS)])

    def set_badge(self, colour: str | None) -> None:
        """Mark the title with the colour of the detector that made the picture."""
        style = f"border-left: 4px solid {colour}; padding-left: 6px;" if colour else ""
        if style != self.title.styleSheet():
            self.title.setStyleSheet(style)

    def set_veiled(self, veiled: bool) -> None:
        """Dim a picture that is not live any more."""
        if veiled != self.view.veiled:
            self.view.veiled = veiled
            self.view.viewport().update()

    def set_past(self, past: bool) -> None:
        """Mark, or no longer, a picture of a series that is over and was gone back to."""
        if past != self._past:
            self._past = past
            theme.restyle(self, "past", past)

    def show_picture(self, picture: Picture, now: float, levels_of: Picture | None = None) -> None:
        """Take a picture; it is drawn by the next `animate`, with the levels of another one if given."""
        before, self.picture = self.picture, picture
        if before is None or before.extent != picture.extent:
            self.contrast.restart()
        self._set_signed(picture.is_signed)
        self._see(levels_of or picture, now)
        self.view.calibration = picture.calibration
        self.view.set_extent(picture.extent)
        self.view.corner = picture.corner
        self.title.setText(picture.title)
        self._say_of_estimate(picture)
        self._say()
        self._dirty = True

    def animate(self, now: float) -> bool:
        """Let the contrast glide and draw what changed; True when something was drawn."""
        if not (self.contrast.glide(now) or self._dirty) or self.picture is None:
            return False
        self._draw(self.picture)
        return True

    def settle(self) -> None:
        """Contrast at its goal, picture drawn: what a snapshot shows."""
        self.contrast.settle()
        if self.picture is not None:
            self._draw(self.picture)

    def lines_wanted(self) -> tuple[int, ...]:
        """Lines for the caption below the title (0: it fits beside it) and for each note, at this width."""
        if self.picture is None:
            return ()
        room = self.width() - 2 * SIDE
        head = (self.title, self.badge) if self.picture.badge else (self.title,)
        taken = sum(part.sizeHint().width() + self.head.spacing() for part in head)
        caption = self.reading.fontMetrics().horizontalAdvance(self.picture.caption)
        below = 0 if taken + caption <= room else min(MOST_LINES, self.reading.lines_for(room))
        return (below, *(min(MOST_LINES, note.lines_for(room)) for note in self.notes))

    def set_lines(self, lines: tuple[int, ...]) -> None:
        """As `lines_wanted` says, of this pane or of one in its row that wants more."""
        below = lines[0] > 0
        if below != (self._column.indexOf(self.reading) >= 0):
            (self.head if below else self._column).removeWidget(self.reading)
            if below:
                self._column.insertWidget(1, self.reading)
                self.head.addStretch(1)
            else:
                self.head.takeAt(self.head.count() - 1)
                self.head.insertWidget(2, self.reading, 1)
            self.reading.set_side(Qt.AlignmentFlag.AlignLeft if below else Qt.AlignmentFlag.AlignRight)
        for label, count in zip((self.reading, *self.notes), lines, strict=True):
            label.set_lines(max(1, count))

    def show_beside(self, picture: Picture | None, share: float) -> None:
        """Another picture of the same pixels right of a line, at a share of the width; None: no more."""
        if (picture, share) != (self._beside, self._share):
            self._beside, self._share = picture, share
            self._dirty = True

    def lock_contrast(self, locked: bool) -> None:
        """Keep the levels, or let them follow again."""
        self.contrast.lock(locked)
        self._dirty = True

    def _say_of_estimate(self, picture: Picture) -> None:
        """That it is one, how it was made, and what is wrong with it."""
        if picture.badge != self.badge.text():
            self.badge.setText(picture.badge)
            self.badge.setVisible(bool(picture.badge))
        for note, text in zip_longest(self.notes, picture.notes):
            note.setVisible(text is not None)
            if (text or "") != note.text():
                note.setText(text or "")
        if picture.is_doubtful != bool(self.notes[-1].property("doubtful")):
            theme.restyle(self.notes[-1], "doubtful", picture.is_doubtful)

    def _see(self, picture: Picture, now: float) -> None:
        if not picture.is_vector:
            self.contrast.see(picture.image, picture.valid, now)
            return
        valid = picture.valid if picture.valid is not None else np.ones(picture.image.shape[:2], bool)
        away, _ = about_median(picture.image, valid)
        self.contrast.see(np.hypot(away[..., 0], away[..., 1]), valid, now)

    def _draw(self, picture: Picture) -> None:
        self._dirty = False
        self.drawn += 1
        shrink = self._shrink(picture)
        image, valid = area_mean(picture.image, picture.valid, shrink)
        unit = float(picture.factor * shrink)
        levels = self.contrast.levels
        if picture.is_vector:
            present = valid if valid is not None else np.ones(image.shape[:2], bool)
            away, _ = about_median(image, present)
            hues = theme.colour_map(HUES)
            self.view.draw(colour_wheel(away, present, levels.high, hues), None, unit)
            self.bar.set_wheel(hues)
        else:
            blind = area_blind(picture.blind, valid, shrink)
            self.view.draw(to_indices(image, valid, levels, self.transfer, blind), self._table, unit)
        self._draw_beside(shrink)
        self.view.smooth(self.view.units_per_screen_pixel() > BARELY * unit)
        self.bar.set_levels(levels, self.transfer, picture.unit, self.contrast.locked)
        self.bar.set_reach(*self.view.visible_rows())
        self.view.place_beside(self.bar)

    def _draw_beside(self, shrink: int) -> None:
        """With the levels, the colours and the size of the picture that it is held against."""
        other = self._beside
        if other is None:
            self.view.draw_beside(None, self._table, 1.0, self._share)
            return
        image, valid = area_mean(other.image, other.valid, shrink)
        indices = to_indices(image, valid, self.contrast.levels, self.transfer)
        self.view.draw_beside(indices, self._table, float(other.factor * shrink), self._share)

    def _shrink(self, picture: Picture) -> int:
        """Picture pixels to average along one drawn pixel, so that a drawn one covers a screen pixel."""
        crowding = self.view.units_per_screen_pixel() / picture.factor
        return math.ceil(crowding) if crowding > BLENDED else 1

    def _redraw_later(self) -> None:
        self._dirty = True

    def _point(self, y: float, x: float) -> None:
        self._pointed = (y, x)
        self._say()

    def _leave(self) -> None:
        self._pointed = None
        self._say()

    def _say(self) -> None:
        """The value under the mouse, else the caption."""
        if self.picture is None:
            return
        value = self.picture.reading(*self._pointed) if self._pointed else ""
        text = value or self.picture.caption
        if text != self.reading.text():
            self.reading.setText(text)
