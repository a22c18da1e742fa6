"""Parameters of the reconstruction of sparse scans, checked. Knows no samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...errors import PipelineError
from ...kernels.inpaint.ladders import ALGORITHMS, AUTO
from ..parameters import check_declared, choice, number, switch, whole

MAX_REACH = 1e4
MAX_STRENGTH = 1e9
HZ = (0.1, 100.0)
MAX_PASS = 1 << 40


@dataclass(frozen=True, slots=True)
class InpaintOptions:
    """What the user may change while samples arrive; replaced as a whole."""

    algorithm: str = choice(AUTO, ALGORITHMS, "the solver; auto: held-out samples choose")
    strength: float | str = number(
        AUTO, 0.0, MAX_STRENGTH, "weight of the solver's prior; 0 passes through the samples"
    )
    reach: float | str = number(
        AUTO, 0.0, MAX_REACH, "distance to the nearest sample where the picture ends", "px"
    )
    hz: float = number(30.0, *HZ, "pictures a second, at most", "Hz")
    memory: float | str = number(
        AUTO,
        0.0,
        1e6,
        "of a repeated scan, after which a sample counts for 1/e; 0: all alike; auto: until newer ones "
        "contradict it",
        "passes",
    )
    pass_samples: int = whole(
        0, 0, MAX_PASS, "of a pass of a repeated scan; 0: as the series announces", "frames"
    )
    uncertainty: bool = switch(True, "show the standard deviation of the picture's error")

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> InpaintOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        check_declared(where, options)
        return options

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def changed(self, where: str, name: str, value: Any) -> InpaintOptions:
        """The same with one of them changed."""
        return InpaintOptions.parse(where, self.parameters | {name: value})

    @property
    def chosen_strength(self) -> float | None:
        """None: by held-out samples."""
        return None if isinstance(self.strength, str) else float(self.strength)

    @property
    def chosen_reach(self) -> float | None:
        """None: by the distances of the samples."""
        return None if isinstance(self.reach, str) else float(self.reach)

    @property
    def fading(self) -> float | None:
        """Passes after which a sample counts for 1/e; None: it counts until it is contradicted."""
        return None if isinstance(self.memory, str) else float(self.memory)


OPTIONS = tuple(one.name for one in fields(InpaintOptions))


def input_topics(where: str, value: Any) -> Sequence[str]:
    """The topics of ``input``, one text or a list of them."""
    topics = [value] if isinstance(value, str) else value
    if not isinstance(topics, list | tuple) or not all(isinstance(one, str) and one for one in topics):
        raise PipelineError(f'{where}: input = {value!r}; it must be a topic such as "vd.haadf", or a list')
    if len(set(topics)) < len(topics):
        raise PipelineError(f"{where}: input = {value!r} names a topic twice")
    return tuple(topics)
