"""The structure of a recording: NeXus groups, calibrated axes, views for other programs; before any frame.

HDF5 allows no new object once a file is written for concurrent reading (SWMR), and needs none: what comes
later goes into places that exist. Knows what a series says of itself, no frames and no accounts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filters that the data sets name)
import numpy as np

from ... import __version__
from ..checksum import checksum
from ..files.recording_layout import (
    ACCOUNTS,
    ACCOUNTS_BYTES,
    BOOKS,
    DATA,
    ENCODING,
    FILTERS,
    FRAMES,
    HEADERS_MADE,
    POSITION,
    POSITION_SUM,
    POSITION_TYPE,
    ROWS,
    ROWS_PER_CHUNK,
    SCAN,
    SERIES,
    SUM,
    VERSION,
    VERSION_ATTRIBUTE,
    WRITER,
    frames_per_chunk,
    pack_series,
    this_writer,
)
from ..messages import TABLES
from ..series import Scan, Series

Axis = tuple[str, float, str]
"""Name, step, unit."""
MAX_VIEW_PIECES = 2049
"""Enough for the 2048 columns of a serpentine scan; made in 0.3 ms each, while the first frames wait."""
EMD_ROOT = "recording"
LIBRARY = ("v110", "v110")
"""The oldest HDF5 that knows SWMR and views reads the file; "latest" would be as new as the library here."""
NO_CACHE = 0
"""Bytes of chunks that HDF5 may keep back. What it has kept and a full disk then refuses it can neither write
nor forget, and the process ends in a segmentation fault; writing at once costs no more."""
TIME_BYTES = 40


def create(
    path: os.PathLike[str] | str, series: Series, encoding: str, driver: str | None = None
) -> h5py.File:
    """A new recording with everything in it but frames, ready for concurrent reading.

    Parameters
    ----------
    path : path
        Must not exist.
    series : Series
        What is recorded, as announced.
    encoding : str
        How its frames will be stored, one of ENCODINGS.
    driver : str, optional
        h5py's name of the file driver; None = its own.

    Raises
    ------
    OSError
        When the file exists or cannot be made.
    """
    file = h5py.File(path, "x", libver=LIBRARY, driver=driver, rdcc_nbytes=NO_CACHE)
    try:
        _root(file, path)
        _entry(file["entry"], series)
        _instrument(file.create_group("entry/instrument"), series)
        _data(file, series, encoding)
        _frames(file.create_group(FRAMES), series)
        _books(file.create_group(BOOKS), series)
        _views(file, series)
        file.swmr_mode = True
    except BaseException:
        file.close()
        with contextlib.suppress(OSError):
            os.unlink(path)  # it holds nothing
        raise
    return file


def _text(value: object) -> str:
    """As HDF5 takes it: detectors fill fixed fields with NUL, and a broken decoder leaves half characters."""
    return str(value).replace("\0", "").encode(errors="replace").decode()


def _root(file: h5py.File, path: os.PathLike[str] | str) -> None:
    file.attrs.update(
        {
            "NX_class": "NXroot",
            "default": "entry",
            "file_name": _text(os.path.basename(path)),
            "creator": "livem",
            "creator_version": __version__,
            VERSION_ATTRIBUTE: VERSION,
        }
    )
    entry = file.create_group("entry")
    entry.attrs["NX_class"] = "NXentry"


def _entry(entry: h5py.Group, series: Series) -> None:
    meta = series.meta
    entry["title"] = _text(meta.get("title", f"series {series.key.number}"))
    entry["entry_identifier"] = f"{series.key.number}-{series.key.epoch.hex()}"
    entry["program_name"] = "livem"
    entry["program_name"].attrs["version"] = __version__
    for name in ("start_time", "end_time"):
        entry.create_dataset(name, data=now().encode(), dtype=f"S{TIME_BYTES}")
    if "sample" in meta:
        sample = _group(entry, "sample", "NXsample")
        sample["name"] = _text(meta["sample"])


def now() -> str:
    """This computer's date and time, with its zone: a label."""
    return datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")


def _instrument(instrument: h5py.Group, series: Series) -> None:
    instrument.attrs["NX_class"] = "NXinstrument"
    meta = series.meta
    source = _group(instrument, "source", "NXsource")
    source["probe"] = "electron"
    if "beam_energy" in meta:
        _number(source, "energy", meta["beam_energy"], "keV")
    detector = _group(instrument, "detector", "NXdetector")
    if "detector" in meta:
        detector["description"] = _text(meta["detector"])
    if "frame_time" in meta:
        _number(detector, "frame_time", meta["frame_time"], "s")
    for name in ("counts_per_electron", "offset", "read_noise"):
        if name in meta:
            _number(detector, name, meta[name], "counts")
    for name in TABLES:
        if (table := series.table(name)) is not None:
            _mark(detector.create_dataset(name, data=table), np.asarray(table).tobytes())


def _group(parent: h5py.Group, name: str, nexus_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nexus_class
    return group


def _number(group: h5py.Group, name: str, value: float, unit: str) -> None:
    group[name] = float(value)
    group[name].attrs["units"] = unit


def _data(file: h5py.File, series: Series, encoding: str) -> None:
    """The frames' data set; empty, it grows."""
    chunk = (frames_per_chunk(series, encoding), *series.shape)
    packed: dict[str, Any] = {}
    if encoding in FILTERS:
        # Options of bitshuffle: block size 0 = its own choice, 2 = LZ4; it adds its version and element size.
        options = {"bslz4": (0, 2), "lz4": (0,)}[encoding]
        packed = {"compression": FILTERS[encoding], "compression_opts": options}
    data = file.create_dataset(
        DATA,
        shape=(0, *series.shape),
        maxshape=(None, *series.shape),
        dtype=series.numpy_dtype,
        chunks=chunk,
        **packed,
    )
    data.attrs.update({"units": "counts", ENCODING: encoding, HEADERS_MADE: 0})


def _frames(group: h5py.Group, series: Series) -> None:
    group.attrs["NX_class"] = "NXcollection"

    def table(name: str, dtype: np.dtype[Any], *more: int) -> h5py.Dataset:
        return group.create_dataset(
            name, (0, *more), dtype, maxshape=(None, *more), chunks=(ROWS_PER_CHUNK, *more)
        )

    for name, dtype in ROWS.items():
        table(name, dtype)
    group["timestamp"].attrs.update({"units": "ns", "start": "1970-01-01T00:00:00Z"})
    group["size"].attrs["units"] = "bytes"
    if series.scan is not None and series.scan.order == "positions":
        table(POSITION, POSITION_TYPE, 2).attrs["units"] = "scan pixels (y, x)"
        table(POSITION_SUM, np.dtype("<u8"))


def _mark(dataset: h5py.Dataset, data: bytes) -> None:
    dataset.attrs[SUM] = np.uint64(checksum(data))


def _books(group: h5py.Group, series: Series) -> None:
    group.attrs["NX_class"] = "NXcollection"
    group.attrs[WRITER] = this_writer()
    text = pack_series(series)
    group.file[SERIES] = text
    _mark(group.file[SERIES], text.encode())
    group.file.create_dataset(ACCOUNTS, data=b'{"state": "open"}', dtype=f"S{ACCOUNTS_BYTES}")


# -- what other programs look for ------------------------------------------------------------------------


def detector_axes(series: Series) -> list[Axis]:
    """Of a frame's rows and columns: reciprocal space where there is a scan, real space in a movie."""
    meta = series.meta
    step, unit = float(meta.get("pixel_size", 1)), _text(meta.get("pixel_unit", "px"))
    names = ("y", "x") if series.scan is None else ("ky", "kx")
    return [(name, step, unit) for name in names]


def scan_axes(series: Series) -> list[Axis]:
    meta = series.meta
    step, unit = float(meta.get("scan_step", 1)), _text(meta.get("scan_unit", "px"))
    return [(name, step, unit) for name in ("y", "x")]


def frame_axis(series: Series) -> Axis:
    """Of a movie's frames: time where the interval is known."""
    if "frame_time" in series.meta:
        return "time", float(series.meta["frame_time"]), "s"
    return "frame", 1.0, ""


def _views(file: h5py.File, series: Series) -> None:
    """Axes for NeXus readers, the 4-D view of a scan, and the tree that EMD readers look for."""
    frame_axes = detector_axes(series)
    data = file["entry/data"]
    _nxdata(data, [None, *frame_axes], (None, *series.shape))
    file["entry"].attrs["default"] = "data"
    pieces = list(_pieces(series.scan)) if series.scan is not None else []
    if not pieces or len(pieces) > MAX_VIEW_PIECES or series.scan is None:
        return _emd(file, data["data"], [frame_axis(series), *frame_axes])
    shape = _view_shape(series.scan)
    scan = file.create_group(SCAN)
    _view(scan, "data", file[DATA], shape, pieces)
    _view(scan, "valid", file[f"{FRAMES}/valid"], shape, pieces)
    passes: list[Axis] = [("pass", 1.0, "")] if len(shape) == 3 else []
    axes = [*passes, *scan_axes(series), *frame_axes]
    _nxdata(scan, axes, (*shape, *series.shape))
    scan["data"].attrs["units"] = "counts"
    file["entry"].attrs["default"] = "scan"
    return _emd(file, scan["data"], axes)


def _nxdata(group: h5py.Group, axes: list[Axis | None] | list[Axis], shape: tuple[int | None, ...]) -> None:
    names = [axis[0] if axis is not None else "." for axis in axes]
    group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": names, "interpretation": "image"})
    for dimension, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if axis is not None and size is not None:
            name, step, unit = axis
            group[name] = np.arange(size) * step
            group[name].attrs["units"] = unit
            group.attrs[f"{name}_indices"] = dimension


Piece = tuple[tuple[Any, ...], h5py.MultiBlockSlice]
"""Where in the view, and which frames."""


def _view_shape(scan: Scan) -> tuple[int, ...]:
    return scan.shape if scan.repeats == 1 else (scan.repeats, *scan.shape)


def _pieces(scan: Scan) -> Iterator[Piece]:
    """A view's regular pieces; none where there can be no view (explicit positions, an endless scan).

    A line is a run of frames. HDF5 cannot turn a run around, so the backward lines of a serpentine scan go
    column by column.
    """
    if scan.order == "positions" or scan.repeats == 0:
        return
    ny, nx = scan.shape
    line = nx + scan.skip
    for number in range(scan.repeats):
        here = () if scan.repeats == 1 else (number,)
        first = number * scan.frames_per_pass
        if scan.order == "raster":
            yield (*here, slice(None)), h5py.MultiBlockSlice(first, line, ny, nx)
            continue
        yield (*here, slice(0, None, 2)), h5py.MultiBlockSlice(first, 2 * line, (ny + 1) // 2, nx)
        for x in range(nx if ny > 1 else 0):
            back = first + line + nx - 1 - x
            yield (*here, slice(1, None, 2), x), h5py.MultiBlockSlice(back, 2 * line, ny // 2, 1)


def _view(
    group: h5py.Group, name: str, source: h5py.Dataset, shape: tuple[int, ...], pieces: list[Piece]
) -> None:
    """A virtual data set over ``source``; what that does not hold (yet) is 0."""
    rest = source.shape[1:]
    frames = max(int(which.start + which.stride * (which.count - 1) + which.block) for _, which in pieces)
    view = h5py.VirtualLayout((*shape, *rest), source.dtype)
    # "." = this very file, whatever it is called
    whole = h5py.VirtualSource(".", source.name, (frames, *rest), source.dtype, maxshape=(None, *rest))
    for where, which in pieces:
        view[where] = whole[which]
    group.create_virtual_dataset(name, view, fillvalue=0)


def _emd(file: h5py.File, data: h5py.Dataset, axes: list[Axis]) -> None:
    """An EMD 1.0 tree (py4DSTEM, emdfile) with the same data in it, by a hard link."""
    file.attrs.update(_emd_marks())
    root = file.create_group(EMD_ROOT)
    root.attrs.update({"emd_group_type": "root", "python_class": "Root"})
    array = root.create_group("frames")
    array.attrs.update({"emd_group_type": "array", "python_class": "Array"})
    array["data"] = data
    for number, (name, step, unit) in enumerate(axes):
        array[f"dim{number}"] = np.array([0.0, step])
        array[f"dim{number}"].attrs.update({"name": name, "units": unit})


def _emd_marks() -> Mapping[str, Any]:
    return {
        "emd_group_type": "file",
        "version_major": 1,
        "version_minor": 0,
        "authoring_program": "livem",
        "authoring_user": "",
    }
