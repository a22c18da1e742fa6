"""What the user may change while frames come: each parameter declared once, for its check and its form.

>>> @dataclass(frozen=True)
... class Options:
...     hz: float = number(30.0, 0.1, 100.0, "pictures a second, at most", "Hz")

Knows values and their limits; no consumer and no window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, cast

from ..errors import PipelineError
from .option_values import AUTO, check_number, hint

Kind = Literal["number", "whole", "switch", "choice", "text", "action", "other"]
"""An action is a switch that is set to true and is false again; "other" is a table or a list."""
DECLARED = "parameter"
"""Key in the metadata of a dataclass's field."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as a form asks for it."""

    name: str
    kind: Kind
    text: str = ""
    """What it is, in words."""
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    """Words that it may be; of a number or a switch, those that it may be instead ("auto")."""

    def check(self, where: str, value: Any) -> None:
        """PipelineError names ``where``, the value and the limits for what does not serve."""
        if self.kind in ("number", "whole"):
            if not (isinstance(value, str) and value in self.choices):
                low, high, auto = self.low, self.high, bool(self.choices)
                check_number(where, self.name, value, low, high, auto=auto, whole=self.kind == "whole")
        elif self.kind in ("switch", "action"):
            if not (isinstance(value, bool) or value in self.choices):
                raise PipelineError(f"{where}: {self.name} = {value!r}; it must be true or false")
        elif self.kind == "choice":
            if not isinstance(value, str) or value not in self.choices:
                near = hint(str(value), self.choices)
                words = "" if near.startswith("it") else f" It must be one of {', '.join(self.choices)}"
                raise PipelineError(f"{where}: {self.name} = {value!r}; {near}{words}")
        elif self.kind == "text" and not isinstance(value, str):
            raise PipelineError(f"{where}: {self.name} = {value!r}; it must be a text")

    def as_map(self) -> dict[str, Any]:
        """Plain values for a form; what says nothing is left out."""
        said: dict[str, Any] = {"name": self.name, "kind": self.kind, "text": self.text, "unit": self.unit}
        limits = {"low": self.low, "high": self.high}
        said |= {key: value for key, value in limits.items() if math.isfinite(value)}
        said |= {"choices": list(self.choices)} if self.choices else {}
        return {key: value for key, value in said.items() if value != ""}


def number(default: float | str, low: float, high: float, text: str, unit: str = "") -> Any:
    """A field of a dataclass of options: a number; with ``default`` "auto", that word too."""
    return _field(default, Parameter("", "number", text, unit, low, high, _words(default)))


def whole(default: int | str, low: int, high: int, text: str, unit: str = "") -> Any:
    """A field of a dataclass of options: a whole number; with ``default`` "auto", that word too."""
    return _field(default, Parameter("", "whole", text, unit, low, high, _words(default)))


def switch(default: bool, text: str) -> Any:
    """A field of a dataclass of options: true or false."""
    return _field(default, Parameter("", "switch", text))


def choice(default: str, choices: Sequence[str], text: str) -> Any:
    """A field of a dataclass of options: one of several words."""
    return _field(default, Parameter("", "choice", text, choices=tuple(choices)))


SWITCH = Parameter("enabled", "switch", "off: its frames are passed over and counted, its results taken away")
"""Of every consumer that has none of this name itself; in its table of the pipeline file: how it begins."""


def parameters_of(options: type[Any]) -> tuple[Parameter, ...]:
    """The parameters that a dataclass declares, in the order of its fields."""
    return tuple(
        replace(cast(Parameter, one.metadata[DECLARED]), name=one.name)
        for one in fields(options)
        if DECLARED in one.metadata
    )


def check_declared(where: str, options: Any) -> None:
    """PipelineError for the first value of a dataclass of options that does not serve."""
    for one in parameters_of(type(options)):
        one.check(where, getattr(options, one.name))


def described(values: Mapping[str, Any], known: Sequence[Parameter]) -> list[Parameter]:
    """How each of these values is to be asked for: as declared, else as the value itself tells."""
    by_name = {one.name: one for one in known}
    return [by_name.get(name) or told_by(name, value) for name, value in values.items()]


def told_by(name: str, value: Any) -> Parameter:
    """What a value tells of its parameter: its kind, and no limits."""
    kinds: Mapping[type, Kind] = {bool: "switch", int: "whole", float: "number", str: "text"}
    return Parameter(name, kinds.get(type(value), "other"))


def _field(default: Any, parameter: Parameter) -> Any:
    return field(default=default, metadata={DECLARED: parameter})


def _words(default: Any) -> tuple[str, ...]:
    return (AUTO,) if default == AUTO else ()
