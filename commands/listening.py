"""What a detector says within a few seconds, without a session: for ``livem doctor SOURCE``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import zmq

from ..errors import UsageError
from ..stream.messages import DEFAULT_LIMITS, End, FrameBatch, Message, Rejected, Start, check
from ..stream.series import Series
from ..stream.sources.base import Link, Source
from ..stream.sources.plan import plan_source
from .checks.finding import Finding


@dataclass(slots=True)
class Heard:
    """What came in."""

    link: Link = field(default_factory=Link)
    series: list[Series] = field(default_factory=list)
    messages: int = 0
    frames: int = 0
    nbytes: int = 0
    ends: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: Rejected | None = None
    """The first message that was refused."""

    def take(self, message: Message) -> None:
        self.messages += 1
        if isinstance(message, Start):
            self.series.append(message.series)
        elif isinstance(message, FrameBatch):
            self._take_frames(message)
        elif isinstance(message, End):
            self.ends += 1
        else:
            self._refuse(message)

    def _refuse(self, message: Rejected) -> None:
        self.rejected[str(message.reason)] += 1
        self.first = self.first or message

    def _take_frames(self, batch: FrameBatch) -> None:
        """Count them, or what is wrong with them for what their series announced."""
        known = [series for series in self.series[-1:] if series.key == batch.key]
        if known and (refused := check(batch, known[0])) is not None:
            return self._refuse(refused)
        self.frames += batch.count
        self.nbytes += batch.payload.nbytes
        return None


def listen(url: str, seconds: float, *, insecure_bind: bool = False) -> Heard:
    """Connect (or bind) and take everything in for so many seconds.

    Raises
    ------
    UsageError
        For a simulator or a file, and for an address that cannot be understood or opened.
    """
    if "://" not in url:
        raise UsageError(
            f"{url!r} is no detector's address; listen to tcp://HOST:PORT or ipc://PATH, and look at "
            "simulators and files with `livem info`"
        )
    plan = plan_source(url, insecure_bind=insecure_bind)
    source, heard = plan.make_source(DEFAULT_LIMITS), Heard()
    try:
        source.open()
        _take_in(source, heard, time.monotonic() + seconds)
    finally:
        source.close()
    return heard


def _take_in(source: Source, heard: Heard, deadline: float) -> None:
    poller = zmq.Poller()
    for pollable in source.pollables():
        poller.register(pollable, zmq.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        poller.poll(max(1, int(1000 * left)))
        heard.link = source.link()
        message = source.receive()
        while message is not None and time.monotonic() < deadline:
            heard.take(message)
            message = source.receive()


def findings_of(heard: Heard, seconds: float) -> list[Finding]:
    """What that means, and what to do."""
    findings = [_about_link(heard)]
    findings += [_about_series(series) for series in heard.series[:5]]
    findings.append(_about_frames(heard, seconds))
    if heard.rejected:
        findings.append(_about_refused(heard))
    return findings


def _about_link(heard: Heard) -> Finding:
    link = heard.link
    if link.peers or link.ever_connected:
        return Finding("connection", "ok", link.detail or f"{link.peers} connected")
    return Finding(
        "connection",
        "problem",
        link.detail or "no sender",
        "check address, port, cable, firewall, and that the detector's stream is switched on",
    )


def _about_series(series: Series) -> Finding:
    height, width = series.shape
    scan = (
        "movie"
        if series.scan is None
        else f"{series.scan.order} scan {'x'.join(map(str, series.scan.shape))}"
    )
    count = "open-ended" if series.count is None else f"{series.count} frames"
    text = f"{series.key.number}: {count} of {height}x{width} {series.dtype}, {series.encoding}, {scan}"
    return Finding("series", "ok", text)


def _about_frames(heard: Heard, seconds: float) -> Finding:
    text = (
        f"{heard.frames} in {seconds:g} s ({heard.frames / seconds:,.0f} frames/s, "
        f"{heard.nbytes / seconds / 2**20:,.1f} MiB/s) in {heard.messages} messages"
    )
    if heard.frames and not heard.series:
        return Finding(
            "frames", "note", f"{text}; their series began before", "a session waits for the next start"
        )
    if heard.frames:
        return Finding("frames", "ok", text)
    fix = "" if heard.rejected else "arm the detector, or listen longer (--seconds)"
    return Finding("frames", "note", f"none in {seconds:g} s", fix)


def _about_refused(heard: Heard) -> Finding:
    """How many messages, why the first was, and what would take them in."""
    assert heard.first is not None
    total, first = sum(heard.rejected.values()), heard.first
    counts = ", ".join(f"{reason} {n}" for reason, n in heard.rejected.most_common())
    text = f"{total:,} refused ({counts}); the first: {first.detail}"
    return Finding("messages", "problem", text, first.advice or "correct what the sender announces and sends")
