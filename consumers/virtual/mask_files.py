"""Mask, weight and background files: one number a pixel, .npy, .tif or .png.

Knows files and their shape; not what the pixels are for. Every mistake is a PipelineError that names the
file, what it holds and what it must hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.masks import Mask, Shape
from ...kernels.reduce import MAX_WEIGHT

MASK_FILES = (".npy", ".tif", ".tiff", ".png")


def load_mask(where: str, path: Path, shape: Shape) -> Mask:
    """A mask file of the frame's shape (h, w); pixels that are not zero count."""
    pixels = _pixels(where, path, shape)
    mask: Mask = (pixels != 0) & np.isfinite(pixels)
    return mask


def load_weights(where: str, path: Path, shape: Shape) -> npt.NDArray[Any]:
    """What each pixel counts, (h, w): int64 (sums stay exact) or float64, as the file holds them."""
    pixels = _pixels(where, path, shape)
    bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if bad:
        raise PipelineError(
            f"{where}: weights file {path} holds {bad} values that are not finite; write 0 where a "
            "pixel does not count"
        )
    total = float(np.abs(pixels.astype(np.float64)).sum())
    if pixels.dtype.kind != "f" and not total < MAX_WEIGHT:
        raise PipelineError(
            f"{where}: weights file {path} holds {pixels.dtype} whose magnitudes sum to {total:g}; "
            f"integers may to below {MAX_WEIGHT}, to be exact: make them smaller, or store floats"
        )
    return pixels.astype(np.float64 if pixels.dtype.kind == "f" else np.int64)


def load_numbers(where: str, path: Path, shape: Shape) -> npt.NDArray[np.float64]:
    """A file of one finite number a pixel, (h, w) float64."""
    pixels = _pixels(where, path, shape).astype(np.float64)
    bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if bad:
        raise PipelineError(
            f"{where}: {path} holds {bad} values that are not finite; write 0 there, and name dead pixels in "
            "dead_pixels"
        )
    return pixels


def _pixels(where: str, path: Path, shape: Shape) -> npt.NDArray[Any]:
    if path.suffix.lower() not in MASK_FILES:
        raise PipelineError(f"{where}: mask file {path} is none of {', '.join(MASK_FILES)}")
    try:
        pixels = _read(path)
    except FileNotFoundError:
        raise PipelineError(f"{where}: mask file {path} does not exist (seen from {Path.cwd()})") from None
    except (OSError, ValueError, EOFError) as error:
        raise PipelineError(f"{where}: mask file {path} cannot be read: {error}") from error
    if pixels.shape != shape or pixels.dtype.kind not in "buif":
        raise PipelineError(
            f"{where}: mask file {path} holds {pixels.dtype} of shape {pixels.shape}; "
            f"frames are {shape}, it must hold one number a pixel"
        )
    return pixels


def _read(path: Path) -> npt.NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode not in ("1", "L", "I", "I;16", "F") else image)
    import tifffile

    return np.asarray(tifffile.imread(path))
