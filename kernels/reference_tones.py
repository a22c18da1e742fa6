"""The oracle of `tones`, in plain array-API terms: slow and short."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tones import BLIND, PLACES, tent


def tones(
    image: Any,
    levels: tuple[float, float],
    curve: Any,
    factor: tuple[int, int] = (1, 1),
    areas: str = "mean",
    valid: Any = None,
    is_masked: bool = False,
    cell: int = 4,
    xp: Any = np,
) -> Any:
    """Bytes of a whole image; parameters as those of `tones.tones`."""
    h, w = image.shape
    down, across = factor
    sound = xp.ones((h, w), dtype=xp.bool) if valid is None else valid
    counted = sound & xp.isfinite(xp.asarray(image, dtype=xp.float64))
    made = xp.zeros((-(-h // down), -(-w // across)), dtype=xp.uint8)
    for i in range(made.shape[0]):
        for j in range(made.shape[1]):
            area = (slice(i * down, (i + 1) * down), slice(j * across, (j + 1) * across))
            if xp.any(counted[area]):
                value = _mean(image, counted, (i, j), factor, xp) if areas == "mean" else 0.0
                if areas == "max":
                    value = float(xp.max(image[area][counted[area]]))
                place = (value - levels[0]) / (levels[1] - levels[0])
                made[i, j] = curve[int(min(max(place, 0.0), 1.0) * (PLACES - 1) + 0.5)]
            elif is_masked and not xp.any(sound[area]):
                made[i, j] = BLIND
            else:
                made[i, j] = (i // cell + j // cell) % 2
    return made


def _mean(image: Any, counted: Any, area: tuple[int, int], factor: tuple[int, int], xp: Any) -> float:
    """Under the tent about an area, of the pixels that count."""
    total = weight = 0.0
    first = [at * size - size // 2 for at, size in zip(area, factor, strict=True)]
    for dy, down in enumerate(tent(factor[0])):
        for dx, across in enumerate(tent(factor[1])):
            y, x = first[0] + dy, first[1] + dx
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1] and counted[y, x]:
                total += float(image[y, x]) * float(down * across)
                weight += float(down * across)
    return total / weight
