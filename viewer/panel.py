"""The seam between the window and what it shows: a panel, and what a panel may know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from PySide6.QtWidgets import QWidget

from ..stream.results import Result
from .models.arrangement import Place
from .models.commands import Commands
from .models.session import Session
from .panels.image_pane import ImagePane


@dataclass(frozen=True, slots=True)
class Room:
    """What a panel gets to work with."""

    session: Session
    """The latest of everything; panels only read it."""
    commands: Commands
    """Where parameter changes go; returns at once."""
    clock: Callable[[], float]
    """Monotonic seconds."""

    def results(self, kind: str) -> tuple[Result, ...]:
        """The newest of every topic of this kind ("image", "curve", "table"), of the newest series."""
        return tuple(result for result in self.session.latest if result.kind == kind)


def _always() -> bool:
    return True


def _nothing() -> None:
    """For panels that have nothing to hurry."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing that the window shows. It can be moved, closed and brought back as a whole."""

    name: str
    """By which layouts, keys and arrangements know it; never changes."""
    title: str
    widget: QWidget
    update: Callable[[float], object]
    """Take what changed and draw it: up to 30 times a second, in the GUI's thread, with the clock's time.
    Returns at once: what takes more than a few ms belongs elsewhere."""
    has_something: Callable[[], bool] = _always
    """Whether there is anything to show: without, the panel leaves its room to others until the user asks."""
    place: Place = field(default_factory=Place)
    """Where it goes in an arrangement that does not name it."""
    panes: Callable[[], Iterable[ImagePane]] = tuple
    """Its pictures: what fit, 1:1, contrast lock and links are for."""
    settle: Callable[[], None] = _nothing
    """Draw everything at the next update, as it will stay: for snapshots."""
