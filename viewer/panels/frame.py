"""The live frame, with the detectors that can be dragged on it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..models.commands import Commands
from ..models.contrast import FRAME_RULE
from ..models.detectors import Geometry, parameter_value
from ..models.picture import frame_picture
from ..models.session import Session, frame_shape
from .detector_overlay import DetectorOverlay, colour_of
from .image_pane import ImagePane

Clock = Callable[[], float]


class FramePanel(QWidget):
    """Shows the newest live frame; turns drags into wishes and commands."""

    def __init__(self, session: Session, commands: Commands, clock: Clock) -> None:
        super().__init__()
        self._session = session
        self._commands = commands
        self._clock = clock
        self._diffraction = False
        self.pane = ImagePane("grey", FRAME_RULE)
        self.overlay = DetectorOverlay(self.pane.view)
        self.pane.view.box.addItem(self.overlay, ignoreBounds=True)
        self.overlay.moved.connect(self._drag)
        self.overlay.held.connect(self._hold)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pane)
        QShortcut(QKeySequence("M"), self, self.toggle_mask)

    def update_from(self, changed: frozenset[str], now: float) -> bool:
        """Take what changed; True when a new live frame came."""
        frame = self._session.frame
        if frame is None:
            return False
        self._choose_colours()
        self._show_detectors(now)
        self.pane.set_veiled(self._session.is_stale(frame))
        if frame.topic not in changed:
            return False
        self.pane.show_picture(frame_picture(frame), now)
        return True

    def toggle_mask(self) -> None:
        """The counts of masked pixels too, as the detector sent them; or without them again."""
        frame = self._session.frame
        if frame is None or "pixel_mask" not in frame.attrs:
            return
        consumer, _, _ = frame.topic.partition(".")
        self._commands.set(consumer, "pixel_mask", not frame.attrs["pixel_mask"])

    def _choose_colours(self) -> None:
        """A diffraction pattern spans decades: square root and a warm map, until the user changes them."""
        diffraction = self._session.is_diffraction
        if diffraction != self._diffraction:
            self._diffraction = diffraction
            self.pane.set_colours("inferno" if diffraction else "grey")
            self.pane.set_transfer("sqrt" if diffraction else "linear")

    def _show_detectors(self, now: float) -> None:
        frame = self._session.frame
        if frame is None:
            return
        book = self._session.detectors
        geometries = book.geometries(now)
        colours = {topic: colour_of(book.number(topic)) for topic in geometries}
        self.overlay.show_detectors(geometries, colours, frame_shape(frame))

    def _hold(self, topic: str | None) -> None:
        self._session.detectors.held = topic

    def _drag(self, topic: str, geometry: Geometry) -> None:
        wanted = self._session.detectors.wish(topic, geometry, self._clock())
        self._commands.set(wanted.consumer, wanted.parameter, parameter_value(geometry))
        self._show_detectors(self._clock())
