"""The formats that frames can be exported to, each written block by block: .npy, .h5, .zarr, .tif.

Each writes to a file of a temporary name; export.py puts it in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import MissingDependencyError, UsageError
from ..files.acquisition import Array
from ..files.contents import POSITIONS, SCAN_SHAPE
from ..series import Scan

BLOCK_BYTES = 16 << 20
"""Of decoded frames in memory at once, or one frame where that is larger."""
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
CLASSIC_BYTES = (1 << 32) - (64 << 20)
"""Above that a TIFF needs 64-bit offsets, which ImageJ's own kind has not."""
HDF5_CHUNK_BYTES = 1 << 16
"""Or one frame: whoever looks at single frames decodes no others."""
LENGTHS = ("pm", "nm", "µm", "mm", "m", "Å")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written."""

    shape: tuple[int, ...]
    """(n, h, w), or (ny, nx, h, w) for the whole of a raster scan of one pass without flyback."""
    dtype: np.dtype[Any]
    count: int
    scan: Scan | None
    """None where there is none, and for a part of one without positions: its frame i is not the scan's."""
    meta: Mapping[str, Any]
    first: int = 0
    """Number of the first frame in the source."""

    @property
    def frame_shape(self) -> tuple[int, int]:
        h, w = self.shape[-2:]
        return h, w

    @property
    def nbytes(self) -> int:
        return self.count * self.frame_shape[0] * self.frame_shape[1] * self.dtype.itemsize


class Writer(Protocol):
    """One format. Frames come in order; ``finish`` follows the last, ``close`` whatever happened."""

    def write(self, at: int, frames: Array) -> None:
        """(k, h, w) frames to the places ``at ...`` of the export."""

    def finish(self, tables: Mapping[str, Array]) -> Mapping[str, Array]:
        """Write the small arrays that belong to the frames; returns those that must lie beside the file."""

    def close(self) -> None: ...


MakeWriter = Callable[[Path, Plan], Writer]
"""From the temporary file and the plan."""


def writer_of(target: Path, plan: Plan) -> MakeWriter:
    """The writer for a file's suffix. Raises UsageError for an unknown one or for pixels it cannot hold."""
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise UsageError(
            f"{target}: frames cannot be exported to {suffix or 'a name without a suffix'!r}; "
            f"there are {', '.join(WRITERS)}"
        )
    return WRITERS[suffix]


class NpyWriter:
    """numpy's own file; what belongs to the frames lies beside it: OUT.valid.npy, OUT.positions.npy, ..."""

    def __init__(self, part: Path, plan: Plan) -> None:
        self._plan = plan
        self._file = part.open("wb")
        header = {"descr": plan.dtype.str, "fortran_order": False, "shape": plan.shape}
        np.lib.format.write_array_header_2_0(self._file, header)

    def write(self, at: int, frames: Array) -> None:
        np.ascontiguousarray(frames).tofile(self._file)

    def finish(self, tables: Mapping[str, Array]) -> Mapping[str, Array]:
        return _with_scan_shape(tables, self._plan)

    def close(self) -> None:
        self._file.close()


class Hdf5Writer:
    """One data set ``data``, chunk by chunk in bitshuffle-LZ4; the rest are data sets beside it."""

    def __init__(self, part: Path, plan: Plan) -> None:
        import h5py
        import hdf5plugin

        self._plan = plan
        self._file = h5py.File(part, "w")
        lead = _frames_per_chunk(plan, HDF5_CHUNK_BYTES)
        self._data = self._file.create_dataset(
            "data",
            plan.shape,
            plan.dtype,
            chunks=(*lead, *plan.frame_shape),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for name, value in _attributes(plan).items():
            self._data.attrs[name] = value

    def write(self, at: int, frames: Array) -> None:
        for where, piece in _places(self._plan, at, frames):
            self._data[where] = piece

    def finish(self, tables: Mapping[str, Array]) -> Mapping[str, Array]:
        for name, table in tables.items():
            self._file[name] = table
        return {}

    def close(self) -> None:
        self._file.close()


class ZarrWriter:
    """A Zarr v3 group with an array ``data``, and arrays beside it."""

    def __init__(self, part: Path, plan: Plan) -> None:
        try:
            import zarr
        except ModuleNotFoundError as missing:
            raise MissingDependencyError(
                "exporting to .zarr needs the package zarr, which is not installed; get it with: "
                "pip install zarr"
            ) from missing
        self._plan = plan
        self._group = zarr.open_group(str(part), mode="w", zarr_format=3)
        lead = _frames_per_chunk(plan, BLOCK_BYTES // 4)
        self._data = self._group.create_array(
            "data", shape=plan.shape, dtype=plan.dtype, chunks=(*lead, *plan.frame_shape)
        )
        self._data.attrs.update(_attributes(plan))

    def write(self, at: int, frames: Array) -> None:
        for where, piece in _places(self._plan, at, frames):
            self._data[where] = piece

    def finish(self, tables: Mapping[str, Array]) -> Mapping[str, Array]:
        for name, table in tables.items():
            self._group.create_array(name, data=np.ascontiguousarray(table))
        return {}

    def close(self) -> None:
        """Everything is written."""


class TiffWriter:
    """A stack of pages: ImageJ's kind where it can hold the pixels and the size, OME-TIFF otherwise."""

    def __init__(self, part: Path, plan: Plan) -> None:
        self._plan = plan
        self._frame_bytes = plan.nbytes // plan.count
        self._offset = _make_tiff(part, plan)
        self._file = part.open("r+b")  # not by the memory map: a full disk is an error here, SIGBUS there

    def write(self, at: int, frames: Array) -> None:
        self._file.seek(self._offset + at * self._frame_bytes)
        np.ascontiguousarray(frames).tofile(self._file)

    def finish(self, tables: Mapping[str, Array]) -> Mapping[str, Array]:
        return _with_scan_shape(tables, self._plan)

    def close(self) -> None:
        self._file.close()


def _with_scan_shape(tables: Mapping[str, Array], plan: Plan) -> Mapping[str, Array]:
    """Beside positions, the (ny, nx) of their scan: the frames' own file has no place for it."""
    if POSITIONS not in tables or plan.scan is None:
        return tables
    return {**tables, SCAN_SHAPE: np.array(plan.scan.shape, np.int64)}


def _make_tiff(part: Path, plan: Plan) -> int:
    """An empty TIFF of the right size and calibration; returns where its pixels begin."""
    import tifffile

    # tifffile takes ImageJ's frames of one column for one picture.
    imagej = plan.dtype.name in IMAGEJ_TYPES and plan.nbytes < CLASSIC_BYTES and plan.frame_shape[1] > 1
    kind: dict[str, Any] = {"imagej": True} if imagej else {"ome": True, "bigtiff": True}
    metadata, resolution = (_imagej_metadata if imagej else _ome_metadata)(plan.meta)
    mapped = tifffile.memmap(
        part,
        shape=(plan.count, *plan.frame_shape),
        dtype=plan.dtype,
        byteorder="<",
        photometric="minisblack",
        metadata={"axes": "TYX", **metadata},
        **resolution,
        **kind,
    )
    return int(mapped.offset)


def _imagej_metadata(meta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """ImageJ says pixels per unit, and the unit as text; seconds from frame to frame."""
    metadata, resolution = _frame_interval(meta, "finterval"), {}
    if (size := _positive(meta, "pixel_size")) is not None:
        metadata["unit"] = str(meta.get("pixel_unit", "pixel")).replace("µ", "u")
        resolution = {"resolution": (1 / size, 1 / size)}
    return metadata, resolution


def _ome_metadata(meta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """OME knows lengths only: a reciprocal pixel size (1/nm, mrad) goes in as "reference frame"."""
    metadata = _frame_interval(meta, "TimeIncrement")
    if (size := _positive(meta, "pixel_size")) is not None:
        unit = str(meta.get("pixel_unit", "pixel")).replace("um", "µm")
        unit = unit if unit in LENGTHS or unit == "pixel" else "reference frame"
        metadata |= {"PhysicalSizeX": size, "PhysicalSizeY": size}
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    return metadata, {}


def _frame_interval(meta: Mapping[str, Any], key: str) -> dict[str, Any]:
    seconds = _positive(meta, "frame_time")
    return {} if seconds is None else {key: seconds}


def _positive(meta: Mapping[str, Any], key: str) -> float | None:
    value = meta.get(key)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _attributes(plan: Plan) -> dict[str, Any]:
    """Calibration and scan as plain attributes; ``first_frame`` for whoever looks up a part's origin."""
    plain = {key: value for key, value in plan.meta.items() if isinstance(value, (str, int, float))}
    scan, first = plan.scan, {"first_frame": plan.first}
    if scan is None:
        return plain | first
    order = {"scan_shape": list(scan.shape), "scan_order": scan.order}
    return plain | first | order | {"scan_skip": scan.skip, "scan_repeats": scan.repeats}


def _places(plan: Plan, at: int, frames: Array) -> Iterator[tuple[Any, Array]]:
    """Where a block goes: one slice of frames, or line by line of a grid."""
    if len(plan.shape) == 3:
        yield slice(at, at + len(frames)), frames
        return
    nx = plan.shape[1]
    done = 0
    while done < len(frames):
        y, x = divmod(at + done, nx)
        n = min(nx - x, len(frames) - done)
        yield (y, slice(x, x + n)), frames[done : done + n]
        done += n


def _frames_per_chunk(plan: Plan, chunk_bytes: int) -> tuple[int, ...]:
    """The leading dimensions of a chunk: so many frames, of one line in a grid."""
    frames = max(1, chunk_bytes * plan.count // max(plan.nbytes, 1))
    if len(plan.shape) == 3:
        return (min(frames, plan.count),)
    return 1, min(frames, plan.shape[1])


WRITERS: Mapping[str, MakeWriter] = {
    ".npy": NpyWriter,
    ".h5": Hdf5Writer,
    ".hdf5": Hdf5Writer,
    ".zarr": ZarrWriter,
    ".tif": TiffWriter,
    ".tiff": TiffWriter,
}
BESIDE = (".npy", ".tif", ".tiff")
"""Formats that hold frames only: what belongs to them lies beside, as OUT.valid.npy and so on."""
STORES = (".zarr",)
"""Formats that are folders."""
