"""Parameters of a model in the stream, checked. Knows no frames and no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..parameters import check_declared, choice, number, switch, whole
from .engine import MOST_BATCH, PRECISIONS, Manner
from .host import Limits


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the pipeline file says; replaced as a whole."""

    timeout: float = number(5.0, 0.001, 600.0, "for one frame; a model that needs more is switched off", "s")
    memory: float = number(
        4.0, 0.1, 1024.0, "that the model may take beside its runtime; not held on Windows and GPUs", "GiB"
    )
    cores: int = whole(1, 1, 256, "threads of one call")
    enabled: bool = switch(True, "off: no estimates; on starts a model again that failed")
    every_frame: bool = switch(False, "estimate every frame, not the newest of each block alone")
    batch: int = whole(1, 1, MOST_BATCH, "frames, or tiles of one, in a call, where there are so many")
    precision: str = choice("single", PRECISIONS, "half: less memory and time on a GPU")
    adapt: bool = switch(False, "the model goes on learning from the frames that it is shown")

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> ModelOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        check_declared(where, options)
        return options

    @property
    def limits(self) -> Limits:
        """Of the model's process."""
        return Limits(self.timeout, int(self.memory * 2**30), self.cores)

    def manner(self, device: str) -> Manner:
        """How the model is run there."""
        return Manner(device, self.precision, self.batch)

    def changed(self, where: str, name: str, value: Any) -> ModelOptions:
        """The same with one of them changed; of those that may change while frames come."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        ModelOptions.parse(where, known | {name: value})
        return replace(self, **{name: value})
