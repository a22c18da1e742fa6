"""A result as the hub sends it out: stamped with the session and a number, and still in its bytes.

``[topic, stamp, header, array, ...]``; the stamp alone tells a subscriber what to keep, so that a flooded
topic is decoded only as often as somebody looks at it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .bus_codec import decode, topic_of
from .plain_map import BadMessage, Part
from .results import KINDS, Result

HEARTBEAT: Final = "heartbeat"
"""Topic of the hub's sign of life; a worker's result must not use it."""
_LAYOUT = struct.Struct(">8sQQBB")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the hub adds to a result: who republished it, and its number within its topic."""

    session: bytes
    """8 random bytes of the session; a restarted one has another."""
    seq: int
    """1, 2, 3... within the topic, so that a gap tells what was dropped on the way; 0 for a heartbeat."""
    kept: int
    """Number among the topic's events and final results, which nobody should miss; 0 for all others."""
    kind: str
    final: bool

    def pack(self) -> bytes:
        return _LAYOUT.pack(self.session, self.seq, self.kept, KINDS.index(self.kind), self.final)

    @classmethod
    def unpack(cls, part: Part) -> Stamp | None:
        """The stamp in these bytes, or None where there is none."""
        raw = memoryview(part)
        if raw.nbytes != _LAYOUT.size:
            return None
        session, seq, kept, kind, final = _LAYOUT.unpack(raw)
        return cls(session, seq, kept, KINDS[kind], bool(final)) if kind < len(KINDS) else None


@dataclass(slots=True, eq=False)
class Message:
    """A stamped result, still in its bytes: ``parts`` = [topic, stamp, header, array, ...]."""

    topic: str
    stamp: Stamp
    parts: Sequence[Part]
    _decoded: Result | BadMessage | None = None

    @property
    def nbytes(self) -> int:
        return sum(memoryview(part).nbytes for part in self.parts)

    def result(self) -> Result | None:
        """Decoded at the first call (a flooded topic is decoded as often as it is looked at); None if bad."""
        if self._decoded is None:
            self._decoded = decode([self.parts[0], *self.parts[2:]])
        return self._decoded if isinstance(self._decoded, Result) else None

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Message | None:
        """The message in these parts, None where topic or stamp are none; the rest is not looked at yet."""
        topic = topic_of(parts[0]) if len(parts) >= 3 else None
        stamp = Stamp.unpack(parts[1]) if topic is not None else None
        return None if topic is None or stamp is None else cls(topic, stamp, parts)
