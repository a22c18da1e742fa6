"""Colours and tones of one picture, by menu and key: of that which was clicked, or gone to with Tab, last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QIcon, QImage, QPixmap
from PySide6.QtWidgets import QMenu

from . import theme
from .colour import TRANSFERS
from .models.drawing import MAPS, TRANSFERS_OFFERED, Drawing, Drawings, after
from .models.keys import labelled

if TYPE_CHECKING:
    from .panels.image_pane import ImagePane
    from .window import ViewerWindow

STRIP = (16, 16)
"""(width, height) px of a colour map beside its name."""
SUITED = "What suits it"


class PictureMenu:
    """What the user chooses for pictures, and the menus to choose it from.

    Parameters
    ----------
    window : whose pictures they are.
    """

    def __init__(self, window: ViewerWindow) -> None:
        self._window = window
        self.chosen = Drawings()
        self._gone_to = ""

    def bind(self) -> None:
        """Put the menu into the window's bar."""
        self.menu = self._window.menuBar().addMenu("&Picture")
        self.menu.aboutToShow.connect(lambda: self.fill(self.menu, self.name))

    def look(self) -> None:
        """Draw new panes as was chosen for them, and see which one the user is at."""
        panes = self._window.named_panes()
        for name, pane in panes.items():
            pane.choose(self.chosen.of(name))
            is_here = pane.view.hasFocus()
            self._gone_to = name if is_here else self._gone_to
            pane.set_gone_to(len(panes) > 1 and is_here and pane.view.gone_to)

    @property
    def name(self) -> str:
        """Of the picture that keys and the menu are for: the frame's is empty."""
        panes = self._window.named_panes()
        here = next((name for name, pane in panes.items() if pane.view.hasFocus()), self._gone_to)
        if here in panes and panes[here].picture is not None:
            return here
        return next((name for name, pane in panes.items() if pane.picture is not None), "")

    def choose(self, name: str, drawing: Drawing) -> None:
        """Draw a picture so from now on."""
        self.chosen.choose(name, drawing)
        self.look()

    def next_transfer(self) -> None:
        """Linear, square root, logarithm, of the picture that the user is at."""
        pane = self._pane(self.name)
        place = TRANSFERS.index(pane.transfer) if pane.transfer in TRANSFERS else -1
        following = TRANSFERS[(place + 1) % len(TRANSFERS)]
        self.choose(self.name, replace(pane.drawing, transfer=following))

    def next_map(self) -> None:
        """The next colour map of what the picture shows."""
        pane = self._pane(self.name)
        following = after(pane.colours(pane.meaning), pane.meaning)
        self.choose(self.name, pane.drawing.with_map(pane.meaning, following))

    def fill(self, menu: QMenu, name: str) -> None:
        """All that can be chosen for a picture, as it is now."""
        menu.clear()
        for old in menu.findChildren(QMenu):
            old.deleteLater()  # Qt clears actions only
        pane = self._pane(name)
        menu.addAction(pane.title.text() or "No picture").setEnabled(False)
        self._fill_maps(menu.addMenu(labelled("Colours", "next_map")), name, pane)
        if pane.meaning != "directions":
            self._fill_tones(menu.addMenu(labelled("Tones", "next_transfer")), name, pane)
        menu.addSeparator()
        menu.addAction("The same for all pictures", partial(self._spread, pane.drawing))
        plain = menu.addAction("As it comes", partial(self.choose, name, Drawing()))
        plain.setEnabled(pane.drawing != Drawing())
        menu.addSeparator()
        for action, words in PICTURE:
            menu.addAction(labelled(words, action), self._window.actions_by_name[action])

    def _fill_maps(self, menu: QMenu, name: str, pane: ImagePane) -> None:
        meaning, drawing = pane.meaning, pane.drawing
        suited = drawing.with_map(meaning, "")
        _tick(menu, SUITED, drawing == suited, partial(self.choose, name, suited))
        for group, maps in MAPS[meaning].items():
            menu.addSeparator()
            menu.addAction(group).setEnabled(False)  # a section's words are not drawn by every style
            for colours, words in maps.items():
                act = partial(self.choose, name, drawing.with_map(meaning, colours))
                action = _tick(menu, words, drawing.map_of(meaning) == colours, act)
                action.setIcon(QIcon(strip(colours)))

    def _fill_tones(self, menu: QMenu, name: str, pane: ImagePane) -> None:
        drawing = pane.drawing
        _tick(menu, SUITED, not drawing.transfer, partial(self.choose, name, replace(drawing, transfer="")))
        menu.addSeparator()
        for transfer, words in TRANSFERS_OFFERED.items():
            act = partial(self.choose, name, replace(drawing, transfer=transfer))
            _tick(menu, words, drawing.transfer == transfer, act)

    def _spread(self, drawing: Drawing) -> None:
        for name in self._window.named_panes():
            self.chosen.choose(name, drawing)
        self.look()

    def _pane(self, name: str) -> ImagePane:
        return self._window.named_panes().get(name, self._window.frame.pane)


PICTURE = (
    ("fit", "All of every picture"),
    ("one_to_one", "One picture pixel a screen pixel"),
    ("lock_contrast", "Keep the contrast, or let it follow"),
    ("mask", "What was measured, over the images"),
    ("undo_view", "Take the last change back"),
)


def _tick(menu: QMenu, words: str, is_so: bool, act: Callable[[], None]) -> QAction:
    action = menu.addAction(words)
    action.setCheckable(True)
    action.setChecked(is_so)
    font = action.font()
    font.setBold(is_so)  # the tick's place is taken by the colours
    action.setFont(font)
    action.triggered.connect(lambda _checked: act())
    return action


def strip(colours: str) -> QPixmap:
    """A colour map from its lowest value to its highest."""
    rows = theme.colour_map(colours)[:, :3]
    image = QImage(rows.tobytes(), len(rows), 1, 3 * len(rows), QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.scaled(*STRIP))
