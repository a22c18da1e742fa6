"""What a detector says within a few seconds, without a session: for ``livem doctor SOURCE``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import zmq

from ..errors import UsageError
from ..stream.messages import DEFAULT_LIMITS, End, FrameBatch, Message, Rejected, Start
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
    example: str = ""
    """Details of the first message that was refused."""

    def take(self, message: Message) -> None:
        self.messages += 1
        if isinstance(message, Start):
            self.series.append(message.series)
        elif isinstance(message, FrameBatch):
            self.frames += message.count
            self.nbytes += message.payload.nbytes
        elif isinstance(message, End):
            self.ends += 1
        else:
            self._refuse(message)

    def _refuse(self, message: Rejected) -> None:
        self.rejected[str(message.reason)] += 1
        self.example = self.example or message.detail


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
        counts = ", ".join(f"{reason} {n}" for reason, n in heard.rejected.most_common())
        findings.append(
            Finding(
                "messages", "problem", f"refused: {counts}; the first: {heard.example}", "mend the sender"
            )
        )
    return findings


def _about_link(heard: Heard) -> Finding:
    link = heard.link
    if link.peers or link.ever_connected:
        return Finding("connection", "ok", link.detail)
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
    fix = "arm the detector, or listen longer (--seconds)"
    return Finding("frames", "note", f"none in {seconds:g} s", fix)
