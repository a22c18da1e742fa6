"""Final results on disk: arrays as .npy, pictures as .png, tables and curves as .csv, what is said of each as
JSON, and a summary.

Knows results and files; computes nothing but the grey levels of a picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import SessionError
from .stream.results import Result, valid_of
from .track_files import WRITERS

UNKNOWN_RGB = (40, 40, 70)
"""Pixels of which nothing is known: a dark blue that no grey level has."""


def write_results(directory: Path, results: Mapping[str, Result]) -> dict[str, str]:
    """Write the final results of one series; returns the main file of each topic.

    An image is ``TOPIC.npy`` and ``TOPIC.png``, each further array of its result ``TOPIC.NAME.npy`` (a map
    ``valid`` only where it says more than NaN does), everything else ``TOPIC.csv``, and what its
    attribute ``files`` names of `track_files`. ``TOPIC.json`` says what
    they are: kind, series, frames, units, the attributes (an estimate says so there), and the files.

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
    """The main file; beside it what it is, and what an image has beside its values."""
    if result.kind == "image":
        files = {name: _write_array(directory, result, name) for name in _told_by(result)}
        write_png(directory / f"{result.topic}.png", result)
        main = files["image"]
    else:
        main = _write_table(directory / f"{result.topic}.csv", result)
        files = {result.kind: main}
        for word in result.attrs.get("files", ()):
            suffix, write = WRITERS[word]
            files[word] = write(directory / f"{result.topic}{suffix}", result.arrays, result.attrs)
    series = result.series
    said = {
        "topic": result.topic,
        "kind": result.kind,
        "series": series and series.number,
        "epoch": series and series.epoch.hex(),
        "frames": result.frames,
        "final": result.final,
        "units": result.units,
        "attrs": result.attrs,
        "files": {name: path.name for name, path in files.items()},
    }
    text = json.dumps(_plain(said), indent=1, allow_nan=False)
    (directory / f"{result.topic}.json").write_text(text + "\n", encoding="utf-8")
    return main


def _told_by(result: Result) -> list[str]:
    """Names of the arrays that say anything: a map of what is valid may be that of what is no NaN."""
    image, valid = result.arrays["image"], result.arrays.get("valid")
    known = np.isfinite(image) if image.ndim == 2 else np.isfinite(image).all(axis=-1)
    is_plain = valid is not None and np.array_equal(valid, known)
    return [name for name in result.arrays if not (name == "valid" and is_plain)]


def _write_array(directory: Path, result: Result, name: str) -> Path:
    path = directory / (f"{result.topic}.npy" if name == "image" else f"{result.topic}.{name}.npy")
    np.save(path, result.arrays[name])
    return path


def _plain(value: Any) -> Any:
    """As JSON has it: no NaN, no numpy, bytes in hexadecimal digits."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


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
    """The picture of an image result: grey from the 0.5th to the 99.5th percentile, unknown pixels blue.

    That of an estimate says so in its description.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image, valid = result.arrays["image"], valid_of(result)
    planes = [image] if image.ndim == 2 else [image[..., i] for i in range(image.shape[-1])]
    said = PngInfo()
    if result.attrs.get("estimate"):
        said.add_text("Description", f"{result.topic}: an estimate, not a measurement")
    Image.fromarray(np.concatenate([_grey(plane, valid) for plane in planes], axis=1)).save(
        path, pnginfo=said
    )


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
