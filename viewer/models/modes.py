"""Modes: which panels the window has, where, and how large.

It is what a window begins with, until the user moves something. Knows no window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .arrangement import Leaf, Tree, column, row, tabs
from .session import Session

LEFT_OUT: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mode:
    """A kind of work at the microscope."""

    name: str
    """By which keys and layouts know it."""
    title: str
    does: str
    """For its tool tip."""
    tree: Tree
    without: frozenset[str] = LEFT_OUT
    """Panels that stay away even if they have something to show."""


_FRAME_AND_IMAGES = row(
    Leaf("frame", width=9),
    column(
        Leaf("images", width=11, height=3),
        Leaf("curves", width=4.5, height=1),
        Leaf("tracks", width=11, height=3),
        Leaf("tools", width=6, height=2),
    ),
)
_FRAME_AND_PARTICLES = row(
    Leaf("frame", width=9),
    column(
        Leaf("images", width=11, height=9),
        tabs(Leaf("tracks", width=15, height=8), Leaf("curves", width=4.5, height=3)),
        Leaf("tools", width=6, height=6),
    ),
)
IMAGING = Mode(
    "imaging",
    "Imaging",
    "the live frame, what is measured on it, curves",
    _FRAME_AND_IMAGES,
    without=frozenset({"tracks"}),
)
FOUR_D_STEM = Mode(
    "4d-stem",
    "4D-STEM",
    "the diffraction pattern with its detectors, their images",
    _FRAME_AND_IMAGES,
)
SPARSE_SCAN = Mode(
    "sparse",
    "Sparse scan",
    "what was sampled beside what is made of it",
    row(
        column(Leaf("images", width=15, height=3), Leaf("tracks", width=11, height=3)),
        column(
            Leaf("frame", width=9, height=3),
            Leaf("curves", width=6, height=1),
            Leaf("tools", width=6, height=2),
        ),
    ),
)
IN_SITU = Mode(
    "in-situ",
    "In situ",
    "the live frame with its particles, what becomes of them",
    _FRAME_AND_PARTICLES,
)
REPLAY = Mode(
    "replay",
    "Replay",
    "a recording, with everything that is made of it",
    _FRAME_AND_PARTICLES,
)
MODES = (IMAGING, FOUR_D_STEM, SPARSE_SCAN, IN_SITU, REPLAY)
BY_NAME: Mapping[str, Mode] = {mode.name: mode for mode in MODES}


def mode_for(session: Session) -> Mode:
    """The mode that fits what a session has shown so far."""
    if session.status.playback is not None:
        return REPLAY
    if session.has_tracks or session.has_frame_images:
        return IN_SITU
    if session.is_diffraction:
        return FOUR_D_STEM
    return SPARSE_SCAN if session.has_sparse_images else IMAGING
