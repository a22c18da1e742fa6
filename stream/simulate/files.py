"""Files as frame sources: .npy, .npz, .tif/.tiff, .h5 become acquisitions that can be sent.

3-D arrays are movies, 4-D ones raster scans, 2-D ones single frames, ``positions`` + ``values`` sparse
scans. Pixels reach the wire unchanged in value: what cannot be converted without loss is refused. Knows no
socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..series import DTYPES, MAX_DIM, Scan
from .acquisition import Acquisition, Array, FrameBank, Positions, Stack

LOAD_BYTES = 1 << 30
"""Compressed HDF5 data up to this size is decoded before the first frame is sent; larger data while
sending."""

META_NUMBERS = (
    "pixel_size",
    "scan_step",
    "frame_time",
    "counts_per_electron",
    "offset",
    "read_noise",
    "beam_energy",
)
META_TEXTS = ("pixel_unit", "scan_unit", "detector", "sample", "title")


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a reader found in a file."""

    frames: Any
    """An array of 2 to 4 dimensions, or an h5py data set of 3 or 4 that stays open."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    positions: Positions | None = None
    scan: Scan | None = None


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


# -- readers ---------------------------------------------------------------------------------------------


def _read_npy(path: Path, key: str) -> Content:
    _no_key(path, key)
    return Content(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path: Path, key: str) -> Content:
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        meta = _npz_meta({name: archive[name] for name in names if _is_scalar(archive, name)})
        if key:
            return Content(archive[_known(path, key, names)], meta)
        if "positions" in names and "values" in names:
            return _sparse_table(path, archive, names, meta)
        if "frames" in names:
            return Content(archive["frames"], meta)
        masked = [name for name in names if name.endswith("_missing")]
        if len(masked) == 1 and len(names) == 2:
            return _sparse_image(path, archive, masked[0], meta)
        if len(names) == 1:
            return Content(archive[names[0]], meta)
    raise SourceError(
        f"{path} holds {', '.join(names) or 'nothing'}; it must hold 'frames', or 'positions', 'values' and "
        f"'shape', or an image and its '..._missing' mask; choose one array by {path}#KEY"
    )


def _read_tiff(path: Path, key: str) -> Content:
    import tifffile

    _no_key(path, key)
    try:
        with tifffile.TiffFile(path) as file:
            if not file.series:
                raise SourceError(f"{path} holds no image")
            series = file.series[0]
            if series.axes.endswith("S"):
                raise SourceError(f"{path} holds colour images {series.shape}; convert it to grey values")
            meta = _imagej_meta(file.imagej_metadata or {})
            frames = series.asarray(out="memmap") if series.dataoffset is not None else series.asarray()
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error
    return Content(frames.reshape(-1, *frames.shape[-2:]) if frames.ndim > 4 else frames, meta)


def _read_hdf5(path: Path, key: str) -> Content:
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters of detector files)

    file = h5py.File(path, "r", locking=False)
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (3, 4):
            found.append(name)

    file.visititems(visit)
    if key:
        name = _known(path, key.strip("/"), [*found, key.strip("/")] if key in file else found)
    elif not found:
        raise SourceError(f"{path} holds no data set of 3 or 4 dimensions; choose another by {path}#NAME")
    else:
        name = "entry/data/data" if "entry/data/data" in found else found[0]
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise SourceError(f"{path}#{name} is a group; choose one of {', '.join(found) or 'its data sets'}")
    return Content(item)


READERS: Mapping[str, Callable[[Path, str], Content]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".nxs": _read_hdf5,
}


def _no_key(path: Path, key: str) -> None:
    if key:
        raise SourceError(f"{path} holds a single array; leave out #{key}")


def _known(path: Path, key: str, names: list[str]) -> str:
    if key not in names:
        raise SourceError(f"{path} has no {key!r}; it has: {', '.join(names) or 'nothing that can be sent'}")
    return key


def _is_scalar(archive: Any, name: str) -> bool:
    known = {*META_NUMBERS, *META_TEXTS, "frame_rate", "um_per_px", "nm_per_px"}
    return name in known and archive[name].size == 1


def _npz_meta(scalars: Mapping[str, Array]) -> dict[str, Any]:
    """Known keys of Series.meta from an archive's scalars."""
    meta: dict[str, Any] = {}
    for name, value in scalars.items():
        if name in META_TEXTS:
            meta[name] = str(value.item())
        elif name in META_NUMBERS:
            meta[name] = float(value.item())
    if (rate := scalars.get("frame_rate")) is not None and rate.item() > 0:
        meta["frame_time"] = 1.0 / float(rate.item())
    for name, unit in (("um_per_px", "um"), ("nm_per_px", "nm")):
        if name in scalars:
            meta["pixel_size"], meta["pixel_unit"] = float(scalars[name].item()), unit
    return meta


def _imagej_meta(tags: Mapping[str, Any]) -> dict[str, Any]:
    interval = tags.get("finterval")
    return {"frame_time": float(interval)} if isinstance(interval, int | float) and interval > 0 else {}


def _sparse_table(path: Path, archive: Any, names: list[str], meta: dict[str, Any]) -> Content:
    """``positions`` (n, 2) (y, x), ``values`` (n,) or (n, channels), ``shape`` (ny, nx)."""
    if "shape" not in names:
        raise SourceError(
            f"{path} has positions and values but no 'shape'; add shape = (ny, nx) in scan pixels"
        )
    positions, values = archive["positions"], archive["values"]
    if positions.ndim != 2 or positions.shape[1] != 2 or positions.dtype.kind not in "fiu":
        raise SourceError(
            f"{path}: positions are {positions.dtype} {positions.shape}; they must be numbers (n, 2) (y, x)"
        )
    if values.ndim not in (1, 2) or len(values) != len(positions):
        raise SourceError(
            f"{path}: values are {values.shape} for {len(positions)} positions; "
            "they must be (n,) or (n, channels)"
        )
    return _sparse(path, positions, values, archive["shape"], meta)


def _sparse_image(path: Path, archive: Any, mask_name: str, meta: dict[str, Any]) -> Content:
    """An image and a mask (1 = not sampled): the sampled pixels, row by row."""
    mask = archive[mask_name]
    (image_name,) = (name for name in archive.files if name != mask_name)
    image = archive[image_name]
    if image.ndim != 2 or mask.shape != image.shape:
        raise SourceError(
            f"{path}: {image_name} {image.shape} and {mask_name} {mask.shape} must be images of one shape"
        )
    sampled = np.argwhere(mask == 0)
    return _sparse(path, sampled, image[mask == 0], np.array(image.shape), meta)


def _sparse(path: Path, positions: Array, values: Array, shape: Array, meta: dict[str, Any]) -> Content:
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or not all(1 <= int(n) <= MAX_DIM for n in shape):
        raise SourceError(f"{path}: shape is {shape.tolist()}; it must be (ny, nx), each from 1 to {MAX_DIM}")
    return Content(
        values.reshape(len(values), 1, values.shape[1] if values.ndim == 2 else 1),
        meta,
        np.ascontiguousarray(positions, np.float32),
        Scan((int(shape[0]), int(shape[1])), "positions"),
    )


# -- from arrays to frames -------------------------------------------------------------------------------


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
    return _stack(name, frames[()])


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
