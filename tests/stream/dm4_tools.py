"""Minimal DigitalMicrograph files: a big-endian tree of tags around little-endian data.

From the published descriptions of the format; versions 3 (32-bit counts) and 4 (64-bit counts).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# numpy type: (ImageData.DataType, type of an element in a tag)
TYPES = {
    "int16": (1, 2),
    "float32": (2, 6),
    "uint8": (6, 10),
    "int32": (7, 3),
    "int8": (9, 9),
    "uint16": (10, 4),
    "uint32": (11, 5),
    "float64": (12, 7),
}
GROUP, DATA, ARRAY = 20, 21, 20
RGB = 23
Axis = tuple[float, str]
"""Scale and units."""


@dataclass(frozen=True)
class DmImage:
    """One entry of the image list."""

    data: npt.NDArray[Any]
    """In the order of the file: the last axis is the fastest."""
    axes: Sequence[Axis]
    """In the order of ``data``."""
    name: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    data_type: int | None = None
    """None: that of ``data``."""


def write_dm(path: Path, *images: DmImage, version: int = 4, thumbnail: bool = True) -> str:
    """Write the images, behind a thumbnail as DigitalMicrograph itself has it."""
    writer = _Writer(version)
    listed = [_thumbnail(), *images] if thumbnail else list(images)
    root: dict[str, Any] = {"ImageList": [_image(image) for image in listed]}
    if thumbnail:
        root["Thumbnails"] = [{"ImageIndex": np.uint32(0), "SourceSize_Pixels": np.uint32(4)}]
    tree = writer.entries(root)
    size = struct.pack(">Q" if version == 4 else ">I", len(tree) + 8)
    path.write_bytes(struct.pack(">I", version) + size + struct.pack(">I", 1) + tree + bytes(8))
    return str(path)


def _thumbnail() -> DmImage:
    return DmImage(np.zeros((2, 2), np.int32), [(1.0, ""), (1.0, "")], data_type=RGB)


def _image(image: DmImage) -> dict[str, Any]:
    dimensions = [
        {"Origin": np.float32(0), "Scale": np.float32(scale), "Units": units}
        for scale, units in reversed(image.axes)
    ]
    brightness = {"Origin": np.float32(0), "Scale": np.float32(1), "Units": ""}
    data_type = image.data_type or TYPES[image.data.dtype.name][0]
    return {
        "ImageData": {
            "Calibrations": {"Brightness": brightness, "Dimension": dimensions},
            "Data": image.data,
            "DataType": np.uint32(data_type),
            "Dimensions": [np.uint32(n) for n in reversed(image.data.shape)],
            "PixelDepth": np.uint32(image.data.itemsize),
        },
        "ImageTags": dict(image.tags),
        "Name": image.name,
    }


class _Writer:
    """Tags of one version of the format."""

    def __init__(self, version: int) -> None:
        self._sized = version == 4
        self._count = ">Q" if version == 4 else ">I"

    def entries(self, tags: Mapping[str, Any] | Sequence[Any]) -> bytes:
        """A group: sorted, open, how many, and each of them."""
        named = list(tags.items()) if isinstance(tags, Mapping) else [("", value) for value in tags]
        head = bytes([1, 0]) + self._number(len(named))
        return head + b"".join(self._entry(name, value) for name, value in named)

    def _entry(self, name: str, value: Any) -> bytes:
        group = isinstance(value, Mapping | list)
        content = self.entries(value) if group else self._data(value)
        size = self._number(len(content)) if self._sized else b""
        text = name.encode("latin-1")
        return bytes([GROUP if group else DATA]) + struct.pack(">H", len(text)) + text + size + content

    def _data(self, value: Any) -> bytes:
        info, raw = _encoded(value)
        return b"%%%%" + b"".join(map(self._number, (len(info), *info))) + raw

    def _number(self, value: int) -> bytes:
        return struct.pack(self._count, value)


def _encoded(value: Any) -> tuple[tuple[int, ...], bytes]:
    """How a value's type is told, and its bytes."""
    if isinstance(value, bool):
        return (8,), bytes([value])
    if isinstance(value, str):
        return (ARRAY, 4, len(value)), value.encode("utf-16-le")
    kind = TYPES[value.dtype.name][1]
    raw = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return ((ARRAY, kind, value.size) if value.ndim else (kind,)), raw
