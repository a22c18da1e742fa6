"""The recorder's process as its supervisor sees it: what it is told, and where it begins.

Imports nothing that computes or knows HDF5: the supervisor stays light, the process loads recorder_loop.py
itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ..ring import ReaderPort

Compression = Literal["as_received", "bslz4"]
RECORDER = "recording"
"""Name of the recorder's process and of its edge in the accounts, and kind of its reports."""

PATIENCE_S = 5.0
"""The writer goes on without a recorder that stood still for so long: its disk hangs."""


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """What a recorder process is told at its start."""

    folder: str
    """Where the files go, one a series; made when it is not there."""
    children_address: str
    _: KW_ONLY
    compression: Compression = "as_received"
    """"bslz4" compresses the frames of raw series; frames that come compressed are never touched."""
    continuous: bool = True
    """Keep every series from the start; False: armed only, keeps nothing until it is told to."""
    flush_frames: int = 64
    """After so many frames, or ``flush_s``, what came is in the file whatever happens to the process."""
    flush_s: float = 0.5
    flush_pause_s: float = 0.02
    """Not more often than that for ``flush_frames``: a flush costs 0.2 ms however few frames it is for."""
    fsync_s: float = 1.0
    """At most so much is lost when the power fails."""
    name: str = RECORDER
    notes: str | None = None
    """A file that one process of this recorder leaves for the next, should it die."""


def run_recorder(options: RecorderOptions, port: ReaderPort) -> None:
    """Body of the recorder's process.

    ``port`` must be that of a lossless edge. What it says to its supervisor (kind, fields):

    ``recording``
        About twice a second, and at every change: ``state`` ("idle", "recording", "failed"), ``enabled``,
        ``file``, ``frames``, ``bytes``, ``seconds`` (since its start), ``bytes_per_s``, ``free_bytes``,
        ``seconds_left`` (None = unknown), ``error`` (why it stopped; None), ``warning`` (what may not fit).
    ``series_done``
        As a worker does: ``serial``, ``topics`` (none), and ``files``, those that hold frames of the series.

    What it obeys: ``{"do": "set", "name": "recording", "value": bool}``, ``{"do": "set", "name": "keep_last",
    "value": seconds}``, ``{"do": "parameters"}``, ``{"do": "stop"}``.
    """
    from ..child import loading, run_child

    give_way()
    with loading():
        from .recorder_loop import Recorder

    run_child(options.name, options.children_address, lambda child: Recorder(options, port, child).run())


def give_way() -> None:
    """Let this process never interrupt another that computes. Its share of the processors stays the same.

    A lower priority would keep it from the processors while other programs are busy; the ring would fill, and
    a detector that cannot wait would lose frames. Without privileges there is no way back from one.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
