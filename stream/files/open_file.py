"""The one door to files of frames: whatever their format, they come out as an Acquisition.

Formats are imported where they are opened.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import SourceError
from .acquisition import Acquisition
from .file_acquisition import FileAcquisition

HDF5 = (".h5", ".hdf5", ".nxs")


def open_file(spec: str) -> Acquisition:
    """Open ``FILE`` or ``FILE#KEY`` (one array of several).

    Raises
    ------
    SourceError
        A file that is missing, unreadable, of an unknown format or without frames.
    """
    path = Path(spec)
    if path.suffix.lower() in HDF5 and path.is_file():
        from .recordings import is_recording, open_recording

        if is_recording(path):
            return open_recording(path)
        try:
            return FileAcquisition.open(spec)
        except SourceError as error:
            raise SourceError(f"{error}; if it is a damaged recording, try `livem repair {spec}`") from error
    return FileAcquisition.open(spec)
