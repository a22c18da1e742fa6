"""HDF5 files of frames: any data set of 3 or 4 dimensions, and the master files that DECTRIS detectors write.

Knows what stands where; how compressed frames are taken out as they are is stored_chunks.py's.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters of detector files)
import numpy as np

from ...errors import SourceError
from ..messages import FLATFIELD, PIXEL_MASK
from .acquisition import Array
from .contents import (
    POSITIONS,
    VALID,
    Content,
    attributes_meta,
    attributes_scan,
    known_key,
    raster_of,
    scan_positions,
    valid_frames,
)
from .stored_chunks import StoredFrames, stored_chunks

PREFERRED = "entry/data/data"
PARTS = "entry/data"
"""A master file links to its data here: data_000001, data_000002, ..."""
DETECTOR = "entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
MASTER_META = {
    "frame_time": (f"{DETECTOR}/frame_time", 1.0),
    "pixel_size": (f"{DETECTOR}/x_pixel_size", 1e6),
}
"""Where the known keys of Series.meta are, and the factor to their units; pixel sizes become um."""
TABLES = {PIXEL_MASK: (f"{SPECIFIC}/pixel_mask", "uint32"), FLATFIELD: (f"{SPECIFIC}/flatfield", "float32")}


def read_hdf5(path: Path, key: str) -> Content:
    """The frames of a file, or of its data set ``key``."""
    file = h5py.File(path, "r", locking=False)
    try:
        parts = [] if key else _master_parts(path, file)
        if parts:
            return _master(path, file, parts)
        return _single(path, file, key)
    except BaseException:
        file.close()
        raise


def _single(path: Path, file: h5py.File, key: str) -> Content:
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (3, 4):
            found.append(name)

    file.visititems(visit)
    if key:
        name = known_key(path, key.strip("/"), [*found, key.strip("/")] if key in file else found)
    elif not found:
        raise SourceError(f"{path} holds no data set of 3 or 4 dimensions; choose another by {path}#NAME")
    else:
        name = PREFERRED if PREFERRED in found else found[0]
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise SourceError(f"{path}#{name} is a group; choose one of {', '.join(found) or 'its data sets'}")
    stored = stored_chunks([item]) if item.ndim in (3, 4) and item.size else None
    positions = scan_positions(_beside(item, POSITIONS), item.shape)
    scan = attributes_scan(item.attrs, item.shape, positions) or raster_of(path.name, item)
    frames = item if stored is None else StoredFrames(stored)
    valid = valid_frames(_beside(item, VALID), item.shape)
    meta = attributes_meta(item.attrs)
    return Content(frames, meta, None if scan is None else positions, scan, valid=valid, stored=stored)


def _beside(item: h5py.Dataset, name: str) -> h5py.Dataset | None:
    """The data set of this name in the same group."""
    beside = item.parent.get(name)
    return beside if isinstance(beside, h5py.Dataset) else None


# -- DECTRIS master files --------------------------------------------------------------------------------


def _master_parts(path: Path, file: h5py.File) -> list[h5py.Dataset]:
    """The data that a master file links to, in order; empty for other files."""
    group = file.get(PARTS)
    if not isinstance(group, h5py.Group):
        return []
    names = sorted(name for name in group if name.startswith("data_") and name[5:].isdigit())
    return [_part(path, group, name) for name in names]


def _part(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    link = group.get(name, getlink=True)
    where = getattr(link, "filename", path.name)
    try:
        data = group[name]
    except (KeyError, OSError) as error:
        raise SourceError(
            f"{path} refers to {where} for {PARTS}/{name}, which cannot be read ({error}); put it beside the "
            "master file"
        ) from error
    if not isinstance(data, h5py.Dataset) or data.ndim != 3:
        raise SourceError(f"{path}: {PARTS}/{name} in {where} is no stack of frames")
    return data


def _master(path: Path, file: h5py.File, parts: list[h5py.Dataset]) -> Content:
    first = parts[0]
    for part in parts:
        if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype:
            raise SourceError(
                f"{path}: {part.file.filename} holds frames of {part.shape[1:]} {part.dtype}, the first file "
                f"{first.shape[1:]} {first.dtype}"
            )
    tables = {
        name: _table(file[where], dtype)
        for name, (where, dtype) in TABLES.items()
        if where in file and file[where].shape == first.shape[1:]
    }
    stored = stored_chunks(parts)
    frames = Joined(parts) if stored is None else StoredFrames(stored)
    files = [Path(part.file.filename) for part in parts]
    return Content(frames, _master_meta(file), stored=stored, tables=tables, files=files)


def _table(data: h5py.Dataset, dtype: str) -> Array:
    return np.asarray(data[()]).astype(dtype)


def _master_meta(file: h5py.File) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for name, (where, factor) in MASTER_META.items():
        value = _number(file, where)
        if value is not None and value > 0:
            meta[name] = value * factor
    if "pixel_size" in meta:
        meta["pixel_unit"] = "um"
    text = file[f"{DETECTOR}/description"][()] if f"{DETECTOR}/description" in file else None
    if isinstance(text, bytes):
        meta["detector"] = text.decode(errors="replace")
    return meta


def _number(file: h5py.File, where: str) -> float | None:
    item = file.get(where)
    if not isinstance(item, h5py.Dataset) or item.size != 1 or item.dtype.kind not in "iuf":
        return None
    value = float(np.asarray(item[()]).item())
    return value if math.isfinite(value) else None


class Joined:
    """Data sets (k, h, w) of one shape and type, one after the other; slices along the first axis."""

    def __init__(self, parts: list[h5py.Dataset]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts]).tolist()
        self.shape: tuple[int, ...] = (self._ends[-1], *parts[0].shape[1:])
        self.dtype: np.dtype[Any] = parts[0].dtype
        self.ndim = 3
        self.chunks = parts[0].chunks

    def __getitem__(self, which: slice) -> Array:
        start, stop, _ = which.indices(self.shape[0])
        pieces = []
        for part, end in zip(self._parts, self._ends, strict=True):
            first = end - len(part)
            if start < end and stop > first:
                pieces.append(part[max(start - first, 0) : stop - first])
        return np.concatenate(pieces) if pieces else np.empty((0, *self.shape[1:]), self.dtype)
