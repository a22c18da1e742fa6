"""Where everything lies in the ring's segment: word numbers, table sizes, and typed views.

One segment = header page, reader rows, edge counters (reader x series), series table, slots (block
descriptors), arena (the blocks' bytes). All words are uint64. Imports no numba: the supervisor reads
counters through these views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

MAGIC = 0x6C6976656D303031
"""The ASCII of "livem001"."""
VERSION = 1
PAGE = 4096

# --- header page -----------------------------------------------------------------------------------
H_MAGIC, H_VERSION, H_SESSION, H_OWNER_PID, H_OWNER_BEAT = 0, 1, 2, 3, 4
H_DATA_BYTES, H_SLOTS, H_READERS = 5, 6, 7
# Words that one side writes while the other reads stand on cache lines of their own (8 words).
H_HEAD, H_TAIL, H_WRITER_WAITING = 64, 72, 80
H_WRITER_PID, H_WRITER_BEAT, H_WRITER_GENERATION, H_BLOCKED_NS, H_BLOCKED_BY = 88, 89, 90, 91, 92
H_NEXT_SERIAL, H_SETTLED = 96, 104
"""Series opened so far; series that the owner has written down (NOBODY: no owner keeps accounts)."""
NOBODY = 1 << 63
H_UNASCRIBED = 128
UNASCRIBED_SLOTS = 64

# --- reader row ------------------------------------------------------------------------------------
ROW_WORDS = 64
R_GATES, R_CURSOR, R_WAITING = 0, 8, 16
R_PID, R_STARTED, R_BEAT, R_GENERATION, R_TORN, R_ERRORS = 24, 25, 26, 28, 29, 30
R_AT_WORK, R_SUSPECT, R_STRIKES = 31, 32, 33
"""Block (seq + 1) that the reader's process is working on; the one that it last died on, and how often."""
R_PATIENCE, R_PASSED = 34, 35
"""How long the writer waits for this reader while it stands still (ns, 0 = without limit); 1 once it went on
without it, until the reader has caught up."""
R_FAULTS = 36
"""How often this reader's process ended because of what it computes on (a GPU, say)."""
R_POISON, POISON_KEPT = 40, 24
"""Blocks (seq + 1) that have killed too many processes."""

# --- edge counters: one record per reader and remembered series -------------------------------------
SERIES_KEPT = 32
EDGE_WORDS = 512
E_SERIAL, E_PROCESSED, E_TORN, E_FIRST_RESULT_NS, E_LAST_RESULT_NS, E_FINAL = 0, 1, 2, 3, 4, 5
"""E_FINAL: 0, or once the last results are out the block behind the series' END: where a restart begins."""
E_DROPPED = 8
E_HISTOGRAM = 64
HISTOGRAM_BINS = 256
DROP_REASONS = (
    "skipped",
    "lapped",
    "late",
    "undecodable",
    "consumer_error",
    "policy",
    "restart",
    "stopped",
    "not_recorded",
    "switched_off",
)

assert len(DROP_REASONS) <= E_HISTOGRAM - E_DROPPED

# --- series table ----------------------------------------------------------------------------------
HEADER_BYTES = 65_536 + 4_096
"""A start header of livem/1 at its largest, and the paths of a series' tables."""
LEDGER_BYTES = 32_768
REASON_BYTES = 1_024
S_WORDS = 64
S_SERIAL, S_START_SEQ, S_END_SEQ, S_HEADER_SIZE, S_FIRST_ARRIVAL, S_LAST_ARRIVAL = 0, 1, 2, 3, 4, 5
S_STATE, S_REASON_SIZE = 6, 7
S_LEDGER_STAMP, S_LEDGER_SIZE = 8, 10
"""Two buffers each: the ledger as it was after the block whose ``seq + 1`` the stamp is."""
S_ENTERED = 12
"""Frames that entered the ring; exact once the series has ended."""
OPEN, COMPLETE, INCOMPLETE = 0, 1, 2
STATE_NAMES = ("open", "complete", "incomplete")
SERIES_BYTES = 8 * S_WORDS + HEADER_BYTES + REASON_BYTES + 2 * LEDGER_BYTES

# --- slots -----------------------------------------------------------------------------------------
SLOT_WORDS = 16
D_STAMP, D_BEGIN, D_END, D_NBYTES, D_KIND, D_SERIAL, D_FIRST, D_COUNT, D_ORDINAL = range(9)
D_TIME, D_ARRIVAL, D_FLAGS = 9, 10, 11
K_FRAMES, K_START, K_END = 0, 1, 2
F_LATE, F_SIZES, F_POSITIONS, F_TIME = 1, 2, 4, 8


def _pages(nbytes: int) -> int:
    return -(-nbytes // PAGE) * PAGE


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of one ring, from which every address follows."""

    data_bytes: int
    """Bytes of the arena, a multiple of the page size."""
    readers: int
    slots: int = 16_384
    """Blocks that can be remembered at once: 200 blocks/s (one each 5 ms) are 80 s."""

    @property
    def rows_at(self) -> int:
        return PAGE

    @property
    def edges_at(self) -> int:
        return self.rows_at + _pages(8 * ROW_WORDS * self.readers)

    @property
    def series_at(self) -> int:
        return self.edges_at + _pages(8 * EDGE_WORDS * SERIES_KEPT * self.readers)

    @property
    def slots_at(self) -> int:
        return self.series_at + _pages(SERIES_BYTES * SERIES_KEPT)

    @property
    def arena_at(self) -> int:
        return self.slots_at + _pages(8 * SLOT_WORDS * self.slots)

    @property
    def total_bytes(self) -> int:
        return self.arena_at + self.data_bytes

    @property
    def max_block_bytes(self) -> int:
        """A quarter of the arena: the writer fills one block while readers hold others."""
        return self.data_bytes // 4


class Views:
    """Typed views of a segment's memory, one attribute a table."""

    def __init__(self, memory: Bytes, layout: Layout) -> None:
        def words(start: int, stop: int, *shape: int) -> Words:
            count = int(np.prod(shape))
            return memory[start:stop][: 8 * count].view(np.uint64).reshape(shape)

        self.layout = layout
        self.header = words(0, PAGE, PAGE // 8)
        self.rows = words(layout.rows_at, layout.edges_at, layout.readers, ROW_WORDS)
        self.edges = words(layout.edges_at, layout.series_at, layout.readers, SERIES_KEPT, EDGE_WORDS)
        self._series = memory[layout.series_at : layout.series_at + SERIES_BYTES * SERIES_KEPT].reshape(
            SERIES_KEPT, SERIES_BYTES
        )
        self.slots = words(layout.slots_at, layout.arena_at, layout.slots, SLOT_WORDS)
        self.arena = memory[layout.arena_at : layout.arena_at + layout.data_bytes]
        self.stored = self.arena[:]
        self.stored.flags.writeable = False

    def series_words(self, serial: int) -> Words:
        return self._series[serial % SERIES_KEPT, : 8 * S_WORDS].view(np.uint64)

    def _series_bytes(self, serial: int, start: int, size: int) -> Bytes:
        start += 8 * S_WORDS
        return self._series[serial % SERIES_KEPT, start : start + size]

    def series_header(self, serial: int) -> Bytes:
        return self._series_bytes(serial, 0, HEADER_BYTES)

    def series_reason(self, serial: int) -> Bytes:
        return self._series_bytes(serial, HEADER_BYTES, REASON_BYTES)

    def series_ledger(self, serial: int, side: int) -> Bytes:
        return self._series_bytes(serial, HEADER_BYTES + REASON_BYTES + side * LEDGER_BYTES, LEDGER_BYTES)

    def edge(self, reader: int, serial: int) -> Words:
        record: Words = self.edges[reader, serial % SERIES_KEPT]
        return record


def histogram_bin(nanoseconds: int) -> int:
    """Bin of a latency: 8 bins an octave from 1 us up (9 % wide), 256 bins."""
    microseconds = max(nanoseconds, 1000) / 1000
    return min(int(8 * np.log2(microseconds)), HISTOGRAM_BINS - 1)


def histogram_percentile(histogram: npt.NDArray[Any], percent: float) -> float | None:
    """Latency in ms below which ``percent`` of the frames lie; None when there are none."""
    total = int(histogram.sum())
    if total == 0:
        return None
    rank = percent / 100 * total
    found = int(np.searchsorted(np.cumsum(histogram), rank))
    return float(2 ** ((found + 0.5) / 8)) / 1000


def merge_dropped(record: Words) -> dict[str, int]:
    """Dropped frames by reason of one edge record; reasons that never happened are left out."""
    counts = record[E_DROPPED : E_DROPPED + len(DROP_REASONS)]
    return {reason: int(n) for reason, n in zip(DROP_REASONS, counts, strict=True) if n}
