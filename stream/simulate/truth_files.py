"""Ground truth beside the stream: images as .npy, tables as .csv. Knows no simulator."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ...errors import SourceError
from ..files.acquisition import Acquisition, Array


def write_truth(acquisition: Acquisition, directory: Path) -> list[Path]:
    """Write everything that the acquisition knows about itself; returns the files.

    Raises
    ------
    SourceError
        When the directory cannot be written, naming it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [_write(directory / name, value) for name, value in acquisition.truth().items()]
    except OSError as error:
        raise SourceError(
            f"ground truth cannot be written to {directory}: {error}; choose another"
        ) from error


def _write(base: Path, value: Array) -> Path:
    if value.dtype.names is None:
        path = base.with_suffix(".npy")
        np.save(path, value)
        return path
    path = base.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write("# y, x and radii in px; frames and particles counted from 0\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(value.dtype.names)
        table.writerows(value.tolist())
    return path
