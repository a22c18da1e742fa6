"""What a sender is asked to do, and what it says that it did. Plain values that travel between processes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import SourceError
from ..series import Encoding
from .fault_report import FaultReport


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """What to send, where to and how. Plain values: travels to a spawned process."""

    spec: str
    """``sim:NAME?key=value`` or a file; see open_acquisition."""
    endpoint: str
    """``tcp://HOST:PORT`` or ``ipc://PATH``, with ``bind+`` or ``connect+`` to say which."""
    rate: float | None = None
    """Frames per second; None = the acquisition's own, or as fast as possible where it has none; inf = as
    fast as possible."""
    batch: int | None = None
    """Frames per message; None = at most 8 MiB and 5 ms of them."""
    series_count: int = 1
    """How many series to send; 0 = endless."""
    repeat: int = 1
    """Rounds of the acquisition in each series; 0 = endless."""
    encoding: Encoding | None = None
    """None = as the acquisition is stored where the protocol can say it, else the protocol's own."""
    protocol: str = "livem"
    """How to speak; see dialects.DIALECTS."""
    fault: str = ""
    """What FaultSpec.parse reads."""
    truth_dir: str | None = None
    """Where to write the ground truth."""
    wait_s: float = 30.0
    """How long to wait for a receiver, at the start or after it has gone."""
    linger_s: float = 30.0
    """How long to wait at the end for what a slow receiver has still to take."""
    queue_bytes: int = 32 << 20
    """What ZeroMQ may hold for a slow receiver: half a second of the simulator's 2,000 frames/s of 128x128.
    Twice as much sends no faster; messages on their way to be freed take as much again."""
    insecure_bind: bool = False
    """Allow a bind beyond this machine."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class SeriesSent:
    """One series, as far as it was sent; after a restart the same number comes again with another epoch."""

    series: int
    epoch: str
    frames: int
    """Distinct frames that went out intact."""
    messages: int
    bytes: int
    seconds: float
    behind_s: float
    """The worst delay behind the schedule: above a few ms, the receiver did not keep up."""
    complete: bool
    """Whether the end message went out."""


@dataclass(frozen=True, slots=True)
class SendReport:
    """What a sender did."""

    address: str
    rate: float
    """Frames per second that were aimed at; inf = as fast as possible."""
    batch: int
    series: tuple[SeriesSent, ...]
    faults: FaultReport

    @property
    def frames(self) -> int:
        return sum(sent.frames for sent in self.series)

    @property
    def messages(self) -> int:
        return sum(sent.messages for sent in self.series)

    @property
    def seconds(self) -> float:
        return sum(sent.seconds for sent in self.series)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an endless rate is None."""
        return {
            "address": self.address,
            "rate": None if math.isinf(self.rate) else self.rate,
            "batch": self.batch,
            "series": [asdict(sent) for sent in self.series],
            "faults": self.faults.as_dict(),
        }


def _check(options: SenderOptions) -> None:
    if options.rate is not None and not options.rate > 0:
        raise SourceError(f"rate is {options.rate:g} frames/s; it must be above 0")
    for name, low in (("batch", 1), ("series_count", 0), ("repeat", 0), ("queue_bytes", 1)):
        value = getattr(options, name)
        if value is not None and value < low:
            raise SourceError(f"{name} is {value}; it must be at least {low}")
    for name in ("wait_s", "linger_s"):
        if not 0 <= getattr(options, name) < math.inf:
            raise SourceError(
                f"{name} is {getattr(options, name)}; it must be a number of seconds, at least 0"
            )
