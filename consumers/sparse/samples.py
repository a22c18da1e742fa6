"""Samples of a sparse scan as frames or as results of another consumer, for the reconstruction.

Knows scans and images; not what becomes of the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.noise import NoiseModel
from ...stream.results import Result, valid_of
from ...stream.series import IndexArray, Scan, Series
from ..base import Frames
from ..dose import number_of

MAX_CHANNELS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Some samples: their frame numbers, places and values."""

    indices: IndexArray
    positions: npt.NDArray[np.float32]
    """(n, 2) (y, x) in scan pixels."""
    values: npt.NDArray[np.float64]
    """(n, c)"""

    def only(self, wanted: npt.NDArray[np.bool_]) -> Samples:
        """Some of them; themselves where it is all."""
        if wanted.all():
            return self
        return Samples(self.indices[wanted], self.positions[wanted], self.values[wanted])


def channels_of(where: str, series: Series) -> int:
    """Values of a frame of a point detector; PipelineError where frames are pictures."""
    h, w = series.shape
    if min(h, w) > 1 or h * w > MAX_CHANNELS:
        raise PipelineError(
            f"{where}: frames of {h}x{w} are no samples of a point detector (1x1 to 1x{MAX_CHANNELS}); "
            'name a virtual detector to take them from: input = "vd.haadf"'
        )
    return h * w


def scan_of(where: str, series: Series) -> Scan:
    """Where the samples lie; PipelineError for a movie."""
    if series.scan is None:
        raise PipelineError(
            f"{where}: the series says no scan, so its samples have no place; "
            "give [scan] shape in the pipeline file"
        )
    return series.scan


def samples_of(frames: Frames, scan: Scan) -> Samples:
    """Of frames of a point detector; flyback frames are left out."""
    h, w = frames.data.shape[1:]
    values = frames.data.reshape(len(frames), h * w).astype(np.float64)
    if scan.order == "positions":
        positions = np.full((len(frames), 2), np.nan, np.float32)
        if frames.positions is not None:
            positions = frames.positions
        return Samples(frames.indices.copy(), positions.astype(np.float32), values)
    pixels = scan.pixels(frames.indices)
    places = np.stack(np.divmod(pixels, scan.shape[1]), axis=1).astype(np.float32)
    return Samples(frames.indices.copy(), places, values).only(pixels >= 0)


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that are one picture: one value a pixel, or the components of a vector."""

    name: str
    channels: slice
    unit: str
    is_vector: bool = False


def groups_of_point(channels: int, unit: str) -> tuple[Group, ...]:
    """Of a point detector: each value is a picture."""
    names = ["image"] if channels == 1 else [f"image{n}" for n in range(channels)]
    return tuple(Group(name, slice(n, n + 1), unit) for n, name in enumerate(names))


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Scan images of several topics as samples on pixel centres."""

    positions: npt.NDArray[np.float32]
    """(n, 2)"""
    values: npt.NDArray[np.float64]
    """(n, c)"""
    doses: npt.NDArray[np.float64]
    """(n,) visits that the values are means of."""
    groups: tuple[Group, ...]
    noise: NoiseModel | None
    """Of one visit, where every image says so and all say the same."""


def stacked(results: Mapping[str, Result], topics: Sequence[str], shape: tuple[int, int]) -> Stack | None:
    """The images of several topics as samples; None until all are there.

    A pixel counts where every image is valid, as often as the one that saw it least.
    """
    if any(topic not in results for topic in topics):
        return None
    chosen = [results[topic] for topic in topics]
    images = [_planes(result, shape) for result in chosen]
    stack = np.concatenate(images)
    valid = np.logical_and.reduce([valid_of(result) for result in chosen]) & np.isfinite(stack).all(axis=0)
    doses = np.minimum.reduce([_visits(result, shape) for result in chosen])
    models = {_noise_of(result) for result in chosen}
    ends = np.cumsum([0, *map(len, images)]).tolist()
    groups = [
        Group(name, slice(*ends[n : n + 2]), result.units.get("image", ""), result.arrays["image"].ndim == 3)
        for n, (name, result) in enumerate(zip(_names(topics), chosen, strict=True))
    ]
    return Stack(
        np.argwhere(valid).astype(np.float32),
        stack[:, valid].T,
        doses[valid],
        tuple(groups),
        models.pop() if len(models) == 1 else None,
    )


def _visits(result: Result, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(ny, nx) of how many visits its values are means; one where it does not say."""
    visits = result.arrays.get("visits")
    return np.ones(shape) if visits is None or visits.shape != shape else visits.astype(np.float64)


def _noise_of(result: Result) -> NoiseModel | None:
    """What a sum of counts says of itself."""
    said = result.attrs.get("noise")
    if not isinstance(said, Mapping):
        return None
    try:
        return NoiseModel(*(number_of(said.get(name)) for name in ("gain", "offset", "read_noise")))
    except ValueError:  # another consumer's, and no such numbers
        return None


def _planes(result: Result, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(c, ny, nx) of an image result; PipelineError where it is no image of the scan."""
    image = result.arrays.get("image")
    if image is None or image.shape[:2] != shape:
        found = "no image" if image is None else f"an image of {image.shape[0]}x{image.shape[1]}"
        raise PipelineError(
            f"{result.topic} is {found}; a scan image of {shape[0]}x{shape[1]} is wanted, "
            "such as a detector of virtual_detectors gives"
        )
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    return planes.astype(np.float64)


def _names(topics: Sequence[str]) -> Sequence[str]:
    """What the pictures are called: as the outputs they come from, where those differ."""
    names = [topic.partition(".")[2] for topic in topics]
    return names if len(set(names)) == len(names) else [topic.replace(".", "_") for topic in topics]
