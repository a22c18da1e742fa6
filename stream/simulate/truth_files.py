"""Ground truth beside the stream: images and movies as .npy, tables as .csv. Knows no simulator."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from ...errors import SourceError
from ..files.acquisition import Acquisition, Array

MOVIE = "movie"
"""Name of a movie without its noise: (n, h, w) float16, a two-thousandth of a value off at worst, of the
frames up to the first that comes again."""


def write_truth(acquisition: Acquisition, directory: Path) -> list[Path]:
    """Write everything that the acquisition knows about itself; returns the files.

    Raises
    ------
    SourceError
        When the directory cannot be written, naming it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = [_write(directory / name, value) for name, value in acquisition.truth().items()]
        movie = _write_movie(directory / f"{MOVIE}.npy", acquisition)
        return written if movie is None else [*written, movie]
    except OSError as error:
        raise SourceError(
            f"ground truth cannot be written to {directory}: {error}; choose another"
        ) from error


def _write_movie(path: Path, acquisition: Acquisition) -> Path | None:
    """Frame by frame, so that no memory holds it; under its name once it is whole."""
    frames = len(acquisition.bank.stock)
    count = frames if acquisition.count is None else min(frames, acquisition.count)
    if acquisition.clean(0, 1) is None:
        return None
    part = path.with_name(f".{path.stem}.part.npy")
    movie = np.lib.format.open_memmap(part, "w+", np.float16, (count, *acquisition.shape))
    for index in range(count):
        movie[index] = acquisition.clean(index, 1)
    movie.flush()
    del movie
    os.replace(part, path)
    return path


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
