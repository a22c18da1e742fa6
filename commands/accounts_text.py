"""The summary of a session in words: what became of every frame, how fast, and where the results are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Account = Mapping[str, Any]


def summary_lines(summary: Account) -> Iterator[str]:
    """A session's summary (Session.summary) for people."""
    for series in summary["series"]:
        yield from series_lines(series)
    if not summary["series"]:
        yield "no series was received"
    if summary["unascribed"]:
        yield f"rejected, of no series: {_reasons(summary['unascribed'])}"
        yield from _refused(summary, "the first")
    if summary["ring"]["waited_s"]:
        waited = summary["ring"]["waited_s"]
        yield f"the detector was made to wait for {waited:g} s in all (lossless consumers)"


def series_lines(series: Account) -> Iterator[str]:
    """One series: state, accounts of every edge, speed, results."""
    reason = f": {series['reason']}" if series["reason"] else ""
    yield f"series {series['series']}: {series['state']}{reason}"
    yield f"  {_received(series)}"
    yield from _refused(series, "rejected, the first")
    width = max((len(name) for name in series["edges"]), default=0)
    for name, edge in series["edges"].items():
        yield f"  {name:<{width}}  {_edge(series, edge)}"
    if timing := ", ".join(_timing(series)):
        yield f"  {timing}"
    paths = [path for path in series["results"].values() if path]
    if paths:
        yield f"  results: {', '.join(paths)}"
    if series.get("recordings"):
        yield f"  recorded: {', '.join(series['recordings'])}"


def _refused(account: Account, first: str) -> Iterator[str]:
    """Why, in words: of each reason the first."""
    for text in (account.get("refused") or {}).values():
        yield f"  {first}: {text}"


def total(series: Account) -> int:
    """Frames of a series that are accounted for: as many as were sent, as far as that is known here."""
    frames: int = series["received"] + series["lost"] + sum(series["rejected"].values())
    return frames


def _received(series: Account) -> str:
    announced = "" if series["announced"] is None else f" of {series['announced']} announced"
    extra = "".join(f", {series[key]} {key}" for key in ("duplicate", "late") if series.get(key))
    return (
        f"{total(series)}{announced} frames sent = {series['received']} received + {series['lost']} lost + "
        f"{_counted('rejected', series['rejected'])}{extra}"
    )


def _edge(series: Account, edge: Account) -> str:
    return (
        f"{edge['policy']:<8}  {total(series)} sent = {edge['processed']} processed + "
        f"{_counted('dropped', edge['dropped'])} + {series['lost']} lost + "
        f"{sum(series['rejected'].values())} rejected + {edge['in_flight']} in flight"
    )


def _timing(series: Account) -> Iterator[str]:
    latency = series["latency_ms"]
    if latency["p50"] is not None:
        yield f"frame to result p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"
    if series["first_result_ms"] is not None:
        yield f"first result {series['first_result_ms']:.0f} ms after the first frame"
    if series["frames_per_second"] is not None:
        yield f"{series['frames_per_second']:,.0f} frames/s"


def _counted(word: str, reasons: Mapping[str, int]) -> str:
    inside = f" ({_reasons(reasons)})" if reasons else ""
    return f"{sum(reasons.values())} {word}{inside}"


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
