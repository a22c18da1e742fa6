"""What is worth saying of an image in its caption: the detector's size, what was corrected, the dose, how an
estimate was made and how good it is.

Reads attrs tolerantly; knows no window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from .detectors import geometry_of, lengths_text, mrad_per_px_of
from .numbers import count_text, level_text, positive

RESIDUAL = "residual"
"""Kind of what an estimate has left."""


def said_of(attrs: Mapping[str, Any]) -> list[str]:
    """Phrases for the caption, the most telling first; those of estimates are in `notes_of`."""
    return [*_size(attrs), *_correction(attrs), *_dose(attrs), *_doubts(attrs)]


def badge_of(attrs: Mapping[str, Any]) -> str:
    """What a picture is, if it was not measured; empty of one that was."""
    if attrs.get("kind") == RESIDUAL:
        return "RESIDUAL OF ESTIMATE"
    if not attrs.get("estimate"):
        return ""
    return "MODEL ESTIMATE" if attrs.get("model") else "ESTIMATE"


def made_by(attrs: Mapping[str, Any]) -> str:
    """What made an estimate: algorithm or model, its version, its strength; empty of what was measured."""
    if not (badge_of(attrs) or attrs.get("estimate")):
        return ""
    name, comma, more = _name(attrs).partition(",")
    version, strength = attrs.get("version"), attrs.get("strength")
    if isinstance(version, (int, str)) and not isinstance(version, bool) and version != "":
        name = f"{name} v{version}".strip()
    made = f"{name}{comma}{more}"
    if isinstance(strength, (int, float)) and math.isfinite(strength):
        made += f"   strength {level_text(float(strength))}"
    return made


def _name(attrs: Mapping[str, Any]) -> str:
    """How it was made at its present quality, else by what."""
    return next((str(attrs[key]) for key in ("quality", "algorithm") if isinstance(attrs.get(key), str)), "")


def notes_of(attrs: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Of an estimate, and of what stands beside it, two lines: how good it is, and how it was made."""
    return [*_truth(attrs), *_goodness(attrs)], [*warnings_of(attrs), *_making(attrs)]


def warnings_of(attrs: Mapping[str, Any]) -> list[str]:
    """Why an estimate is not what it could be."""
    return [*_switched_off(attrs), *_reduced(attrs)]


def _size(attrs: Mapping[str, Any]) -> Iterator[str]:
    geometry = geometry_of(attrs)
    if geometry is not None:
        yield lengths_text(geometry, mrad_per_px_of(attrs))
    direction = attrs.get("direction")
    if isinstance(direction, (int, float)):
        yield f"towards {level_text(float(direction))}\N{DEGREE SIGN}"


def _correction(attrs: Mapping[str, Any]) -> Iterator[str]:
    """What a field of deflections was turned by, as found or as told."""
    found = attrs.get("rotation_deg")
    turned = attrs.get("rotation") if found is None and attrs.get("kind") != "segments" else found
    if isinstance(turned, (int, float)) and turned:
        yield f"rotated {level_text(float(turned))}\N{DEGREE SIGN}"
    if attrs.get("flipped") or attrs.get("flip"):
        yield "flipped"
    if attrs.get("descan_plane") or attrs.get("descan") not in (None, "none"):
        yield "descan taken off"
    if attrs.get("no_rotation"):
        yield str(attrs["no_rotation"])


def _dose(attrs: Mapping[str, Any]) -> Iterator[str]:
    total = positive(attrs.get("total_electrons"))
    if total is None:
        return
    yield f"{_electrons_text(total)} e in all"
    if (mean := positive(attrs.get("electrons_per_A2_mean"))) is not None:
        yield f"{level_text(mean)} e/\N{LATIN CAPITAL LETTER A WITH RING ABOVE}\N{SUPERSCRIPT TWO}"
    if attrs.get("counts_per_electron_from") == "assumed":
        yield "1 count = 1 e assumed"


def _electrons_text(number: float) -> str:
    return (
        count_text(round(number)) if number < 1e6 else f"{number:.3g}".replace("e+0", "e").replace("e+", "e")
    )


def _switched_off(attrs: Mapping[str, Any]) -> Iterator[str]:
    """A model that fails shows nothing, and why."""
    if isinstance(why := attrs.get("off"), str) and why:
        yield f"OFF: {why}"


def _reduced(attrs: Mapping[str, Any]) -> Iterator[str]:
    """Less than the best, for want of time."""
    budget = positive(attrs.get("budget_ms"))
    if attrs.get("estimate") and attrs.get("is_reduced") is True and budget is not None:
        yield f"reduced quality: budget {level_text(budget)} ms"


def _truth(attrs: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(psnr := attrs.get("psnr"), (int, float)):
        yield f"truth {psnr:.1f} dB"


def _goodness(attrs: Mapping[str, Any]) -> Iterator[str]:
    """What held-out samples say (less their own noise where it is known); whether noise alone was taken, of
    which the correlation stays below the limit in brackets."""
    if isinstance(correlation := attrs.get("residual_correlation"), (int, float)):
        limit = positive(attrs.get("residual_limit"))
        yield f"residual corr. {correlation:+.3f}" + (f" (< {limit:.3f})" if limit else "")
    if not attrs.get("estimate"):
        return
    for key, words in (("held_out_error", "held-out error"), ("held_out_rmse", "held-out rms")):
        if (values := _numbers(attrs.get(key))) is not None:
            yield f"{words} {', '.join(map(level_text, values))}"
            break
    if isinstance(share := attrs.get("too_fine"), (int, float)) and share > 0.01:
        yield f"{100 * share:.0f} % finer than the samples tell"
    if isinstance(refused := attrs.get("refused"), int) and refused > 0:
        yield f"{count_text(refused)} samples outside"


def _making(attrs: Mapping[str, Any]) -> Iterator[str]:
    """The solver, filter or model, and its time."""
    if not (made := made_by(attrs)):
        return
    spent, budget = positive(attrs.get("ms")), positive(attrs.get("budget_ms"))
    if spent is not None and budget is not None:
        yield f"{level_text(spent)} of {level_text(budget)} ms"
    yield made


def _numbers(values: Any) -> list[float] | None:
    numbers = values if isinstance(values, (list, tuple)) else [values]
    return [float(one) for one in numbers] if all(isinstance(one, (int, float)) for one in numbers) else None


def _doubts(attrs: Mapping[str, Any]) -> Iterator[str]:
    if attrs.get("assumed"):
        yield "disk assumed"
