"""The analyses of a session as a window shows them: in the order of the data, how each stands, what it takes.

Knows names, reports and answers; touches no process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..consumers.registry import begins_on
from ..pipeline import Pipeline
from ..stream.desk import Reply, refusal

UNTOLD: Mapping[str, Any] = {
    "enabled": True,
    "fault": "",
    "ms": {"p50": None, "p95": None},
    "busy": 0.0,
    "revision": 0,
    "runs_on": "",
}
"""Of a stage that has not reported yet."""


class Stages:
    """See the module.

    Parameters
    ----------
    pipeline : what the session runs.
    others : processes beside the analyses that take requests too (a recorder).
    """

    def __init__(self, pipeline: Pipeline, others: Iterable[str] = ()) -> None:
        self._configs = pipeline.consumers
        self._others = tuple(others)
        self._devices: dict[str, str] = {}
        self._told: dict[str, Mapping[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {config.name: {} for config in self._configs}
        """Values that were set since the start, in the order of setting: a process that is restarted knows
        the pipeline file alone."""

    def stranger(self, name: str) -> Reply | None:
        """The refusal of a request to nobody; None for who is there."""
        known = [config.name for config in self._configs] + list(self._others)
        return None if name in known else refusal(f"no consumer {name!r}; there are: {', '.join(known)}", 2)

    def join(self, name: str) -> None:
        """A process that takes requests has come later."""
        self._others = (*self._others, name)

    def began(self, name: str, ready: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A process reads its input; what it has to be told, since it is not the first one of its name."""
        self._devices[name] = str(ready.get("device", ""))
        for parameter, value in self._changed.get(name, {}).items():
            yield {"do": "set", "name": parameter, "value": value}

    def heard(self, name: str, report: Mapping[str, Any]) -> None:
        """A stage has told how it stands."""
        self._told[name] = {key: report[key] for key in UNTOLD if key in report}

    def answered(self, request: Mapping[str, Any], reply: Reply) -> None:
        """A stage has taken a parameter, or not. Actions do not stay, so they are not remembered."""
        values = self._changed.get(str(request.get("consumer")))
        if request["do"] != "set" or values is None or reply.get("ok") is not True:
            return
        name, value = str(request["name"]), request["value"]
        values.pop(name, None)
        if (reply.get("parameters") or {}).get(name) == value:
            values[name] = value

    def status(self, ready: Collection[str], given_up: Collection[str]) -> list[dict[str, Any]]:
        """One map for each analysis, in the order of the pipeline file, which is that of the data."""
        return [
            {
                "name": config.name,
                "type": config.type,
                "inputs": list(config.inputs),
                "device": self._devices.get(config.name, ""),
                "is_there": config.name in ready,
                "is_given_up": config.name in given_up,
                **UNTOLD,
                "enabled": begins_on(config.params),
                **self._told.get(config.name, {}),
            }
            for config in self._configs
        ]
