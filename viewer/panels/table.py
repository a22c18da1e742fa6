"""All panels of the window. A new one is a line in `built_in`."""

from __future__ import annotations

from ..models.arrangement import Place
from ..panel import Panel, Room
from .curves import CurvesPanel
from .frame import FramePanel
from .inspector import Inspector
from .pipeline import PipelinePanel
from .scan_images import ScanImagesPanel
from .tracking import TrackingPanel


class BuiltIn:
    """The panels that every window has, and the table of them."""

    def __init__(self, room: Room) -> None:
        session = room.session
        self.frame = FramePanel(session, room.commands, room.clock)
        self.images = ScanImagesPanel(session)
        self.curves = CurvesPanel(session)
        self.tracking = TrackingPanel(session)
        self.inspector = Inspector(session, self.frame.pane.view, room.commands)
        self.pipeline = PipelinePanel(session, room.commands)
        frame, images, curves, tracking, tools = (
            self.frame,
            self.images,
            self.curves,
            self.tracking,
            self.inspector,
        )
        self.panels = (
            Panel(
                "frame",
                "Frame",
                frame,
                frame.update_from,
                lambda: session.frame is not None,
                panes=lambda: (frame.pane,),
            ),
            Panel(
                "images",
                "Images",
                images,
                images.update_from,
                lambda: bool(session.images),
                panes=lambda: images.panes.values(),
            ),
            Panel("curves", "Curves", curves, curves.update_from, lambda: bool(session.curves)),
            Panel(
                "tracks",
                "Particles",
                tracking,
                tracking.update_from,
                lambda: session.has_tracks,
                settle=tracking.settle,
            ),
            Panel(
                "tools",
                "Measurements",
                tools,
                tools.update_from,
                lambda: tools.is_on,
                panes=lambda: (tools.spectrum,),
                settle=tools.settle,
            ),
            Panel(
                "pipeline",
                "Pipeline",
                self.pipeline,
                self.pipeline.update_from,
                lambda: False,
                Place(width=6),
                settle=self.pipeline.settle,
            ),
        )
