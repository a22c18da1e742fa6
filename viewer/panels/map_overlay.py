"""Maps of pixels laid over a picture, in colours that let it through, with what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter

from ...kernels.tones import FIRST, Part, tones
from ..colour import curve
from ..models.sampling import PixelMap
from .picture_view import PictureView, outlined_text
from .pixels import Pixels

OPACITY = 0.62
"""Of a pixel that is in a map: what is below is still read."""
ABOVE = 2
"""Over the picture and what is right of the swipe line, below detectors and tracks."""
LEGEND, SQUARE, LINE = 14.0, 9.0, 17.0
"""px from the picture's corner, of a square, and from one line to the next."""


class MapOverlay:
    """Up to two maps over one view; hidden, they cost nothing."""

    def __init__(self, view: PictureView) -> None:
        self._view = view
        self._items = tuple(Pixels() for _ in range(2))
        self._maps: tuple[PixelMap, ...] = ()
        for place, item in enumerate(self._items):
            item.setZValue(ABOVE - 0.1 * place)  # the first map on top: single pixels on whole areas
            view.box.addItem(item, ignoreBounds=True)
            item.hide()
        view.decorations.append(self._paint)

    def show_maps(
        self, maps: Sequence[PixelMap], part: Part, factor: tuple[int, int], corner: QPointF, unit: float
    ) -> None:
        """Draw maps (ny, nx) of a picture, as far as it is drawn.

        Parameters
        ----------
        part : of the picture that is drawn.
        factor : its pixels, down and across, of one that is drawn: there a map is as strong as its share.
        corner : of the picture in the view.
        unit : view units along one of its pixels.
        """
        self._maps = tuple(maps[: len(self._items)])
        for item in self._items[len(self._maps) :]:
            item.hide()
        for item, each in zip(self._items, self._maps, strict=False):
            shares = tones(each.pixels, (0.0, 1.0), curve("sqrt"), part=part, factor=factor)
            h, w = shares.shape
            place = corner + QPointF(part[1] * unit, part[0] * unit)
            area = QRectF(place.x(), place.y(), w * factor[1] * unit, h * factor[0] * unit)
            item.draw(shares, table_of(each.colour), area)
            item.show()

    def _paint(self, painter: QPainter, view: PictureView) -> None:
        """What the colours mean, at the picture's upper left corner."""
        seen = view.seen()
        corner = view.to_screen(seen.top(), seen.left())
        room = view.to_screen(seen.bottom(), seen.right()) - corner
        widest = max((painter.fontMetrics().horizontalAdvance(each.words) for each in self._maps), default=0)
        if room.x() < widest + 2 * LEGEND + SQUARE or room.y() < 4 * LINE:
            return  # it would hide a small picture
        for row, each in enumerate(self._maps):
            top = corner.y() + LEGEND + row * LINE
            square = QRectF(corner.x() + LEGEND, top, SQUARE, SQUARE)
            painter.fillRect(square.adjusted(-1, -1, 1, 1), QColor(0, 0, 0, 200))
            painter.fillRect(square, QColor(each.colour))
            where = QPointF(square.right() + 6, square.bottom())
            outlined_text(painter, where, each.words, QColor("white"))


@cache
def table_of(colour: str) -> npt.NDArray[np.uint8]:
    """The (256, 4) table of a map's bytes: one colour, from nothing to OPACITY."""
    plain = QColor(colour)
    table = np.zeros((256, 4), np.uint8)
    table[:, :3] = plain.red(), plain.green(), plain.blue()
    table[FIRST:, 3] = np.round(np.linspace(0.0, 255 * OPACITY, 256 - FIRST))
    table.flags.writeable = False
    return table
