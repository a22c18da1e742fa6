"""The picture of a sparse scan as outputs: what is shown, what is said of it, and what is shown beside it.

Knows estimates; not how they come about, and no stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.inpaint.estimate import Estimate
from ..base import Output
from .samples import Group

SLOW_HZ = 5.0
"""Of what changes little from picture to picture."""


def pictures(
    group: Group, estimate: Estimate, said: Mapping[str, Any], figures: Mapping[str, Any]
) -> Iterator[Output]:
    """The picture of a group with what was measured of it, and how sure it is.

    Parameters
    ----------
    said : what else is to be said of both: attrs. figures : of the picture alone.

    Yields
    ------
    Output
        ``image`` (ny, nx), or (ny, nx, k) of a vector, NaN beyond the reach of the samples; ``valid`` and
        ``sampled`` (ny, nx); ``too_fine`` (ny, nx), where features are finer than the gaps, once that is
        known. Then ``NAME_sigma``, the standard deviation of the picture's error, where that is.
    """
    image = _as_shown(estimate.image[group.channels], group)
    valid = np.asarray(np.isfinite(image) if image.ndim == 2 else np.isfinite(image).all(axis=-1))
    arrays: dict[str, npt.NDArray[Any]] = {"image": image, "valid": valid, "sampled": estimate.sampled}
    if estimate.fine is not None:
        arrays["too_fine"] = np.logical_or.reduce(estimate.fine[group.channels])
    units, made = {"image": group.unit}, {**_made_of(estimate), **said}
    yield Output(group.name, "image", arrays, units, {**made, **_goodness(group, estimate), **figures})
    if estimate.sigma is not None:
        sigma = {"image": _as_shown(estimate.sigma[group.channels], group), "valid": valid}
        yield Output(f"{group.name}_sigma", "image", sigma, units, made, hz=SLOW_HZ)


def distances(estimate: Estimate, said: Mapping[str, Any]) -> Output:
    """How far the nearest sample is."""
    arrays = {"image": estimate.distance, "valid": np.isfinite(estimate.distance)}
    return Output("distance", "image", arrays, {"image": "px"}, said, hz=SLOW_HZ)


def _made_of(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimate": True,
        "algorithm": estimate.algorithm,
        "version": estimate.version,
        "strength": estimate.strength,
        "samples": estimate.samples,
        "coverage": estimate.coverage,
        "settled": estimate.settled,
    }


def _goodness(group: Group, estimate: Estimate) -> dict[str, Any]:
    """What is known of the group's own channels."""
    figures: dict[str, Any] = {}
    for name, values in (("held_out_rmse", estimate.held_out), ("held_out_error", estimate.error)):
        if np.isfinite(values[group.channels]).all():
            figures[name] = values[group.channels].tolist()
    if np.isfinite(share := estimate.too_fine[group.channels].max()):
        figures["too_fine"] = float(share)
    if estimate.held_out_in != (0, 0, *estimate.weight.shape):
        figures["held_out_in"] = list(estimate.held_out_in)
    return figures


def _as_shown(planes: npt.NDArray[np.float32], group: Group) -> npt.NDArray[np.float32]:
    """(ny, nx), or (ny, nx, k) of a vector."""
    return np.moveaxis(planes, 0, -1) if group.is_vector else planes[0]
