"""The truth behind a simulated stream, where there is one: how far a picture is from it. Knows files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError


class Truth:
    """A .npy image, or a stack of them; a file that is not there yet is looked for again.

    Parameters
    ----------
    where : in errors.
    path : "" for none.
    """

    def __init__(self, where: str, path: object) -> None:
        if not isinstance(path, str) or (path and not path.endswith(".npy")):
            raise PipelineError(f"{where}: truth = {path!r}; it must be the path of a .npy file")
        self._path = Path(path) if path else None
        self._images: npt.NDArray[Any] | None = None

    def psnr(self, image: npt.NDArray[np.float32], number: int) -> float | None:
        """Peak signal-to-noise ratio (dB) of a picture (ny, nx) where it is finite; the truth's own range.

        ``number``: of the pass whose truth it is compared with, from 0; beyond the last, the last. None
        without a truth of this shape.
        """
        images = self._loaded()
        if images is None:
            return None
        return psnr(image, images if images.ndim == 2 else images[min(number, len(images) - 1)])

    def psnr_of_frame(self, image: npt.NDArray[np.float32], index: int, binning: int = 1) -> float | None:
        """The same of a movie's frame; of more frames than the truth has, which are played back and forth.

        ``binning``: pixels of the truth along one of the picture, which are averaged; what does not make a
        whole one is left out.
        """
        images = self._loaded()
        if images is None:
            return None
        cycle = max(2 * len(images) - 2, 1)
        at = index % cycle
        expected = images if images.ndim == 2 else images[min(at, cycle - at)]
        h, w = (n // binning for n in expected.shape)
        parts = expected[: h * binning, : w * binning].reshape(h, binning, w, binning)
        return psnr(image, parts.mean(axis=(1, 3), dtype=np.float64))

    def _loaded(self) -> npt.NDArray[Any] | None:
        if self._images is None and self._path is not None and self._path.is_file():
            found = np.load(self._path, mmap_mode="r", allow_pickle=False)
            if found.ndim not in (2, 3) or not found.size:
                shape = f"truth {str(self._path)!r} is {found.shape}"
                raise PipelineError(f"{shape}: give (ny, nx) or (n, ny, nx)")
            self._images = found
        return self._images


def psnr(image: npt.NDArray[np.float32], truth: npt.NDArray[Any]) -> float | None:
    """Peak signal-to-noise ratio (dB) where a picture (ny, nx) is finite.

    None for another shape, and where the truth has no range.
    """
    shown, expected = np.isfinite(image), truth.astype(np.float64)
    if expected.shape != image.shape or not shown.any() or not np.ptp(expected):
        return None
    error = float(np.mean((image[shown] - expected[shown]) ** 2))
    return float(10 * np.log10(np.ptp(expected) ** 2 / max(error, 1e-300)))
