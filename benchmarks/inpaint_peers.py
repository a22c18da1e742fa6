"""Other programs that fill the holes of an image. What is not installed is left out. Knows no benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.interpolate import griddata

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Filler = Callable[[Array, Mask], npt.NDArray[Any]]
"""From an image (ny, nx), 0 to 1, and where it is known, the whole."""

BIHARMONIC, FISTA = "skimage biharmonic", "DCT-FISTA 60"
ITERATIONS = 60
THRESHOLDS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
RADIUS = 4.0
NEEDED = {"skimage": "scikit-image", "cv2": "opencv-python-headless"}


def fillers() -> Mapping[str, Filler]:
    """By name; DCT-FISTA once for each threshold."""
    found: dict[str, Filler] = {}
    if find_spec("skimage") is not None:
        found[BIHARMONIC] = _biharmonic
    if find_spec("cv2") is not None:
        found |= {"OpenCV Telea": partial(_opencv, "INPAINT_TELEA")}
        found |= {"OpenCV NS": partial(_opencv, "INPAINT_NS")}
    found["scipy griddata"] = _griddata
    return found | {f"{FISTA} at {tau:g}": partial(fista, threshold=tau) for tau in THRESHOLDS}


def missing() -> list[str]:
    """Packages without which peers are left out."""
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


def fista(image: Array, known: Mask, threshold: float) -> Array:
    """ITERATIONS of FISTA on the orthonormal cosine transform, one threshold for all but the mean."""
    found = ahead = np.where(known, image, image[known].mean()).astype(np.float32)
    momentum = 1.0
    for _ in range(ITERATIONS):
        terms = scipy.fft.dctn(np.where(known, image, ahead), norm="ortho")
        shrunk = np.sign(terms) * np.maximum(np.abs(terms) - np.float32(threshold), 0)
        shrunk[0, 0] = terms[0, 0]
        before, found = found, scipy.fft.idctn(shrunk, norm="ortho")
        momentum, last = 0.5 * (1 + (1 + 4 * momentum**2) ** 0.5), momentum
        ahead = found + np.float32((last - 1) / momentum) * (found - before)
    return found


def _biharmonic(image: Array, known: Mask) -> npt.NDArray[Any]:
    restoration: Any = import_module("skimage.restoration")
    filled: npt.NDArray[Any] = restoration.inpaint_biharmonic(np.where(known, image, 0), ~known)
    return filled


def _opencv(method: str, image: Array, known: Mask) -> npt.NDArray[Any]:
    """Of 8 bits: of floats its Telea loses itself."""
    cv2: Any = import_module("cv2")
    levels = np.round(255 * np.where(known, image, 0)).astype(np.uint8)
    filled: npt.NDArray[Any] = cv2.inpaint(levels, (~known).astype(np.uint8), RADIUS, getattr(cv2, method))
    return filled / 255.0


def _griddata(image: Array, known: Mask) -> npt.NDArray[Any]:
    """Cubic within the samples' hull, their nearest one outside."""
    at, everywhere = np.argwhere(known), np.argwhere(np.ones(image.shape, bool))
    inside = griddata(at, image[known], everywhere, method="cubic")
    outside = np.isnan(inside)
    inside[outside] = griddata(at, image[known], everywhere[outside], method="nearest")
    filled: npt.NDArray[Any] = inside.reshape(image.shape)
    return filled
