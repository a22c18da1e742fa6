"""The ingest process as its supervisor sees it: what it is told, and where it begins.

Imports nothing that compiles: the supervisor stays light, the process loads ingest_loop.py itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from .heap import keep_large_blocks
from .messages import Limits
from .ring import WriterPort
from .series import Scan
from .sources.base import Source

MS = 1_000_000
NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class AssemblerOptions:
    """Limits in time and number; the defaults are for a display beside the microscope."""

    _: KW_ONLY
    max_latency_ns: int = 5 * MS
    reorder_messages: int = 32
    """Messages held back while an earlier one is missing."""
    reorder_bytes: int = 64 << 20
    reorder_ns: int = 20 * MS
    """How long at most: at 100 frames/s 32 messages would be 320 ms of standing picture."""
    end_grace_ns: int = 100 * MS
    """How long stragglers are awaited after an END that came before them."""
    link_grace_ns: int = 400 * MS
    """From the sender's disappearance to the series' end: time for a reconnect (100 ms)."""
    idle_timeout_ns: int = 10_000 * MS
    """A series with a living sender that sends nothing for so long is closed."""
    block_bytes: int = 8 << 20
    default_scan: Scan | None = None
    """Given to series that announce none."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What the ingest process is told at its start."""

    make_source: Callable[[Limits], Source]
    """Picklable factory of the source."""
    children_address: str
    _: KW_ONLY
    assembler: AssemblerOptions = field(default_factory=AssemblerOptions)
    name: str = "ingest"
    tables_folder: Path | None = None
    """Where the arrays of a series (pixel mask, ...) are kept for the session's other processes."""


def run_ingest(options: IngestOptions, port: WriterPort) -> None:
    """Body of the ingest process."""
    from .child import loading, run_child

    with loading():
        from .ingest_loop import Ingest

    keep_large_blocks()
    run_child(options.name, options.children_address, lambda child: Ingest(options, port, child).run())
