"""Play, pause, step and speed: the bar below the timeline of a replay, and its keys.

It asks the session and shows what the session says; in between it shows what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QWidget,
)

from .. import theme
from ..models.commands import Commands
from ..models.transport import (
    SPEEDS,
    Playback,
    position_text,
    speed_text,
    speed_value,
    time_text,
)

HEIGHT = 44
BUTTON = 30
HELD_S = 0.5
"""So long after an action the playhead stays where the user put it: the status comes five times a second."""
Shape = list[list[tuple[float, float]]]
"""Polygons in a square of side 1."""
BAR_LEFT: list[tuple[float, float]] = [(0.18, 0.2), (0.3, 0.2), (0.3, 0.8), (0.18, 0.8)]
SHAPES: dict[str, Shape] = {
    "play": [[(0.26, 0.15), (0.84, 0.5), (0.26, 0.85)]],
    "pause": [
        [(0.24, 0.18), (0.42, 0.18), (0.42, 0.82), (0.24, 0.82)],
        [(0.58, 0.18), (0.76, 0.18), (0.76, 0.82), (0.58, 0.82)],
    ],
    "start": [BAR_LEFT, [(0.82, 0.2), (0.36, 0.5), (0.82, 0.8)]],
    "back": [[(0.72, 0.22), (0.3, 0.5), (0.72, 0.78)]],
    "on": [[(0.28, 0.22), (0.7, 0.5), (0.28, 0.78)]],
    "away": [
        [(0.1, 0.22), (0.22, 0.1), (0.9, 0.78), (0.78, 0.9)],
        [(0.78, 0.1), (0.9, 0.22), (0.22, 0.9), (0.1, 0.78)],
    ],
    "out": [
        [(0.3, 0.1), (0.9, 0.1), (0.9, 0.2), (0.3, 0.2)],
        [(0.8, 0.1), (0.9, 0.1), (0.9, 0.7), (0.8, 0.7)],
        [(0.1, 0.35), (0.65, 0.35), (0.65, 0.9), (0.1, 0.9)],
    ],
}


class ShapeButton(QAbstractButton):
    """A flat button with a drawn shape: no font and no style has to have it."""

    def __init__(
        self, shape: str, tip: str, act: Callable[[], object], name: str, side: int = BUTTON
    ) -> None:
        super().__init__()
        self.setObjectName(name)
        self.shape = shape
        self.setFixedSize(QSize(side, side))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the space bar is the window's
        self.setToolTip(tip)
        self.clicked.connect(act)

    def set_shape(self, shape: str) -> None:
        if shape != self.shape:
            self.shape = shape
            self.update()

    def enterEvent(self, event: object) -> None:
        self.update()

    def leaveEvent(self, event: object) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.underMouse() or self.isDown():
            painter.setBrush(QColor(theme.BORDER))
            painter.drawRoundedRect(self.rect(), 4, 4)
        painter.setBrush(QColor(theme.TEXT))
        inset, side = self.width() * 0.2, self.width() * 0.6
        for polygon in SHAPES[self.shape]:
            points = [QPointF(inset + x * side, inset + y * side) for x, y in polygon]
            painter.drawPolygon(QPolygonF(points))
        painter.end()


class TransportBar(QFrame):
    """Shown for a replay only.

    Parameters
    ----------
    commands
        Where play, pause, step and seek go.
    clock
        Monotonic seconds.
    """

    def __init__(self, commands: Commands, clock: Callable[[], float]) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setFixedHeight(HEIGHT)
        self._commands, self._clock = commands, clock
        self._playback: Playback | None = None
        self._held_until = 0.0
        self._target: int | None = None
        """The frame that the mouse is at."""
        self.start = ShapeButton("start", "To the first frame (Home)", self.to_start, "to-start")
        self.back = ShapeButton("back", "One frame back (left)", lambda: self.step(-1), "step-back")
        self.run = ShapeButton("play", "Play or pause (space)", self.toggle, "run")
        self.on = ShapeButton("on", "One frame on (right)", lambda: self.step(1), "step-on")
        self.position = theme.named(QLabel(), "position")
        self.time = theme.named(QLabel(), "reading")
        self.speed = QComboBox()
        self.speed.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.speed.setToolTip("Speed: 1 x is as recorded")
        self.speed.activated.connect(self._choose_speed)
        self._offer(1.0)
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 12, 0)
        row.setSpacing(4)
        parts: tuple[QWidget, ...] = (self.start, self.back, self.run, self.on)
        for part in parts:
            row.addWidget(part)
        row.addStretch(1)
        for label in (self.position, self.time):
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            row.addWidget(label)
            row.addSpacing(10)
        row.addWidget(self.speed)

    # -- what the session says -----------------------------------------------------------------------

    def show_playback(self, playback: Playback | None) -> None:
        """From the status: where the replay is; None hides the bar."""
        self.setVisible(playback is not None)
        if playback is None:
            self._playback = self._target = None
        elif self._clock() >= self._held_until:
            self._show(playback)

    @property
    def shown(self) -> Playback | None:
        """Where the replay is, or is going to be; None where there is none."""
        if self._playback is None or self._target is None:
            return self._playback
        return self._playback.at(self._target + 1)

    def answered(self, playback: Playback | None) -> None:
        """From the answer to a command, which is newer than any status that is on its way."""
        if playback is not None:
            self._show(playback)

    def _show(self, playback: Playback) -> None:
        self._playback = playback
        self.run.set_shape("pause" if playback.playing else "play")
        if self._target is None:
            self._say(playback)
        if self.speed.currentData() != playback.speed:
            self._offer(playback.speed)

    def _say(self, playback: Playback) -> None:
        self.position.setText(position_text(playback))
        self.time.setText(time_text(playback))

    def show_target(self, index: int) -> None:
        """The mouse is at this frame and has not been let go."""
        if self._playback is not None:
            self._target = index
            self._say(self._playback.at(index + 1))

    def _offer(self, speed: float) -> None:
        """The usual speeds, and the one that it is."""
        self.speed.clear()
        for one in sorted({*SPEEDS, speed}):
            self.speed.addItem(speed_text(one), one)
        self.speed.setCurrentIndex(self.speed.findData(speed))

    # -- what the user wants -------------------------------------------------------------------------

    def toggle(self) -> None:
        """Play, or pause."""
        if self._playback is not None:
            self._ask("pause" if self._playback.playing else "resume")

    def step(self, frames: int) -> None:
        """Show so many frames further on; pauses."""
        self._ask("step", frames)

    def seek(self, index: int) -> None:
        """Go on with this frame."""
        self._target = None
        if self._playback is not None:
            self._playback = self._playback.at(index + 1)
        self._ask("seek", index)

    def to_start(self) -> None:
        """Back to the first frame."""
        self._ask("seek", 0)

    def _choose_speed(self, place: int) -> None:
        self._ask("speed", speed_value(self.speed.itemData(place)))

    def _ask(self, action: str, value: float | str | None = None) -> None:
        if self._playback is not None:
            self._held_until = self._clock() + HELD_S
            self._commands.play(action, value)
