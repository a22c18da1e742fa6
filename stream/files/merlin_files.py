""".mib files of Quantum Detectors Merlin cameras, with their .hdr: the frames as the camera sent them.

The rows are not flipped (as rosettasciio's file_reader does), so that a file and the live stream show the
same picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..series import MAX_DIM, IndexArray, Scan
from .contents import Content, no_key
from .microscope_formats import reading

NUMBER = slice(4, 10)
"""Where in ``MQ1,000001,...`` the frame's number in its acquisition stands; they begin with 1."""
LARGEST_NUMBER = 999_999


def read_mib(path: Path, key: str) -> Content:
    """The frames of a .mib file, or of the one beside a .hdr."""
    no_key(path, key)
    data = _data_file(path)
    with reading(data):
        from rsciio.quantumdetector import load_mib_data

        frames, headers = load_mib_data(str(data), return_headers=True, mmap_mode="r")
    if not len(frames):
        raise SourceError(f"{data} holds no whole frame")
    said = _said(data.with_suffix(".hdr"))
    places = _places(headers, _whole(said, "Frames in Acquisition (Number)"))
    count = len(frames) if places is None else int(places[-1]) + 1
    return Content(frames, _meta(said), scan=_scan(said, count), places=places)


def _data_file(path: Path) -> Path:
    if path.suffix.lower() != ".hdr":
        return path
    beside = [path.with_suffix(suffix) for suffix in (".mib", ".MIB")]
    for candidate in beside:
        if candidate.is_file():
            return candidate
    raise SourceError(f"{path} describes {beside[0].name}, which is not beside it")


def _said(path: Path) -> Mapping[str, str]:
    """``Key:<tab>value`` lines of a .hdr file; empty where there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text("latin-1").splitlines()
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {key.strip().rstrip(":"): value.strip() for key, value in pairs}


def _places(headers: Any, announced: int | None) -> IndexArray | None:
    """Index in the acquisition of each frame, from its own number; None where there are no gaps, or where
    the numbers cannot be believed."""
    starts = headers.astype("S10")
    texts = [start[NUMBER] for start in starts.tolist()]
    if len(texts) > LARGEST_NUMBER or not all(text.isdigit() for text in texts):
        return None
    numbers = np.array(texts, "S6").astype(np.int64)
    if (np.diff(numbers) <= 0).any():
        return None
    whole = announced is not None and numbers[-1] <= announced and numbers[0] >= 1
    places: IndexArray = numbers - (1 if whole else numbers[0])
    return None if places[-1] == len(places) - 1 else places


def _scan(said: Mapping[str, str], count: int) -> Scan | None:
    """ScanX and ScanY, or lines of as many frames as a trigger starts."""
    ny, nx = _whole(said, "ScanY"), _whole(said, "ScanX")
    if not (ny and nx):
        nx = _whole(said, "Frames per Trigger (Number)") or 0
        announced = _whole(said, "Frames in Acquisition (Number)") or 0
        if nx < 2 or announced % nx or announced < count:
            return None
        ny = announced // nx
    return Scan((ny, nx)) if ny > 1 and max(ny, nx) <= MAX_DIM else None


def _meta(said: Mapping[str, str]) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for key in ("Acquisition Period (ms)", "Acquisition Time (ms)"):
        if "frame_time" not in meta and (period := _number(said, key)):
            meta["frame_time"] = period / 1000
    chips = said.get("Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)")
    return meta if not chips else {**meta, "detector": f"Merlin {chips}"[:200]}


def _number(said: Mapping[str, str], key: str) -> float | None:
    try:
        value = float(said.get(key, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _whole(said: Mapping[str, str], key: str) -> int | None:
    text = said.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
