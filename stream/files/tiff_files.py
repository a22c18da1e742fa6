"""TIFF stacks: mapped where the pixels lie in one piece, page by page where they are compressed.

Knows pages; what may be sent of them is file_acquisition.py's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from .acquisition import Array
from .contents import Content, no_key, positions_beside, valid_beside


def read_tiff(path: Path, key: str) -> Content:
    """The first series of a file."""
    import tifffile

    no_key(path, key)
    file = tifffile.TiffFile(path)
    try:
        if not file.series:
            raise SourceError(f"{path} holds no image")
        series = file.series[0]
        if series.axes.endswith("S"):
            raise SourceError(f"{path} holds colour images {series.shape}; convert it to grey values")
        meta = _imagej_meta(file.imagej_metadata or {})
        if series.dataoffset is None:
            frames: Any = TiffPages(path, file, series)
        else:
            frames = _flat(series.asarray(out="memmap"))
            file.close()
    except BaseException:
        file.close()
        raise
    positions, scan = positions_beside(path, frames.shape)
    return Content(frames, meta, positions, scan, valid=valid_beside(path, frames.shape))


def _flat(frames: Array) -> Array:
    return frames.reshape(-1, *frames.shape[-2:]) if frames.ndim > 4 else frames


def _imagej_meta(tags: Mapping[str, Any]) -> dict[str, Any]:
    interval = tags.get("finterval")
    return {"frame_time": float(interval)} if isinstance(interval, int | float) and interval > 0 else {}


class TiffPages:
    """Pages of one series as an array of 2 to 4 dimensions, decoded when they are asked for.

    Raises SourceError when a page is more than one frame: then nothing less than the whole could be decoded.
    """

    chunks = None

    def __init__(self, path: Path, file: Any, series: Any) -> None:
        leading, self._frame_shape = series.shape[:-2], tuple(series.shape[-2:])
        if len(series.pages) != math.prod(leading):
            raise SourceError(
                f"{path} is compressed, {math.prod(leading)} frames in {len(series.pages)} pages; save it "
                "with one frame a page"
            )
        if len(leading) > 2:
            leading = (math.prod(leading),)
        self.file, self._series = file, series
        self._numbers = np.arange(len(series.pages)).reshape(leading)
        self.shape: tuple[int, ...] = (*leading, *self._frame_shape)
        self.ndim, self.dtype = len(self.shape), series.dtype

    def __getitem__(self, which: Any) -> Array:
        numbers = self._numbers[which if self._numbers.ndim else ()]
        frames = np.empty((numbers.size, *self._frame_shape), self.dtype)
        for place, number in enumerate(numbers.reshape(-1).tolist()):
            frames[place] = self._page(number)
        return frames.reshape(*numbers.shape, *self._frame_shape)

    def _page(self, number: int) -> Array:
        page = self._series.pages[number]
        if page is None or tuple(page.shape) != self._frame_shape:
            raise ValueError(f"page {number} is missing or of another shape")
        return np.asarray(page.asarray())

    def __del__(self) -> None:
        if (file := getattr(self, "file", None)) is not None:
            file.close()
