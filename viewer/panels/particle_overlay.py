"""Particles drawn over a picture: circles, numbers, fading tails, and marks of what has just happened.

One picture of the overlay in the pixels of the screen, drawn by kernels when something has changed: with an
item for each particle a thousand of them cost a tenth of a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from ...kernels.marks import draw_numbers, draw_rings
from ...kernels.tails import draw_tails
from .. import theme
from ..models.happenings import Happening
from ..models.particles import Particles, Tails
from ..models.tracking import TrackingBook
from .digits import digit_pictures
from .event_marks import draw_event
from .picture_view import PictureView

SMALLEST = 3.0
"""Screen pixels of radius below which a circle would hide its particle."""
EVENT_FRAMES = 30
"""Frames in which the mark of an event fades away."""
MOST_EVENTS = 100
"""The newest ones are drawn: each mark costs 30 us."""
EVENT_SIZE = 7.0
LETTERS = 0.85
LETTER_COLOUR = 0xFFFFFFFF
PROVISIONAL = 0.6
"""Strength of a track that is not confirmed, beside its dashes."""
MARKED = "#ffffff"
MARKED_TAIL = 0.7
"""The tail of the marked particle stays to its end."""


class ParticleOverlay:
    """Draws a tracker's newest frame over a picture in the same coordinates; hidden, it costs nothing."""

    def __init__(self, view: PictureView) -> None:
        self._view = view
        self._book: TrackingBook | None = None
        self._drawn: tuple[object, ...] = ()
        self._pixels: npt.NDArray[np.uint32] = np.zeros((1, 1), np.uint32)
        self._digits: npt.NDArray[np.uint32] | None = None
        self._ratio = 0.0
        self.visible = True
        self.drawings = 0
        """How often the overlay was drawn anew."""
        view.decorations.append(self._paint)

    def show_tracks(self, book: TrackingBook | None) -> None:
        """Draw what this book says, from now on; None: nothing."""
        self._book = book if book is not None and book.particles is not None else None
        if self._state() != self._drawn:
            self._view.viewport().update()

    @property
    def draws(self) -> bool:
        """Whether there is anything of a tracker's over the picture."""
        return self.visible and self._book is not None

    def set_visible(self, visible: bool) -> None:
        """Show or hide it."""
        self.visible = visible
        self._view.viewport().update()

    def at(self, y: float, x: float) -> int | None:
        """The particle that a click means; None while nothing is shown."""
        if self._book is None or self._book.particles is None or not self.visible:
            return None
        tolerance = SMALLEST * self._view.units_per_screen_pixel()
        return self._book.particles.at(y, x, tolerance)

    def _state(self) -> tuple[object, ...]:
        """All that the pixels depend on."""
        book, view = self._book, self._view
        if book is None:
            return ()
        places = (view.to_screen(0, 0).toTuple(), view.to_screen(1, 1).toTuple())
        return (
            book.particles,
            book.marked,
            places,
            view.size().toTuple(),
            view.devicePixelRatioF(),
        )

    def _paint(self, painter: QPainter, view: PictureView) -> None:
        book = self._book
        if not self.visible or book is None or book.particles is None:
            return
        state = self._state()
        if state != self._drawn:
            self._drawn = state
            self._draw(book.particles, book.tails, book.marked)
        painter.drawImage(QPointF(0, 0), self._image())
        self._paint_events(painter, book, book.particles)
        self._paint_marked(painter, book.particles, book.marked)

    def _image(self) -> QImage:
        h, w = self._pixels.shape
        image = QImage(self._pixels.data, w, h, 4 * w, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(self._view.devicePixelRatioF())
        return image

    def _draw(self, particles: Particles, tails: Tails | None, marked: int | None) -> None:
        self.drawings += 1
        ratio = self._view.devicePixelRatioF()
        shape = (round(self._view.height() * ratio), round(self._view.width() * ratio))
        if shape != self._pixels.shape:
            self._pixels = np.zeros((max(1, shape[0]), max(1, shape[1])), np.uint32)
        self._pixels[:] = 0
        if tails is not None:
            self._draw_tails(tails, marked, ratio)
        y, x, scale = *self._to_pixels(particles.y, particles.x), self._scale(ratio)
        radius = np.maximum(particles.radius * scale, SMALLEST * ratio)
        strength = np.where(particles.provisional, PROVISIONAL, 1.0)
        colours = colours_of(particles.ids, strength)
        draw_rings(self._pixels, y, x, radius, colours, particles.provisional, 1.5 * ratio)
        # Those that are marked or known for longest come first, so that numbers do not come and go.
        order = np.lexsort((particles.ids, particles.provisional, particles.ids != marked))
        y, x, radius = y[order], x[order], radius[order]
        draw_numbers(
            self._pixels,
            y - 0.7 * radius,
            x + 0.7 * radius,
            particles.ids[order],
            self._digit_pictures(ratio),
            np.full(len(order), LETTER_COLOUR, np.uint32),
        )

    def _draw_tails(self, tails: Tails, marked: int | None, ratio: float) -> None:
        fading = np.sqrt(tails.freshness)
        freshness = np.where(tails.ids == marked, np.maximum(fading, MARKED_TAIL), fading)
        y, x = self._to_pixels(tails.y, tails.x)
        draw_tails(self._pixels, y, x, tails.ids, colours_of(tails.ids, freshness), ratio)

    def _to_pixels(
        self, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], ...]:
        """Places of the picture in pixels of the overlay, whose centres are integers."""
        ratio, scale = self._view.devicePixelRatioF(), self._scale(self._view.devicePixelRatioF())
        origin = self._view.to_screen(0.0, 0.0)
        return y * scale + origin.y() * ratio - 0.5, x * scale + origin.x() * ratio - 0.5

    def _scale(self, ratio: float) -> float:
        """Pixels of the overlay along one of the frame."""
        return (self._view.to_screen(0.0, 1.0).x() - self._view.to_screen(0.0, 0.0).x()) * ratio

    def _digit_pictures(self, ratio: float) -> npt.NDArray[np.uint32]:
        if self._digits is None or ratio != self._ratio:
            font = self._view.font()
            font.setPointSizeF(LETTERS * font.pointSizeF())
            font.setBold(True)
            self._digits, self._ratio = digit_pictures(font, ratio), ratio
        return self._digits

    def _paint_events(self, painter: QPainter, book: TrackingBook, particles: Particles) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for happening in book.happenings.since(particles.frame - EVENT_FRAMES)[-MOST_EVENTS:]:
            self._paint_event(painter, happening, 1.0 - (particles.frame - happening.frame) / EVENT_FRAMES)

    def _paint_event(self, painter: QPainter, happening: Happening, freshness: float) -> None:
        """Above the particle, so that both are seen."""
        where = self._view.to_screen(happening.y, happening.x) - QPointF(0.0, 2 * EVENT_SIZE)
        draw_event(painter, happening.kind, where, EVENT_SIZE, min(1.0, max(0.0, 0.2 + 0.8 * freshness)))

    def _paint_marked(self, painter: QPainter, particles: Particles, marked: int | None) -> None:
        row = particles.row(marked)
        if row is None:
            return
        y, x, radius = particles.y[row], particles.x[row], particles.radius[row]
        if not np.isfinite(y + x + radius):
            return
        where = self._view.to_screen(y, x)
        reach = max(radius * self._scale(1.0), SMALLEST) + 4.0
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in (("#000000", 4.0), (MARKED, 2.0)):
            painter.setPen(QPen(QColor(colour), width))
            painter.drawEllipse(where, reach, reach)


def colours_of(ids: npt.NDArray[np.int64], strength: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """ARGB words (n,) by number: neighbours in number differ; ``strength`` (n,) from 0 to 1 is the alpha."""
    table = np.array([int(colour[1:], 16) for colour in theme.TRACK_COLOURS], np.uint32)
    alpha = np.round(255 * strength).astype(np.uint32)
    return np.asarray(alpha << 24 | table[ids % len(table)], np.uint32)
