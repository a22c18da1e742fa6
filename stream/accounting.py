"""The accounts of a session, read from the ring's tables: what the status shows and the summary says.

Reads, and writes one word (``note_settled``); safe beside a running or a crashed writer, since every number
lies in shared memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import RingError
from .ledger import SeriesLedger
from .messages import UNASCRIBED
from .ring import Ring
from .ring_layout import (
    D_ARRIVAL,
    E_FINAL,
    E_FIRST_RESULT_NS,
    E_HISTOGRAM,
    E_LAST_RESULT_NS,
    E_PROCESSED,
    E_SERIAL,
    E_TORN,
    H_BLOCKED_BY,
    H_BLOCKED_NS,
    H_HEAD,
    H_NEXT_SERIAL,
    H_TAIL,
    H_UNASCRIBED,
    HISTOGRAM_BINS,
    R_GENERATION,
    S_FIRST_ARRIVAL,
    S_LAST_ARRIVAL,
    S_LEDGER_STAMP,
    Words,
    histogram_percentile,
    merge_dropped,
)
from .ring_table import is_known, ledger_of, received_in_ring, series_of, state_of
from .series import Series, SeriesKey

Account = dict[str, Any]
Records = dict[str, Words]
"""Counters of one serial by consumer."""
ATTEMPTS = 3
KEYS_KEPT = 8
"""Series whose parts are remembered; only the newest can still go on."""


class Accounts:
    """Reads one ring."""

    def __init__(self, ring: Ring) -> None:
        self._ring, self._views = ring, ring.views
        self._parts: dict[SeriesKey, dict[int, Records]] = {}

    def close(self) -> None:
        """Let go of the ring's memory."""
        del self._views

    def series_count(self) -> int:
        """Series that began so far; their serials are 0 .. n - 1."""
        return int(self._views.header[H_NEXT_SERIAL])

    def series(self, serial: int) -> Series | None:
        """The announced series; None when it is no longer in the table."""
        with contextlib.suppress(RingError):  # it may leave the table while it is read
            return series_of(self._views, serial)
        return None

    def note_settled(self, series: int) -> None:
        """The first ``series`` series are written down: the ring may use their places in its table again."""
        self._ring.note_settled(series)

    def is_over(self, serial: int) -> bool:
        """Whether the series has ended at the source's side."""
        return state_of(self._views, serial)[0] != "open"

    def is_final(self, serial: int, names: Iterable[str]) -> bool:
        """Whether all these consumers have given out their last results of the series."""
        return all(self._edge(name, serial)[E_FINAL] for name in names)

    def looked_at(self, serial: int, name: str) -> int:
        """Frames of the series that a consumer has processed or dropped: it grows while it works."""
        record = self._copy(name, serial)
        return int(record[E_PROCESSED]) + sum(merge_dropped(record).values())

    def _edge(self, name: str, serial: int) -> Words:
        return self._views.edge(self._ring.row(name), serial)

    def _copy(self, name: str, serial: int) -> Words:
        """The consumer's counters as they are now; zeros where it has not begun the series."""
        record = self._edge(name, serial).copy()
        return record if record[E_SERIAL] == serial + 1 else np.zeros_like(record)

    def of(self, serial: int) -> Account:
        """The account of one series, with the keys of the session summary (DESIGN, section 5).

        A series whose sender was lost and came back has a serial for each part: the account is that of all
        parts up to this one. Exact while writer and readers run: the edges are read before the ledger, so
        that every frame which they count is in the ledger that is read then.

        Raises RingError when the series has left the table.
        """
        account = self._read(serial)
        for _ in range(ATTEMPTS):
            if all(edge["in_flight"] >= 0 for edge in account["edges"].values()):
                break
            account = self._read(serial)  # a reader began anew between two of its counters
        for edge in account["edges"].values():
            edge["in_flight"] = max(0, edge["in_flight"])
        return account

    def _read(self, serial: int) -> Account:
        parts = self._parts_of(serial)
        records = {name: _together([p[name] for p in parts.values() if name in p]) for name in parts[serial]}
        state, reason = state_of(self._views, serial)
        series, ledger = series_of(self._views, serial), self._ledger(parts)
        if state != "open" and ledger.detail:
            reason = f"{reason}; {ledger.detail}" if reason else ledger.detail
        return {
            "series": series.key.number,
            "epoch": series.key.epoch.hex(),
            "state": state,
            "reason": reason or None,
            "announced": series.count,
            "sent": ledger.sent,
            "received": ledger.received,
            "lost": ledger.lost,
            "duplicate": ledger.duplicate,
            "late": ledger.late,
            "rejected": ledger.rejected,
            "edges": {name: self._account_of(name, records[name], ledger.received) for name in records},
            **self._times(parts, list(records.values()), ledger.received),
        }

    def _parts_of(self, serial: int) -> dict[int, Records]:
        """Counters of all edges by serial, the newest first: of this one, and of those that it goes on from.

        What has left the table of 32 meanwhile is remembered from the reading before.
        """
        key = series_of(self._views, serial).key
        former = self._parts.pop(key, {})
        parts: dict[int, Records] = {}
        for part in range(serial, -1, -1):
            series = self.series(part)
            if series is not None and series.key == key:
                parts[part] = {spec.name: self._copy(spec.name, part) for spec in self._ring.awake()}
            elif part in former:
                parts[part] = former[part]
            else:
                break
        self._parts[key] = parts
        if len(self._parts) > KEYS_KEPT:
            del self._parts[next(iter(self._parts))]
        return parts

    def _ledger(self, parts: Iterable[int]) -> SeriesLedger:
        """The newest ledger of a series, read whole; a part has its own from its first block on."""
        for part in parts:
            data = self._whole_ledger(part) if is_known(self._views, part) else None
            if data is not None:
                return SeriesLedger.restore(data)
        return SeriesLedger(series_of(self._views, next(iter(parts))).count)

    def _whole_ledger(self, serial: int) -> bytes | None:
        """A snapshot that the writer did not touch while it was copied."""
        words = self._views.series_words(serial)
        while True:
            before = words[S_LEDGER_STAMP : S_LEDGER_STAMP + 2].copy()
            data = ledger_of(self._views, serial)
            if (words[S_LEDGER_STAMP : S_LEDGER_STAMP + 2] == before).all():
                return data

    def _account_of(self, name: str, record: Words, received: int) -> Account:
        """One edge: received = processed + dropped + in_flight."""
        row = self._ring.row(name)
        dropped, processed = merge_dropped(record), int(record[E_PROCESSED])
        return {
            "policy": str(self._ring.readers[row].policy),
            "processed": processed,
            "dropped": dropped,
            "in_flight": received - processed - sum(dropped.values()),
            "torn": int(record[E_TORN]),
            "restarts": max(0, int(self._views.rows[row, R_GENERATION]) - 1),
            "latency_ms": _percentiles(record[E_HISTOGRAM : E_HISTOGRAM + HISTOGRAM_BINS]),
        }

    def _times(self, parts: Iterable[int], records: list[Words], received: int) -> Account:
        known = [self._views.series_words(part) for part in parts if is_known(self._views, part)]
        first, last = int(known[-1][S_FIRST_ARRIVAL]), int(known[0][S_LAST_ARRIVAL])
        shown = [int(record[E_FIRST_RESULT_NS]) for record in records if record[E_FIRST_RESULT_NS]]
        done = [int(record[E_LAST_RESULT_NS]) for record in records if record[E_LAST_RESULT_NS]]
        histogram = sum((r[E_HISTOGRAM : E_HISTOGRAM + HISTOGRAM_BINS] for r in records), np.uint64(0))
        return {
            "latency_ms": _percentiles(np.atleast_1d(histogram)),
            "first_result_ms": round((min(shown) - first) / 1e6, 3) if shown and first else None,
            "last_result_ms": round((max(done) - last) / 1e6, 3) if done and last else None,
            "frames_per_second": round(received / ((last - first) / 1e9), 1) if last > first else None,
        }

    def unascribed(self) -> dict[str, int]:
        """What was rejected and belongs to no frame of a series, by reason."""
        counts = self._views.header[H_UNASCRIBED : H_UNASCRIBED + len(UNASCRIBED)]
        return {str(reason): int(n) for reason, n in zip(UNASCRIBED, counts, strict=True) if n}

    def ring(self) -> Account:
        """Fill and back-pressure of the ring."""
        header = self._views.header
        blocked_by = int(header[H_BLOCKED_BY])
        return {
            "bytes": self._ring.layout.data_bytes,
            "blocks": int(header[H_HEAD]) - int(header[H_TAIL]),
            "seconds": self._seconds_kept(),
            "blocks_total": int(header[H_HEAD]),
            "waited_s": round(int(header[H_BLOCKED_NS]) / 1e9, 3),
            "waiting_for": self._ring.readers[blocked_by - 1].name if blocked_by else None,
        }

    def _seconds_kept(self) -> float:
        """How far back the ring goes: from its oldest block's arrival to its newest's."""
        header, slots = self._views.header, self._views.slots
        head, tail = int(header[H_HEAD]), int(header[H_TAIL])
        if head == tail:
            return 0.0
        oldest, newest = (int(slots[seq % len(slots), D_ARRIVAL]) for seq in (tail, head - 1))
        return round(max(0, newest - oldest) / 1e9, 2)

    def entered(self) -> tuple[int, int]:
        """(frames, bytes) of the newest series that entered the ring so far: for rates."""
        serial = self.series_count() - 1
        if serial < 0:
            return 0, 0
        series = series_of(self._views, serial)
        frames = received_in_ring(self._views, serial)
        return frames, frames * series.frame_bytes


def _percentiles(histogram: Any) -> dict[str, float | None]:
    return {
        name: None if (value := histogram_percentile(histogram, percent)) is None else round(value, 3)
        for name, percent in (("p50", 50.0), ("p95", 95.0), ("p99", 99.0))
    }


def _together(records: list[Words]) -> Words:
    """Counters of one edge over all parts of a series."""
    total: Words = np.sum(records, axis=0, dtype=np.uint64)
    shown = [record[E_FIRST_RESULT_NS] for record in records if record[E_FIRST_RESULT_NS]]
    total[E_FIRST_RESULT_NS] = min(shown, default=0)
    total[E_LAST_RESULT_NS] = max(record[E_LAST_RESULT_NS] for record in records)
    return total
