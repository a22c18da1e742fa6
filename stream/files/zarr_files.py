"""Zarr stores of frames (v2 and v3): an array of 3 or 4 dimensions, or the one of that kind in a group.

The package zarr is not installed with livem: only who has such stores needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import SourceError
from .contents import (
    POSITIONS,
    VALID,
    Content,
    attributes_meta,
    attributes_scan,
    known_key,
    no_key,
    scan_positions,
    valid_frames,
)

PREFERRED = "data"
"""What livem export writes."""


def read_zarr(path: Path, key: str) -> Content:
    """The frames of a store, or of its array ``key``."""
    try:
        import zarr
    except ModuleNotFoundError as missing:
        raise SourceError(
            f"{path} needs the package zarr, which is not installed; get it with: pip install zarr"
        ) from missing
    store = zarr.open(str(path), mode="r")
    if isinstance(store, zarr.Array):
        no_key(path, key)
        return _content({"": store}, "")
    arrays = {name: item for name, item in store.members(max_depth=None) if isinstance(item, zarr.Array)}
    found = [name for name, item in arrays.items() if item.ndim in (3, 4)]
    if key:
        return _content(arrays, known_key(path, key.strip("/"), list(arrays)))
    if not found:
        raise SourceError(
            f"{path} holds no array of 3 or 4 dimensions; it has: {', '.join(arrays) or 'none'}"
        )
    return _content(arrays, PREFERRED if PREFERRED in found else found[0])


def _content(arrays: Mapping[str, Any], name: str) -> Content:
    """An array, and what livem export says of it in the one beside it."""
    array = arrays[name]
    attributes = dict(array.attrs)
    group, _, _ = name.rpartition("/")
    flags, places = (arrays.get(f"{group}/{beside}".lstrip("/")) for beside in (VALID, POSITIONS))
    positions = scan_positions(places, array.shape)
    scan = attributes_scan(attributes, array.shape, positions)
    valid = valid_frames(flags, array.shape)
    return Content(array, attributes_meta(attributes), None if scan is None else positions, scan, valid=valid)
