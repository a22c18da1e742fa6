"""What is in a file of frames: arrays, calibration and positions of .npy, .npz, .tif and .h5, as stored.

Knows nothing of wire dtypes or frame order; files.py makes acquisitions of what is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..series import MAX_DIM, Scan
from .acquisition import Array, Positions

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
