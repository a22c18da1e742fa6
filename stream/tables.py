"""Arrays that belong to a series (pixel mask, flatfield, count rates), kept as files for whoever needs them.

Written once by ingest, named by their content, read by any process of the session. Knows no detector.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .messages import TABLES

MAX_TABLE_BYTES = 1 << 30


def keep_tables(folder: Path, tables: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
    """Write each array as ``.npy`` unless it is there already; returns name to path.

    Names outside TABLES, arrays of objects and arrays of more than MAX_TABLE_BYTES are left out. Raises
    OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: str(_keep(folder, array))
        for name, array in tables.items()
        if name in TABLES and array.dtype.kind in "uif" and array.nbytes <= MAX_TABLE_BYTES
    }


def _keep(folder: Path, array: npt.NDArray[Any]) -> Path:
    plain = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{plain.dtype.str}{plain.shape}".encode())
    digest.update(plain.data)
    path = folder / f"{digest.hexdigest()[:32]}.npy"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part.npy")
        np.save(part, plain, allow_pickle=False)
        part.replace(path)
    return path
