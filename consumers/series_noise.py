"""The noise of a series' values, where it says how many counts an electron gives."""

from __future__ import annotations

from ..kernels.noise import NoiseModel
from ..stream.series import Series
from .dose import counts_per_electron, number_of


def noise_of(series: Series) -> NoiseModel | None:
    """None where the series does not say: numbers of a converter are no electrons."""
    gain, said_by = counts_per_electron(None, series.meta)
    if said_by != "series":
        return None
    offset, read_noise = (number_of(series.meta.get(name)) for name in ("offset", "read_noise"))
    return NoiseModel(gain, offset, max(read_noise, 0.0))
