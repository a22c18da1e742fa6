"""What runs models in their process: the seam between that process and torch, or another runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
PRECISIONS = ("single", "half")
MOST_BATCH = 256
WARM_UP_CALLS = 3
"""TorchScript compiles in the first two calls of a shape."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is to be run."""

    device: str = "auto"
    """One of `kernels.device.WANTED`."""
    precision: str = "single"
    """"half": float16 on a CUDA device; on a processor bfloat16, where that is found to be faster."""
    batch: int = 1
    """Tiles or frames of one call, at most."""


class Call(Protocol):
    """A model made ready for inputs of one shape."""

    inbox: Values
    """(n, c, h, w) C-contiguous: what the next call sees."""
    notes: list[str]
    """What is not as it was wanted, in words."""
    runs_on: str
    """Device and precision, and how."""

    def __call__(self) -> Values:
        """The output (n, ...), float32, C-contiguous; valid until the next call."""


class Engine(Protocol):
    """A runtime, imported and with its libraries loaded: from `settle` on no file can be opened."""

    limits_memory: bool
    """Whether the process's address space says what it uses: not where a GPU's lies in it."""

    def load(self, archive: bytes, weights: bytes = b"") -> None:
        """Read a model that was scanned, and look at what was made of it; runs nothing of it.

        Packed ``weights`` replace its own. Raises ValueError where they cannot.
        """

    def settle(self) -> None:
        """Make it ready to be called."""

    def ready(self, shape: tuple[int, ...]) -> Call:
        """Compile and warm up for inputs of this shape (n, c, h, w)."""


_RANDOM = np.random.default_rng(0)


def inbox_for(shape: tuple[int, ...]) -> Values:
    """For a call's inputs, with values to warm up on."""
    return _RANDOM.random(shape, np.float32)


def checked(kind: str, found: object) -> None:
    """Raises TypeError for what is no tensor: ``kind`` is what it should be."""
    if type(found).__name__ != kind:
        raise TypeError(f"the model returns a {type(found).__name__}; it must return one tensor")


def first_line(error: Exception) -> str:
    """Of what a runtime says: the last line of a TorchScript traceback is what was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "no message"
    told = lines[-1] if "Traceback of TorchScript" in str(error) else lines[0]
    return told[:300]
