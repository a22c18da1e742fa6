"""Files as frame sources: .npy, .npz, .tif/.tiff, .h5 become acquisitions that can be sent.

3-D arrays are movies, 4-D ones raster scans, 2-D ones single frames, ``positions`` + ``values`` sparse
scans. Pixels reach the wire unchanged in value: what cannot be converted without loss is refused. Knows no
socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..series import DTYPES, MAX_DIM, Scan
from .acquisition import Acquisition, Array, FrameBank, Positions, Stack
from .contents import READERS, Content

LOAD_BYTES = 1 << 30
"""Compressed HDF5 data up to this size is decoded before the first frame is sent; larger data while
sending."""


class FileAcquisition(Acquisition):
    """The frames of a file, played as often as asked for."""

    def __init__(self, name: str, content: Content) -> None:
        self.name = name
        self.scan = content.scan or _raster_of(name, content.frames)
        self.bank = FrameBank(_stack(name, content.frames))
        self.count = self.bank.period
        self.meta = {"title": name, **content.meta}
        self._positions = content.positions

    @classmethod
    def open(cls, spec: str) -> FileAcquisition:
        """Open ``PATH`` or ``PATH#KEY`` (the array of an .npz, the data set of an .h5)."""
        path, key = _split(spec)
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise SourceError(
                f"{path}: files of type {path.suffix or '(none)'!r} cannot be sent; "
                f"there are {', '.join(READERS)}, and simulators such as sim:4dstem"
            )
        if not path.is_file():
            raise SourceError(
                f"{path}: there is no such file; give a path, or a simulator such as sim:4dstem"
            )
        try:
            return cls(path.name, reader(path, key))
        except (OSError, ValueError, EOFError, BadZipFile, MemoryError) as error:
            raise SourceError(f"{path} cannot be read as {path.suffix}: {error}") from error

    def positions(self, first: int, n: int) -> Positions | None:
        """(n, 2) float32 (y, x) of a sparse scan; they begin again after the last."""
        if self._positions is None:
            return None
        return self._positions[self.bank.stock_indices(first, n)]

    def truth(self) -> Mapping[str, Array]:
        """Nothing: a file tells what was measured."""
        return {}


def _split(spec: str) -> tuple[Path, str]:
    whole = Path(spec)
    if "#" not in spec or whole.is_file():
        return whole, ""
    path, _, key = spec.rpartition("#")
    return Path(path), key


def _raster_of(name: str, frames: Any) -> Scan | None:
    """The scan of a 4-D array."""
    if frames.ndim != 4:
        return None
    ny, nx = frames.shape[:2]
    if not (1 <= ny <= MAX_DIM and 1 <= nx <= MAX_DIM):
        raise SourceError(
            f"{name}: a scan of {ny}x{nx} cannot be sent; each side must be from 1 to {MAX_DIM}"
        )
    return Scan((ny, nx))


def _stack(name: str, frames: Any) -> Stack:
    """(k, h, w) frames in a dtype of the wire."""
    if frames.ndim not in (2, 3, 4) or 0 in frames.shape:
        raise SourceError(
            f"{name}: an array of shape {frames.shape} holds no frames; 2 to 4 dimensions are needed"
        )
    if max(frames.shape[-2:]) > MAX_DIM:
        raise SourceError(
            f"{name}: frames of {frames.shape[-2:]} are larger than the limit of {MAX_DIM} px a side"
        )
    if isinstance(frames, np.ndarray):
        flat = lossless(name, frames)
        return np.ascontiguousarray(flat.reshape(-1, *flat.shape[-2:]))
    if frames.dtype in DTYPES.values() and frames.size * frames.dtype.itemsize > LOAD_BYTES:
        return LazyStack(frames)
    loaded = frames[()]
    frames.file.close()
    return _stack(name, loaded)


class LazyStack:
    """Frames of an HDF5 data set (k, h, w) or (ny, nx, h, w), read when they are asked for."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._line = dataset.shape[1] if dataset.ndim == 4 else 1
        self.shape: tuple[int, ...] = (dataset.shape[0] * self._line, *dataset.shape[-2:])
        self.dtype: np.dtype[Any] = dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Array:
        start, stop, _ = which.indices(len(self))
        first_line = start // self._line
        lines = np.asarray(self._dataset[first_line : -(-stop // self._line)])
        frames = lines.reshape(-1, *self.shape[1:])
        skipped = first_line * self._line
        return frames[start - skipped : stop - skipped]


NARROWED: Mapping[str, tuple[str, ...]] = {
    "bool": ("uint8",),
    "int8": ("int16",),
    "int64": ("int32", "uint32"),
    "uint64": ("uint32",),
    "float16": ("float32",),
}
"""dtypes that the wire does not know, and what may hold their values exactly."""


def lossless(name: str, array: Array) -> Array:
    """The array in a dtype of the wire, every value unchanged; SourceError where there is none."""
    if array.dtype.name in DTYPES:
        return array.astype(DTYPES[array.dtype.name], copy=False)
    for candidate in NARROWED.get(array.dtype.name, ()):
        if _fits(array, candidate):
            return array.astype(DTYPES[candidate])
    limit = " of values beyond 32 bits" if array.dtype.kind in "iu" else ""
    raise SourceError(
        f"{name}: pixels of type {array.dtype}{limit} cannot be sent without loss; "
        f"convert to one of {', '.join(DTYPES)}"
    )


def _fits(array: npt.NDArray[Any], candidate: str) -> bool:
    if array.dtype.kind not in "iu":
        return True
    bounds = np.iinfo(candidate)
    return bool(int(array.min()) >= bounds.min and int(array.max()) <= bounds.max)
