"""Where an export goes: frames and the small files beside them, put in place only when all of it is there.

Never over what it is made from, and over other files only where the user said so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import UsageError
from ..files.acquisition import Array
from ..messages import TABLES
from .export_formats import BESIDE, STORES

NAMES = ("valid", "positions", "scan_shape", "timestamps", *TABLES)
"""Of arrays that belong to frames."""
STORE_FILES = ("zarr.json", ".zgroup", ".zarray")
"""What tells a Zarr store from any other folder."""


class Target:
    """One export's place. ``part`` is written first; ``put`` makes it the target.

    Parameters
    ----------
    path : Path
        Its suffix chooses the format.
    sources : sequence of Path
        The files that are read meanwhile.
    replace : bool
        Whether what is there may be replaced.

    Raises
    ------
    UsageError
        When something is there that may not be replaced, or no folder to write to.
    """

    def __init__(self, path: Path, sources: Sequence[Path], replace: bool) -> None:
        self.path = path
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._old = path.with_name(f".{path.stem}.old{path.suffix}")
        beside = path.suffix.lower() in BESIDE
        self._beside = {name: path.with_name(f"{path.stem}.{name}.npy") for name in NAMES if beside}
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no folder; make it first")
        for taken in (path, *self._beside.values()):
            _check(taken, path, sources, replace)
        _remove(self.part)

    def put(self, tables: Mapping[str, Array]) -> list[Path]:
        """The complete ``part`` in its place, these arrays beside it; returns their files.

        What a former export left beside it goes, after the new frames are there.
        """
        parts = {name: self._part_of(name) for name in tables}
        for name, part in parts.items():
            np.save(part, tables[name])
        if self.path.is_dir():
            os.replace(self.path, self._old)
        os.replace(self.part, self.path)
        for name, part in parts.items():
            os.replace(part, self._beside[name])
        for name in self._beside.keys() - parts.keys():
            self._beside[name].unlink(missing_ok=True)
        return [self._beside[name] for name in parts]

    def tidy(self) -> None:
        """Remove what is not in its place, whatever happened."""
        if self._old.exists() and not self.path.exists():
            os.replace(self._old, self.path)
        for leftover in (self.part, self._old, *map(self._part_of, self._beside)):
            _remove(leftover)

    def _part_of(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.stem}.{name}.part.npy")

    def nbytes(self) -> int:
        """Of the frames' file, or of all files of a store."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())


def _check(taken: Path, target: Path, sources: Sequence[Path], replace: bool) -> None:
    """Raises UsageError where ``taken`` is there and may not be replaced."""
    if not taken.exists():
        return
    if any(_holds(taken, source) for source in sources):
        raise UsageError(f"{taken} is what the frames are read from; choose another name than {target}")
    if not replace:
        beside = "" if taken == target else f", and would belong to {target.name}"
        raise UsageError(f"{taken} is already there{beside}; choose another name, or replace it with --force")
    if taken.is_dir() and not (target.suffix.lower() in STORES and _is_store(taken)):
        raise UsageError(f"{taken} is a folder of other files, which is not replaced; choose another name")


def _holds(taken: Path, source: Path) -> bool:
    """Whether replacing ``taken`` would take the source away."""
    if not source.exists():
        return False
    return taken.samefile(source) or taken.resolve() in source.resolve().parents


def _is_store(folder: Path) -> bool:
    return any((folder / name).exists() for name in STORE_FILES)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
