"""Parameters of a model in the stream, checked. Knows no frames and no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import PipelineError
from .models.engine import MOST_BATCH, PRECISIONS, Manner
from .models.host import Limits
from .option_values import check_number


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the pipeline file says; replaced as a whole."""

    timeout: float = 5.0
    """s for one frame; a model that needs more is switched off."""
    memory: float = 4.0
    """GiB that the model may take beside its runtime itself; not held on Windows, and not on a GPU."""
    cores: int = 1
    """Threads of one call."""
    enabled: bool = True
    """False switches the model off; true starts it again after it failed."""
    every_frame: bool = False
    """Every frame that comes is estimated, not the newest of each block alone."""
    batch: int = 1
    """Frames, or tiles of one, in a call, where there are so many."""
    precision: str = "single"
    """"half": see `Manner`."""
    adapt: bool = False
    """The model goes on learning."""

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> ModelOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        check_number(where, "timeout", options.timeout, 0.001, 600.0)
        check_number(where, "memory", options.memory, 0.1, 1024.0)
        check_number(where, "cores", options.cores, 1, 256, whole=True)
        check_number(where, "batch", options.batch, 1, MOST_BATCH, whole=True)
        for name in ("enabled", "every_frame", "adapt"):
            if not isinstance(getattr(options, name), bool):
                raise PipelineError(f"{where}: {name} = {getattr(options, name)!r}; it must be true or false")
        if options.precision not in PRECISIONS:
            raise PipelineError(
                f"{where}: precision = {options.precision!r}; it must be one of {', '.join(PRECISIONS)}"
            )
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
