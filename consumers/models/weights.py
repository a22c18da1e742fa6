"""A model's weights as names, shapes and raw float32: what an adapter hands over. Nothing of it can run."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import msgpack
import numpy as np

from ...errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Tensors in the order of the model's own state."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    values: bytes
    """float32, little endian, one tensor after the other."""

    @classmethod
    def of(cls, tensors: dict[str, np.ndarray]) -> Weights:
        """Of arrays that are float32 already."""
        shapes = tuple((name, tuple(array.shape)) for name, array in tensors.items())
        return cls(shapes, b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in tensors.values()))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.packed()).hexdigest()

    def packed(self) -> bytes:
        """For a pipe; read again by `unpacked`."""
        return bytes(msgpack.packb([[[name, list(shape)] for name, shape in self.shapes], self.values]))

    @classmethod
    def unpacked(cls, data: bytes) -> Weights:
        """Raises ModelError for anything that `packed` does not write, and values that are not finite."""
        try:
            listed, values = msgpack.unpackb(data)
            shapes = tuple((str(name), tuple(int(n) for n in shape)) for name, shape in listed)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise ModelError(f"weights that cannot be read: {error}") from error
        found = cls(shapes, values)
        if not isinstance(values, bytes) or 4 * sum(math.prod(shape) for _, shape in shapes) != len(values):
            raise ModelError("weights whose sizes do not fit their values")
        if not np.isfinite(np.frombuffer(values, "<f4")).all():
            raise ModelError("weights that are not finite")
        return found

    def tensors(self) -> dict[str, np.ndarray]:
        """Read-only float32 arrays by name."""
        flat, found, at = np.frombuffer(self.values, "<f4"), {}, 0
        for name, shape in self.shapes:
            size = math.prod(shape)
            found[name] = flat[at : at + size].reshape(shape)
            at += size
        return found
