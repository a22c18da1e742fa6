"""The live frame, or the mean pattern, with the detectors that can be dragged on it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from ...stream.results import Result
from .. import theme
from ..models.commands import Commands
from ..models.comparison import Comparison
from ..models.contrast import FRAME_RULE
from ..models.finer import Finer
from ..models.geometry import Geometry
from ..models.numbers import count_text
from ..models.picture import Picture, frame_picture, pattern_picture
from ..models.session import Session, frame_shape
from .detector_overlay import DetectorOverlay, colour_of
from .disk_circle import DiskCircle
from .image_pane import ImagePane
from .particle_overlay import ParticleOverlay

Clock = Callable[[], float]


class FramePanel(QWidget):
    """Shows the newest live frame; turns drags into wishes and commands."""

    asked = Signal(str, str, QPoint)
    """A menu is wanted for the picture (its name is empty) and the detector of this topic, if there is one,
    there on the screen."""
    changing = Signal()
    """A detector was taken in hand."""

    def __init__(self, session: Session, commands: Commands, clock: Clock) -> None:
        super().__init__()
        self._session = session
        self._commands = commands
        self._clock = clock
        self._diffraction = False
        self._drawn: tuple[object, ...] = ()
        self.comparison = Comparison()
        self.finer = Finer(session, commands, clock)
        self.newest: Result | None = None
        """The frame, or a part of one, that there is to show now."""
        self.pane = ImagePane("grey", FRAME_RULE)
        self.pane.read = self._read
        self.overlay = DetectorOverlay(self.pane.view)
        self.pane.view.box.addItem(self.overlay, ignoreBounds=True)
        self.circle = DiskCircle()
        self.pane.view.box.addItem(self.circle, ignoreBounds=True)
        self.pane.view.asked.connect(self._ask)
        self.particles = ParticleOverlay(self.pane.view)
        self.pane.view.picked.connect(self._pick)
        self.pane.view.swiped.connect(self._swipe)
        self.tracked = theme.named(QLabel("TRACKS: ESTIMATE"), "badge")
        self.tracked.hide()
        self.pane.head.insertWidget(2, self.tracked)
        self.mean = QPushButton("mean")
        self.mean.setCheckable(True)
        self.mean.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.mean.setToolTip("The mean diffraction pattern instead of the live frame (D)")
        self.mean.hide()
        self.pane.head.addWidget(self.mean)
        self.overlay.moved.connect(self._drag)
        self.overlay.held.connect(self._hold)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pane)

    def update_from(self, now: float) -> None:
        """Take what changed."""
        frame, pattern = self._session.frame, self._session.pattern
        if frame is None:
            return
        self._choose_colours()
        self._show_detectors(now)
        self.particles.show_tracks(self._session.tracking)
        self._say_who_tracks()
        disk = self._session.bright_field
        self.circle.show_disk(disk)
        self.mean.setVisible(pattern is not None)
        self.newest = self._look_closely() or frame
        shown = pattern if pattern is not None and self.mean.isChecked() else self.newest
        self.pane.set_veiled(self._session.is_lost_or_past(shown))
        self.comparison.see(self._session.latest)
        state = (shown, disk) if not self.comparison.is_on else self.comparison.state(now)
        if self._drawn != state:
            self._drawn = state
            self._show(shown, now)
        self.pane.say()

    def _say_who_tracks(self) -> None:
        """Circles and tails are estimates on a picture that was measured."""
        made_by = self._session.tracking.made_by
        if self.particles.draws != self.tracked.isVisibleTo(self.pane):
            self.tracked.setVisible(self.particles.draws)
        if made_by != self.tracked.toolTip():
            self.tracked.setToolTip(made_by)

    def _look_closely(self) -> Result | None:
        """Ask for what is looked at closely, or pointed at; what has come of the first."""
        is_plain = not (self.comparison.is_on or self.mean.isChecked())
        view, held = self.pane.view, self._session.held
        is_close = view.part is not None or held is not None
        self.finer.look(
            view.cutout() if is_plain and is_close else None, self.pane.pointed if is_plain else None
        )
        return self.finer.shown()

    def _read(self, y: float, x: float) -> str:
        """The original pixel at a point, where a smaller picture of the frame is shown."""
        shown = self.pane.picture
        if shown is None or shown.factor == 1 or self.comparison.is_on or self.mean.isChecked():
            return ""
        part = self.finer.under((y, x))
        value = "" if part is None else frame_picture(part, self._session.bright_field).reading(y, x)
        return f"{value}   frame {count_text(int(part.attrs['index']))}" if part is not None and value else ""

    def _show(self, shown: Result, now: float) -> None:
        compared = self.comparison.picture(now)
        self.pane.show_beside(self.comparison.beside(), self.comparison.share)
        if compared is None:
            self.pane.show_picture(self._picture(shown), now)
        else:
            self.pane.show_picture(compared, now, self.comparison.levels_of)

    def _swipe(self, share: float) -> None:
        self.comparison.share = share

    def _picture(self, shown: Result) -> Picture:
        if shown is self._session.pattern:
            return pattern_picture(shown)
        return frame_picture(shown, self._session.bright_field)

    def toggle_tracks(self) -> None:
        """Show or hide what a tracker has found."""
        self.particles.set_visible(not self.particles.visible)

    def toggle_pattern(self) -> None:
        """The mean pattern, or the live frame again."""
        if self._session.pattern is not None:
            self.mean.setChecked(not self.mean.isChecked())

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
        texts = {topic: book.text(topic, geometry) for topic, geometry in geometries.items()}
        self.overlay.show_detectors(geometries, colours, frame_shape(frame), texts)

    def _hold(self, topic: str | None) -> None:
        self._session.detectors.held = topic
        if topic is not None:
            self.changing.emit()

    def _pick(self, y: float, x: float) -> None:
        """A click on a particle marks it, one beside all of them none."""
        if self._session.tracking.particles is not None and self.particles.visible:
            self._session.tracking.mark(self.particles.at(y, x))

    def _ask(self, y: float, x: float, where: QPoint) -> None:
        self.asked.emit("", self.overlay.at((y, x)) or "", where)

    def _drag(self, topic: str, geometry: Geometry) -> None:
        wanted = self._session.detectors.wish(topic, geometry, self._clock())
        if wanted is not None:
            self._commands.set(wanted.consumer, wanted.parameter, wanted.value)
        self._show_detectors(self._clock())
