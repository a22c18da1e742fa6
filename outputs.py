"""Final results on disk: arrays as .npy, pictures as .png, tables and curves as .csv, a summary as JSON.

Knows results and files; computes nothing but the grey levels of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import SessionError
from .stream.results import Result, valid_of

UNKNOWN_RGB = (40, 40, 70)
"""Pixels of which nothing is known: a dark blue that no grey level has."""


def write_results(directory: Path, results: Mapping[str, Result]) -> dict[str, str]:
    """Write the final results of one series; returns the main file of each topic.

    Raises SessionError when the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return {topic: str(_write(directory, result)) for topic, result in sorted(results.items())}
    except OSError as error:
        raise SessionError(
            f"results cannot be written to {str(directory)!r}: {error}; choose another --out"
        ) from error


def write_summary(directory: Path, summary: Mapping[str, Any]) -> None:
    """``summary.json`` in a directory, replaced as a whole.

    Raises SessionError when it cannot be written.
    """
    part = directory / "summary.json.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        part.replace(directory / "summary.json")
    except OSError as error:
        raise SessionError(
            f"the summary cannot be written to {str(directory)!r}: {error}; choose another --out"
        ) from error


def _write(directory: Path, result: Result) -> Path:
    if result.kind == "image":
        path = directory / f"{result.topic}.npy"
        np.save(path, result.arrays["image"])
        write_png(path.with_suffix(".png"), result)
        return path
    return _write_table(directory / f"{result.topic}.csv", result)


def _write_table(path: Path, result: Result) -> Path:
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, array in result.arrays.items():
        if array.ndim == 1:
            columns[name] = array
        else:
            columns |= {f"{name}_{i}": column for i, column in enumerate(array.reshape(len(array), -1).T)}
    units = [f"{name} [{unit}]" if (unit := result.units.get(name, "")) else name for name in columns]
    with path.open("w", encoding="utf-8") as file:
        file.write(f"# units: {', '.join(units)}\n{','.join(columns)}\n")
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            file.write(",".join(map(str, row)) + "\n")
    return path


def write_png(path: Path, result: Result) -> None:
    """The picture of an image result: grey from the 0.5th to the 99.5th percentile, unknown pixels blue."""
    from PIL import Image

    image, valid = result.arrays["image"], valid_of(result)
    planes = [image] if image.ndim == 2 else [image[..., i] for i in range(image.shape[-1])]
    Image.fromarray(np.concatenate([_grey(plane, valid) for plane in planes], axis=1)).save(path)


def _grey(plane: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    picture = np.empty((*plane.shape, 3), np.uint8)
    picture[:] = UNKNOWN_RGB
    shown = valid & np.isfinite(plane)
    if shown.any():
        values = plane[shown].astype(np.float64)
        low, high = np.percentile(values, [0.5, 99.5])
        scaled = (values - low) / (high - low if high > low else 1.0)
        picture[shown] = (255 * np.clip(scaled, 0, 1)).astype(np.uint8)[:, None]
    return picture
