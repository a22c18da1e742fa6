"""What is worth saying of a scan image in its caption: the detector's size, what was corrected, the dose, how
an estimate was made and how good it is.

Reads attrs tolerantly; knows no window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .detectors import geometry_of, lengths_text, mrad_per_px_of
from .numbers import count_text, level_text, positive


def said_of(attrs: Mapping[str, Any]) -> list[str]:
    """Phrases for the caption, the most telling first."""
    return [*_size(attrs), *_correction(attrs), *_dose(attrs), *_estimated(attrs), *_doubts(attrs)]


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


def _estimated(attrs: Mapping[str, Any]) -> Iterator[str]:
    """The solver, what held-out samples say of it (less their own noise where that is known), the truth."""
    if not attrs.get("estimate"):
        return
    if isinstance(algorithm := attrs.get("algorithm"), str):
        yield algorithm
    for key, words in (("held_out_error", "held-out error"), ("held_out_rmse", "held-out rms")):
        if (values := _numbers(attrs.get(key))) is not None:
            yield f"{words} {', '.join(map(level_text, values))}"
            break
    if isinstance(psnr := attrs.get("psnr"), (int, float)):
        yield f"truth {psnr:.1f} dB"
    if isinstance(share := attrs.get("too_fine"), (int, float)) and share > 0.01:
        yield f"{100 * share:.0f} % finer than the samples tell"
    if isinstance(refused := attrs.get("refused"), int) and refused > 0:
        yield f"{count_text(refused)} samples outside"


def _numbers(values: Any) -> list[float] | None:
    numbers = values if isinstance(values, (list, tuple)) else [values]
    return [float(one) for one in numbers] if all(isinstance(one, (int, float)) for one in numbers) else None


def _doubts(attrs: Mapping[str, Any]) -> Iterator[str]:
    if attrs.get("assumed"):
        yield "disk assumed"
