"""Series that are over as small pictures with number, time and state; a click shows one of them again."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QToolTip, QWidget

from ...stream.series import SeriesKey
from .. import theme
from ..models.archive import Browser, PastSeries, past_text
from ..models.thumbnails import thumbnail_of

PICTURE = 56
TILE = 116
HEIGHT = PICTURE + 10
STATES: Mapping[str, tuple[str, str]] = {
    "complete": ("complete", "good"),
    "incomplete": ("INCOMPLETE", "warn"),
    "": ("", "muted"),
}
"""Words and colours of how a series ended."""


class SeriesStrip(QWidget):
    """The past from left to right, the newest at the right; the wheel goes further back.

    Parameters
    ----------
    browser
        What there is, and which of it is shown.
    """

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setObjectName("strip")
        self._browser = browser
        self._pictures: dict[SeriesKey, tuple[int, QImage | None]] = {}
        """By series: how many bytes of results it was drawn from, and the picture."""
        self._drawn: tuple[object, ...] = ()
        self._back = 0
        """Tiles that are hidden at the right."""

    @property
    def tiles(self) -> tuple[PastSeries, ...]:
        """What is seen, oldest first."""
        past = self._browser.past
        stop = len(past) - self._back
        return past[max(0, stop - max(1, self.width() // TILE)) : stop]

    def update_from(self) -> None:
        """Draw again where something changed."""
        past = self._browser.past
        self._back = min(self._back, max(0, len(past) - 1))
        place = self._browser.place
        if place is not None:
            self._bring(place, len(past))
        state = (tuple((one.key, one.nbytes, one.verdict) for one in past), place, self._back)
        if state != self._drawn:
            self._drawn = state
            keys = {one.key for one in past}
            self._pictures = {key: known for key, known in self._pictures.items() if key in keys}
            self.update()

    def tile(self, past: PastSeries) -> QRectF:
        """Where a series that is seen is drawn."""
        return QRectF(TILE * self.tiles.index(past), 0, TILE - 4, HEIGHT)

    def _bring(self, place: int, count: int) -> None:
        """Move so far that the series that is shown is seen."""
        fits = max(1, self.width() // TILE)
        self._back = min(max(self._back, count - place - fits), count - 1 - place)

    def _at(self, where: QPoint) -> PastSeries | None:
        tiles, place = self.tiles, where.x() // TILE
        return tiles[place] if 0 <= place < len(tiles) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        past = self._at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and past is not None:
            self._browser.show(past.key)

    def wheelEvent(self, event: QWheelEvent) -> None:
        step = 1 if event.angleDelta().y() > 0 else -1
        self._back = min(max(0, self._back + step), max(0, len(self._browser.past) - 1))
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            past = self._at(event.pos())
            text = "" if past is None else "\n".join(filter(None, (past_text(past), past.verdict.reason)))
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shown = self._browser.shown
        for past in self.tiles:
            self._draw(painter, past, self.tile(past), past is shown)
        painter.end()

    def _draw(self, painter: QPainter, past: PastSeries, place: QRectF, shown: bool) -> None:
        frame = QRectF(place.x() + 3, place.y() + 4, PICTURE, PICTURE)
        picture = self._picture(past)
        painter.fillRect(frame, QColor(theme.BORDER))
        if picture is not None:
            size = picture.size().scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
            inside = QRectF(0, 0, size.width(), size.height())
            inside.moveCenter(frame.center())
            painter.drawImage(inside, picture)
        if shown:
            painter.setPen(QPen(QColor(theme.WARN), 2))
            painter.drawRect(place.adjusted(1, 1, -1, -1))
        word, colour = STATES.get(past.verdict.state, STATES[""])
        lines = ((f"series {past.key.number}", "text"), (past.clock_text, "muted"), (word, colour))
        font = painter.font()
        font.setPointSizeF(7.5)
        painter.setFont(font)
        for row, (text, tone) in enumerate(lines):
            painter.setPen(QColor(getattr(theme, tone.upper())))
            painter.drawText(
                QRectF(frame.right() + 4, 6 + 18 * row, TILE - PICTURE - 10, 18),
                Qt.AlignmentFlag.AlignVCenter,
                text,
            )

    def _picture(self, past: PastSeries) -> QImage | None:
        """Drawn anew when results of the series came again."""
        known = self._pictures.get(past.key)
        if known is None or known[0] != past.nbytes:
            pixels = thumbnail_of(past)
            image = None
            if pixels is not None:
                h, w = pixels.shape[:2]
                image = QImage(pixels.tobytes(), w, h, 4 * w, QImage.Format.Format_RGBA8888).copy()
            known = self._pictures[past.key] = past.nbytes, image
        return known[1]
