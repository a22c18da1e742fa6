"""The one door to files of frames: whatever their format, they come out as an Acquisition.

Formats are imported where they are opened.
"""

from __future__ import annotations

from .acquisition import Acquisition
from .file_acquisition import FileAcquisition


def open_file(spec: str) -> Acquisition:
    """Open ``FILE`` or ``FILE#KEY`` (one array of several).

    Raises
    ------
    SourceError
        A file that is missing, unreadable, of an unknown format or without frames.
    """
    return FileAcquisition.open(spec)
