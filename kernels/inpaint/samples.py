"""Samples of a sparse scan as they arrive, summed per pixel. Knows no solver and no scan.

A sample counts in the pixel whose centre is nearest; centres have whole coordinates. Kept are the sum of the
values, the number of visits (the dose), and the sum of the offsets from the centre, which `offsets` and
`centring` make use of. Sums of values are float64: in any order of arrival they are the same to 1e-15, and
exactly the same for integers.

Memory of a sparse scan
-----------------------
Bytes a pixel with one channel, and what of it each further channel costs too. A field and a solve:

====================================================  =====  =======
sums of values, float64                                   8        8
visits, float32                                           4
sums of offsets, 2 x float32; 0 if all are on centres     8
the solver's input: means; the weights are the field's    4        4
thin plate: image, 5 planes, coarse grids                27        4
====================================================  =====  =======

Of these 51 the field's 20 stay. Between solves `live.LiveInpainter` keeps beside them:

====================================================  =====  =======
picture; 8 with the copy that ends with the samples       4        4
weights and distances of the estimate                     8
where the picture is finer than its samples tell          1        1
standard deviation (8 with a copy), spread by noise       8        8
====================================================  =====  =======

41 in all, 33 without standard deviations; 49 and 37 where parts of the field are beyond the samples' reach.
Measured at 512 x 512 with a quarter of the pixels sampled and the thin plate, bytes a pixel at most
while a picture is made, while its errors are looked for, while the last picture is chosen and solved:

==================================  ====  ====  ====
off the centres                      72    84    97
the same, no standard deviations     66    66    66
on the centres                       60    72    85
the same, no standard deviations     52    57    57
==================================  ====  ====  ====

Of the 72 the solve has 31, the field 20, the means before and after they are centred 8, all else 13.
`tests/kernels/inpaint/test_samples.py` measures the field, `test_thin_plate.py` a solve,
`test_live_memory.py` what stays and the peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .solution import Image, Weight

LARGEST = 1e30
"""Beyond this a value is no measurement but a mark for none, such as float32's largest: a picture that
overshoots from less still fits float32."""
MOST_VISITS = float(1 << 23)
"""Visits of a pixel, in float32, at which all it knows counts half: from 2^24 on one more would change
nothing, and the mean of a beam that is parked would run away."""
FORGOTTEN = 1e-3
"""Visits below which a decayed pixel is unknown again: seven half-lives and more after a single one."""

Offsets = npt.NDArray[np.float32]
"""(2, ny, nx): mean of sample position minus pixel centre, y and x, in px; 0 where nothing was sampled."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of some samples."""

    counted: int
    outside: int
    """Positions that are not in the field, or not numbers."""
    not_finite: int
    """Samples in the field with a channel that is NaN, infinite or beyond `LARGEST`, or whose dose is no
    number above 0: left out in all."""


class SampleField:
    """Sums of samples over the pixels of a field.

    Parameters
    ----------
    shape : (ny, nx), each at least 1.
    channels : values of a sample.

    Raises
    ------
    ValueError
        A shape or number of channels below 1.
    """

    def __init__(self, shape: tuple[int, int], channels: int = 1) -> None:
        if min(*shape, channels) < 1:
            raise ValueError(f"field of {shape} pixels with {channels} channels; each must be 1 or more")
        self._sums = np.zeros((channels, *shape))
        self._visits = np.zeros(shape, np.float32)
        self._offsets: Offsets | None = None
        """Sums; None while every sample was on a centre."""

    @property
    def shape(self) -> tuple[int, int]:
        return self._visits.shape

    @property
    def channels(self) -> int:
        return len(self._sums)

    @property
    def visits(self) -> Weight:
        """(ny, nx) the dose; not a copy, and not to be written to."""
        return self._visits

    @property
    def nbytes(self) -> int:
        """Memory that the sums take now."""
        return (
            self._sums.nbytes + self._visits.nbytes + (0 if self._offsets is None else self._offsets.nbytes)
        )

    def add(
        self, positions: npt.ArrayLike, values: npt.ArrayLike, doses: npt.ArrayLike | None = None
    ) -> Added:
        """Take in samples, in any order and any number of times a pixel; 14 ns each at random places.

        A pixel with MOST_VISITS keeps its mean, and half of its dose.

        Parameters
        ----------
        positions : (n, 2) as (y, x) in px; pixel (0, 0) reaches from -0.5 up to below 0.5.
        values : (n, channels), or (n,) with one channel.
        doses : (n,) visits that each value is the mean of, up to MOST_VISITS; default: one.

        Raises
        ------
        ValueError
            Shapes that do not fit each other or the field.
        """
        places = np.ascontiguousarray(positions, np.float64)
        heights = np.ascontiguousarray(values, np.float64)
        if heights.ndim == 1 and self.channels == 1:
            heights = heights[:, None]
        if places.shape != (len(places), 2) or heights.shape != (len(places), self.channels):
            raise ValueError(
                f"positions {places.shape}, values {heights.shape}; give (n, 2) and (n, {self.channels})"
            )
        visits = np.empty(0) if doses is None else np.ascontiguousarray(doses, np.float64)
        if doses is not None and visits.shape != (len(places),):
            raise ValueError(f"doses {visits.shape} for positions {places.shape}; give one for each")
        if self._offsets is None and _off_centre(places):
            self._offsets = np.zeros((2, *self.shape), np.float32)
        return Added(*_add(places, heights, visits, self._sums, self._visits, _given(self._offsets)))

    def reset(self) -> None:
        """Forget all samples."""
        self._sums[:] = 0
        self._visits[:] = 0
        self._offsets = None

    def decay(self, factor: float | npt.ArrayLike, spare: SampleField | None = None) -> None:
        """Let what is known count for less, so that newer samples of a scene that moves count for more.

        Parameters
        ----------
        factor : 0 to 1, one or (ny, nx): the share of the dose that stays. Means stay as they are; a pixel
            left with less than FORGOTTEN visits is unknown again.
        spare : samples of this field that keep their full dose.

        Raises
        ------
        ValueError
            A factor outside 0 to 1, or of another shape.
        """
        factors = np.asarray(factor)
        if factors.dtype != np.float32:
            factors = factors.astype(np.float64)
        if factors.shape not in ((), self.shape) or not (factors.min() >= 0 and factors.max() <= 1):
            raise ValueError(f"decay by {factor!r}; from 0 to 1, one or {self.shape}")
        part = (_NO_SUMS, _NO_VISITS, _NO_OFFSETS)
        if spare is not None:
            part = (spare._sums, spare._visits, _given(spare._offsets))
        factors = np.ascontiguousarray(factors.reshape(factors.shape or (1, 1)))
        _fade(factors, self._sums, self._visits, _given(self._offsets), *part)

    def mean(self) -> tuple[Image, Weight]:
        """Means (channels, ny, nx), NaN where unknown, and a copy of the visits: what solvers want."""
        return self.means(), self._visits.copy()

    def means(self) -> Image:
        """Means (channels, ny, nx), NaN where unknown."""
        data = np.empty(self._sums.shape, np.float32)
        _means(self._sums, self._visits, data)
        return data

    @property
    def is_off_centre(self) -> bool:
        """Whether any sample that counts was beside the centre of its pixel."""
        return self._offsets is not None and bool(self._offsets.any())

    @property
    def offset_sums(self) -> Offsets | None:
        """Sums over the visits of a pixel; not a copy, and not to be written to. None as for `offsets`."""
        return self._offsets

    def offsets(self) -> Offsets | None:
        """Mean offsets from the centres; None when all samples were on one."""
        if self._offsets is None:
            return None
        means = np.empty_like(self._offsets)
        _mean_offsets(self._offsets, self._visits, means)
        return means


def _given(offsets: Offsets | None) -> Offsets:
    """For kernels, which know none by their size."""
    return _NO_OFFSETS if offsets is None else offsets


_NO_SUMS = np.empty((0, 0, 0))
_NO_VISITS = np.empty((0, 0), np.float32)
_NO_OFFSETS = np.empty((2, 0, 0), np.float32)


@njit("boolean(float64[:, ::1])", nogil=True, cache=True)
def _off_centre(positions):  # type: ignore[no-untyped-def]
    for k in range(len(positions)):
        for position in positions[k]:
            if np.isfinite(position) and np.floor(position) != position:
                return True
    return False


@njit("boolean(float64[:, ::1], int64)", nogil=True, cache=True)
def _all_finite(values, k):  # type: ignore[no-untyped-def]
    fits = True
    for c in range(values.shape[1]):
        fits &= abs(values[k, c]) <= LARGEST
    return fits


@njit("void(float64[:, :, ::1], float32[:, ::1], float32[:, :, ::1], int64, int64)", nogil=True, cache=True)
def _halve(sums, visits, offsets, i, j):  # type: ignore[no-untyped-def]
    visits[i, j] *= 0.5
    for c in range(len(sums)):
        sums[c, i, j] *= 0.5
    for axis in range(len(offsets) if offsets.size else 0):
        offsets[axis, i, j] *= 0.5


@njit(
    "UniTuple(int64, 3)"
    "(float64[:, ::1], float64[:, ::1], float64[::1], float64[:, :, ::1], float32[:, ::1], "
    "float32[:, :, ::1])",
    nogil=True,
    cache=True,
)
def _add(positions, values, doses, sums, visits, offsets):  # type: ignore[no-untyped-def]
    ny, nx = visits.shape
    counted = outside = not_finite = 0
    for k in range(len(positions)):
        y, x = np.floor(positions[k, 0] + 0.5), np.floor(positions[k, 1] + 0.5)
        if not (0 <= y < ny and 0 <= x < nx):
            outside += 1
            continue
        dose = min(doses[k], MOST_VISITS) if doses.size else 1.0
        if not (_all_finite(values, k) and dose > 0):
            not_finite += 1
            continue
        i, j = int(y), int(x)
        counted += 1
        if visits[i, j] >= MOST_VISITS:
            _halve(sums, visits, offsets, i, j)
        visits[i, j] += dose
        for c in range(len(sums)):
            sums[c, i, j] += dose * values[k, c]
        if offsets.size:
            offsets[0, i, j] += dose * (positions[k, 0] - y)
            offsets[1, i, j] += dose * (positions[k, 1] - x)
    return counted, outside, not_finite


@njit(nogil=True, cache=True)
def _keep(row, spared, kept):  # type: ignore[no-untyped-def]
    """These shares of a row, and all that is spared; to the bit as it is where all is kept."""
    for j in range(row.size):
        left = (row[j] - spared[j]) * kept[j] + spared[j]
        row[j] = row[j] if kept[j] == 1 else left


@njit(
    [
        f"void({factors}[:, ::1], f8[:, :, ::1], f4[:, ::1], f4[:, :, ::1], "
        "f8[:, :, ::1], f4[:, ::1], f4[:, :, ::1])"
        for factors in ("f4", "f8")
    ],
    nogil=True,
    cache=True,
)
def _fade(factors, sums, visits, offsets, spare_sums, spare_visits, spare_offsets):  # type: ignore[no-untyped-def]
    """What is not spared counts for its factor; what is left with less than FORGOTTEN, for nothing."""
    ny, nx = visits.shape
    kept, nothing, none = np.empty(nx, factors.dtype), np.zeros(nx, np.float32), np.zeros(nx)
    same, zero = np.full(nx, factors[0, 0]), factors.dtype.type(0)
    for i in range(ny):
        row = same if factors.size == 1 else factors[i]
        spared = spare_visits[i] if spare_visits.size else nothing
        for j in range(nx):
            left = (visits[i, j] - spared[j]) * row[j]
            kept[j] = row[j] if (left >= FORGOTTEN) | (row[j] == 1) else zero
        _keep(visits[i], spared, kept)
        for c in range(len(sums)):
            _keep(sums[c, i], spare_sums[c, i] if spare_sums.size else none, kept)
        for axis in range(len(offsets) if offsets.size else 0):
            _keep(offsets[axis, i], spare_offsets[axis, i] if spare_offsets.size else nothing, kept)


@njit(
    "void(float64[:, :, ::1], float32[:, ::1], float32[:, :, ::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _means(sums, visits, data):  # type: ignore[no-untyped-def]
    for c in range(len(sums)):
        for i in range(visits.shape[0]):
            for j in range(visits.shape[1]):
                dose = visits[i, j]
                data[c, i, j] = sums[c, i, j] / dose if dose > 0 else np.nan


@njit(
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, :, ::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _mean_offsets(offsets, visits, means):  # type: ignore[no-untyped-def]
    for axis in range(len(offsets)):
        for i in range(visits.shape[0]):
            for j in range(visits.shape[1]):
                dose = visits[i, j]
                means[axis, i, j] = offsets[axis, i, j] / dose if dose > 0 else np.float32(0)
