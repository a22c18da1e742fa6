"""Which panels are to be seen, and where: as the mode has it, until the user wants it otherwise.

Knows no window.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .arrangement import Place, Tree, joined
from .modes import IMAGING, Mode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the window is to look like."""

    tree: Tree
    """Names every panel."""
    seen: frozenset[str]
    shares: bool
    """Whether the room is shared as the arrangement has it; else as the user left it."""


class Workspace:
    """The mode, and what the user has changed of it.

    Parameters
    ----------
    places : where panels go that a mode does not name, by the names of all panels.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._trees: dict[str, Tree] = {}
        self._asked: dict[str, bool] = {}
        self.mode: Mode = IMAGING
        self.is_chosen = False
        """Whether the user chose the mode; else it follows the session."""
        self.is_moved = False
        """Whether the user has moved a panel or a border."""

    def wanted(self, fitting: Mode, having: Collection[str]) -> Wanted:
        """How the window shall be for a session that the mode ``fitting`` suits, with these panels having
        something to show."""
        if not (self.is_chosen or self.is_moved):
            self.mode = fitting
        offered = set(having) - self.mode.without
        seen = frozenset(name for name in self._places if self._asked.get(name, name in offered))
        return Wanted(self.tree, seen, not self.is_moved)

    def choose(self, mode: Mode | None) -> None:
        """This mode as it comes, or with None the one that fits; what the user had changed is forgotten."""
        self.mode = mode or self.mode
        self.is_chosen = mode is not None
        self.is_moved = False
        self._asked.clear()

    def take_up(self, mode: Mode | None, is_moved: bool, asked: Mapping[str, bool]) -> None:
        """Go on as another time: with this mode, or the one that fits, and what the user had changed."""
        self.choose(mode)
        self.is_moved = is_moved
        self._asked.update({name: seen for name, seen in asked.items() if name in self._places})

    @property
    def asked(self) -> Mapping[str, bool]:
        """Panels that the user opened (true) or closed."""
        return dict(self._asked)

    def ask(self, name: str, seen: bool) -> None:
        """The user wants to see a panel, whether it has something to show or not; or wants it gone."""
        self._asked[name] = seen

    def moved(self) -> None:
        """The user moved a panel or a border: from now on nothing else does."""
        self.is_moved = True

    @property
    def tree(self) -> Tree:
        """The mode's arrangement, with every panel in it."""
        tree = self._trees.get(self.mode.name)
        if tree is None:
            tree = self.mode.tree
            for name, place in self._places.items():
                tree = joined(tree, name, place)
            self._trees[self.mode.name] = tree
        return tree
