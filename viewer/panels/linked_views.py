"""Views of the same thing that are zoomed and moved together."""

from __future__ import annotations

from collections.abc import Iterable

from ..models.picture import Picture
from .image_pane import ImagePane


class LinkedViews:
    """What the user does in one pane is done in all that show the same pixels: a frame, or the same scan."""

    def __init__(self) -> None:
        self._panes: list[ImagePane] = []

    def link(self, panes: Iterable[ImagePane]) -> None:
        """These, and no others, from now on."""
        wanted = list(panes)
        for pane in wanted:
            if not any(pane is known for known in self._panes):
                pane.view.moved.connect(lambda pane=pane: self._follow(pane))
        self._panes = wanted

    def _follow(self, moved: ImagePane) -> None:
        area = moved.view.box.viewRect()
        for pane in self._panes:
            if pane is not moved and _same_pixels(pane.picture, moved.picture):
                pane.view.look_at(area)


def _same_pixels(one: Picture | None, other: Picture | None) -> bool:
    return (
        one is not None and other is not None and (one.of_frame, one.extent) == (other.of_frame, other.extent)
    )
