"""Files as frame sources: what a reader finds becomes an acquisition that can be sent.

3-D arrays are movies, 4-D ones raster scans, 2-D ones single frames, ``positions`` + ``values`` sparse
scans. Pixels reach the wire unchanged in value: what cannot be converted without loss is refused. Knows no
socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import LivemError, SourceError
from ..series import DTYPES, MAX_DIM, Encoding, IndexArray
from .acquisition import Acquisition, Array, FrameBank, Positions, Stack
from .contents import Content, raster_of
from .dectris_session import SUFFIX as SESSION
from .dectris_session import is_session
from .lazy_stack import LazyStack
from .quiet import logs_off

Reader = Callable[[Path, str], Content]

LOAD_BYTES = 1 << 30
"""Data on disk up to this size are read before the first frame is sent; larger data while sending."""

READERS: Mapping[str, tuple[str, str]] = {
    ".npy": ("contents", "read_npy"),
    ".npz": ("contents", "read_npz"),
    ".tif": ("tiff_files", "read_tiff"),
    ".tiff": ("tiff_files", "read_tiff"),
    ".h5": ("hdf5_files", "read_hdf5"),
    ".hdf5": ("hdf5_files", "read_hdf5"),
    ".nxs": ("hdf5_files", "read_hdf5"),
    ".zarr": ("zarr_files", "read_zarr"),
    ".mib": ("merlin_files", "read_mib"),
    ".hdr": ("merlin_files", "read_mib"),
    **dict.fromkeys(
        (".mrc", ".hspy", ".zspy", ".emd", ".blo", ".tvips", ".dm3", ".dm4"),
        ("microscope_formats", "read_microscope"),
    ),
    SESSION: ("dectris_session", "read_session"),
}
"""Module and function by suffix; imported when a file of that kind is opened."""
FOLDERS = (".zarr", ".zspy")
"""Kinds of files that may be folders."""


class FileAcquisition(Acquisition):
    """The frames of a file, played as often as asked for."""

    def __init__(self, name: str, content: Content) -> None:
        self.name = name
        self.scan = content.scan or raster_of(name, content.frames)
        stack = _stack(name, content)
        self.bank = FrameBank(stack, _order(name, content.places, len(stack)))
        self.count = self.bank.period
        self.meta = {"title": name, **content.meta}
        self.encoding: Encoding = "raw" if content.stored is None else content.stored.encoding
        self._content = content

    @classmethod
    def open(cls, spec: str) -> FileAcquisition:
        """Open ``PATH`` or ``PATH#KEY`` (one array of several)."""
        path, key = split_key(spec)
        reader = _reader_of(path)
        if not (path.is_file() or (path.is_dir() and path.suffix.lower() in FOLDERS)):
            raise SourceError(
                f"{path}: there is no such file; give a path, or a simulator such as sim:4dstem"
            )
        try:
            with logs_off():
                content = reader(path, key)
                acquisition = cls(path.name, content)
        except LivemError:
            raise
        except Exception as error:
            # Whatever numpy, HDF5, zip, TIFF and Zarr make of damaged bytes: zlib.error, struct.error,
            # IndexError, ZeroDivisionError, tokenize.TokenError were all seen, and the list has no end.
            raise SourceError(f"{path} cannot be read as {path.suffix}: {_words(error)}") from error
        acquisition.files = (path, *content.files)
        return acquisition

    def positions(self, first: int, n: int) -> Positions | None:
        """(n, 2) float32 (y, x) of a sparse scan; they begin again after the last."""
        if self._content.positions is None:
            return None
        return self._content.positions[self.bank.stock_indices(first, n)]

    def payloads(self, first: int, n: int) -> list[bytes] | None:
        """n payloads as they are stored, where the file has frames that a detector could have sent."""
        stored, count = self._content.stored, self.bank.period
        if stored is None:
            return None
        payloads: list[bytes] = []
        while len(payloads) < n:
            at = (first + len(payloads)) % count
            payloads += stored.payloads(at, min(n - len(payloads), count - at))
        if self._content.valid is None:
            return payloads
        there = self._present[np.arange(first, first + n) % count].tolist()
        return [payload if here else b"" for payload, here in zip(payloads, there, strict=True)]

    def present(self, first: int, n: int) -> npt.NDArray[np.bool_] | None:
        """(n,) which frames the file has; None = all of them."""
        if self._content.places is None and self._content.valid is None:
            return None
        return self._present[np.arange(first, first + n) % len(self._present)]

    @cached_property
    def _present(self) -> npt.NDArray[np.bool_]:
        places, valid = self._content.places, self._content.valid
        present = np.zeros(self.bank.period, bool)
        present[slice(None) if places is None else places] = True if valid is None else valid
        return present

    def times(self, first: int, n: int) -> npt.NDArray[np.int64] | None:
        """(n,) ns since the Unix epoch, where the file says so."""
        times = self._content.times
        return None if times is None else times[np.arange(first, first + n) % len(times)]

    def tables(self) -> Mapping[str, Array]:
        """Pixel mask and such, where the file has them."""
        return self._content.tables

    def truth(self) -> Mapping[str, Array]:
        """Nothing: a file tells what was measured."""
        return {}


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "pickle" in text:  # numpy takes what it does not know for Python objects, and tells how to run them
        return "it is damaged, or holds Python objects; an array of numbers is needed"
    return text


def split_key(spec: str) -> tuple[Path, str]:
    """``PATH#KEY`` as path and key; a file whose name has a ``#`` is one."""
    whole = Path(spec)
    if "#" not in spec or whole.exists():
        return whole, ""
    path, _, key = spec.rpartition("#")
    return Path(path), key


def _reader_of(path: Path) -> Reader:
    suffix = path.suffix.lower()
    if suffix not in READERS and path.is_file() and is_session(path):
        suffix = SESSION
    if suffix not in READERS:
        raise SourceError(
            f"{path}: files of type {path.suffix or '(none)'!r} cannot be sent; "
            f"there are {', '.join(READERS)}, and simulators such as sim:4dstem"
        )
    module, function = READERS[suffix]
    reader: Reader = getattr(import_module(f".{module}", __package__), function)
    return reader


def _order(name: str, places: IndexArray | None, stock: int) -> IndexArray | None:
    """Which stored frame stands at each index of the series; anything where there is none."""
    if places is None:
        return None
    if len(places) != stock or (np.diff(places) <= 0).any() or places[0] < 0:
        raise SourceError(f"{name}: its {stock} frames have numbers that do not increase")
    order = np.zeros(int(places[-1]) + 1, np.int64)
    order[places] = np.arange(stock)
    return order


# -- pixels ----------------------------------------------------------------------------------------------


def _stack(name: str, content: Content) -> Stack:
    """(k, h, w) frames in a dtype of the wire."""
    frames = content.frames
    if frames.ndim not in (2, 3, 4) or 0 in frames.shape:
        raise SourceError(
            f"{name}: an array of shape {frames.shape} holds no frames; 2 to 4 dimensions are needed"
        )
    if max(frames.shape[-2:]) > MAX_DIM:
        raise SourceError(
            f"{name}: frames of {frames.shape[-2:]} are larger than the limit of {MAX_DIM} px a side"
        )
    nbytes = int(np.prod(frames.shape, dtype=np.float64)) * frames.dtype.itemsize
    ready = isinstance(frames, np.ndarray) and _is_ready(frames)
    if frames.ndim > 2 and not ready and (nbytes > LOAD_BYTES or content.stored is not None):
        return LazyStack(frames, lazy_dtype(name, frames.dtype), name)
    if nbytes > LOAD_BYTES and frames.ndim == 2 and not ready:
        raise SourceError(
            f"{name}: a frame of {nbytes / 2**20:,.0f} MiB is beyond the limit of "
            f"{LOAD_BYTES / 2**20:,.0f} MiB"
        )
    loaded = frames if isinstance(frames, np.ndarray) else np.asarray(frames[:])
    _close(frames)
    flat = lossless(name, loaded)
    return np.ascontiguousarray(flat.reshape(-1, *flat.shape[-2:]))


def _is_ready(frames: Array) -> bool:
    """Whether an array (that may be a map of a file) can be sent as it lies there."""
    return frames.flags.c_contiguous and frames.dtype in DTYPES.values()


def _close(frames: Any) -> None:
    """A file that has been read whole is not needed any more."""
    file = getattr(frames, "file", None)
    if file is not None:
        file.close()


NARROWED: Mapping[str, tuple[str, ...]] = {
    "bool": ("uint8",),
    "int8": ("int16",),
    "int64": ("int32", "uint32"),
    "uint64": ("uint32",),
    "float16": ("float32",),
}
"""dtypes that the wire does not know, and what may hold their values exactly."""


def lazy_dtype(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the wire that holds every value of this one; SourceError where there is none."""
    if dtype.name in DTYPES:
        return DTYPES[dtype.name]
    if dtype.name in ("bool", "int8", "float16"):
        return DTYPES[NARROWED[dtype.name][0]]
    raise _lossy(name, dtype)


def lossless(name: str, array: Array) -> Array:
    """The array in a dtype of the wire, every value unchanged; SourceError where there is none."""
    if array.dtype.name in DTYPES:
        return array.astype(DTYPES[array.dtype.name], copy=False)
    for candidate in NARROWED.get(array.dtype.name, ()):
        if _fits(array, candidate):
            return array.astype(DTYPES[candidate])
    raise _lossy(name, array.dtype)


def _lossy(name: str, dtype: np.dtype[Any]) -> SourceError:
    limit = " of values beyond 32 bits" if dtype.kind in "iu" else ""
    return SourceError(
        f"{name}: pixels of type {dtype}{limit} cannot be sent without loss; "
        f"convert to one of {', '.join(DTYPES)}"
    )


def _fits(array: npt.NDArray[Any], candidate: str) -> bool:
    if array.dtype.kind not in "iu":
        return True
    bounds = np.iinfo(candidate)
    return bool(int(array.min()) >= bounds.min and int(array.max()) <= bounds.max)
