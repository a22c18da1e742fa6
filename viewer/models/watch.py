"""What a window says beside its pictures: alarms, the dose, how fast frames go through. Knows no window."""

from __future__ import annotations

from collections.abc import Iterator

from .alarms import Alarm, AlarmBook, alarms_of_frame
from .chips import Chip, chips, lost_warning
from .dose import DoseMeter
from .feed import FeedState
from .rates import Pace, Rate
from .session import Session


class Watch:
    """Follows one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.alarms = AlarmBook()
        self.dose = DoseMeter()
        self._analysed, self._shown = Rate(), Rate()
        self._link, self._frames, self._pace = FeedState("connecting"), 0, Pace()

    def see(self, link: FeedState, shown: int, now: float) -> None:
        """Take what the session says now; ``shown``: live frames that were drawn so far."""
        session, frame = self._session, self._session.frame
        if frame is not None:
            self.dose.take(frame.series, frame.attrs)
        if link.link == "lost":
            session.pipeline.forget()
        self.alarms.see(self._alarms(link), now)
        self._link, self._frames = link, shown
        self._pace = Pace(self._analysed.see(session.status.analysed, now), self._shown.see(shown, now))

    def chips(self) -> tuple[Chip, ...]:
        """The status bar from left to right."""
        held = self._session.held is not None
        return chips(self._link, self._session.status, self._frames, self._pace, self.dose, held=held)

    def _alarms(self, link: FeedState) -> Iterator[Alarm]:
        for text in lost_warning(link):
            yield Alarm("lost", text)
        for text in self._session.status.alarms:
            yield Alarm(text, text)
        frame = self._session.frame
        if frame is not None and not self._session.is_lost_or_past(frame):
            yield from alarms_of_frame(frame.attrs)
