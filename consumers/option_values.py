"""Values of consumers' parameters, checked: what several kinds of consumers ask for alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from ..errors import PipelineError

AUTO = "auto"


def check_number(
    where: str, name: str, value: Any, low: float, high: float, *, auto: bool = False, whole: bool = False
) -> None:
    """PipelineError, with the value and the limits, for what is no finite number from ``low`` to ``high``."""
    if auto and value == AUTO:
        return
    kinds = int if whole else int | float
    is_number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and low <= value <= high):
        word = f'"{AUTO}" or ' if auto else ""
        number = "a whole number" if whole else "a number"
        raise PipelineError(
            f"{where}: {name} = {value!r}; it must be {word}{number} from {low:g} to {high:g}"
        )


def hint(word: str, known: Iterable[str]) -> str:
    """What was meant, or what there is."""
    words = tuple(known)
    near = get_close_matches(word, words, 1)
    return f"did you mean {near[0]!r}?" if near else f"it may be: {', '.join(words) or 'none'}"
