"""How a file announces itself when it is played: as its detector did, where it is a recording.

Knows files and series; nothing of time and messages.
"""

from __future__ import annotations

from dataclasses import replace

from ....errors import SourceError
from ...files.acquisition import Acquisition
from ...series import Series, SeriesKey

MOST_FRAMES = 1 << 31
"""Of one series; accounts that say more were damaged."""


def recorded_series(acquisition: Acquisition, epoch: bytes) -> tuple[Series, int]:
    """The series to announce, under a new epoch, and how many frames its END says were sent.

    A recording keeps its number; other files have number 1. Of a recording that was cut short, the frames up
    to its last flush count as sent.

    Raises
    ------
    SourceError
        When there is nothing to play.
    """
    from ...files.recordings import Recording  # loads HDF5: only where something is played

    if not acquisition.count:
        raise SourceError(f"{acquisition.name} holds no frames: there is nothing to replay")
    encoding = acquisition.encoding if acquisition.payloads(0, 0) is not None else "raw"  # reads none
    if isinstance(acquisition, Recording):
        announced = acquisition.announced
        key = SeriesKey(epoch, announced.key.number)
        sent = acquisition.accounts.get("sent")
        ended = acquisition.rows
        if isinstance(sent, int) and ended < sent <= MOST_FRAMES:
            ended = sent
        if ended == 0:
            raise SourceError(f"{acquisition.name} holds no frames: there is nothing to replay")
        return replace(announced, key=key, encoding=encoding, tables={}), ended
    series = Series(
        SeriesKey(epoch, 1),
        acquisition.shape,
        acquisition.dtype,
        encoding,
        acquisition.count,
        acquisition.scan,
        dict(acquisition.meta),
    )
    return series, acquisition.count
