"""Other programs that denoise one frame. What is not installed is left out. Knows no benchmark.

All get the frame with noise of variance 1 and are led back by the same inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from .inpaint_scenes import Array

Denoiser = Callable[[Array], npt.NDArray[Any]]
"""From a frame with noise of variance 1 to one with less, both (ny, nx)."""

BM3D = "BM3D"
LEVELS_OF_NOISE = 8.0
"""Grey levels of 8 bits that a standard deviation of the noise is given."""
NEEDED = {
    "bm3d": "bm3d",
    "skimage": "scikit-image",
    "pywt": "PyWavelets",
    "cv2": "opencv-python-headless",
}


def denoisers() -> Mapping[str, Denoiser]:
    """By name."""
    found: dict[str, Denoiser] = {}
    if find_spec("bm3d") is not None:
        found[BM3D] = _bm3d
    if find_spec("skimage") is not None:
        found |= {"skimage NLM": _nlm, "skimage TV": _tv}
        if find_spec("pywt") is not None:
            found["skimage wavelet"] = _wavelet
    if find_spec("cv2") is not None:
        found["OpenCV NLM"] = _opencv_nlm
    return found


def missing() -> list[str]:
    """Packages without which peers are left out."""
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


def _bm3d(frame: Array) -> npt.NDArray[Any]:
    bm3d: Any = import_module("bm3d")
    return np.asarray(bm3d.bm3d(frame.astype(np.float64), 1.0))


def _nlm(frame: Array) -> npt.NDArray[Any]:
    return np.asarray(
        _restoration().denoise_nl_means(
            frame, patch_size=5, patch_distance=6, h=0.8, sigma=1.0, preserve_range=True
        )
    )


def _tv(frame: Array) -> npt.NDArray[Any]:
    return np.asarray(_restoration().denoise_tv_chambolle(frame, weight=1.0))


def _wavelet(frame: Array) -> npt.NDArray[Any]:
    return np.asarray(_restoration().denoise_wavelet(frame, sigma=1.0, wavelet="db2", rescale_sigma=False))


def _opencv_nlm(frame: Array) -> npt.NDArray[Any]:
    """Of 8 bits: what is brighter than 31 standard deviations is cut."""
    cv2: Any = import_module("cv2")
    grey = np.clip(np.round(LEVELS_OF_NOISE * frame), 0, 255).astype(np.uint8)
    found: npt.NDArray[Any] = cv2.fastNlMeansDenoising(grey, None, LEVELS_OF_NOISE, 5, 13)
    return found / LEVELS_OF_NOISE


def _restoration() -> Any:
    return import_module("skimage.restoration")
