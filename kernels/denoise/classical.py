"""The filters that microscopists know, on frames with noise of variance 1. Their packages are optional.

Widths are those that do best on the scenes of `livem bench denoise` at 5 electrons a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import ndimage

from ...errors import MissingDependencyError
from .overlap import Plane

SIGMA = 1.5
"""px of the Gaussian."""
SIDE = 5
"""px of the median."""
LIKENESS = 0.8
"""Of non-local means: their distance in standard deviations of the noise."""
VARIATION = 1.0
"""Weight of the total variation, in standard deviations of the noise."""
Method = Callable[[Plane], Plane]


def gaussian(frame: Plane) -> Plane:
    """Blurred by `SIGMA`."""
    return _plane(ndimage.gaussian_filter(frame, SIGMA, mode="reflect"))


def median(frame: Plane) -> Plane:
    """Of `SIDE` x `SIDE` pixels."""
    return _plane(ndimage.median_filter(frame, SIDE, mode="reflect"))


def non_local_means(frame: Plane) -> Plane:
    """Buades, Coll & Morel 2005, as scikit-image has it: 5 x 5 patches within 13 x 13 pixels."""
    restore = _skimage("nlm")
    return _plane(
        restore.denoise_nl_means(
            frame, patch_size=5, patch_distance=6, h=LIKENESS, sigma=1.0, preserve_range=True
        )
    )


def total_variation(frame: Plane) -> Plane:
    """Rudin, Osher & Fatemi 1992 by Chambolle's projection, as scikit-image has it."""
    return _plane(_skimage("tv").denoise_tv_chambolle(frame, weight=VARIATION))


def _skimage(name: str) -> Any:
    if find_spec("skimage") is None:
        raise MissingDependencyError(
            f'the method "{name}" needs scikit-image: pip install "livem[bench]", or take another method'
        )
    return import_module("skimage.restoration")


def _plane(values: Any) -> Plane:
    return np.ascontiguousarray(values, np.float32)


CLASSICAL: Mapping[str, Method] = MappingProxyType(
    {"gaussian": gaussian, "median": median, "nlm": non_local_means, "tv": total_variation}
)
"""By the name that a user gives."""
