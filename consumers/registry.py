"""Finding consumers by name: those of livem, of other packages, and a user's own class.

Nothing is imported until it is asked for, so that listing the types costs no numba.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ..errors import PipelineError
from ..stream.policy import Policy
from .base import Consumer
from .parameters import SWITCH

GROUP = "livem.consumers"
"""Entry point group under which other packages offer consumers."""
BUILT_IN: Mapping[str, str] = {
    "denoise": ".denoise:Denoise",
    "inpaint": ".inpaint:Inpaint",
    "preview": ".preview:Preview",
    "torchscript": ".torchscript:TorchScript",
    "track": ".track:Track",
    "virtual_detectors": ".virtual_detectors:VirtualDetectors",
}


BUILT_IN_POLICY: Mapping[str, str] = {
    "denoise": "latest",
    "inpaint": "lossless",
    "preview": "latest",
    "torchscript": "latest",
    "track": "latest",
    "virtual_detectors": "lossless",
}
"""Default policies of the built-in types: a session must know them and need not load the kernels for it."""


def default_policy(type_name: str) -> Policy:
    """Edge policy of a consumer type where the pipeline file names none; PipelineError for no such type."""
    known = BUILT_IN_POLICY.get(type_name)
    return Policy.parse(known or consumer_class(type_name).default_policy)


def consumer_types() -> tuple[str, ...]:
    """Names that ``type = "..."`` may say, beside ``module:Class``."""
    return tuple(sorted({*BUILT_IN, *entry_points(group=GROUP).names}))


def consumer_class(type_name: str) -> type[Consumer[Any]]:
    """The class behind a type's name or ``module:Class``; PipelineError where there is none."""
    if type_name in BUILT_IN:
        return _load(type_name, BUILT_IN[type_name])
    for entry in entry_points(group=GROUP):
        if entry.name == type_name:
            return _load(type_name, entry.value)
    if ":" in type_name:
        return _load(type_name, type_name)
    raise PipelineError(f"no consumer type {type_name!r}; {_hint(type_name, consumer_types())}")


def create(type_name: str, name: str, params: Mapping[str, Any]) -> Consumer[Any]:
    """Make a consumer from its table in a pipeline file.

    ``enabled`` is checked, and given to a consumer that has a parameter of this name; of all others it is
    what `begins_on` says.

    Raises
    ------
    PipelineError
        Unknown type or parameter (names the nearest known one), or a wrong value.
    """
    kind = consumer_class(type_name)
    known, takes_any = _parameters(kind)
    if SWITCH.name in params:
        SWITCH.check(f"consumer {name!r} ({type_name})", params[SWITCH.name])
        if SWITCH.name not in known:
            params = {param: value for param, value in params.items() if param != SWITCH.name}
    for param in params:
        if param not in known and not takes_any:
            raise PipelineError(
                f"consumer {name!r} ({type_name}) has no parameter {param!r}; {_hint(param, known)}"
            )
    for one in kind.declared:
        if one.name in params:
            one.check(f"consumer {name!r} ({type_name})", params[one.name])
    try:
        inspect.signature(kind).bind(name, **params)
    except TypeError as error:
        raise PipelineError(f"consumer {name!r} ({type_name}): {error}") from None
    return kind(name, **params)


def begins_on(params: Mapping[str, Any]) -> bool:
    """Whether a stage with this table of a pipeline file is on at first."""
    return params.get(SWITCH.name) is not False


def _parameters(kind: type[Consumer[Any]]) -> tuple[tuple[str, ...], bool]:
    """Names of the keyword parameters, and whether any other is taken."""
    parameters = list(inspect.signature(kind).parameters.values())[1:]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(parameter.name for parameter in parameters if parameter.kind in named), takes_any


@contextmanager
def importable_from(folder: str | None) -> Iterator[None]:
    """Let ``module:Class`` also mean modules of this folder (behind all installed ones)."""
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _load(type_name: str, target: str) -> type[Consumer[Any]]:
    module_name, _, class_name = target.partition(":")
    try:
        package = __package__ if module_name.startswith(".") else None
        found = getattr(import_module(module_name, package), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PipelineError(
            f"consumer type {type_name!r} cannot be loaded from {target!r}: {error}; "
            "is its package installed, and is the class spelled module:Class?"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Consumer)):
        raise PipelineError(
            f"consumer type {type_name!r} is {found!r}; it must be a livem.consumers.base.Consumer"
        )
    return found


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"it may be: {', '.join(known) or 'none'}"
