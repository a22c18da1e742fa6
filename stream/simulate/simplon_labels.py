"""What a SIMPLON detector says of a frame besides its pixels: when it was taken, the MD5 of its blob."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from .dialects import Speech
from .simplon_payloads import Payload, Shot

KEPT_DIGESTS = 65_536
NANOSECONDS = 1_000_000_000


class Digests:
    """MD5 of blobs, kept for frames that come again."""

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}

    def of(self, place: int, blob: Payload) -> str:
        digest = self._kept.get(place)
        if digest is None:
            digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
            if len(self._kept) < KEPT_DIGESTS:
                self._kept[place] = digest
        return digest


class SeriesClock:
    """When frames were taken: as recorded, else when they are sent, else by their frame time."""

    def __init__(self, speech: Speech) -> None:
        acquisition = speech.acquisition
        times = acquisition.times(0, 1)
        recorded = 0 if times is None else int(times[0])
        self._now = speech.clock
        self._start = recorded if recorded > 0 else speech.clock() if speech.clock else None
        self._period_ns = int(float(acquisition.meta.get("frame_time", 0.001)) * 1e9)

    @property
    def date(self) -> str:
        """RFC 3339 date of the start, with all nine digits; empty when unknown."""
        if self._start is None:
            return ""
        seconds, nanoseconds = divmod(self._start, NANOSECONDS)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"

    def since_start(self, shot: Shot) -> int:
        """ns, >= 0."""
        if self._start is None:
            return shot.index * self._period_ns
        now = shot.time_ns if shot.time_ns is not None else self._now() if self._now else self._start
        return max(0, now - self._start)
