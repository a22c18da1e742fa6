"""What a consumer's edge does when the consumer cannot keep up: a named, frozen choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import PipelineError

PolicyKind = Literal["lossless", "latest", "every_nth", "sample_hz"]
_FORMS = "lossless, latest, every_nth:N, sample_hz:F"


@dataclass(frozen=True, slots=True)
class Policy:
    """Edge policy; only ``lossless`` ever makes the detector wait."""

    kind: PolicyKind
    n: int = 1
    """every_nth: frames with index % n == 0 are processed."""
    hz: float = math.inf
    """sample_hz: at most so many blocks a second, always the newest."""

    @classmethod
    def parse(cls, text: str) -> Policy:
        """From the pipeline file's word. Raises PipelineError on anything else."""
        word, _, argument = text.partition(":")
        try:
            if word in ("lossless", "latest") and not argument:
                return cls(word)  # type: ignore[arg-type]
            if word == "every_nth" and int(argument) >= 1:
                return cls("every_nth", n=int(argument))
            if word == "sample_hz" and 0 < float(argument) < math.inf:
                return cls("sample_hz", hz=float(argument))
        except ValueError:
            pass  # said below, with the forms that there are
        raise PipelineError(f"policy {text!r} is not one of: {_FORMS} (N >= 1, F > 0)")

    def __str__(self) -> str:
        if self.kind == "every_nth":
            return f"every_nth:{self.n}"
        if self.kind == "sample_hz":
            return f"sample_hz:{self.hz:g}"
        return self.kind

    @property
    def gates(self) -> bool:
        """Whether the writer waits for this reader."""
        return self.kind == "lossless"

    @property
    def newest_only(self) -> bool:
        """Whether the reader jumps to the newest block when it is behind."""
        return self.kind in ("latest", "sample_hz")
