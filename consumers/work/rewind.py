"""The process that looks back, as its supervisor sees it: what it is told, and where it begins.

Imports nothing that computes: the supervisor stays light, the process loads rewind_loop.py itself.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from ...stream.ring import HistoryPort

NICE = 10
"""A tenth of the share of a process that computes, where both want the processor."""
REWIND = "rewind"
"""Name of the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindOptions:
    """What the process is told at its start."""

    children_address: str
    folder: str
    """Where clips go."""
    recording: str = ""
    """FILE that the session plays, where it does."""
    name: str = REWIND


def run_rewind(options: RewindOptions, port: HistoryPort) -> None:
    """Body of the process that shows frames of the ring again and writes clips. What it obeys:

    ``rewind``
        ``epoch``, ``series``, ``index``, ``toward`` and ``look``: parameters of the preview whose picture is
        wanted. Its answer has ``found`` and comes with the picture, or says ``why`` there is none.
    ``pixels``
        The same with ``part``, ``[top, left, bottom, right, factor]`` of the frame, in place of ``toward``.
    ``clip``
        ``epoch``, ``series``, ``first``, ``stop``, ``format``: begin to write. Without ``first``: how it
        goes.
    """
    from ...stream.child import loading, run_child

    step_back()
    with loading():
        from .rewind_loop import Rewind

    run_child(options.name, options.children_address, lambda child: Rewind(options, port, child).run())


def step_back() -> None:
    """Let everybody else go first: whoever looks back can wait some ms longer, a detector cannot."""
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.nice(NICE)
