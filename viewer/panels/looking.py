"""What the window's panes show now, for a feed that sends no more than that."""

from __future__ import annotations

from collections.abc import Mapping

from ...kernels.cutouts import Cutout
from ...stream.results import Result
from .frame import FramePanel
from .image_pane import ImagePane


def cutouts_of(frame: Result | None, panel: FramePanel, images: Mapping[str, ImagePane]) -> dict[str, Cutout]:
    """By topic: the part that its pane shows, and how fine. What no pane has drawn yet is not among them."""
    panes = {topic: pane for topic, pane in images.items() if pane.picture is not None and pane.isVisible()}
    cutouts = {topic: pane.view.cutout() for topic, pane in panes.items()}
    if frame is not None and panel.pane.picture is not None:
        seen = panel.pane.view.cutout()
        cutouts[frame.topic] = seen
        pair = panel.comparison.pair
        if panel.comparison.is_on and pair is not None:  # both must come in one grid
            cutouts |= {pair.measured.topic: seen, pair.processed.topic: seen}
    return cutouts
