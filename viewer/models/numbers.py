"""Numbers as the window writes them: short, stable in width, with units."""

from __future__ import annotations

import math


def count_text(count: int) -> str:
    """12,345,678."""
    return f"{count:,}"


def rate_text(per_second: float) -> str:
    """0.5, 12.3, 2,000: three digits that matter."""
    if not math.isfinite(per_second):
        return "-"
    return f"{per_second:,.0f}" if abs(per_second) >= 100 else f"{per_second:.3g}"


def bytes_text(count: float) -> str:
    """262 MB, 3.2 GB (powers of ten)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.4g} TB"


def ms_text(milliseconds: float | None) -> str:
    """3.1, 48, 1,200, or - where not measured."""
    if milliseconds is None or not math.isfinite(milliseconds):
        return "-"
    return f"{milliseconds:,.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def value_text(value: float) -> str:
    """A pixel value: integers in full, else four significant digits."""
    return _real_text(value, 4)


def level_text(value: float) -> str:
    """A number beside a colour bar: three significant digits."""
    return _real_text(value, 3)


def _real_text(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "nothing"
    if abs(value) >= 1e9:
        return f"{value:.{digits}g}"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration_text(seconds: float) -> str:
    """45 s, 12 min, 3.4 h, 5 d: how long something lasts, roughly."""
    if not math.isfinite(seconds):
        return "-"
    for unit, length, limit in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172_800.0)):
        if seconds < limit:
            value = seconds / length
            return f"{value:.0f} {unit}" if unit != "h" else f"{value:.1f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def positive(value: object) -> float | None:
    """A finite number above 0 as somebody else said it; None for anything else."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    number = float(value) if plain else 0.0  # type: ignore[arg-type]
    return number if 0 < number < math.inf else None
