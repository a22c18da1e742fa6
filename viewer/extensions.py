"""Panels of other packages, and what becomes of a panel that raises.

A package offers a panel by an entry point of the group `GROUP`: a function that is called with a `Room` and
gives a `Panel`. See docs/viewer.md for one of a few lines.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable
from functools import partial
from importlib.metadata import entry_points
from typing import TypeVar

from .panel import Panel, Room
from .panels.image_pane import ImagePane

GROUP = "livem.panels"

AnswerT = TypeVar("AnswerT")


def foreign_panels(room: Room, taken: Collection[str]) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """Panels of the packages that are installed, and why some of them cannot be had.

    Parameters
    ----------
    room : what each panel gets.
    taken : names that are no longer to be had.
    """
    panels: dict[str, Panel] = {}
    problems = []
    for entry in entry_points(group=GROUP):
        try:
            panel = entry.load()(room)
            if not isinstance(panel, Panel):
                raise TypeError(f"{entry.value} gave {panel!r}, which is no livem.viewer.panel.Panel")
            if not panel.name or panel.name in {*taken, *panels}:
                raise ValueError(f"its name {panel.name!r} is taken")
        except Exception as failure:  # noqa: BLE001  whatever another package does, the window is there
            traceback.print_exception(failure)
            problems.append(f"the panel {entry.name!r} cannot be used: {_said(failure)}")
        else:
            panels[panel.name] = panel
    return tuple(panels.values()), tuple(problems)


class Guard:
    """Calls panels for the window. One that raises is switched off: it is never called again.

    Parameters
    ----------
    switch_off : called with the panel and what it raised.
    """

    def __init__(self, switch_off: Callable[[Panel, str], None]) -> None:
        self._switch_off = switch_off
        self.off: dict[str, str] = {}
        """Why, by the names of the panels that are."""

    def update(self, panel: Panel, now: float) -> None:
        """Let it draw what changed."""
        self._call(panel, lambda: panel.update(now), None)

    def settle(self, panel: Panel) -> None:
        """Let it draw everything at its next update."""
        self._call(panel, panel.settle, None)

    def has_something(self, panel: Panel) -> bool:
        """Whether it has anything to show; one that is off has the reason."""
        return self._call(panel, panel.has_something, True)

    def panes(self, panels: Iterable[Panel]) -> tuple[ImagePane, ...]:
        """The pictures of all of them."""
        none: tuple[ImagePane, ...] = ()
        return tuple(pane for panel in panels for pane in self._call(panel, partial(_panes, panel), none))

    def _call(self, panel: Panel, act: Callable[[], AnswerT], otherwise: AnswerT) -> AnswerT:
        if panel.name in self.off:
            return otherwise
        try:
            return act()
        except Exception as failure:  # noqa: BLE001  the window outlives each of its panels
            traceback.print_exception(failure)
            self.off[panel.name] = _said(failure)
            self._switch_off(panel, self.off[panel.name])
            return otherwise


def _panes(panel: Panel) -> tuple[ImagePane, ...]:
    return tuple(panel.panes())


def _said(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
