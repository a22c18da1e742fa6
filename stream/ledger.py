"""The accounting of one series: every frame index below ``sent`` is received, lost or rejected, never two.

Interval sets instead of counters, so that duplicates are told exactly however late they come. Knows indices
only: no frames, no clock, no ring.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import msgpack

from .messages import Reason

Range = tuple[int, int]
"""Half-open: first index, one behind the last."""

MAX_RANGES = 65_536
"""Ranges kept in memory (5 MiB). A receiver that gets every other message of a 25,000 frames/s detector would
need a new one each 80 us for ever; above this the older half is settled."""
SNAPSHOT_RANGES = 1024
SNAPSHOT_BEYOND = 64
SNAPSHOT_BYTES = 24 << 10
"""Upper bound of ``snapshot()``: 19 bytes a range, and names and counters of all reasons."""
NO_END = 1 << 63


class RangeSet:
    """A set of integers kept as sorted, disjoint, half-open ranges that never touch.

    Growing at the end costs O(1), anything else a bisection and a move of list tails.
    """

    __slots__ = ("_size", "_starts", "_stops")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._size = 0
        for first, stop in ranges:
            self.add(first, stop)

    def __len__(self) -> int:
        """How many integers are in the set."""
        return self._size

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._starts, index) - 1
        return at >= 0 and index < self._stops[at]

    @property
    def ranges(self) -> list[Range]:
        return list(zip(self._starts, self._stops, strict=True))

    @property
    def range_count(self) -> int:
        return len(self._starts)

    @property
    def middle(self) -> int:
        """Where the newer half of the ranges begins; the set must not be empty."""
        return self._starts[len(self._starts) // 2]

    def since(self, floor: int) -> list[Range]:
        """The ranges that begin at or behind ``floor``."""
        at = bisect_left(self._starts, floor)
        return list(zip(self._starts[at:], self._stops[at:], strict=True))

    def last_starts(self, n: int) -> list[int]:
        return self._starts[-n:]

    def add(self, first: int, stop: int) -> list[Range]:
        """Put ``first <= i < stop`` in; return the sub-ranges that were not there."""
        if first >= stop:
            return []
        if not self._stops or first > self._stops[-1]:
            self._starts.append(first)
            self._stops.append(stop)
        elif first == self._stops[-1]:
            self._stops[-1] = stop
        else:
            return self._merge(first, stop)
        self._size += stop - first
        return [(first, stop)]

    def _merge(self, first: int, stop: int) -> list[Range]:
        new = self.missing(first, stop)
        low = bisect_left(self._stops, first)
        high = bisect_right(self._starts, stop)
        if low < high:
            first, stop = min(first, self._starts[low]), max(stop, self._stops[high - 1])
        self._starts[low:high] = [first]
        self._stops[low:high] = [stop]
        self._size += _total(new)
        return new

    def missing(self, first: int, stop: int) -> list[Range]:
        """The sub-ranges of ``first <= i < stop`` that are not in the set."""
        gaps = []
        for at in range(bisect_right(self._stops, first), len(self._starts)):
            if self._starts[at] >= stop:
                break
            if self._starts[at] > first:
                gaps.append((first, self._starts[at]))
            first = self._stops[at]
        if first < stop:
            gaps.append((first, stop))
        return gaps

    def remove(self, first: int, stop: int) -> list[Range]:
        """Take ``first <= i < stop`` out; return the sub-ranges that were there."""
        low = bisect_right(self._stops, first)
        high = bisect_left(self._starts, stop)
        if first >= stop or low >= high:
            return []
        touched = list(zip(self._starts[low:high], self._stops[low:high], strict=True))
        kept = [(touched[0][0], first), (stop, touched[-1][1])]
        kept = [(a, b) for a, b in kept if a < b]
        self._starts[low:high] = [a for a, _ in kept]
        self._stops[low:high] = [b for _, b in kept]
        gone = [(max(a, first), min(b, stop)) for a, b in touched]
        self._size -= _total(gone)
        return gone


class SeriesLedger:
    """What became of each frame index of one series.

    An index is *received* (its frame is in the ring), *rejected* for the first reason given, or *lost*. A
    rejected index whose frame still arrives whole becomes received; nothing ever leaves received.

    Parameters
    ----------
    announced : int, optional
        Frames that the start message promised; None when open-ended. Indices at or behind it are rejected as
        "beyond_count", and counted in ``beyond`` unless the sender's own end message covers them.

    Notes
    -----
    Memory is bounded: above MAX_RANGES ranges the indices below a *floor* are settled. What was lost there
    stays lost, and whatever else arrives for them counts as duplicate, for it can no longer be told apart.
    """

    def __init__(self, announced: int | None = None) -> None:
        self.announced = announced
        self.duplicate = 0
        """Frames that arrived and changed nothing."""
        self.late = 0
        """Frames received below the high-water mark of their time."""
        self._received = RangeSet()
        self._rejected: dict[str, RangeSet] = {}
        self._any_rejected = RangeSet()
        self._beyond = RangeSet()
        self._floor = 0
        self._settled_received = 0
        self._settled_rejected: dict[str, int] = {}
        self._high_water = 0
        self._said: int | None = None

    # -- what happens ----------------------------------------------------------------------------------

    def fresh(self, first: int, count: int) -> list[Range]:
        """The sub-ranges that ``receive`` would take as new; changes nothing."""
        return self._received.missing(max(first, self._floor), first + count)

    def receive(self, first: int, count: int) -> list[Range]:
        """Frames ``first .. first + count - 1`` are in the ring; return the sub-ranges that are new."""
        stop = first + count
        new = self._received.add(max(first, self._floor), stop)
        self.duplicate += count - _total(new)
        self.late += _total_below(new, self._high_water)
        if self._any_rejected or self._beyond:
            self._withdraw_rejections(new)
        self._high_water = max(self._high_water, stop)
        self._absorb_beyond(self._high_water)
        if self._received.range_count > MAX_RANGES:
            self._settle(self._received.middle)
        return new

    def _withdraw_rejections(self, ranges: list[Range]) -> None:
        for first, stop in ranges:
            self._beyond.remove(first, stop)
            if self._any_rejected.remove(first, stop):
                for rejected in self._rejected.values():
                    rejected.remove(first, stop)

    def reject(self, reason: str, first: int, count: int) -> list[Range]:
        """Frames that cannot be used; return the sub-ranges that were undecided until now.

        Indices already received or rejected keep what they are and count as duplicate. Indices behind the
        announced number are "beyond_count" whatever the reason.
        """
        stop = first + count
        inside = max(first, min(stop, self._inside_end(stop)))
        new = self._enter(reason, first, inside) + self._enter_beyond(inside, stop)
        self.duplicate += count - _total(new)
        if first < inside:
            self._high_water = max(self._high_water, inside)
        if self._any_rejected.range_count > MAX_RANGES:
            self._settle(self._any_rejected.middle)
        if self._beyond.range_count > MAX_RANGES:  # a sender gone mad; they are in no account anyway
            self._beyond.remove(self._beyond.middle, NO_END)
        return new

    def _inside_end(self, stop: int) -> int:
        """Where the series ends for what is rejected; ``stop`` when nothing says so."""
        bounds = [bound for bound in (self.announced, self._said) if bound is not None]
        return max(min(bounds), self._high_water) if bounds else stop

    def _enter(self, reason: str, first: int, stop: int) -> list[Range]:
        new = []
        for gap in self._received.missing(max(first, self._floor), stop):
            for undecided in self._any_rejected.add(*gap):
                self._rejected.setdefault(str(reason), RangeSet()).add(*undecided)
                new.append(undecided)
        return new

    def _enter_beyond(self, first: int, stop: int) -> list[Range]:
        """Below what the sender says it sent they belong to the series, behind it they do not."""
        covered = max(first, min(stop, self.sent or 0))
        new = self._enter(Reason.BEYOND_COUNT, first, covered)
        for gap in self._received.missing(covered, stop):
            new += self._beyond.add(*gap)
        return new

    def count_duplicate(self, count: int) -> None:
        """Frames found out as duplicates before they came here."""
        self.duplicate += count

    def end(self, sent: int | None) -> None:
        """The series is over; ``sent`` from the end message, None when there was none.

        Of several end messages the largest number counts.
        """
        if sent is None:
            return
        self._said = sent if self._said is None else max(self._said, sent)
        self._absorb_beyond(self._said)

    def _absorb_beyond(self, end: int) -> None:
        """What was refused below ``end`` belongs to the series after all."""
        if self._beyond:
            for first, stop in self._beyond.remove(0, end):
                self._enter(Reason.BEYOND_COUNT, first, stop)

    # -- the accounts ----------------------------------------------------------------------------------

    @property
    def high_water(self) -> int:
        """One more than the highest index that arrived and belongs to the series."""
        return self._high_water

    @property
    def sent(self) -> int | None:
        """Frames of the series by the end message, or more where more arrived; None before it."""
        return None if self._said is None else max(self._said, self._high_water)

    @property
    def received(self) -> int:
        return len(self._received) + self._settled_received

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected frames by reason; reasons without any are left out."""
        counts = dict(self._settled_rejected)
        for reason, ranges in self._rejected.items():
            counts[reason] = counts.get(reason, 0) + len(ranges)
        return {reason: count for reason, count in counts.items() if count}

    @property
    def beyond(self) -> int:
        """Rejected indices behind the end of the series: they are in no other account."""
        return len(self._beyond)

    @property
    def lost(self) -> int:
        """Frames below ``sent`` (below the high-water mark until that is known) that are in no other bin."""
        known = self._high_water if self.sent is None else self.sent
        return known - self.received - sum(self.rejected.values())

    @property
    def complete(self) -> bool:
        """Every frame that was promised, by the start and by the end message, is received."""
        promised = [number for number in (self.announced, self.sent) if number is not None]
        return bool(promised) and self.received == max(promised)

    @property
    def detail(self) -> str:
        """What the sender's own numbers contradict; empty when they agree."""
        if self._said is not None and self._said < self._high_water:
            return (
                f"the sender says it sent {self._said} frames, yet frame {self._high_water - 1} arrived: "
                f"counted as {self._high_water} sent"
            )
        if self.beyond:
            return f"{self.beyond} frames behind the end of the series were refused"
        return ""

    # -- bounds and crashes ----------------------------------------------------------------------------

    def _settle(self, floor: int) -> None:
        """Keep only numbers, no ranges, of what lies below ``floor``."""
        if floor <= self._floor:
            return
        self._floor = floor
        self._any_rejected.remove(0, floor)
        self._settled_received += _total(self._received.remove(0, floor))
        for reason, ranges in self._rejected.items():
            gone = _total(ranges.remove(0, floor))
            self._settled_rejected[reason] = self._settled_rejected.get(reason, 0) + gone

    def snapshot(self, max_ranges: int = SNAPSHOT_RANGES) -> bytes:
        """The ledger as bytes, at most SNAPSHOT_BYTES with the default.

        With more ranges than ``max_ranges`` the oldest are settled in the snapshot (not here): gaps there
        stay lost, so a restored ledger may call a very late frame a duplicate but counts none twice.
        """
        floor = self._snapshot_floor(max_ranges)
        received = self._received.since(floor)
        rejected = {reason: ranges.since(floor) for reason, ranges in self._rejected.items()}
        settled = {reason: n - _total(rejected.get(reason, ())) for reason, n in self.rejected.items()}
        numbers = [self.duplicate, self.late, self._high_water, floor, self.received - _total(received)]
        beyond = self._beyond.since(0)[:SNAPSHOT_BEYOND]
        packed: bytes = msgpack.packb(
            [self.announced, self._said, numbers, settled, received, rejected, beyond]
        )
        return packed

    def _snapshot_floor(self, max_ranges: int) -> int:
        sets = [self._received, *self._rejected.values()]
        if sum(ranges.range_count for ranges in sets) <= max_ranges:
            return self._floor
        starts = sorted(first for ranges in sets for first in ranges.last_starts(max_ranges))
        return starts[-max_ranges]

    @classmethod
    def restore(cls, data: bytes) -> SeriesLedger:
        """Go on from a snapshot (of one's own: it is trusted)."""
        announced, said, numbers, settled, received, rejected, beyond = msgpack.unpackb(data)
        ledger = cls(announced)
        ledger._said, ledger._settled_rejected = said, settled
        ledger.duplicate, ledger.late, ledger._high_water, ledger._floor, ledger._settled_received = numbers
        ledger._received, ledger._beyond = RangeSet(received), RangeSet(beyond)
        ledger._rejected = {reason: RangeSet(ranges) for reason, ranges in rejected.items()}
        ledger._any_rejected = RangeSet(pair for ranges in rejected.values() for pair in ranges)
        return ledger


def _total(ranges: Iterable[Range]) -> int:
    return sum(stop - first for first, stop in ranges)


def _total_below(ranges: Iterable[Range], end: int) -> int:
    return sum(min(stop, end) - first for first, stop in ranges if first < end)
