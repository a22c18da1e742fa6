"""A picture with its title, caption, colour bar and read-out: the piece that frame and scan images share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import zip_longest
from typing import cast

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from ...kernels.tones import Areas, Bytes, Part, tones
from .. import theme
from ..colour import (
    Transfer,
    about_median,
    area_mean,
    checker_cell,
    colour_wheel,
    curve,
    palette,
)
from ..models.contrast import SCAN_RULE, SIGNED_RULE, Contrast, ContrastRule, Levels
from ..models.drawing import Drawing, Meaning
from ..models.picture import Picture
from ..models.sampling import pixel_maps
from .colour_bar import ColourBar
from .labels import PhraseLabel
from .map_overlay import MapOverlay
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
MARGIN = 0.25
"""Beside what is seen, in its width: what is dragged into view before the next tick."""
SPARSE, CROWDED = 1.0, 2.0
"""Single events of an area below which its brightest pixel is shown, and above which the mean is again."""


class ImagePane(QFrame):
    """Draws the newest picture; contrast follows calmly, or stays when locked."""

    def __init__(self, colours: str = "grey", rule: ContrastRule = SCAN_RULE) -> None:
        super().__init__()
        self.setObjectName("pane")
        self.contrast = Contrast(rule)
        self._rule, self._signed = rule, False
        self._suited = {"values": colours, "signed": SIGNED_COLOURS, "directions": HUES}
        self._suited_transfer: Transfer = "linear"
        self.drawing = Drawing()
        """What the user chose of it."""
        self.picture: Picture | None = None
        self._beside: Picture | None = None
        self._share = 0.5
        self.drawn = 0
        """How often the picture was drawn."""
        self.view = PictureView()
        self.maps = MapOverlay(self.view)
        self.shows_maps = False
        self.bar = ColourBar(self.view)
        self.title = theme.named(QLabel(), "title")
        self.title.setToolTip("Right click on the picture: colours, tones, detectors (Ctrl+M)")
        self.badge = theme.named(QLabel(), "badge")
        self.reading = theme.named(PhraseLabel(), "reading")
        left = Qt.AlignmentFlag.AlignLeft
        self.notes = [theme.named(PhraseLabel(left), name) for name in ("goodness", "making")]
        self._colours = ""
        self._dirty = self._past = self._is_rare = False
        self.pointed: tuple[float, float] | None = None
        """The point (y, x) under the mouse, in view units."""
        self.read: Callable[[float, float], str] = _nothing_finer
        """What is known of the original pixel there, where the picture has fewer; empty: nothing."""
        self._build()
        self._colour()
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
        """The colour map that suits its values, until the user chooses another one."""
        self._suited["values"] = name
        self._colour()

    def set_transfer(self, transfer: Transfer) -> None:
        """What suits it between the levels, until the user chooses something else."""
        self._suited_transfer = transfer
        self._dirty = True

    def choose(self, drawing: Drawing) -> None:
        """Draw it as the user wants it."""
        if drawing != self.drawing:
            self.drawing = drawing
            self._colour()
            self._dirty = True

    @property
    def meaning(self) -> Meaning:
        """Of what it shows."""
        if self.picture is not None and self.picture.is_vector:
            return "directions"
        return "signed" if self._signed else "values"

    @property
    def transfer(self) -> Transfer:
        """Between the levels."""
        return cast(Transfer, self.drawing.transfer) if self.drawing.transfer else self._suited_transfer

    def colours(self, meaning: Meaning) -> str:
        """The colour map of pictures that mean this."""
        return self.drawing.map_of(meaning) or self._suited[meaning]

    def _colour(self) -> None:
        name = self.colours("signed" if self._signed else "values")
        if name != self._colours:
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
            self._colour()

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

    def set_gone_to(self, is_here: bool) -> None:
        """Mark the picture that keys are for, where there are several."""
        if is_here != bool(self.title.property("here")):
            theme.restyle(self.title, "here", is_here)

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
        if picture.title != self.title.text():
            self.title.setText(picture.title)
            self.view.setAccessibleName(picture.title)
        self._say_of_estimate(picture)
        self.say()
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

    def show_maps(self, shown: bool) -> None:
        """Lay over it what was measured of it, or what was not; or no more."""
        if shown != self.shows_maps:
            self.shows_maps = shown
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
        factor = self._factor(picture)
        levels = self.contrast.levels
        if picture.is_vector:
            self._draw_vectors(picture, max(factor), levels)
        else:
            if self.bar.is_wheel:
                self.bar.set_colours(self._table)
            pixels, area = self._tones(picture, factor)
            self.view.draw(pixels, self._table, area)
            self._draw_beside(factor)
        self._draw_maps(picture, factor)
        units = self.view.units_per_screen_pixel()
        self.view.smooth(units > BARELY * picture.factor * factor[1])
        self.bar.set_levels(levels, self.transfer, picture.unit, self.contrast.locked)
        self.bar.set_reach(*self.view.visible_rows())
        self.view.place_beside(self.bar)

    def _tones(self, picture: Picture, factor: tuple[int, int]) -> tuple[Bytes, QRectF]:
        """Bytes of what is seen of a picture, and where they are in the view."""
        part = self._part(picture, factor)
        levels = self.contrast.levels
        shape = picture.image.shape
        pixels = tones(
            picture.image,
            (levels.low, levels.high),
            curve(self.transfer),
            part=part,
            factor=factor,
            areas=self._areas(factor),
            valid=picture.valid,
            is_masked=picture.is_masked,
            cell=checker_cell((shape[0] // factor[0], shape[1] // factor[1])),
            helper=_helper(),
        )
        down, across = (picture.factor * each for each in factor)
        top, left = (picture.factor * part[side] + picture.corner[side] - 0.5 for side in (0, 1))
        return pixels, QRectF(left, top, pixels.shape[1] * across, pixels.shape[0] * down)

    def _draw_vectors(self, picture: Picture, factor: int, levels: Levels) -> None:
        shape, hues = picture.image.shape[:2], theme.colour_map(self.colours("directions"))
        known = picture.valid if picture.valid is not None else np.ones(shape, bool)
        field, known = area_mean(picture.image, known, factor)
        away, _ = about_median(field, known)
        unit = picture.factor * factor
        top, left = picture.corner
        area = QRectF(left - 0.5, top - 0.5, field.shape[1] * unit, field.shape[0] * unit)
        self.view.draw(colour_wheel(away, known, levels.high, hues), None, area)
        self.bar.set_wheel(hues)

    def _draw_beside(self, factor: tuple[int, int]) -> None:
        """With the levels, the colours and the size of the picture that it is held against."""
        if self._beside is None:
            self.view.draw_beside(None, self._table, QRectF(), self._share)
            return
        pixels, area = self._tones(self._beside, factor)
        self.view.draw_beside(pixels, self._table, area, self._share)

    def _draw_maps(self, picture: Picture, factor: tuple[int, int]) -> None:
        maps = pixel_maps(picture) if self.shows_maps else ()
        corner = QPointF(picture.corner[1] - 0.5, picture.corner[0] - 0.5)
        self.maps.show_maps(maps, self._part(picture, factor), factor, corner, picture.factor)

    def _factor(self, picture: Picture) -> tuple[int, int]:
        """Picture pixels, down and across, of one drawn pixel, so that a drawn one covers a screen pixel."""
        down, across = (units / picture.factor for units in self.view.crowding())
        factor = (math.ceil(down) if down > BLENDED else 1, math.ceil(across) if across > BLENDED else 1)
        return factor if self.view.is_stretched else (max(factor), max(factor))

    def _part(self, picture: Picture, factor: tuple[int, int]) -> Part:
        """What is seen of a picture and as much again beside it, from a whole area to another."""
        h, w = picture.image.shape[:2]
        top, left = picture.corner
        seen = self.view.seen().translated(-left, -top)
        top, bottom = _whole(seen.top(), seen.bottom(), picture.factor, factor[0], h)
        left, right = _whole(seen.left(), seen.right(), picture.factor, factor[1], w)
        return top, left, bottom, right

    def _areas(self, factor: tuple[int, int]) -> Areas:
        """Single events are shown by the brightest pixel of an area while most areas have none."""
        events = self.contrast.events * factor[0] * factor[1]
        self._is_rare = events < (CROWDED if self._is_rare else SPARSE)
        return "max" if self._is_rare else "mean"

    def _redraw_later(self) -> None:
        self._dirty = True

    def _point(self, y: float, x: float) -> None:
        self.pointed = (y, x)
        self.say()

    def _leave(self) -> None:
        self.pointed = None
        self.say()

    def say(self) -> None:
        """The value under the mouse, else the caption."""
        if self.picture is None:
            return
        value = (self.read(*self.pointed) or self.picture.reading(*self.pointed)) if self.pointed else ""
        text = value or self.picture.caption
        if text != self.reading.text():
            self.reading.setText(text)


def _nothing_finer(_y: float, _x: float) -> str:
    return ""


@cache
def _helper() -> ThreadPoolExecutor | None:
    """A second thread for large pictures, of all panes; none where there is but one core."""
    return ThreadPoolExecutor(1, "pictures") if (os.cpu_count() or 1) > 1 else None


def _whole(begin: float, end: float, factor: int, area: int, size: int) -> tuple[int, int]:
    """Picture pixels from ``begin`` to ``end`` (view units) and a margin, in whole areas, in the picture."""
    margin = MARGIN * max(0.0, end - begin)
    first = math.floor((begin + 0.5 - margin) / factor / area) * area
    last = math.ceil((end + 0.5 + margin) / factor / area) * area
    return min(max(0, first), size), max(0, min(size, last))
