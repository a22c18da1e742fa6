"""The pipeline as the window shows it: its stages, their parameters, what was asked for and what was refused.

Knows the session's answers; no window and no socket.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .commands import Ask, Change, Commands, Outcome
from .numbers import level_text
from .stages import Stage

ENABLED, ADAPT = "enabled", "adapt"
FAR = 1e7
"""A limit that only keeps nonsense out is not worth saying."""
RETRY_S = 2.0
"""After a stage that did not answer."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter in a form."""

    name: str
    kind: str
    value: Any
    text: str = ""
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    file: Any = None
    """Value in the pipeline file, where it is another one than now."""
    differs: bool = False
    """Whether it is."""
    error: str = ""
    """Why the last change was refused."""

    @property
    def limits(self) -> str:
        """ "1 .. 60,000 ms", "from 0"; "" of what has none that anybody would reach."""
        if abs(self.low) >= FAR:
            return ""
        if self.high >= FAR:
            return f"from {level_text(self.low)} {self.unit}".rstrip()
        return f"{level_text(self.low)} .. {level_text(self.high)} {self.unit}".rstrip()

    @property
    def tip(self) -> str:
        """All that is known of it, in lines."""
        words = f"or {', '.join(self.choices)}" if self.choices and self.kind != "choice" else ""
        file = f"in the pipeline file: {value_text(self.file)}" if self.differs else ""
        return "\n".join(filter(None, (self.text, " ".join(filter(None, (self.limits, words))), file)))


class PipelineBook:
    """Stages by name, the parameters that they have told, and what became of changes."""

    def __init__(self) -> None:
        self.stages: tuple[Stage, ...] = ()
        self._forms: dict[str, dict[str, Field]] = {}
        self._asked: dict[str, tuple[int, float]] = {}
        """Revision of each stage that was asked for, and when to ask again should no answer come."""
        self._wishes: dict[tuple[str, str], Any] = {}
        self.version = 0
        """Another number: something about parameters is to be drawn anew."""

    def see(self, stages: Sequence[Stage], commands: Commands, now: float) -> None:
        """Take the newest stages, and ask those for their parameters whose have changed."""
        self.stages = tuple(stages)
        for stage in self.stages:
            revision, again = self._asked.get(stage.name, (-1, -math.inf))
            is_known = revision == stage.revision and (stage.name in self._forms or now < again)
            if stage.state not in ("starting", "given up") and not is_known:
                self._asked[stage.name] = stage.revision, now + RETRY_S
                commands.ask(stage.name)

    def forget(self) -> None:
        """The session is gone: another one, or the same again, is asked anew."""
        self._asked.clear()
        self._wishes.clear()

    def stage(self, name: str) -> Stage | None:
        """The stage of this name."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def fields(self, stage: str) -> tuple[Field, ...]:
        """What its form shows; none until it has answered."""
        return tuple(self._forms.get(stage, {}).values())

    def is_waiting(self, stage: str, name: str) -> bool:
        """Whether a change was asked for and has no answer yet."""
        return (stage, name) in self._wishes

    def set(self, stage: str, name: str, value: Any, commands: Commands) -> None:
        """Ask for another value."""
        self._wishes[stage, name] = value
        self._note(stage, name, error="")
        commands.set(stage, name, value)

    def turn(self, stage: str, commands: Commands) -> None:
        """Switch a stage off, or on again."""
        if (known := self.stage(stage)) is not None:
            self.set(stage, ENABLED, not known.is_on, commands)

    def toggle_adaptation(self, commands: Commands) -> str:
        """Let all models that can go on learning, or all no more; what is said of it."""
        able = {stage: form[ADAPT] for stage, form in self._forms.items() if ADAPT in form}
        if not able:
            return "no model here can go on learning"
        wanted = not all(one.value for one in able.values())
        for stage in able:
            self.set(stage, ADAPT, wanted, commands)
        return f"{', '.join(able)}: {'go on learning' if wanted else 'back to the own weights'}"

    def take(self, outcome: Outcome) -> None:
        """An answer to what was asked for or changed, by this window's commands."""
        change = outcome.change
        if isinstance(change, Ask):
            if outcome.error is None:
                self._forms[change.consumer] = fields_of(outcome.answer, self._errors(change.consumer))
                self.version += 1
        elif isinstance(change, Change):
            self._wishes.pop((change.consumer, change.name), None)
            values = outcome.answer.get("parameters")
            for name, value in (values if isinstance(values, Mapping) else {}).items():
                self._note(change.consumer, name, value=value)
            self._note(change.consumer, change.name, error=outcome.error or "")

    def _errors(self, stage: str) -> dict[str, str]:
        return {name: field.error for name, field in self._forms.get(stage, {}).items() if field.error}

    def _note(self, stage: str, name: str, **changed: Any) -> None:
        form = self._forms.get(stage, {})
        if name in form:
            form[name] = _replaced(form[name], changed)
            self.version += 1


def fields_of(answer: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, Field]:
    """The form that a stage's answer describes; what it does not describe well is left out."""
    values, file = _map(answer.get("parameters")), _map(answer.get("file"))
    described = answer.get("described")
    fields: dict[str, Field] = {}
    for one in described if isinstance(described, (list, tuple)) else ():
        if isinstance(one, Mapping) and (name := str(one.get("name"))) in values:
            choices = one.get("choices")
            fields[name] = Field(
                name,
                str(one.get("kind") or "other"),
                values[name],
                str(one.get("text") or ""),
                str(one.get("unit") or ""),
                _real(one.get("low"), -math.inf),
                _real(one.get("high"), math.inf),
                tuple(map(str, choices)) if isinstance(choices, (list, tuple)) else (),
                file.get(name),
                name in file,
                errors.get(name, ""),
            )
    return fields


def value_text(value: Any) -> str:
    """A value as a form writes what cannot be edited in it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return level_text(value)
    return "none" if value in (None, [], {}, "") else str(value)


def _replaced(field: Field, changed: Mapping[str, Any]) -> Field:
    """With a new value, the former one is the file's where it was that."""
    if "value" in changed and changed["value"] != field.value:
        file = field.file if field.differs else field.value
        field = replace(field, file=file, differs=changed["value"] != file)
    return replace(field, **changed)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _real(value: object, default: float) -> float:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain else default  # type: ignore[arg-type]
