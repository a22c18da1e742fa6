"""Parameters of the reconstruction of sparse scans, checked. Knows no samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import PipelineError
from ..kernels.inpaint.ladders import ALGORITHMS, AUTO
from .detector_values import hint
from .option_values import check_number

MAX_REACH = 1e4
MAX_STRENGTH = 1e9
HZ = (0.1, 100.0)
MAX_PASS = 1 << 40


@dataclass(frozen=True, slots=True)
class InpaintOptions:
    """What the user may change while samples arrive; replaced as a whole."""

    algorithm: str = AUTO
    strength: float | str = AUTO
    reach: float | str = AUTO
    """px from the nearest sample where the picture ends."""
    hz: float = 30.0
    """Pictures a second, at most."""
    memory: float | str = AUTO
    """Passes after which a sample counts for 1/e, where a scan is repeated; 0 = all count alike; "auto" =
    until newer samples contradict it."""
    pass_samples: int = 0
    """Frames of a pass of a repeated scan; 0 = as the series announces."""
    uncertainty: bool = True

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> InpaintOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        if options.algorithm not in ALGORITHMS:
            raise PipelineError(
                f"{where}: algorithm = {options.algorithm!r}; {hint(str(options.algorithm), ALGORITHMS)}"
            )
        check_number(where, "strength", options.strength, 0.0, MAX_STRENGTH, auto=True)
        check_number(where, "reach", options.reach, 0.0, MAX_REACH, auto=True)
        check_number(where, "hz", options.hz, *HZ)
        check_number(where, "memory", options.memory, 0.0, 1e6, auto=True)
        check_number(where, "pass_samples", options.pass_samples, 0, MAX_PASS, whole=True)
        if not isinstance(options.uncertainty, bool):
            raise PipelineError(f"{where}: uncertainty = {options.uncertainty!r}; it must be true or false")
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
