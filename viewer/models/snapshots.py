"""What is kept with the pictures of a window: the data behind them, as they were measured, and what they are.

One folder a snapshot. Knows results and files; no window.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...errors import SessionError
from ...stream.results import Result
from .captions import badge_of
from .cuts import cut_in
from .inspection import original_of
from .session import calibration_of, frame_factor, role_of

IN_TIFF = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"]
"""What every program that opens TIFF takes."""
TIFF_TITLE = "livem"
"""Before the description: tifffile takes a bare one that says "shape" for its own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a snapshot."""

    folder: Path
    files: int
    error: str = ""

    @property
    def text(self) -> str:
        """For the status bar."""
        return self.error or f"{self.files} files are in {self.folder}"


def folder_for(where: Path, now: float | None = None) -> Path:
    """A new folder's path: the time makes the name, and a number where that one is taken."""
    stem = time.strftime("livem_%Y-%m-%d_%H-%M-%S", time.localtime(now))
    path, number = where / stem, 1
    while path.exists():
        number += 1
        path = where / f"{stem}_{number}"
    return path


def is_original(result: Result) -> bool:
    """Whether its pixels are those that were measured or computed, all of them."""
    cut = cut_in(result.attrs)
    if cut is not None:
        return (cut.corner, cut.factor, cut.shape) == ((0, 0), 1, result.arrays["image"].shape[:2])
    return role_of(result) != "frame" or original_of(result) is not None


def description(result: Result) -> dict[str, Any]:
    """What it is, for whoever opens the file next year; plain values."""
    size = calibration_of(result)
    key = result.series
    return {
        "topic": result.topic,
        "kind": result.kind,
        "series": None if key is None else key.number,
        "epoch": None if key is None else key.epoch.hex(),
        "frames": list(result.frames),
        "index": result.attrs.get("index"),
        "final": result.final,
        "units": dict(result.units),
        "pixel_size": size.size,
        "pixel_unit": size.unit,
        "original": is_original(result),
        "factor": frame_factor(result),
        "made_by": badge_of(result.attrs) or "measured",
        "attributes": {name: value for name, value in result.attrs.items() if _is_plain(value)},
        "livem": __version__,
        "kept": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def write_data(folder: Path, results: Iterable[Result]) -> int:
    """Write the arrays of image results, each with its description beside it; returns the number of files.

    One value a pixel goes to TOPIC.tif, what TIFF cannot hold to TOPIC.npy, validity and the like to
    TOPIC.NAME.npy. Raises SessionError when a file cannot be written.
    """
    count = 0
    for result in results:
        try:
            count += _write(folder, result)
        except OSError as failure:
            raise SessionError(f"the snapshot in {folder} is not complete: {failure}") from failure
    return count


def _write(folder: Path, result: Result) -> int:
    said = json.dumps(description(result), indent=1)
    image = result.arrays["image"]
    if image.ndim == 2 and image.dtype.name in IN_TIFF:
        import tifffile

        size = calibration_of(result)
        tifffile.imwrite(
            folder / f"{result.topic}.tif",
            image,
            description=f"{TIFF_TITLE}\n{said}",
            metadata=None,
            resolution=(1 / size.size, 1 / size.size),
            resolutionunit="NONE",
        )
    else:
        np.save(folder / f"{result.topic}.npy", image)
    (folder / f"{result.topic}.json").write_text(said, encoding="utf-8")
    others: Mapping[str, Any] = {name: a for name, a in result.arrays.items() if name != "image"}
    for name, array in others.items():
        np.save(folder / f"{result.topic}.{name}.npy", array)
    return 2 + len(others)
