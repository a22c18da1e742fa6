"""Formats of microscopes and their programs, as rosettasciio reads them: .mrc, .hspy, .zspy, .emd, .blo, ...

Its signals become arrays of frames that stay on disk, its axes calibration, its navigation a scan or a
movie. Knows nothing of how a format is laid out.
"""

from __future__ import annotations

import math
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..series import MAX_DIM, Scan
from . import contents
from .contents import Content
from .gatan_axes import Signal, with_frame_axes

READERS: Mapping[str, str] = {
    ".mrc": "mrc",
    ".hspy": "hspy",
    ".zspy": "zspy",
    ".emd": "emd",
    ".blo": "blockfile",
    ".tvips": "tvips",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
}
"""rosettasciio's name of the reader, by suffix."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "zspy": {"mode": "r"},
    # Of a Velox file the spectra are left alone: unpacking their stream takes minutes and another package.
    "emd": {"select_type": "images", "load_SI_image_stack": True},
}
PACKAGES = {"rsciio": "rosettasciio", "skimage": "scikit-image"}
"""Packages whose name is not that of their module."""
INVENTED = ("correctness not guaranteed", "larger than file size")
"""In warnings of readers that go on with what they cannot know."""
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}

Axis = Mapping[str, Any]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around the reader of others: whatever it raises on a damaged file becomes a SourceError."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            yield
        except ModuleNotFoundError as missing:
            if missing.name is None:  # a reader's own words, which name the package
                raise SourceError(f"{path} cannot be read as {path.suffix}: {missing}") from missing
            package = missing.name.partition(".")[0]
            package = PACKAGES.get(package, package)
            raise SourceError(
                f"{path} needs the package {package}, which is not installed; get it with: "
                f"pip install {package}"
            ) from missing
        except Exception as error:
            _let_go(error)
            raise SourceError(f"{path} cannot be read as {path.suffix}: {_words(error)}") from error
    for warning in said:
        if any(words in str(warning.message) for words in INVENTED):
            raise SourceError(f"{path} cannot be read as {path.suffix}: {warning.message}")


def _let_go(error: BaseException | None) -> None:
    """Close what a failed reader left open: its frames hold the files as long as the error lives."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def read_microscope(path: Path, key: str) -> Content:
    """The frames of a file, or of its signal number ``key`` (from 0)."""
    with reading(path):
        signals = _signals(path, READERS[path.suffix.lower()])
    chosen = _chosen(path, key, signals)
    _check_order(path, chosen)
    with reading(path):
        content = _content(path, chosen)
        _try_the_end(content.frames)
    return content


def _signals(path: Path, name: str) -> list[Signal]:
    read = import_module(f"rsciio.{name}").file_reader
    signals: list[Signal] = read(str(path), lazy=True, **OPTIONS.get(name, {}))
    if name == "digitalmicrograph":
        return [with_frame_axes(signal) for signal in signals]
    if name == "emd" and not signals:  # so that the refusal can tell what there is
        return list(read(str(path), lazy=True, select_type="single_spectrum"))
    return signals


def _check_order(path: Path, signal: Signal) -> None:
    """Every frame of a large .dm4 scan in GMS's older order is spread over the whole file.

    Seconds a frame; LiberTEM refuses such files, too.
    """
    data, chosen = signal["data"], _signal_axes(signal)
    spread = path.suffix.lower() in (".dm3", ".dm4") and chosen == (0, 1) and data.ndim > 2
    if spread and data.nbytes > contents.MEMORY_BYTES:
        raise SourceError(
            f"{path} holds {data.nbytes / 2**20:,.0f} MiB in the older order of DigitalMicrograph, where a "
            "frame's pixels lie far apart; beyond "
            f"{contents.MEMORY_BYTES / 2**20:,.0f} MiB turn it into .npy first (convert_dm4_transposed of "
            "LiberTEM does)"
        )


def _chosen(path: Path, key: str, signals: list[Signal]) -> Signal:
    """The signal asked for; otherwise the one with the most pixels of those that hold frames."""
    if key:
        if not key.isdigit() or int(key) >= len(signals):
            raise SourceError(f"{path} has no signal {key!r}; it has {_inventory(signals)}")
        return signals[int(key)]
    frames = [signal for signal in signals if _holds_frames(signal)]
    if not frames:
        raise SourceError(f"{path} holds no frames (signals of 2 dimensions); it has {_inventory(signals)}")
    frames.sort(key=lambda signal: math.prod(signal["data"].shape))
    if len(frames) > 1 and frames[-2]["data"].shape == frames[-1]["data"].shape:
        raise SourceError(f"{path} holds several; choose one by {path}#NUMBER: {_inventory(signals)}")
    return frames[-1]


def _inventory(signals: list[Signal]) -> str:
    listed = [
        f"#{number} {_general(signal).get('title', '')} {signal['data'].shape} {signal['data'].dtype}"
        for number, signal in enumerate(signals)
    ]
    return ", ".join(listed[:12]) or "no signals"


def _general(signal: Signal) -> Mapping[str, Any]:
    general = signal.get("metadata", {}).get("General", {})
    return general if isinstance(general, Mapping) else {}


def _holds_frames(signal: Signal) -> bool:
    data = signal["data"]
    return data.ndim >= 2 and data.dtype.kind in "biuf" and _signal_axes(signal) is not None


def _signal_axes(signal: Signal) -> tuple[int, ...] | None:
    """Which two axes of the array are the frame's; None where a signal has another number of them."""
    marked = [bool(axis.get("navigate")) for axis in signal["axes"]]
    ndim = signal["data"].ndim
    if len(marked) != ndim or not any(marked):  # .emd marks none
        return tuple(range(ndim - 2, ndim))
    chosen = tuple(number for number, navigates in enumerate(marked) if not navigates)
    return chosen if len(chosen) == 2 else None


def _content(path: Path, signal: Signal) -> Content:
    data, chosen = signal["data"], _signal_axes(signal)
    if chosen is None:
        raise ValueError("the signal has not 2 dimensions, so these are no frames")
    order = [number for number in range(data.ndim) if number not in chosen] + list(chosen)
    if order != list(range(data.ndim)):
        data = data.transpose(order)
    axes = [signal["axes"][number] for number in order] if len(signal["axes"]) == data.ndim else []
    data, scan = _scanned(data)
    return Content(data, {**_axes_meta(axes), **_metadata(signal)}, scan=scan)


def _scanned(data: Any) -> tuple[Any, Scan | None]:
    """An array of at most 4 dimensions and its scan: what goes beyond (y, x) repeats the scan."""
    if data.ndim < 4:
        return data, None
    ny, nx = map(int, data.shape[-4:-2])
    if max(ny, nx) > MAX_DIM:
        raise ValueError(f"a scan of {ny}x{nx}; each side must be at most {MAX_DIM}")
    repeats = math.prod(data.shape[:-4])
    if data.ndim > 4:
        data = data.reshape(repeats * ny, nx, *data.shape[-2:])
    return data, Scan((ny, nx), repeats=repeats)


def _axes_meta(axes: list[Axis]) -> dict[str, Any]:
    """Calibration: the frame's from its last axis, the scan's or movie's from the one before the frame."""
    meta: dict[str, Any] = {}
    if not axes:
        return meta
    _take_scale(meta, axes[-1], "pixel_size", "pixel_unit")
    if len(axes) > 2:
        step = axes[-3]
        seconds = SECONDS.get(str(step.get("units")))
        scale = _positive(step.get("scale"))
        if seconds is not None and scale is not None:
            meta["frame_time"] = scale * seconds
        elif len(axes) > 3:
            _take_scale(meta, step, "scan_step", "scan_unit")
    return meta


def _take_scale(meta: dict[str, Any], axis: Axis, size: str, unit: str) -> None:
    """A scale without a unit says nothing."""
    scale, units = _positive(axis.get("scale")), axis.get("units")
    if scale is not None and isinstance(units, str) and units not in ("", "<undefined>", "None"):
        meta[size], meta[unit] = scale, units.replace("µ", "u").replace(" ", "")


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _metadata(signal: Signal) -> dict[str, Any]:
    """Title and beam energy (keV)."""
    meta: dict[str, Any] = {}
    title = _general(signal).get("title")
    if isinstance(title, str) and title:
        meta["title"] = title[:200]
    energy = _positive(_beam_energy(signal))
    if energy is not None:
        meta["beam_energy"] = energy
    return meta


def _beam_energy(signal: Signal) -> Any:
    """From the metadata, or (Gatan, Velox) through ``mapping``: where it stands as the program wrote it."""
    instrument = signal.get("metadata", {}).get("Acquisition_instrument", {})
    for kind in ("TEM", "SEM"):
        if "beam_energy" in instrument.get(kind, {}):
            return instrument[kind]["beam_energy"]
    for place, (name, converted) in signal.get("mapping", {}).items():
        value = _at(signal.get("original_metadata", {}), place)
        if name.endswith(".beam_energy") and value is not None:
            return converted(value) if converted else value
    return None


def _at(tags: Any, place: str) -> Any:
    """What stands in nested mappings at ``a.b.c``; None where nothing does."""
    for name in place.split("."):
        tags = tags.get(name) if isinstance(tags, Mapping) else None
    return tags


def _try_the_end(frames: Any) -> None:
    """A file that is shorter than it says is found out now, not while sending."""
    np.asarray(frames[(*(slice(-1, None),) * (frames.ndim - 2), slice(-1, None), slice(-1, None))])
