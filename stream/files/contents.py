"""What a reader finds in a file of frames, and the readers of .npy and .npz.

Knows nothing of wire dtypes; file_acquisition.py makes acquisitions of what is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..series import MAX_DIM, Encoding, IndexArray, Scan
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
MEMORY_BYTES = 1 << 30
"""Of one array that can be read as a whole only."""
VALID = "valid"
"""How livem export calls the array that says which frames were there."""
POSITIONS, SCAN_SHAPE = "positions", "scan_shape"
"""How it calls the (y, x) of each frame, and the (ny, nx) of their scan."""
META_TEXTS = ("pixel_unit", "scan_unit", "detector", "sample", "title")


class Stored(Protocol):
    """Compressed frames as they lie in a file."""

    encoding: Encoding

    def payloads(self, first: int, n: int) -> Sequence[bytes]:
        """n payloads, none of them beyond the last frame; empty where a frame is absent."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a reader found in a file."""

    frames: Any
    """An array of 2 to 4 dimensions, in memory, mapped, or one (HDF5, Zarr, dask) that stays on disk."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    positions: Positions | None = None
    scan: Scan | None = None
    """None: a raster where the array has 4 dimensions."""
    places: IndexArray | None = None
    """(k,) increasing: the index in its series of each frame of the file; None = 0 .. k-1."""
    valid: npt.NDArray[np.bool_] | None = None
    """(k,) which frames of the file were measured, the others are filler; None = all of them."""
    stored: Stored | None = None
    tables: Mapping[str, Array] = field(default_factory=dict)
    """By messages.TABLES' names."""
    times: npt.NDArray[np.int64] | None = None
    """(count,) ns since the Unix epoch."""
    files: Sequence[Path] = ()
    """Further ones that the frames are in."""


def read_npy(path: Path, key: str) -> Content:
    no_key(path, key)
    frames = np.load(path, mmap_mode="r", allow_pickle=False)
    positions, scan = positions_beside(path, frames.shape)
    return Content(frames, positions=positions, scan=scan, valid=valid_beside(path, frames.shape))


def read_npz(path: Path, key: str) -> Content:
    with np.load(path, allow_pickle=False) as archive:
        _check_memory(path, archive)
        names = list(archive.files)
        meta = _npz_meta({name: archive[name] for name in names if _is_scalar(archive, name)})
        if key:
            return Content(archive[known_key(path, key, names)], meta)
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


def _check_memory(path: Path, archive: Any) -> None:
    """Raises SourceError where an array is too large to be unpacked in memory."""
    largest = max((info.file_size for info in archive.zip.infolist()), default=0)
    if largest > MEMORY_BYTES:
        raise SourceError(
            f"{path} holds an array of {largest / 2**20:,.0f} MiB, which an archive gives out as a whole "
            f"only; the limit is {MEMORY_BYTES / 2**20:,.0f} MiB; save it as .npy or .h5 instead"
        )


def no_key(path: Path, key: str) -> None:
    if key:
        raise SourceError(f"{path} holds a single array; leave out #{key}")


def known_key(path: Path, key: str, names: list[str]) -> str:
    if key not in names:
        raise SourceError(f"{path} has no {key!r}; it has: {', '.join(names) or 'nothing that can be sent'}")
    return key


def attributes_meta(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Known keys of Series.meta among the attributes of an array, as livem export writes them."""
    meta: dict[str, Any] = {}
    for name in (*META_NUMBERS, *META_TEXTS):
        value = attributes.get(name)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and name in META_TEXTS:
            meta[name] = value
        elif isinstance(value, int | float) and name in META_NUMBERS and math.isfinite(value):
            meta[name] = float(value)
    return meta


def attributes_scan(
    attributes: Mapping[str, Any], shape: Sequence[int], positions: Positions | None = None
) -> Scan | None:
    """The scan among the attributes of an array (k, h, w) with that shape, as livem export writes it.

    One of explicit positions needs these. None for a part of any other: its frame i is not the scan's.
    """
    if positions is not None:
        return positions_scan(attributes.get("scan_shape", ()))
    first = attributes.get("first_frame", 0)
    if not isinstance(first, int | np.integer) or first != 0:
        return None
    sides = np.asarray(attributes.get("scan_shape", ()))
    order = attributes.get("scan_order", "raster")
    numbers = [attributes.get(f"scan_{name}", default) for name, default in (("skip", 0), ("repeats", 1))]
    whole = all(isinstance(number, int | np.integer) and number >= 0 for number in numbers)
    if len(shape) != 3 or sides.shape != (2,) or sides.dtype.kind not in "iu" or not whole:
        return None
    if order not in ("raster", "serpentine") or not all(1 <= int(side) <= MAX_DIM for side in sides):
        return None
    return Scan((int(sides[0]), int(sides[1])), order, int(numbers[0]), int(numbers[1]))


def positions_scan(shape: Any) -> Scan | None:
    """A scan of explicit positions over (ny, nx) scan pixels; None where that is no such shape."""
    sides = np.asarray(shape)
    if sides.shape != (2,) or sides.dtype.kind not in "iu" or not all(1 <= int(n) <= MAX_DIM for n in sides):
        return None
    return Scan((int(sides[0]), int(sides[1])), "positions")


def scan_positions(table: Any, shape: Sequence[int]) -> Positions | None:
    """(k, 2) float32 (y, x) of each frame of an array (k, h, w), as livem export says it in ``positions``.

    None where they are no such array: then they belong to something else.
    """
    if table is None or len(shape) != 3 or table.dtype.kind != "f" or tuple(table.shape) != (shape[0], 2):
        return None
    return np.ascontiguousarray(table[...], np.float32)


def positions_beside(path: Path, shape: Sequence[int]) -> tuple[Positions | None, Scan | None]:
    """Positions and their scan from OUT.positions.npy and OUT.scan_shape.npy for OUT.npy or OUT.tif."""
    files = [path.with_name(f"{path.stem}.{name}.npy") for name in (POSITIONS, SCAN_SHAPE)]
    if not all(file.is_file() for file in files):
        return None, None
    table, sides = (np.load(file, mmap_mode="r", allow_pickle=False) for file in files)
    positions, scan = scan_positions(table, shape), positions_scan(sides)
    return (None, None) if positions is None or scan is None else (positions, scan)


def valid_frames(flags: Any, shape: Sequence[int]) -> npt.NDArray[np.bool_] | None:
    """(k,) which frames of an array with that shape were measured, as livem export says it in ``valid``.

    The flags may have a scan's shape where the frames lie in a row, as in a TIFF. None where they are no such
    array: then they belong to something else.
    """
    if flags is None or flags.dtype != np.bool_ or flags.size != math.prod(shape[:-2]):
        return None
    valid: npt.NDArray[np.bool_] = np.array(flags[...]).reshape(-1)
    return valid


def valid_beside(path: Path, shape: Sequence[int]) -> npt.NDArray[np.bool_] | None:
    """From OUT.valid.npy for OUT.npy or OUT.tif."""
    beside = path.with_name(f"{path.stem}.{VALID}.npy")
    if len(shape) < 3 or not beside.is_file():
        return None
    return valid_frames(np.load(beside, mmap_mode="r", allow_pickle=False), shape)


def raster_of(name: str, frames: Any) -> Scan | None:
    """The scan of a 4-D array."""
    if frames.ndim != 4:
        return None
    ny, nx = frames.shape[:2]
    if not (1 <= ny <= MAX_DIM and 1 <= nx <= MAX_DIM):
        raise SourceError(
            f"{name}: a scan of {ny}x{nx} cannot be sent; each side must be from 1 to {MAX_DIM}"
        )
    return Scan((ny, nx))


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
