"""The analyses of a session as its status tells of them. Reads tolerantly; knows no window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["works", "off", "failed", "starting", "given up"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One analysis."""

    name: str
    type: str = ""
    inputs: tuple[str, ...] = ()
    """Topics of others that it takes instead of frames."""
    state: State = "works"
    fault: str = ""
    """Why it failed, in a sentence; "" of one that works."""
    p50_ms: float | None = None
    """Of a piece of its work: a block of frames, or a picture."""
    p95_ms: float | None = None
    busy: float = 0.0
    """Share of the time at work, 0 to 1."""
    device: str = ""
    revision: int = 0
    """Another number: some parameter has changed, or may have."""
    policy: str = ""
    processed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    latency_p50_ms: float | None = None
    """From a frame's arrival to its published result."""
    latency_p95_ms: float | None = None

    @property
    def is_on(self) -> bool:
        return self.state != "off"

    @property
    def lossless(self) -> bool:
        return self.policy == "lossless"


def stages_of(attrs: Mapping[str, Any]) -> tuple[Stage, ...]:
    """In the order of the data; what is missing or of another type counts as not said."""
    told, edges = attrs.get("stages"), _part(attrs, "edges")
    maps = [one for one in told if isinstance(one, Mapping)] if isinstance(told, (list, tuple)) else []
    return tuple(_stage(one, _part(edges, str(one.get("name")))) for one in maps if one.get("name"))


def _stage(told: Mapping[str, Any], edge: Mapping[str, Any]) -> Stage:
    ms, latency, inputs = _part(told, "ms"), _part(edge, "latency_ms"), told.get("inputs")
    dropped = {str(reason): _count(n) for reason, n in _part(edge, "dropped").items()}
    fault = str(told.get("fault") or "")
    return Stage(
        name=str(told["name"]),
        type=str(told.get("type") or ""),
        inputs=tuple(map(str, inputs)) if isinstance(inputs, (list, tuple)) else (),
        state=_state(told, fault),
        fault=fault,
        p50_ms=_real(ms.get("p50")),
        p95_ms=_real(ms.get("p95")),
        busy=min(1.0, max(0.0, _real(told.get("busy")) or 0.0)),
        device=str(told.get("runs_on") or told.get("device") or ""),
        revision=_count(told.get("revision")),
        policy=str(edge.get("policy") or ""),
        processed=_count(edge.get("processed")),
        dropped={reason: n for reason, n in dropped.items() if n},
        latency_p50_ms=_real(latency.get("p50")),
        latency_p95_ms=_real(latency.get("p95")),
    )


def _state(told: Mapping[str, Any], fault: str) -> State:
    if told.get("is_given_up") is True:
        return "given up"
    if told.get("is_there") is False:
        return "starting"
    if told.get("enabled") is False:
        return "off"
    return "failed" if fault else "works"


def slowest(stages: tuple[Stage, ...]) -> Stage | None:
    """The one that works and whose results come latest, by the 95th percentile; None while none has any."""
    known = [stage for stage in stages if stage.state == "works" and stage.latency_p95_ms is not None]
    return max(known, key=lambda stage: stage.latency_p95_ms or 0.0, default=None)


def _part(attrs: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = attrs.get(name)
    return part if isinstance(part, Mapping) else {}


def _real(value: object) -> float | None:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else None  # type: ignore[arg-type]


def _count(value: object) -> int:
    return int(_real(value) or 0)
