"""What a running session says of itself: rates, and one sentence for the status line.

Knows accounts and clocks; touches no process and sends nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..stream.accounting import Account, Accounts
from ..stream.series import Series
from .alarms import ALARM_LENGTH

SAMPLES = 10
"""One each 0.2 s: the rates are those of the last two seconds."""
DETAIL_LENGTH = 500
"""A status may have 64 kB in all."""
SILENT_S, SILENT_FRAMES = 1.0, 20
"""An open series is called silent after the longer of these: seconds, or frame times."""


class Rates:
    """Frames and bytes a second over the last samples of the newest series, and for how long none came."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int, int, int]] = deque(maxlen=SAMPLES)
        self._so_far: tuple[int, int] | None = None
        self._grown_at = 0.0
        self.silent_s = 0.0
        """Seconds without a new frame, or a new series, at the last sample."""

    def take(self, serial: int, frames: int, nbytes: int) -> dict[str, float]:
        """Enter what has come so far; returns the rates per second."""
        now = self._clock()
        if self._so_far != (serial, frames):
            self._so_far, self._grown_at = (serial, frames), now
        self.silent_s = now - self._grown_at
        self._samples.append((now, serial, frames, nbytes))
        since, _, frames_then, bytes_then = next(s for s in self._samples if s[1] == serial)
        span = now - since
        return {
            "frames_per_second": round((frames - frames_then) / span, 1) if span > 0 else 0.0,
            "bytes_per_second": round((nbytes - bytes_then) / span, 1) if span > 0 else 0.0,
        }


def describe(state: str, url: str, source: Mapping[str, Any], current: Account | None) -> str:
    """What the session is doing now, in words."""
    if state == "starting":
        return "starting"
    if current is None:
        return f"waiting for {url}: {'; '.join(_what_is_there(source, 'no sender yet'))}"
    if current["state"] == "open":
        return f"series {current['series']} {_what_happens(source, current.get('silent_s'))}"
    why = f": {current['reason']}" if current["reason"] else ""
    return f"series {current['series']} is {current['state']}{why}"


def _what_happens(source: Mapping[str, Any], silent_s: float | None) -> str:
    if (source.get("replay") or {}).get("paused"):
        return "is paused"
    return "is being received" if silent_s is None else f"has had no frames for {silent_s:.1f} s"


def stream_status(accounts: Accounts, rates: Rates) -> dict[str, Any]:
    """The newest series, its edges and the ring, as plain values."""
    serial = accounts.series_count() - 1
    current = accounts.of(serial) if serial >= 0 else None
    now, ring = rates.take(serial, *accounts.entered()), accounts.ring()
    if current is not None:
        if current["state"] != "open":
            now = _rates_of(current, accounts.series(serial))
        told = None if ring["waiting_for"] else _silence(current, accounts.series(serial), rates.silent_s)
        current["silent_s"] = told  # a detector that is made to wait is not silent
    return {
        "series": current,
        "edges": current["edges"] if current else {},
        "rates": now,
        "latency_ms": current["latency_ms"] if current else {"p50": None, "p95": None, "p99": None},
        "ring": ring,
        "unascribed": accounts.unascribed(),
    }


def _rates_of(over: Account, series: Series | None) -> dict[str, float]:
    """Of a series that is over: its own, from first frame to last, as its account says."""
    frames = over["frames_per_second"] or 0.0
    nbytes = 0.0 if series is None else round(frames * series.frame_bytes, 1)
    return {"frames_per_second": frames, "bytes_per_second": nbytes}


def _silence(current: Account, series: Series | None, silent_s: float) -> float | None:
    """Seconds without a frame of an open series, when they are more than its own rhythm explains.

    Only frames tell: a frozen sender keeps its connection, and the series stays open (a scan may pause).
    """
    rate = current["frames_per_second"]
    frame_time = (series.meta.get("frame_time") if series else None) or (1 / rate if rate else 0.0)
    usual = max(SILENT_S, SILENT_FRAMES * frame_time)
    return round(silent_s, 1) if current["state"] == "open" and silent_s > usual else None


def brief(status: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """A status that is too long to be sent, without what may have made it so."""
    source = {key: value for key, value in status["source"].items() if key != "refused"}
    return {**status, "alarms": [], "stages": [], "message": str(error)[:ALARM_LENGTH], "source": source}


def source_status(url: str, source: Mapping[str, Any], armed: str = "") -> dict[str, Any]:
    """The source by what ingest last said of it, and what the detector was armed with."""
    detail = str(source.get("detail", ""))[:DETAIL_LENGTH]
    known = {"url": url, "peers": source.get("peers", 0), "detail": detail}
    extra = {
        "armed": armed[:DETAIL_LENGTH],
        "replay": source.get("replay"),
        "refused": source.get("refused"),
    }
    return known | {key: value for key, value in extra.items() if value}


def nothing_came(url: str, source: Mapping[str, Any], wait: float) -> str:
    """Why a run without a window has ended before its first series."""
    head = f"no series began at {url} within {wait:g} s: "
    head += "; ".join(_what_is_there(source, "no sender has connected"))
    refused = source.get("refused")
    if refused:
        return head if refused.get("advice") else f"{head}; correct what the sender sends"
    return (
        f"{head}; check that the detector is armed, that address and port are right, or wait longer (--wait)"
    )


def _what_is_there(source: Mapping[str, Any], nobody: str) -> Iterator[str]:
    """The connection in words, and what came that is no series."""
    peers = source.get("peers")
    yield str(source.get("detail") or (f"{peers} connected" if peers else nobody))[:DETAIL_LENGTH]
    if refused := source.get("refused"):
        count = refused.get("count")
        yield f"{count:,} refused{', the first' if count != 1 else ''}: {refusal_text(refused)}"


def refusal_text(refused: Mapping[str, Any]) -> str:
    """What was wrong with a message, its reason's name, and the next step where one is known."""
    advice = refused.get("advice")
    text = f"{refused.get('text')} ({refused.get('reason')}){f'; {advice}' if advice else ''}"
    return text[:DETAIL_LENGTH]
