"""What is installed, what it is for, and how to get what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from .finding import Finding

REQUIRED: Mapping[str, str] = {
    "numpy": "arrays",
    "numba": "compiled kernels",
    "pyzmq": "the wire",
    "msgpack": "headers",
    "click": "the command line",
    "psutil": "processes",
    "platformdirs": "where files belong",
    "h5py": "HDF5 files",
    "hdf5plugin": "compressed HDF5",
    "dectris-compression": "bslz4 frames",
    "cbor2": "sending DECTRIS stream v2",
    "rosettasciio": "files of microscopes",
    "scipy": "sparse scans",
    "tifffile": "TIFF files",
    "pillow": "PNG files",
}
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "viewer": {"PySide6-Essentials": "windows", "pyqtgraph": "pictures in windows"},
    "torch": {"torch": "TorchScript models"},
    "dask": {"dask": "offline work in pieces", "distributed": "offline work on many machines"},
    "bench": {
        "bm3d": "a peer in `livem bench denoise`",
        "iceoryx2": "a peer in `livem bench`",
        "opencv-python-headless": "peers of sparse scans",
        "scikit-image": "the same",
        "trackpy": "a peer of particle tracking",
    },
}
"""Packages of each extra; those for a GPU are looked at in gpu.py."""
PYSIDE_FROM, PYSIDE_BELOW = (6, 8), (6, 12)


def findings() -> Iterator[Finding]:
    for name, purpose in REQUIRED.items():
        yield required(name, purpose)
    for extra, packages in EXTRAS.items():
        for name, purpose in packages.items():
            yield optional(name, purpose, extra)
    if (pyside := installed("PySide6-Essentials")) is not None:
        yield pyside_range(pyside)


def required(name: str, purpose: str) -> Finding:
    found = installed(name)
    if found is not None:
        return Finding(name, "ok", f"{found} ({purpose})")
    return Finding(name, "problem", f"missing ({purpose})", f"pip install {name}")


def optional(name: str, purpose: str, extra: str) -> Finding:
    found = installed(name)
    if found is not None:
        return Finding(name, "ok", f"{found} ({purpose})")
    return Finding(name, "note", f"not installed ({purpose})", f'pip install "livem[{extra}]"')


def pyside_range(found: str) -> Finding:
    """6.12.0 loses a reference to True and None per signal on Python 3.11 and aborts within seconds."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
    if PYSIDE_FROM <= numbers < PYSIDE_BELOW:
        return Finding("PySide6 version", "ok", f"{found} is tried and good")
    return Finding(
        "PySide6 version",
        "problem",
        f"{found}: the viewer needs >= 6.8 and < 6.12 (6.12 aborts the interpreter within seconds)",
        'pip install "PySide6-Essentials>=6.8,<6.12"',
    )


def installed(name: str) -> str | None:
    """Version of a distribution; None when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
