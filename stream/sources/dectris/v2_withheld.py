"""Refused images of a DECTRIS v2 series that is not announced yet: told under its name, not as anybody's.

A series is announced with the first image that can be read: only that tells its encoding. Knows no message.
"""

from __future__ import annotations

from ...messages import Rejected
from ...series import SeriesKey
from ...wire_fields import Refusal

PATIENCE = 8
"""Images refused before a series is announced without any: few enough to be told soon."""
DETAIL = 300
"""Characters of a rejection's detail."""


class Withheld:
    """Refusals in the order of arrival, with the image_id where that could be read."""

    def __init__(self) -> None:
        self._refusals: list[tuple[Refusal, int | None]] = []

    def __len__(self) -> int:
        return len(self._refusals)

    def add(self, refusal: Refusal, image_id: int | None) -> None:
        self._refusals.append((refusal, image_id))

    @property
    def is_enough(self) -> bool:
        """Whether the series should wait no longer."""
        return len(self._refusals) >= PATIENCE

    @property
    def last_detail(self) -> str:
        """Why the last image was refused; empty when none was."""
        return self._refusals[-1][0].detail if self._refusals else ""

    def lowest(self, image_id: int) -> int:
        """The lowest image_id of these and the one given."""
        return min([image_id, *(known for _, known in self._refusals if known is not None)])

    def told(self, key: SeriesKey, first_id: int) -> list[Rejected]:
        """All of them, under the series' key; none is left."""
        refusals, self._refusals = self._refusals, []
        return [rejected(refusal, key, image_id, first_id) for refusal, image_id in refusals]


def rejected(
    refusal: Refusal, key: SeriesKey | None = None, image_id: int | None = None, first_id: int = 0
) -> Rejected:
    """A refusal as the assembler takes it; without an index where the image_id is none of the series."""
    first = None if image_id is None or image_id < first_id else image_id - first_id
    return Rejected(refusal.reason, refusal.detail[:DETAIL], key, first, None if first is None else 1)
