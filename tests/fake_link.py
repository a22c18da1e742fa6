"""A process's line to its supervisor, without either."""

from __future__ import annotations

from typing import Any


class FakeLink:
    """The line to a supervisor: what the process says is kept, what it is to do is put in."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.said: list[tuple[str, dict[str, Any]]] = []

    def receive(self) -> dict[str, Any] | None:
        return self.commands.pop(0) if self.commands else None

    def report(self, kind: str, **fields: Any) -> None:
        self.said.append((kind, fields))

    def reply(self, command: dict[str, Any], **fields: Any) -> None:
        self.said.append(("reply", fields))

    def last(self, kind: str) -> dict[str, Any]:
        return next(fields for said, fields in reversed(self.said) if said == kind)
