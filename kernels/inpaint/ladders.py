"""The solvers that there are, and the strengths that are worth a try. Knows no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .choice import Ladder
from .cosine import SparseCosines
from .pyramid import PushPull
from .thin_plate import ThinPlate

AUTO = "auto"
THIN_PLATE = Ladder(ThinPlate(), (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), 2)
COSINES = Ladder(SparseCosines(), (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2), 1)
PUSH_PULL = Ladder(PushPull())
LADDERS: Mapping[str, Ladder] = {"thin_plate": THIN_PLATE, "cosines": COSINES, "push_pull": PUSH_PULL}
"""By the name in a pipeline file."""
CHOICE = ("thin_plate", "cosines")
"""What "auto" chooses from."""
ALGORITHMS = (AUTO, *LADDERS)


def ladders_for(algorithm: str, strength: float | None = None) -> Sequence[Ladder]:
    """What is to be chosen from; a given strength leaves one rung.

    Raises ValueError for an algorithm that there is not.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm {algorithm!r}; one of {', '.join(ALGORITHMS)}")
    ladders = [LADDERS[name] for name in (CHOICE if algorithm == AUTO else (algorithm,))]
    if strength is None:
        return ladders
    return [replace(ladder, strengths=(strength,), first=0) for ladder in ladders]
