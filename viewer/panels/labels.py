"""Lines of text that never ask for room: what does not fit ends in an ellipsis."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy


class ElidedLabel(QLabel):
    """Plain text, cut visibly; the whole of it is the tool tip.

    Parameters
    ----------
    side : where it stands.
    """

    def __init__(self, side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignRight) -> None:
        super().__init__()
        self._side = side
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_side(self, side: Qt.AlignmentFlag) -> None:
        """Stand at another side."""
        self._side = side
        self.update()

    def setText(self, text: str) -> None:
        super().setText(text)
        self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        text = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(self.palette().windowText().color())
        painter.drawText(self.rect(), self._side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


PAUSE = "   "
"""Between phrases, where a line may end."""


class PhraseLabel(ElidedLabel):
    """Phrases in as many lines as it is given; a line ends between two of them.

    Parameters
    ----------
    side : where the lines stand.
    """

    def __init__(self, side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignRight) -> None:
        super().__init__(side)
        self.lines = 1
        self.set_lines(1)

    def set_lines(self, lines: int) -> None:
        """Have room for these, whether they are used or not."""
        self.lines = lines
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing())

    def lines_for(self, width: int) -> int:
        """How many lines its text takes in a width of so many px."""
        return len(self._wrapped(width, len(self.text())))

    def _wrapped(self, width: int, most: int) -> list[str]:
        """Lines no wider than `width` where their phrases allow it; the last of `most` has all the rest."""
        measure, lines = self.fontMetrics().horizontalAdvance, [""]
        for phrase in self.text().split(PAUSE):
            longer = f"{lines[-1]}{PAUSE}{phrase}" if lines[-1] else phrase
            if lines[-1] and len(lines) < most and measure(longer) > width:
                lines.append(phrase)
            else:
                lines[-1] = longer
        return lines

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().windowText().color())
        high = self.fontMetrics().lineSpacing()
        for row, line in enumerate(self._wrapped(self.width(), self.lines)):
            text = painter.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, self.width())
            place = QRect(0, row * high, self.width(), high)
            painter.drawText(place, self._side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()
