"""Scan paths on disk, for a scan generator and back: .csv, .npy, .npz.

Knows paths and files; plans nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from .errors import SessionError, SourceError
from .kernels.scan_path import ScanPath, make_path

SUFFIXES = (".csv", ".npy", ".npz")
COLUMNS = ("y_px", "x_px", "dwell_s", "wait_s")
RECORD = np.dtype([("y", "<f4"), ("x", "<f4"), ("dwell", "<f8"), ("wait", "<f8")])
FIRST_LINE = "# livem scan path 1"
MAX_BYTES = 1 << 33


@dataclass(frozen=True, slots=True)
class Scale:
    """What a scan generator wants instead of pixels: a length or a voltage, 0 in the middle of the field."""

    unit: str
    """As in "nm" or "V"."""
    per_px: float

    def __post_init__(self) -> None:
        if not (self.per_px != 0 and isfinite(self.per_px)) or not re.fullmatch(r"[A-Za-zµ]+", self.unit):
            raise ValueError(f"a scale of {self.per_px} {self.unit!r} a px; it must be a number other than 0")


def write_path(file: Path, path: ScanPath, scale: Scale | None = None) -> None:
    """Write a path; the suffix says how.

    Parameters
    ----------
    file : .csv: a header that says everything, then y, x (px), dwell and wait (s) of each sample, and with a
        scale y and x in its unit. .npy: a record (y, x, dwell, wait) a sample, px and s; no room for the
        field. .npz: "positions" (n, 2) px, "dwell" and "wait" (n,) s, "shape", "pattern".

    Raises
    ------
    SourceError
        Another suffix.
    SessionError
        The file cannot be written.
    """
    write = {".csv": _write_csv, ".npy": _write_npy, ".npz": _write_npz}.get(file.suffix.lower())
    if write is None:
        raise SourceError(f"{file.name}: a path is written as {', '.join(SUFFIXES)}; choose one of these")
    part = file.with_name(f"{file.name}.part{file.suffix}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(part, path, scale)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise SessionError(
            f"the path cannot be written to {str(file)!r}: {error}; choose another --out"
        ) from error


def read_path(file: Path, shape: tuple[int, int] | None = None, dwell: float | None = None) -> ScanPath:
    """Read what ``write_path`` wrote, or plain positions from elsewhere.

    Parameters
    ----------
    file : .csv, .npy or .npz as above; or a .csv with columns y_px and x_px at least, or an .npy of (n, 2)
        numbers (y, x) in px.
    shape : (ny, nx) of the field, where the file does not say it.
    dwell : s of every sample, likewise.

    Raises
    ------
    SourceError
        No such file, not a path, or something that must be given is missing.
    """
    read = {".csv": _read_csv, ".npy": _read_npy, ".npz": _read_npz}.get(file.suffix.lower())
    if read is None:
        raise SourceError(f"{file.name} is no scan path: these are {', '.join(SUFFIXES)}")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SourceError(f"{file.name} has {file.stat().st_size} bytes; a path has {MAX_BYTES} at most")
        return read(file).path(file.name, shape, dwell)
    except SourceError:
        raise
    except (OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile, zlib.error) as error:
        raise SourceError(f"{file.name} cannot be read as a scan path: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What a file says; None where it says nothing."""

    positions: npt.NDArray[Any]
    dwell: npt.NDArray[Any] | None = None
    wait: npt.NDArray[Any] | None = None
    shape: tuple[int, int] | None = None
    pattern: str = "path"

    def path(self, name: str, shape: tuple[int, int] | None, dwell: float | None) -> ScanPath:
        field = self.shape or shape
        times = self.dwell if self.dwell is not None else dwell
        if field is None:
            raise SourceError(f"{name} does not say how large the field is; give it, as in --shape 512x512")
        if times is None:
            raise SourceError(f"{name} does not say how long a sample takes; give it, as in --dwell 1us")
        positions = np.ascontiguousarray(self.positions, np.float32)
        return make_path(field, positions, times, 0.0 if self.wait is None else self.wait, self.pattern)


# -- .csv --------------------------------------------------------------------------------------------------


def _write_csv(file: Path, path: ScanPath, scale: Scale | None) -> None:
    columns = [*path.positions.T.tolist(), path.dwell.tolist(), path.wait.tolist()]
    form = "%.9g,%.9g,%r,%r"
    if scale is not None:
        middle = (np.array(path.shape) - 1) / 2
        columns += ((path.positions.astype(np.float64) - middle) * scale.per_px).T.tolist()
        form += ",%.9g,%.9g"
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in _header(path, scale))
        out.writelines(form % row + "\n" for row in zip(*columns, strict=True))


def _header(path: ScanPath, scale: Scale | None) -> Iterator[str]:
    yield FIRST_LINE
    yield f"# pattern: {' '.join(path.pattern.split())}"
    yield f"# field: {path.shape[0]} x {path.shape[1]} px (y, x), {len(path)} samples in {path.seconds:.9g} s"
    yield "# y, x in px: 0, 0 is the middle of the first pixel, y downwards"
    yield "# dwell in s: exposure of the sample; wait in s: before it, at the same place, nothing recorded"
    names: tuple[str, ...] = COLUMNS
    if scale is not None:
        yield f"# y, x in {scale.unit}: 0, 0 is the middle of the field; 1 px = {scale.per_px!r} {scale.unit}"
        names += (f"y_{scale.unit}", f"x_{scale.unit}")
    yield ",".join(names)


def _read_csv(file: Path) -> _Read:
    with file.open(encoding="utf-8") as lines:
        said: dict[str, str] = {}
        for line in lines:
            if not line.startswith("#"):
                break
            key, _, value = line[1:].partition(":")
            said[key.strip()] = value.strip()
        else:
            raise ValueError("it has no line of column names and no samples")
        names = [name.strip() for name in line.split(",")]
        if not {"y_px", "x_px"} <= set(names):
            raise ValueError(f"its columns are {names}; y_px and x_px must be among them")
        table = np.loadtxt(_rows(lines), np.float64, delimiter=",", ndmin=2)
    if table.shape[1] != len(names):
        raise ValueError(f"it has {len(names)} column names and {table.shape[1]} columns")
    column = dict(zip(names, table.T, strict=True))
    field = re.match(r"(\d{1,9}) x (\d{1,9}) px", said.get("field", ""))
    return _Read(
        np.stack([column["y_px"], column["x_px"]], axis=1),
        column.get("dwell_s"),
        column.get("wait_s"),
        (int(field[1]), int(field[2])) if field else None,
        said.get("pattern", "path"),
    )


def _rows(lines: Iterator[str]) -> Iterator[str]:
    """The lines; loadtxt only warns where there is none."""
    first = next(lines, None)
    if first is None:
        raise ValueError("it has no samples")
    yield first
    yield from lines


# -- .npy and .npz -----------------------------------------------------------------------------------------


def _write_npy(file: Path, path: ScanPath, scale: Scale | None) -> None:
    table = np.empty(len(path), RECORD)
    table["y"], table["x"] = path.positions.T
    table["dwell"], table["wait"] = path.dwell, path.wait
    np.save(file, table, allow_pickle=False)


def _read_npy(file: Path) -> _Read:
    table = np.load(file, mmap_mode="r", allow_pickle=False)
    if table.dtype.names is not None:
        positions = np.stack([table["y"], table["x"]], axis=1)
        return _Read(positions, np.array(table["dwell"]), np.array(table["wait"]))
    if table.ndim != 2 or table.shape[1] != 2 or table.dtype.kind not in "fiu":
        raise ValueError(f"it holds {table.dtype} {table.shape}; positions are numbers (n, 2), y and x in px")
    return _Read(table)


def _write_npz(file: Path, path: ScanPath, scale: Scale | None) -> None:
    np.savez_compressed(
        file,
        positions=path.positions,
        dwell=path.dwell,
        wait=path.wait,
        shape=np.array(path.shape),
        pattern=np.array(path.pattern),
    )


def _read_npz(file: Path) -> _Read:
    with file.open("rb") as raw, np.load(raw, allow_pickle=False) as held:
        ny, nx = held["shape"].tolist()
        return _Read(held["positions"], held["dwell"], held["wait"], (ny, nx), str(held["pattern"]))
