"""Fault injection: a seeded, pure transformation of the messages that a sender is about to send.

The same messages and spec give the same faults, and the FaultReport says what was done to which frames, so
that a receiver's accounting can be held against it. Knows no socket; stalls, kills and restarts are steps
for the sender.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .fault_report import Action, FaultReport
from .fault_spec import SHARES, FaultSpec
from .outgoing import Outgoing

NEVER_A_HEADER = 0xFF
"""No header begins with it: neither a map of msgpack nor one of CBOR, no UTF-8 text."""
BLOB_HEADER = 16
"""Bytes up to the end of a bslz4 blob's first block size: a blob cut behind them looks whole."""
MIN_BLOCK = 64
"""Bytes of a frame from which bitshuffle makes a block: 8 elements of 8 bytes; fewer follow verbatim."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    """Die at once, without a word to the receiver."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin the same series again from its start, as a new process would: under a new epoch."""


Step = Outgoing | Stall | Kill | Restart


@dataclass(frozen=True, slots=True)
class _Held:
    """A message that waits for its turn, and what will have been done to it when it goes out."""

    message: Outgoing
    action: Action = "delivered"
    undecodable: range | None = None
    """Frames whose encoded payload is spoiled, in a message that is otherwise in order."""


class FaultInjector:
    """One sender's faults; ``inject`` each of its series in turn."""

    def __init__(self, spec: FaultSpec) -> None:
        self.spec = spec
        self.report = FaultReport()
        self._rng = np.random.default_rng(spec.seed)
        self._limits = np.cumsum([getattr(spec, name) for name in SHARES])
        moments: list[tuple[int, Stall | Kill | Restart]] = [(at, Stall(s)) for s, at in spec.stalls]
        moments += [(at, Kill()) for at in spec.kills]
        moments += [(at, Restart()) for at in spec.restarts]
        self._due = sorted(moments, key=lambda moment: moment[0])
        self._held: list[tuple[float, int, _Held]] = []
        self._ticket = 0
        self._furthest = -1

    def inject(self, messages: Iterable[Outgoing]) -> Iterator[Step]:
        """What to do in place of sending the messages of one series; ends behind a Kill or Restart.

        A message meets at most one of drop, duplicate, corrupt, truncate and shape; what remains of it may
        then be held back by up to ``reorder`` messages. With ``on=frames`` starts and ends pass untouched,
        in their place. Stalls, kills and restarts happen once each, in the order of their frames.
        """
        self._furthest = -1
        for position, message in enumerate(messages):
            if (yield from self._moments(message)):
                return
            if message.kind != "frames" and (self.spec.on == "frames" or not message.parts):
                yield from self._release(np.inf)
                yield self._out(_Held(message))
                continue
            for held in self._fate(message):
                self._hold(held, position)
            yield from self._release(position)
        yield from self._release(np.inf)

    def _moments(self, message: Outgoing) -> Generator[Step, None, bool]:
        """Stalls, kills and restarts whose frame has come; tells whether the series ends here."""
        while self._due and message.kind == "frames" and self._due[0][0] < message.first + message.count:
            _, step = self._due.pop(0)
            ends = not isinstance(step, Stall)
            if ends:
                self._abandon(message)
            yield step
            if ends:
                return True
        return False

    def _abandon(self, message: Outgoing) -> None:
        """Account for what will not be sent: the messages held back, and the one that was to be next."""
        for _, _, held in self._held:
            if held.action != "duplicated":
                self.report.record("unsent", held.message)
        self._held.clear()
        self.report.record("unsent", message)

    def _fate(self, message: Outgoing) -> Iterator[_Held]:
        """What goes out for a message: nothing, itself, itself twice, or something damaged."""
        draw = int(np.searchsorted(self._limits, self._rng.random(), side="right"))
        fate = SHARES[draw] if draw < len(SHARES) else ""
        if fate == "drop":
            self.report.record("dropped", message)
        elif fate in DAMAGES:
            yield DAMAGES[fate](message, self._rng)
        else:
            yield _Held(message)
            if fate == "duplicate":
                yield _Held(message, "duplicated")

    def _hold(self, held: _Held, position: int) -> None:
        delay = self._rng.random() * self.spec.reorder if self.spec.reorder else 0.0
        self._ticket += 1
        heapq.heappush(self._held, (position + delay, self._ticket, held))

    def _release(self, position: float) -> Iterator[Outgoing]:
        """Send what was to wait until ``position`` at most."""
        while self._held and self._held[0][0] <= position:
            yield self._out(heapq.heappop(self._held)[2])

    def _out(self, held: _Held) -> Outgoing:
        message = held.message
        self.report.record(held.action, message)
        if held.undecodable is not None:
            self.report.record_frames(
                "undecodable", message.key, held.undecodable.start, len(held.undecodable)
            )
        if held.action == "delivered" and message.first < self._furthest:
            self.report.record("reordered", message)
        self._furthest = max(self._furthest, message.first)
        return message


def _corrupt(message: Outgoing, rng: np.random.Generator) -> _Held:
    """Random bytes in what names the message, or inside one encoded payload."""
    if message.sizes is not None and rng.random() < 0.5:
        which = int(rng.integers(message.count))
        if (spoiled := _spoil_blob(message, which, rng)) is not None:
            frame = message.first + which
            return _Held(spoiled, undecodable=range(frame, frame + 1))
    header = bytearray(message.parts[0])
    named = _identity_bytes(message)
    for place in rng.integers(0, named, 1 + named // 16):
        header[place] = int(rng.integers(256))
    header[0] = NEVER_A_HEADER
    return _Held(_with_part(message, 0, bytes(header)), "garbled")


def _truncate(message: Outgoing, rng: np.random.Generator) -> _Held:
    """A cut header, a cut payload, or no payload at all."""
    where = int(rng.integers(3)) if _has_payload(message) else 0
    if where == 0:
        header = message.parts[0][: int(rng.integers(_identity_bytes(message)))]
        return _Held(_with_part(message, 0, header), "garbled")
    part, at = message.payload_part, message.payload_at
    whole = message.parts[part]
    if where == 1 and message.tells_size:
        return _Held(_with_part(message, part, whole[: at + int(rng.integers(len(whole) - at))]), "truncated")
    if where == 1 and len(whole) - at > BLOB_HEADER:
        cut = _with_part(message, part, whole[: at + int(rng.integers(BLOB_HEADER, len(whole) - at))])
        return _Held(cut, undecodable=range(message.first, message.first + message.count))
    kept = (*message.parts[:part], message.parts[part][:at]) if at else message.parts[:part]
    return _Held(replace(message, parts=kept), "truncated")


def _misshape(message: Outgoing, rng: np.random.Generator) -> _Held:
    """Frames of another shape, or of half the size; starts and ends have none."""
    if message.kind != "frames":
        return _Held(message)
    if message.misshapen is not None:
        return _Held(replace(message, parts=message.misshapen()), "misshapen")
    payload = message.parts[message.payload_part]
    smaller = payload[: len(payload) // 2] if message.sizes is None else _halved_blobs(payload, message.sizes)
    return _Held(_with_part(message, message.payload_part, smaller), "misshapen")


def _identity_bytes(message: Outgoing) -> int:
    """Bytes of part 0 that tell which frames the message is about."""
    return len(message.parts[0]) if message.identity_bytes is None else message.identity_bytes


def _has_payload(message: Outgoing) -> bool:
    part = message.payload_part
    return part < len(message.parts) and len(message.parts[part]) > message.payload_at


def _with_part(message: Outgoing, number: int, part: bytes | memoryview) -> Outgoing:
    parts = (*message.parts[:number], part, *message.parts[number + 1 :])
    return replace(message, parts=parts)


def _spoil_blob(message: Outgoing, which: int, rng: np.random.Generator) -> Outgoing | None:
    """Make the first block of a frame's blob claim more than 2 GiB; None when the blob has no blocks."""
    payload = bytearray(message.parts[message.payload_part])
    start = message.payload_at + sum((message.sizes or ())[:which])
    if int.from_bytes(payload[start : start + 8], "big") < MIN_BLOCK:
        return None
    payload[start + 12 : start + 16] = bytes([0x80 | int(rng.integers(128))]) + rng.bytes(3)
    return _with_part(message, message.payload_part, bytes(payload))


def _halved_blobs(payload: bytes | memoryview, sizes: tuple[int, ...]) -> bytes:
    """The payload with half the size in the first 8 bytes of every blob."""
    halved, start = bytearray(payload), 0
    for size in sizes:
        frame_bytes = int.from_bytes(halved[start : start + 8], "big")
        halved[start : start + 8] = (frame_bytes // 2).to_bytes(8, "big")
        start += size
    return bytes(halved)


DAMAGES: Mapping[str, Callable[[Outgoing, np.random.Generator], _Held]] = {
    "corrupt": _corrupt,
    "truncate": _truncate,
    "shape": _misshape,
}
