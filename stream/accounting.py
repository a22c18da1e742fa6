"""The accounts of a session, read from the ring's tables: what the status shows and the summary says.

Reads only; safe beside a running or a crashed writer, since every number lies in shared memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

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
    Words,
    histogram_percentile,
    merge_dropped,
)
from .ring_table import is_known, ledger_of, received_in_ring, series_of, state_of
from .series import Series

Account = dict[str, Any]


class Accounts:
    """Reads one ring."""

    def __init__(self, ring: Ring) -> None:
        self._ring, self._views = ring, ring.views

    def series_count(self) -> int:
        """Series that began so far; their serials are 0 .. n - 1."""
        return int(self._views.header[H_NEXT_SERIAL])

    def series(self, serial: int) -> Series | None:
        """The announced series; None when it is no longer in the table."""
        return series_of(self._views, serial) if is_known(self._views, serial) else None

    def is_over(self, serial: int) -> bool:
        """Whether the series has ended at the source's side."""
        return state_of(self._views, serial)[0] != "open"

    def is_final(self, serial: int, names: Iterable[str]) -> bool:
        """Whether all these consumers have given out their last results of the series."""
        return all(self._edge(name, serial)[E_FINAL] for name in names)

    def _edge(self, name: str, serial: int) -> Words:
        return self._views.edge(self._ring.row(name), serial)

    def of(self, serial: int) -> Account:
        """The account of one series, with the keys of the session summary (DESIGN, section 5)."""
        series = series_of(self._views, serial)
        data = ledger_of(self._views, serial)
        ledger = SeriesLedger(series.count) if data is None else SeriesLedger.restore(data)
        state, reason = state_of(self._views, serial)
        if state != "open" and ledger.detail:
            reason = f"{reason}; {ledger.detail}" if reason else ledger.detail
        edges = {spec.name: self.edge(spec.name, serial) for spec in self._ring.readers}
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
            "edges": edges,
            **self._times(serial),
        }

    def edge(self, name: str, serial: int) -> Account:
        """The account of one consumer edge: received = processed + dropped + in_flight."""
        spec = self._ring.readers[self._ring.row(name)]
        entered = received_in_ring(self._views, serial)
        record = self._edge(name, serial)
        if record[E_SERIAL] != serial + 1:
            record = np.zeros_like(record)
        dropped = merge_dropped(record)
        processed = int(record[E_PROCESSED])
        histogram = record[E_HISTOGRAM : E_HISTOGRAM + HISTOGRAM_BINS]
        return {
            "policy": str(spec.policy),
            "processed": processed,
            "dropped": dropped,
            "in_flight": max(0, entered - processed - sum(dropped.values())),
            "torn": int(record[E_TORN]),
            "restarts": max(0, int(self._views.rows[self._ring.row(name), R_GENERATION]) - 1),
            "latency_ms": _percentiles(histogram),
        }

    def _times(self, serial: int) -> Account:
        words = self._views.series_words(serial)
        first, last = int(words[S_FIRST_ARRIVAL]), int(words[S_LAST_ARRIVAL])
        records = [self._edge(spec.name, serial) for spec in self._ring.readers]
        records = [record for record in records if record[E_SERIAL] == serial + 1]
        shown = [int(record[E_FIRST_RESULT_NS]) for record in records if record[E_FIRST_RESULT_NS]]
        done = [int(record[E_LAST_RESULT_NS]) for record in records if record[E_LAST_RESULT_NS]]
        histogram = sum((r[E_HISTOGRAM : E_HISTOGRAM + HISTOGRAM_BINS] for r in records), np.uint64(0))
        frames = received_in_ring(self._views, serial)
        return {
            "latency_ms": _percentiles(np.atleast_1d(histogram)),
            "first_result_ms": round((min(shown) - first) / 1e6, 3) if shown and first else None,
            "last_result_ms": round((max(done) - last) / 1e6, 3) if done and last else None,
            "frames_per_second": round(frames / ((last - first) / 1e9), 1) if last > first else None,
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
        """(frames, bytes) of the newest series that are in the ring: for rates."""
        serial = self.series_count() - 1
        if serial < 0:
            return 0, 0
        series = series_of(self._views, serial)
        frames = received_in_ring(self._views, serial)
        return frames, frames * series.frame_bytes


def _percentiles(histogram: Any) -> dict[str, float | None]:
    return {
        name: None if (value := histogram_percentile(histogram, percent)) is None else round(value, 3)
        for name, percent in (("p50", 50.0), ("p99", 99.0))
    }


def joined(former: Account, later: Account) -> Account:
    """Two accounts of one series that was interrupted and went on, as one."""
    edges = {}
    for name, edge in later["edges"].items():
        before = former["edges"].get(name, {"processed": 0, "dropped": {}, "torn": 0})
        reasons = set(before["dropped"]) | set(edge["dropped"])
        edges[name] = {
            **edge,
            "processed": before["processed"] + edge["processed"],
            "torn": before["torn"] + edge["torn"],
            "dropped": {r: before["dropped"].get(r, 0) + edge["dropped"].get(r, 0) for r in sorted(reasons)},
        }
    return {**later, "edges": edges, "first_result_ms": former["first_result_ms"]}
