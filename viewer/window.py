"""The window: takes what the feed has, gives it to the panels, thirty times a second.

Only the GUI's thread comes here. Nothing in it waits: the feed hands out what it has, commands go into
slots, and drawing is paced by what it costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QLabel, QLayout, QMainWindow, QMenu, QStackedWidget, QVBoxLayout, QWidget

from . import appearance, theme
from .docks import Docks
from .extensions import Guard, foreign_panels
from .focus import FocusOrder
from .keeping import SnapshotKeeper
from .layouts import Layouts
from .menus import SessionMenu, ViewMenu
from .models.commands import Ask, Change, Commands, NoCommands, Outcome, Play
from .models.drawing import Drawing
from .models.feed import Feed
from .models.keys import KEYS
from .models.layouts import LayoutFiles
from .models.modes import MODES, Mode, mode_for
from .models.pacing import Pacing
from .models.playhead import Playhead
from .models.remarks import Remarks
from .models.session import Session
from .models.settings import Settings
from .models.transport import parse_playback
from .models.view_history import ViewHistory
from .models.watch import Watch
from .models.workspace import Workspace
from .panel import Panel, Room
from .panels.alarm_banner import AlarmBanner
from .panels.detector_menu import detector_menu
from .panels.image_pane import ImagePane
from .panels.key_sheet import KeySheet
from .panels.linked_views import LinkedViews
from .panels.looking import cutouts_of
from .panels.record_bar import RecordBar
from .panels.series_bar import SeriesBar
from .panels.status_bar import StatusBar
from .panels.table import BuiltIn
from .panels.timeline import TimelineBar
from .panels.transport import TransportBar
from .picture_menu import PictureMenu
from .remote import look_of
from .switching import Connector

ViewState = dict[str, tuple[tuple[float, float, float, float] | None, Drawing]]
"""By pane: the part that the user looks at, and the colours and tones that the user chose."""
SIZE = (1400, 900)
MARGIN = 8
ORDER_S = 0.5
"""Between two looks at what can be gone to with Tab."""
NOTICE_SECONDS = 6.0
"""How long an event or a refused change stays in the status bar."""


class ViewerWindow(QMainWindow):
    """Panels in docks, and the bars that say how one session stands.

    Parameters
    ----------
    feed
        Where results come from; closed with the window.
    commands
        Where parameter changes go; closed with the window.
    clock
        Monotonic seconds.
    folder
        Where layouts and the theme are kept and found again; None = nowhere.
    """

    closing = Signal()
    """The window is about to close; everything is still there."""

    def __init__(
        self,
        feed: Feed,
        commands: Commands | None = None,
        clock: Callable[[], float] = time.monotonic,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.feed = feed
        self.commands = commands or NoCommands()
        self.session = Session()
        self.watch = Watch(self.session)
        self.playhead = Playhead(self.session, self.commands, clock)
        self.pacing, self.remarks = Pacing(), Remarks()
        self.linked = LinkedViews()
        self.history: ViewHistory[ViewState] = ViewHistory()
        self._clock = clock
        self._look = look_of(feed)
        self.kept = SnapshotKeeper(self.commands, self.say)
        self.connector = Connector(self)
        self.connector.refused.connect(self.say)
        self.pictures = PictureMenu(self)
        self._notice, self._ordered_at = ("", 0.0), 0.0
        self.settings = Settings(folder)
        if folder is not None:
            theme.use_chosen(self.settings.get(appearance.THEME))
        self.layouts = Layouts(self, LayoutFiles(folder), self.say)
        self.setWindowTitle("livem")
        self.resize(*SIZE)
        self.set_up()
        if self.settings.problem:
            self.say(self.settings.problem)
        self.layouts.begin()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)

    def set_up(self) -> None:
        """Make everything that is in the window, in the theme in use."""
        self._build()
        self._bind_keys()
        self.session_menu, self.view_menu = SessionMenu(self), ViewMenu(self)
        self.pictures.bind()
        self.focus_order = FocusOrder(self)

    def _build(self) -> None:
        self.setStyleSheet(theme.style())
        room = Room(self.session, self.commands, self._clock)
        built_in = BuiltIn(room)
        self.frame, self.images, self.curves = built_in.frame, built_in.images, built_in.curves
        self.tracking, self.inspector = built_in.tracking, built_in.inspector
        foreign, problems = foreign_panels(room, [panel.name for panel in built_in.panels])
        self.panels: tuple[Panel, ...] = (*built_in.panels, *foreign)
        self.guard = Guard(self._switch_off)
        self.pipeline = built_in.pipeline
        self.workspace = Workspace({panel.name: panel.place for panel in self.panels})
        self.seen: frozenset[str] = frozenset()
        self._arranged: object = None
        self._is_stale = False
        self.series = SeriesBar(self.session)
        for panel in (self.frame, self.images):
            panel.asked.connect(self._open_menu)
        self.frame.changing.connect(self._say_what_changes)
        self.frame.finer.is_served = self._look is not None
        self.record = RecordBar(self.commands)
        self.transport = TransportBar(self.commands, self._clock)
        self.timeline = TimelineBar(self.session, self.playhead, self.transport)
        self.status = StatusBar()
        self.banner = AlarmBanner(self.watch.alarms, self._clock)
        self.waiting = theme.named(QLabel(), "waiting")
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for problem in problems:
            self.say(problem)
        self.docks = Docks(self.panels)
        self.docks.rearranged.connect(self.workspace.moved)
        self.docks.closed.connect(lambda name: self.workspace.ask(name, False))
        self._pages = QStackedWidget()
        self._pages.addWidget(self.waiting)
        self._pages.addWidget(self.docks)
        self._pages.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        self.body = QWidget()
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.banner)
        layout.addWidget(self.series)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.record)
        layout.addWidget(self.timeline)
        layout.addWidget(self.transport)
        layout.addWidget(self.status)
        self.setCentralWidget(self.body)
        self.sheet = KeySheet(self)
        # The window's own size stays the user's: panes that come and go must not push it about.
        if (own := self.layout()) is not None:
            own.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)

    def _bind_keys(self) -> None:
        self.actions_by_name = self._actions()
        for key in (one for group in KEYS.values() for one in group):
            for sequence in (key.key, *key.more):
                QShortcut(QKeySequence(sequence), self.body, self.actions_by_name[key.action])

    def _actions(self) -> dict[str, Callable[[], object]]:
        """What keys and menus do, by the names of `KEYS`."""
        compare, browser, timeline = self.frame.comparison.toggle, self.session.browser, self.timeline
        return {
            "fit": self.fit,
            "one_to_one": self.one_to_one,
            "undo_view": self.undo_view,
            "lock_contrast": self.toggle_contrast_lock,
            "next_transfer": self.pictures.next_transfer,
            "next_map": self.pictures.next_map,
            "picture_menu": self.open_picture_menu,
            "full_screen": self.toggle_full_screen,
            "snapshot": self.snapshot,
            "mask": self.toggle_masks,
            "blind": self.frame.toggle_mask,
            "pattern": self.frame.toggle_pattern,
            "spectrum": self.inspector.toggle_spectrum,
            "profile": self.inspector.toggle_profile,
            "region": self.inspector.toggle_region,
            "tracks": self.frame.toggle_tracks,
            "swipe": lambda: compare("swipe"),
            "blink": lambda: compare("blink"),
            "difference": lambda: compare("difference"),
            "raw": self.toggle_raw,
            "toggle": timeline.toggle,
            "step_back": lambda: timeline.step(-1),
            "step_on": lambda: timeline.step(1),
            "leap_back": lambda: timeline.leap(-1.0),
            "leap_on": lambda: timeline.leap(1.0),
            "start": timeline.to_start,
            "mark_in": timeline.mark_in,
            "mark_out": timeline.mark_out,
            "clip": timeline.export,
            "older": browser.older,
            "newer": browser.newer,
            "live": timeline.live,
            "keep": self.record.keep_last,
            "turn_stage": self.pipeline.turn,
            "adapt": lambda: self.say(self.session.pipeline.toggle_adaptation(self.commands)),
            "zero_dose": self.watch.dose.reset,
            "note_alarms": self.banner.note,
            "connect": self.connector.ask,
            "record": self.record.toggle,
            "keys": self.sheet.toggle,
            "theme": lambda: appearance.use_theme(self, "light" if theme.name_in_use() == "dark" else "dark"),
            "mode_automatic": lambda: self.choose_mode(None),
            **{f"mode_{mode.name}": partial(self.choose_mode, mode) for mode in MODES},
            **{f"panel_{panel.name}": partial(self.toggle_panel, panel.name) for panel in self.panels},
        }

    @property
    def panes(self) -> tuple[ImagePane, ...]:
        """Every picture in the window."""
        return self.guard.panes(self.panels)

    def start(self) -> None:
        """Begin to follow the feed."""
        self._timer.start(int(self.pacing.interval * 1000))

    def tick(self) -> None:
        """Take what changed and draw it."""
        begin = self._clock()
        self._take(begin)
        if self._look is not None:
            seen = cutouts_of(self.session.frame, self.frame, self.images.panes)
            self._look(seen | self.kept.cutouts(self.session.live_frame))
        for pane in self.panes:
            pane.animate(begin)
        self.history.note(self.view_state(), begin)
        self.pacing.spent(self._clock() - begin)
        interval = int(self.pacing.interval * 1000)
        if interval != self._timer.interval():
            self._timer.setInterval(interval)

    def settle(self) -> None:
        """Take what there is and draw it as it will stay: for snapshots."""
        for panel in self.panels:
            self.guard.settle(panel)
        self._take(self._clock())
        for pane in self.panes:
            pane.settle()

    def fit(self) -> None:
        """Show every picture as a whole."""
        for pane in self.panes:
            pane.view.fit()

    def one_to_one(self) -> None:
        """One pixel of a picture on one of the screen."""
        for pane in self.panes:
            pane.view.one_to_one()

    def say(self, text: str) -> None:
        """Say something in the status bar for a while."""
        self._notice = (text, self._clock() + NOTICE_SECONDS)

    def snapshot(self) -> None:
        """Keep pictures of the window and its panes, and the data behind them, in the working directory."""
        shown = {topic: pane for topic, pane in self.named_panes().items() if topic and pane.isVisible()}
        results = {result.topic: result for result in self.session.images if result.topic in shown}
        frame = self.session.frame if self.frame.pane.isVisible() else None
        pictures: dict[str, QWidget] = {"window": self, **shown}
        if frame is not None:
            pictures[frame.topic] = self.frame.pane
        can_come = self.session.held is None  # of a held frame there is no other
        self.kept.begin(pictures, results, frame, self._clock(), Path.cwd(), can_come)

    def undo_view(self) -> None:
        """Take the last change of zoom, place or drawing back."""
        self.show_views(self.history.back() or {})

    def show_views(self, views: ViewState) -> None:
        """Zoom, place and drawing of pictures, as `view_state` gave them."""
        for name, (part, drawing) in views.items():
            if (pane := self.named_panes().get(name)) is not None:
                pane.view.show_part(part)
                self.pictures.choose(name, drawing)

    def view_state(self) -> ViewState:
        """Zoom, place and drawing of every picture that is not a tool's."""
        return {name: (pane.view.part, pane.drawing) for name, pane in self.named_panes().items()}

    def named_panes(self) -> dict[str, ImagePane]:
        """The frame's, whose name is empty, and those of images by topic."""
        return {"": self.frame.pane, **self.images.panes}

    def toggle_contrast_lock(self) -> None:
        """Keep all levels as they are, or let them follow again."""
        locked = not self.frame.pane.contrast.locked
        for pane in self.panes:
            pane.lock_contrast(locked)

    def toggle_raw(self) -> None:
        """Fields of deflections as measured, or corrected again."""
        self.session.raw = not self.session.raw

    def toggle_masks(self) -> None:
        """What was measured of images, over them; where that is all of them, the frame's masked pixels."""
        if self.images.shows_maps or self.images.has_maps:
            self.images.toggle_maps()
        else:
            self.frame.toggle_mask()

    def toggle_full_screen(self) -> None:
        """The whole screen, or the window again."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closing.emit()
        self._timer.stop()
        self.layouts.end()
        self.kept.close()
        self.commands.close()
        self.feed.close()
        super().closeEvent(event)

    def _take(self, now: float) -> None:
        new = self.feed.poll()
        self.session.take(new)
        before = self.frame.newest
        self.session.keep(self.feed.finals())
        self.session.lost = self.feed.state.link == "lost"
        self._take_outcomes(now)
        self._take_events(now)
        frame = self.session.live_frame
        if remark := self.remarks.see(self.feed.state, new.values()):
            self.say(remark)
        self.kept.look(frame, now)
        self.playhead.tick(self.feed.state.link == "live")
        self.frame.finer.tick(self.feed.state.link == "live")
        for panel in self.panels:
            self.guard.update(panel, now)
        self.pacing.shown += self.session.held is None and self.frame.newest is not before
        self.linked.link(self.panes)
        self.pictures.look()
        self.series.update_from(self.session)
        self.record.show_status(self.session.status)
        self.transport.show_playback(self.session.status.playback)
        self.timeline.update_from(self.session.lost, self.panes)
        self._arrange()
        self._say(now)
        if now >= self._ordered_at:
            self._ordered_at = now + ORDER_S
            self.focus_order.renew()

    def _take_outcomes(self, now: float) -> None:
        for outcome in self.commands.outcomes():
            if self.playhead.answered(outcome) or self.frame.finer.answered(outcome):
                continue
            if outcome.error is not None and not isinstance(outcome.change, Ask):
                self._notice = (outcome.error, now + NOTICE_SECONDS)
            self._take_outcome(outcome)
            self.session.pipeline.take(outcome)
            self.record.answered(outcome)

    def _take_outcome(self, outcome: Outcome) -> None:
        """What was asked for and is not to be is shown as it was."""
        if isinstance(outcome.change, Play):
            self.transport.answered(parse_playback(outcome.answer.get("replay") or {}))
        elif isinstance(outcome.change, Change) and outcome.error is not None:
            self.session.detectors.refused(outcome.change.consumer, outcome.change.name)

    def _take_events(self, now: float) -> None:
        for event in self.feed.events():
            if text := str(event.attrs.get("message") or ""):
                self._notice = (f"{event.topic}: {text}", now + NOTICE_SECONDS)

    def open_picture_menu(self) -> None:
        """The menu of the picture that the user is at, in its middle."""
        pane = self.named_panes()[self.pictures.name]
        self._open_menu(self.pictures.name, "", pane.view.mapToGlobal(pane.view.rect().center()))

    def _open_menu(self, pane: str, topic: str, where: QPoint) -> None:
        """Of a picture, and of the detector on it or behind it: without waiting for a choice."""
        menu = detector_menu(self, self.session, self.commands, topic)
        if menu is None:
            menu = QMenu(self)
            self.pictures.fill(menu, pane)
        else:
            self._say_what_changes()
            menu.addSeparator()
            self.pictures.fill(menu.addMenu("Picture"), pane)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(where)

    def _say_what_changes(self) -> None:
        """A detector is about to be changed while another series is looked at."""
        past, newest = self.session.browser.shown, self.session.newest
        if past is not None and newest is not None:
            stays = f"series {past.key.number} stays as it is"
            self.say(f"changes apply to series {newest.number}, the newest; {stays}")

    def choose_mode(self, mode: Mode | None) -> None:
        """Panels as this mode has them, or with None the one that fits; what was moved goes back."""
        self.workspace.choose(mode)
        self.rearrange()

    def rearrange(self) -> None:
        """Put everything where it belongs at the next update."""
        self._arranged, self._is_stale = None, True

    def _switch_off(self, panel: Panel, why: str) -> None:
        self.docks.dock(panel.name).switch_off(why)
        self.say(f"{panel.title} is switched off: {why}")

    def toggle_panel(self, name: str) -> None:
        """A panel that is not there, or no more."""
        self.workspace.ask(name, name not in self.seen)
        if name == "pipeline" and name not in self.seen:
            self.pipeline.setFocus()

    def _arrange(self) -> None:
        """Show the panels that have something to show, where the mode has them or the user put them."""
        having = [panel.name for panel in self.panels if self.guard.has_something(panel)]
        wanted = self.workspace.wanted(mode_for(self.session), having)
        if wanted.seen:
            self._pages.setCurrentWidget(self.docks)
        is_new = self._is_stale or wanted.seen != self.seen
        self.seen, self._is_stale = wanted.seen, False
        if is_new:
            self._ordered_at = 0.0
        if wanted.shares and wanted.tree is not self._arranged:
            self._arranged = wanted.tree
            self.docks.arrange(wanted.tree, wanted.seen)
        elif is_new:
            self.docks.show_panels(wanted.seen, share=wanted.shares)

    def _say(self, now: float) -> None:
        state, status = self.feed.state, self.session.status
        notice = self._notice[0] if now < self._notice[1] else ""
        self.watch.see(state, self.pacing.shown, now)
        self.status.show_chips(self.watch.chips(), notice or status.message)
        self.banner.update_from()
        said = status.message if state.link == "live" else state.text
        self.waiting.setText(said or "Waiting for the first result")
