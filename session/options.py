"""What the command line says of a session, beside the pipeline file. Frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..stream.processes import ProcessSpec
from ..stream.sources.plan import SourcePlan


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the command line says beside the pipeline file."""

    url: str
    """SOURCE; what is shown when ``plan`` says how the frames come."""
    series: int | None = None
    """End after so many series."""
    duration: float | None = None
    """End after so many seconds from READY."""
    out: Path | None = None
    control: str = "tcp://127.0.0.1:*"
    insecure_bind: bool = False
    must_begin: bool = True
    """Whether a first series is required within the pipeline's ``wait`` seconds (runs without a window)."""
    plan: SourcePlan | None = None
    """How frames come, where the url alone does not say (a replay); None = from the url."""
    record: Path | None = None
    """Keep every stream there, one file a series."""
    arm: Mapping[str, str] | None = None
    """Arm the detector over its control port with these settings beside the pipeline's; None = it is armed
    elsewhere."""
    karabo_out: str | None = None
    """Where results are offered to karabo-bridge clients, tcp://HOST:PORT."""
    sender: Mapping[str, Any] = field(default_factory=dict)
    """For simulated sources and files: fields of SenderOptions."""
    end_with_source: bool = True
    """Whether a simulated source or file that has ended ends the session."""
    headless: bool = True
    """Whether the viewer, if any, ends by itself when the session has ended."""
    viewer: Callable[[str], ProcessSpec] | None = None
    """Makes the viewer's process from the control address; None = no viewer."""
