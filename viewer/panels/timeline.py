"""The timeline: where in time the window is, in a word that nobody can mistake, and how to go elsewhere.

Draws what `models.timeline` says. A drag goes back through frames while live goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QPushButton, QToolTip, QWidget

from .. import theme
from ..models.clip import FORMATS, PICTURES
from ..models.clip_pictures import ClipPictures
from ..models.held import Moment
from ..models.playhead import Playhead
from ..models.session import Session
from ..models.timeline import NOTHING, Look, Timeline, replay_frame, span_of, timeline_of
from .event_marks import KINDS_DRAWN, draw_event
from .image_pane import ImagePane
from .labels import ElidedLabel
from .transport import SHAPES, Shape, TransportBar

HEIGHT = 48
NEAR = 7
"""px around a mark in which its words are shown."""
ON_BADGE = "#0c1014"
_BARS = SHAPES["pause"]
_BACK: Shape = [[(0.5, 0.2), (0.05, 0.5), (0.5, 0.8)], [(0.95, 0.2), (0.5, 0.5), (0.95, 0.8)]]
_ROUND: Shape = [[(0.5 + 0.42 * math.cos(t / 8), 0.5 + 0.42 * math.sin(t / 8)) for t in range(51)]]
BADGE_SHAPES: Mapping[Look, Shape] = {
    "live": _ROUND,
    "frozen": _BARS,
    "rewind": _BACK,
    "replay": SHAPES["play"],
    "paused": _BARS,
    "none": [[(0.2, 0.42), (0.8, 0.42), (0.8, 0.58), (0.2, 0.58)]],
}
_UP: Shape = [[(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)]]
_DOWN: Shape = [[(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)]]
_CROSS: Shape = [
    [(0.0, 0.15), (0.15, 0.0), (1.0, 0.85), (0.85, 1.0)],
    [(0.85, 0.0), (1.0, 0.15), (0.15, 1.0), (0.0, 0.85)],
]
_BAR: Shape = [[(0.35, -0.4), (0.65, -0.4), (0.65, 1.4), (0.35, 1.4)]]
MARKS: Mapping[str, tuple[Shape, str]] = {
    "series": (_BAR, "idle"),
    "end": (_BAR, "muted"),
    "missing": (_CROSS, "bad"),
    "dropped": (_DOWN, "bad"),
    "alarm": (_UP, "warn"),
}
"""Of what happened to the session: a shape, and a colour that only helps."""


class StateBadge(QWidget):
    """Word and shape of the state, on its colour."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(172, 30))
        self.shown = NOTHING

    @property
    def text(self) -> str:
        """The word."""
        return self.shown.badge

    def show_state(self, timeline: Timeline) -> None:
        """Draw this state."""
        if (timeline.badge, timeline.look) != (self.shown.badge, self.shown.look):
            self.shown = timeline
            self.setAccessibleName(timeline.badge)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        tone = self.shown.tone
        painter.setBrush(QColor(theme.IDLE if tone == "muted" else theme.tone_colour(tone)))
        painter.drawRoundedRect(self.rect(), 5, 5)
        painter.setBrush(QColor(ON_BADGE))
        _draw(painter, BADGE_SHAPES[self.shown.look], QRectF(9, 8, 14, 14))
        font = QFont(self.font())
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(ON_BADGE))
        painter.drawText(self.rect().adjusted(31, 0, -4, 0), Qt.AlignmentFlag.AlignVCenter, self.shown.badge)
        painter.end()


class TimelineTrack(QWidget):
    """Frames that are there, what happened, the clip's marks and the playhead, from left to right."""

    sought = Signal(float, bool)
    """A place was clicked or dragged to, as a share of the width; whether the mouse was let go."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(160)
        self.setFixedHeight(HEIGHT - 8)
        self.setObjectName("track")
        self.setToolTip("A click, or a drag, goes to that moment")
        self.shown = NOTHING

    def show_timeline(self, timeline: Timeline) -> None:
        """Draw this."""
        if timeline != self.shown:
            self.shown = timeline
            self.update()

    def x_of(self, share: float) -> float:
        """Where a share is, px."""
        return NEAR + share * (self.width() - 2 * NEAR)

    def _share(self, event: QMouseEvent) -> float:
        return min(max((event.position().x() - NEAR) / max(self.width() - 2 * NEAR, 1), 0.0), 1.0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.sought.emit(self._share(event), False)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.sought.emit(self._share(event), False)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.sought.emit(self._share(event), True)

    def words_at(self, x: float) -> str:
        """What happened there."""
        near = [tick.text for tick in self.shown.ticks if abs(self.x_of(tick.share) - x) <= NEAR]
        return "\n".join(near[:8])

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.words_at(event.pos().x()) or self.toolTip(), self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        self._draw_groove(painter, middle)
        self._draw_clip(painter)
        for tick in self.shown.ticks:
            self._draw_tick(painter, tick.kind, self.x_of(tick.share), middle)
        self._draw_head(painter)
        painter.end()

    def _draw_groove(self, painter: QPainter, middle: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.BORDER))
        painter.drawRoundedRect(QRectF(NEAR, middle - 2, self.width() - 2 * NEAR, 4), 2, 2)
        painter.setBrush(QColor(theme.IDLE))
        for begin, end in self.shown.bands:
            left = self.x_of(begin)
            painter.drawRect(QRectF(left, middle - 4, max(self.x_of(end) - left, 2), 8))

    def _draw_clip(self, painter: QPainter) -> None:
        begin, end = self.shown.clip
        painter.setBrush(QColor(theme.TEXT))
        if begin is not None and end is not None:
            painter.setOpacity(0.25)
            painter.drawRect(
                QRectF(self.x_of(begin), 4, self.x_of(end) - self.x_of(begin), self.height() - 8)
            )
            painter.setOpacity(1.0)
        for share, inwards in ((begin, 1), (end, -1)):
            if share is not None:
                x, high = self.x_of(share), self.height() - 8.0
                painter.drawRect(QRectF(x - 1, 4, 2, high))
                for y in (4.0, 2.0 + high):
                    painter.drawRect(QRectF(x if inwards > 0 else x - 6, y, 6, 2))

    def _draw_tick(self, painter: QPainter, kind: str, x: float, middle: float) -> None:
        if kind in MARKS:
            shape, colour = MARKS[kind]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(getattr(theme, colour.upper())))
            _draw(painter, shape, QRectF(x - 5, middle - 5, 10, 10))
        elif kind in KINDS_DRAWN:
            draw_event(painter, kind, QPointF(x, middle - 11), 4.0)

    def _draw_head(self, painter: QPainter) -> None:
        if self.shown.head is None:
            return
        x = self.x_of(self.shown.head)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.tone_colour(self.shown.tone)))
        painter.drawRect(QRectF(x - 1.5, 2, 3, self.height() - 4))
        _draw(painter, _DOWN, QRectF(x - 6, 1, 12, 8))


class TimelineBar(QFrame):
    """Badge, track, words, marks and the clip.

    Parameters
    ----------
    session, playhead
        What is shown, and what is asked for.
    transport
        Of a replay: it seeks there.
    """

    def __init__(self, session: Session, playhead: Playhead, transport: TransportBar) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setFixedHeight(HEIGHT)
        self._session, self.playhead, self._transport = session, playhead, transport
        self._look: Look = "none"
        self.badge, self.track = StateBadge(), TimelineTrack()
        self.track.sought.connect(self._seek)
        self.pictures = ClipPictures(playhead, self._save_picture)
        self._pane: ImagePane | None = None
        self.begin = theme.named(QLabel(), "reading")
        self.text = ElidedLabel()
        self.text.setMinimumWidth(260)
        self.back = _button("Live (L)", "What comes is shown again", self.live)
        self.set_in = _button("[", "The clip begins with this frame ( [ )", self.mark_in)
        self.set_out = _button("]", "The clip ends with this frame ( ] )", self.mark_out)
        self.kind = QComboBox()
        self.kind.setToolTip("A clip is a recording (.h5); it can be another format too")
        self.kind.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.kind.addItems(list(FORMATS))
        self.save = _button("Clip", "Have the frames between the marks written (Ctrl+K)", self.export)
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 12, 0)
        row.setSpacing(6)
        row.addWidget(self.badge)
        row.addWidget(self.begin)
        row.addWidget(self.track, 3)
        row.addWidget(self.back)
        row.addWidget(self.text, 2)
        for part in (self.set_in, self.set_out, self.kind, self.save):
            row.addWidget(part)

    # -- what is shown -------------------------------------------------------------------------------

    def update_from(self, is_lost: bool, panes: Sequence[ImagePane]) -> None:
        """Say where in time the window is, on the panes too."""
        timeline = timeline_of(self._session, self.playhead, is_lost, self._transport.shown)
        self.setVisible(self._is_replay or self.playhead.past is not None)
        if self.isHidden():
            return
        self.badge.show_state(timeline)
        self.track.show_timeline(timeline)
        self.begin.setText(timeline.begin)
        self._say(timeline)
        self.back.setVisible(self.playhead.state != "live")
        self._pane = panes[0] if panes else None
        self.pictures.step()
        for pane in panes:
            if pane.property("moment") != timeline.look:
                theme.restyle(pane, "moment", timeline.look)

    def _say(self, timeline: Timeline) -> None:
        said, tone = self.playhead.clip.said
        text = timeline.notice or said or timeline.text
        tone = "warn" if timeline.notice else tone if said else "plain"
        self.text.setText(text)
        self.text.setToolTip(text)
        self.text.setVisible(bool(text) or not self._is_replay)
        self.text.setStyleSheet(f"color: {theme.tone_colour(tone)};")

    # -- what the user wants -------------------------------------------------------------------------

    @property
    def _is_replay(self) -> bool:
        return self._session.status.playback is not None

    def toggle(self) -> None:
        """Freeze or back to live; a replay pauses or plays."""
        if self._is_replay:
            self._transport.toggle()
        else:
            self.playhead.toggle()

    def step(self, frames: int) -> None:
        """So many frames further on, or back."""
        if self._is_replay:
            self._transport.step(frames)
        else:
            self.playhead.step(frames)

    def leap(self, seconds: float) -> None:
        """So many seconds further on, or back."""
        behind, now = self.playhead.behind_s() or 0.0, self.playhead.now_ns()
        if now is not None and not self._is_replay:
            self.playhead.seek_time(now + round(1e9 * (seconds - behind)))

    def to_start(self) -> None:
        """The oldest frame that there is, the first one of a replay."""
        if self._is_replay:
            self._transport.to_start()
        else:
            self.playhead.oldest()

    def live(self) -> None:
        """The newest frame and series again."""
        self.playhead.live()
        self._session.browser.live()

    def mark_in(self) -> None:
        """The clip begins here."""
        self.playhead.clip.mark_in(self._here())

    def mark_out(self) -> None:
        """The clip ends here."""
        self.playhead.clip.mark_out(self._here())

    def export(self) -> None:
        """Have the clip written."""
        kind = self.kind.currentText()
        if kind != PICTURES:
            self.playhead.clip.export(kind)
        elif self._is_replay:
            self.playhead.clip.said = (
                "pictures are drawn of a running session; choose another format",
                "warn",
            )
        else:
            self.pictures.begin()

    def _save_picture(self, moment: Moment) -> str:
        """The first pane as it is, in a folder of the working directory."""
        key, index = moment
        folder = Path(f"livem_series_{key.number}_{key.epoch.hex()[:8]}").absolute()
        path = folder / f"frame_{index:07d}.png"
        if self._pane is None:
            return "there is no picture"
        self._pane.settle()
        try:
            folder.mkdir(exist_ok=True)
        except OSError as failure:
            return f"{folder} cannot be made: {failure}"
        done = self._pane.grab().save(str(path))
        return "" if done else f"{path} cannot be written: check the free space and the rights"

    def _here(self) -> Moment | None:
        playback, newest = self._session.status.playback, self._session.newest
        if playback is None:
            return self.playhead.here
        return None if newest is None else (newest, max(playback.index - 1, 0))

    def _seek(self, share: float, let_go: bool) -> None:
        playback, span = self._session.status.playback, span_of(self.playhead)
        if playback is not None:
            go = self._transport.seek if let_go else self._transport.show_target
            go(replay_frame(playback, share))
        elif span is not None:
            self.playhead.seek_time(span.at(share))


def _button(text: str, tip: str, act: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(lambda: act())
    return button


def _draw(painter: QPainter, shape: Shape, place: QRectF) -> None:
    for polygon in shape:
        points = [QPointF(place.x() + x * place.width(), place.y() + y * place.height()) for x, y in polygon]
        painter.drawPolygon(QPolygonF(points))
