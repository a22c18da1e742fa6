"""The worker process as its supervisor sees it: what it is told, and where it begins.

Imports nothing that computes: the supervisor stays light, the process loads worker_loop.py itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...stream.ring import ReaderPort
from ...stream.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker process is told at its start."""

    name: str
    type: str
    results_address: str
    children_address: str
    control_address: str = ""
    """Where results of other consumers are to be had; "" = nowhere."""
    params: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[Series, ...] = ()
    """Series like those to come: the consumer warms up on them before the session says ready."""
    threads: int = 0
    """That reduce frames; 0 = the machine's cores less one, at most 4."""
    device: str = "auto"
    """What reduces frames: "auto" is a GPU where there is one and the consumer can use it, else the CPU."""
    folder: str | None = None
    """Folder of the pipeline file, for ``module:Class``."""


def run_worker(options: WorkerOptions, port: ReaderPort) -> None:
    """Body of a worker process."""
    from ...stream.child import loading, run_child
    from ...stream.processes import leave_slowly
    from ..registry import BUILT_IN, importable_from

    is_ours = options.type in BUILT_IN
    with loading(is_ours):
        from .worker_loop import Worker

    if not is_ours:
        leave_slowly()
    with importable_from(options.folder):
        run_child(options.name, options.children_address, lambda child: Worker(options, port, child).run())
