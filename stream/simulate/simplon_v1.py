"""DECTRIS stream v1 ("legacy") messages: JSON parts and blobs, with a SIMPLON detector's keys.

Bytes only; which frames there are and over which line they go is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..messages import COUNTRATE, FLATFIELD, PIXEL_MASK
from ..series import Series

HeaderDetail = Literal["none", "basic", "all"]
Array = npt.NDArray[Any]
Parts = tuple[bytes | memoryview, ...]

MAX_IMAGES = 2_000_000_000
"""The most that a SIMPLON detector's nimages and ntrigger take; an endless series says it."""
COUNTRATE_ROWS = 2
TABLE_TYPES: Mapping[str, tuple[str, str]] = {
    FLATFIELD: ("dflatfield-1.0", "float32"),
    PIXEL_MASK: ("dpixelmask-1.0", "uint32"),
    COUNTRATE: ("dcountrate_table-1.0", "float32"),
}
"""htype and type of each table, in the order of the parts."""


def start_parts(
    series: Series, detail: HeaderDetail, tables: Mapping[str, Array], appendix: bytes, date: str
) -> Parts:
    """The message at ``arm``: header, configuration, three tables, appendix, as far as ``detail`` goes.

    A table that is not in ``tables`` is sent with values that change nothing: a detector sends all three.
    """
    header = {"htype": "dheader-1.0", "header_detail": detail, "series": series.key.number}
    parts: list[bytes | memoryview] = [_json(header)]
    if detail != "none":
        parts.append(_json(_configuration(series, date)))
    if detail == "all":
        for name, (htype, dtype) in TABLE_TYPES.items():
            table = tables.get(name, _neutral(name, series.shape))
            parts += _table_parts(htype, np.ascontiguousarray(table, np.dtype(dtype).newbyteorder("<")))
    return (*parts, appendix) if appendix else tuple(parts)


def end_parts(series: Series) -> Parts:
    """The message at disarm, abort, or behind the last frame."""
    return (_json({"htype": "dseries_end-1.0", "series": series.key.number}),)


class ImageWords:
    """The JSON parts of one series' images; what is the same in all of them is written once.

    Parameters
    ----------
    series : Series
    encoding : str
        As the image header spells it: "<", "lz4<", "bs16-lz4<", or with ">" behind.
    """

    def __init__(self, series: Series, encoding: str) -> None:
        self._head = f'{{"htype":"dimage-1.0","series":{series.key.number},"frame":'
        self._type, self._encoding = series.dtype, encoding
        self._exposure_ns = int(float(series.meta.get("frame_time", 0.001)) * 1e9)

    def identity(self, index: int, digest: str) -> bytes:
        """Part 0: which frame, and the MD5 of its blob (left out when empty)."""
        if not digest:
            return f"{self._head}{index}}}".encode()
        return f'{self._head}{index},"hash":"{digest}"}}'.encode()

    def data(self, shape: tuple[int, int], size: int) -> bytes:
        """Part 1: (width, height), type, encoding, bytes of the blob."""
        height, width = shape
        return (
            f'{{"htype":"dimage_d-1.0","shape":[{width},{height}],"type":"{self._type}",'
            f'"encoding":"{self._encoding}","size":{size}}}'
        ).encode()

    def times(self, start_ns: int) -> bytes:
        """Part 3: when the exposure began and ended, ns since the series did."""
        exposure = self._exposure_ns
        return (
            f'{{"htype":"dconfig-1.0","start_time":{start_ns},"stop_time":{start_ns + exposure},'
            f'"real_time":{exposure}}}'
        ).encode()


def position_appendix(position: npt.NDArray[np.float32]) -> bytes:
    """The part 4 of ours that says where in the scan a frame was taken, (y, x)."""
    y, x = position.tolist()
    return f'{{"position":[{y!r},{x!r}]}}'.encode()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _neutral(name: str, shape: tuple[int, int]) -> Array:
    if name == COUNTRATE:
        return np.tile(np.array([0, 1e6], np.float32), (COUNTRATE_ROWS, 1))
    return np.ones(shape, np.float32) if name == FLATFIELD else np.zeros(shape, np.uint32)


def _table_parts(htype: str, table: Array) -> list[bytes | memoryview]:
    words = {"htype": htype, "shape": list(table.shape[::-1]), "type": table.dtype.name, "size": table.nbytes}
    return [_json(words), table.reshape(-1).view(np.uint8).data]


def _configuration(series: Series, date: str) -> dict[str, Any]:
    """The flat configuration, one trigger a frame, with what the series knows of itself."""
    height, width = series.shape
    bits = series.numpy_dtype.itemsize * 8
    frame_time = float(series.meta.get("frame_time", 0.001))
    return {
        "auto_summation": True,
        "beam_center_x": (width - 1) / 2,
        "beam_center_y": (height - 1) / 2,
        "bit_depth_image": bits,
        "bit_depth_readout": bits,
        "compression": "none" if series.encoding == "raw" else series.encoding,
        "count_time": frame_time,
        "countrate_correction_applied": False,
        "countrate_correction_count_cutoff": 2**bits - 2,
        "data_collection_date": date,
        "description": str(series.meta.get("detector", "livem simulated detector")),
        "detector_distance": 0.0,
        "detector_number": "E-00-0000",
        "detector_readout_time": 0.0,
        "flatfield_correction_applied": False,
        "frame_time": frame_time,
        "nimages": 1,
        "ntrigger": min(series.count or MAX_IMAGES, MAX_IMAGES),
        "number_of_excluded_pixels": 0,
        "photon_energy": 1000.0 * float(series.meta.get("beam_energy", 0.0)),
        "pixel_mask_applied": False,
        "roi_mode": "disabled",
        "sensor_material": "Si",
        "sensor_thickness": 0.00045,
        "software_version": "1.8.0",
        "trigger_mode": "exte",
        "virtual_pixel_correction_applied": True,
        "x_pixel_size": 7.5e-05,
        "x_pixels_in_detector": width,
        "y_pixel_size": 7.5e-05,
        "y_pixels_in_detector": height,
    }
