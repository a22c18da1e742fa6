"""What a user has to know now, each thing until it was noted; noted ones come back only when they change.

Knows words and levels; no window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .numbers import count_text

FORGET_S = 30.0
"""An alarm that was noted and went away is a new one when it comes again after so long."""
SATURATED = 1e-4
"""Share of a frame's pixels at the detector's limit from which on it is said: 26 of 512 x 512."""
STEPS = 2.0
"""A share that was noted is said again when it is twice as large."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to know."""

    key: str
    """What it is about; of a noted one, the same key is silent."""
    text: str


class AlarmBook:
    """Which alarms are shown."""

    def __init__(self) -> None:
        self._now: tuple[Alarm, ...] = ()
        self._noted: dict[str, float] = {}
        """When each noted one was last there."""

    def see(self, alarms: Iterable[Alarm], now: float) -> None:
        """All that there is now."""
        self._now = tuple(alarms)
        for alarm in self._now:
            if alarm.key in self._noted:
                self._noted[alarm.key] = now
        self._noted = {key: last for key, last in self._noted.items() if now - last < FORGET_S}

    def note(self, now: float) -> None:
        """The user has read those that are shown."""
        self._noted |= {alarm.key: now for alarm in self.shown}

    @property
    def shown(self) -> tuple[Alarm, ...]:
        """Those that nobody has noted."""
        return tuple(alarm for alarm in self._now if alarm.key not in self._noted)

    @property
    def noted(self) -> tuple[Alarm, ...]:
        """Those that still hold and were noted."""
        return tuple(alarm for alarm in self._now if alarm.key in self._noted)


def alarms_of_frame(attrs: Mapping[str, Any]) -> Iterator[Alarm]:
    """What the live frame says of its detector."""
    yield from _saturated(attrs)
    for name, one, many in (
        ("dead", "never changes while its neighbours do", "never change while their neighbours do"),
        ("hot", "always leads its neighbours", "always lead their neighbours"),
    ):
        count, places = attrs.get(f"{name}_suspects"), attrs.get(f"{name}_places")
        if isinstance(count, int) and count > 0:
            where = ", ".join(f"y {y} x {x}" for y, x in _pairs(places)[:4])
            more = f" and {count_text(count - 4)} more" if count > 4 else ""
            what = one if count == 1 else many
            yield Alarm(
                f"{name}: {count} {places}",
                f"{count_text(count)} px {what} ({where}{more}); leave them out by dead_pixels in the "
                "pipeline file",
            )


def saturated_share(attrs: Mapping[str, Any]) -> float | None:
    """Of the live pixels, those at the detector's limit; None where that is not known."""
    reached, pixels = attrs.get("saturated_pixels"), attrs.get("live_pixels")
    if not isinstance(reached, int) or not isinstance(pixels, int) or pixels <= 0:
        return None
    return reached / pixels


def _saturated(attrs: Mapping[str, Any]) -> Iterator[Alarm]:
    share = saturated_share(attrs)
    if share is None or share < SATURATED:
        return
    limit = attrs.get("saturation")
    at = f" ({limit:,.0f} counts)" if isinstance(limit, (int, float)) and math.isfinite(limit) else ""
    step = math.floor(math.log(share / SATURATED, STEPS))
    yield Alarm(
        f"saturation {step}",
        f"{100 * share:.2g} % of the pixels are at the detector's limit{at}: intensities there are too low; "
        "reduce the dose or the exposure",
    )


def _pairs(places: object) -> list[tuple[int, int]]:
    listed = places if isinstance(places, (list, tuple)) else ()
    return [(int(one[0]), int(one[1])) for one in listed if isinstance(one, (list, tuple)) and len(one) == 2]
