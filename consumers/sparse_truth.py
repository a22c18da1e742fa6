"""The truth behind a simulated scan, where there is one: how far a picture is from it. Knows files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError


class Truth:
    """A .npy image, or one for each pass; a file that is not there yet is looked for again.

    Parameters
    ----------
    where : in errors.
    path : "" for none.
    """

    def __init__(self, where: str, path: object) -> None:
        if not isinstance(path, str) or (path and not path.endswith(".npy")):
            raise PipelineError(f"{where}: truth = {path!r}; it must be the path of a .npy file")
        self._path = Path(path) if path else None
        self._image: npt.NDArray[np.float64] | None = None

    def psnr(self, image: npt.NDArray[np.float32], number: int) -> float | None:
        """Peak signal-to-noise ratio (dB) of a picture (ny, nx) where it is finite; the truth's own range.

        ``number``: of the pass whose truth it is compared with, from 0; beyond the last, the last. None
        without a truth of this shape.
        """
        truth = self._loaded()
        if truth is None or truth.shape[-2:] != image.shape:
            return None
        if truth.ndim == 3:
            truth = truth[min(number, len(truth) - 1)]
        shown = np.isfinite(image)
        if not shown.any():
            return None
        error = float(np.mean((image[shown] - truth[shown]) ** 2))
        return float(10 * np.log10(np.ptp(truth) ** 2 / max(error, 1e-300)))

    def _loaded(self) -> npt.NDArray[np.float64] | None:
        if self._image is None and self._path is not None and self._path.is_file():
            self._image = np.load(self._path, allow_pickle=False).astype(np.float64)
        return self._image
