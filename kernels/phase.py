"""From beam deflections to fields and phases: scan rotation, descan, DPC, iCoM / iDPC and dCoM.

Knows arrays over scan positions; a field is (ny, nx, 2), its last axis (y, x), NaN where nothing was scanned.
Nothing here knows how the deflections were measured.

Conventions
-----------
Angles grow from +x towards +y (clockwise on a screen, y downwards), as in LiberTEM: a vector turned by a has
y' = y cos a + x sin a, x' = x cos a - y sin a. A flip inverts y and comes before the turn. The centre of mass
moves towards atoms (electrons are drawn to nuclei) and is proportional to the gradient of the phase
(Lazic, Bosch & Lazar, Ultramicroscopy 160 (2016) 265, eq. 11: I_iCoM), so that `integrate` shows atoms bright
and the divergence is negative on them (Mueller et al., Nat. Commun. 5 (2014) 5653: charge density is
proportional to minus the divergence).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .cosines import cosines, from_cosines, sines
from .holes import bridge

FloatArray = npt.NDArray[np.float64]
Known = npt.NDArray[np.bool_]
Boundary = Literal["mirror", "periodic"]

MIN_PIXELS = 16
"""Scan positions with a curl that an angle is estimated from."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How the detector lies to the scan, found from a field; `rotate` applies it."""

    angle_deg: float
    """-180..180; about 180 degrees wrong where ``polarity`` is near 0."""
    flip: bool
    """Whether y is inverted before turning."""
    curl_ratio: float
    """Rms curl / rms divergence of the corrected field: 0 for an electrostatic field, noise apart, 1 where
    no angle is better than another."""
    other_ratio: float
    """The same for the other handedness; near ``curl_ratio`` (a field that varies along one direction only)
    the flip is undecided."""
    polarity: float
    """0..: skewness of minus the divergence; which of the two angles 180 degrees apart it is rests on it."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A vector that changes linearly over the scan: what descan leaves."""

    offset: tuple[float, float]
    """(y, x) at scan position (0, 0), in the field's unit."""
    along_y: tuple[float, float]
    """Change of (y, x) per scan pixel along y."""
    along_x: tuple[float, float]
    """Change of (y, x) per scan pixel along x."""

    def over(self, shape: tuple[int, int]) -> FloatArray:
        """(ny, nx, 2) on a scan."""
        y, x = np.arange(shape[0])[:, None, None], np.arange(shape[1])[None, :, None]
        plane: FloatArray = np.array(self.offset) + y * np.array(self.along_y) + x * np.array(self.along_x)
        return plane

    def subtracted_from(self, field: FloatArray) -> FloatArray:
        """The field without the plane; NaN stays."""
        return field - self.over(field.shape[:2])


def rotate(field: FloatArray, angle_deg: float, flip: bool = False) -> FloatArray:
    """Turn every vector of a field (..., 2), after inverting y where ``flip``; positions stay."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    y, x = (-field[..., 0] if flip else field[..., 0]), field[..., 1]
    return np.stack([c * y + s * x, c * x - s * y], axis=-1)


def divergence(field: FloatArray, step: float = 1.0) -> FloatArray:
    """dFy/dy + dFx/dx by central differences: dCoM; minus this is proportional to the charge density.

    Parameters
    ----------
    field : (ny, nx, 2)
    step : distance of scan positions; the result is per unit of it.

    Returns
    -------
    (ny, nx); NaN where a neighbour is not scanned, one-sided at the border of the field, 0 along a side of 1.
    """
    return _slope(field[..., 0], 0, step) + _slope(field[..., 1], 1, step)


def curl(field: FloatArray, step: float = 1.0) -> FloatArray:
    """dFy/dx - dFx/dy, (ny, nx), like `divergence`; 0 but for noise where the field is electrostatic."""
    return _slope(field[..., 0], 1, step) - _slope(field[..., 1], 0, step)


def estimate_rotation(field: FloatArray) -> Rotation | None:
    """Scan rotation and handedness that make a field free of curl.

    A turn by a makes of curl C and divergence D: C' = C cos a + D sin a. The variance of C' is least along an
    eigenvector of the covariance of (C, D): in closed form, once for each handedness; the smaller wins. Of
    the two angles 180 degrees apart the one is taken whose divergence is skewed to negative values, since
    atoms are few and deflect most (the assumption of LiberTEM's guess_corrections). Means are taken off, so a
    descan plane, whose curl and divergence are constant, changes nothing.

    Parameters
    ----------
    field : (ny, nx, 2), centre of mass or DPC; NaN where not scanned.

    Returns
    -------
    Rotation, or None where nothing decides: fewer than 16 positions with all neighbours, one line, or a field
    without structure.

    Notes
    -----
    Noise biases neither angle nor handedness, but scatters the angle by about sqrt(q (1 + q) / n) rad, q the
    ratio of noise to signal in the divergence's variance. Magnetic samples have a curl: not for them.
    """
    if min(field.shape[:2]) < 3:
        return None
    slopes = _smooth_slopes(field)
    if slopes is None:
        return None
    (yy, yx), (xy, xx) = slopes
    straight, flipped = _least_curl(yx - xy, yy + xx), _least_curl(-yx - xy, xx - yy)
    best, other = (straight, flipped) if straight[1] <= flipped[1] else (flipped, straight)
    angle, ratio, skewness = best
    if skewness > 0:
        angle += 180.0
    return Rotation((angle + 180.0) % 360.0 - 180.0, best is flipped, ratio, other[1], abs(skewness))


def descan_plane(field: FloatArray, weights: FloatArray | None = None) -> Plane | None:
    """Least-squares plane of each component, positions with NaN left out.

    Parameters
    ----------
    field : (ny, nx, 2)
    weights : (ny, nx), optional
        E.g. 1 in vacuum and 0 elsewhere, or the counts behind each centre of mass.

    Returns
    -------
    Plane; along a direction that was not scanned its slope is 0. None where nothing was scanned.
    """
    known = _scanned(field)
    w: FloatArray = (
        known.astype(np.float64) if weights is None else np.where(known, np.nan_to_num(weights), 0.0)
    )
    if not w.sum() > 0:
        return None
    y, x = np.arange(field.shape[0], dtype=np.float64), np.arange(field.shape[1], dtype=np.float64)
    rows, columns = w.sum(axis=1), w.sum(axis=0)
    my, mx = rows @ y / w.sum(), columns @ x / w.sum()
    y, x = y - my, x - mx
    cross = y @ w @ x
    normal = np.array([[rows @ (y * y), cross], [cross, columns @ (x * x)]])
    values: FloatArray = np.where(known[..., None], field, 0.0) * w[..., None]
    mean = values.sum(axis=(0, 1)) / w.sum()
    levers = np.stack([np.tensordot(y, values.sum(axis=1), 1), np.tensordot(x, values.sum(axis=0), 1)])
    along_y, along_x = np.linalg.pinv(normal, rcond=1e-9, hermitian=True) @ levers
    offset = mean - my * along_y - mx * along_x
    return Plane(_pair(offset), _pair(along_y), _pair(along_x))


def integrate(
    field: FloatArray, step: float = 1.0, boundary: Boundary = "mirror", high_pass: float = 0.0
) -> FloatArray:
    """The scalar whose gradient is nearest to a field: iCoM of a centre of mass, iDPC of a DPC signal.

    Fourier space: phi(k) = k . F(k) / (2 pi i k^2) (Lazic et al. 2016, eq. 13), the least-squares solution.

    Parameters
    ----------
    field : (ny, nx, 2); NaN where not scanned. Take the descan plane off first.
    step : distance of scan positions.
    boundary : "mirror": the scan continued by its mirror images (cosine series), so that what differs at
        opposite borders does not wrap around; "periodic": a specimen that continues at the other border
        (exact for whole unit cells).
    high_pass : cycles per ``step`` unit; damps longer waves, which carry most of the noise: phi(k) is
        multiplied by k^2 / (k^2 + high_pass^2).

    Returns
    -------
    (ny, nx), in the field's unit x step's, mean 0; NaN where the field is. The rectangle around all scanned
    positions is integrated; holes within it are bridged from their neighbours beforehand and are NaN again.
    """
    known = _scanned(field)
    phase = np.full(field.shape[:2], np.nan)
    if not known.any():
        return phase
    box = _bounding_box(known)
    filled = [bridge(field[box][..., axis], known[box]) for axis in (0, 1)]
    solve = _solve_mirrored if boundary == "mirror" else _solve_periodic
    inside = solve(filled[0], filled[1], high_pass * step) * step
    phase[box] = np.where(known[box], inside, np.nan)
    phase -= phase[known].mean()
    return phase


def segment_dpc(sums: npt.ArrayLike, directions_deg: npt.ArrayLike) -> FloatArray:
    """Differential phase contrast of a segmented ring: sum of s_k d_k / sum of s_k.

    Parameters
    ----------
    sums : (..., k), counts of k >= 3 segments.
    directions_deg : (k,), direction of each segment's middle, from +x towards +y.

    Returns
    -------
    (..., 2), (y, x), -1..1 without unit, proportional to the deflection while that is small (Shibata et al.,
    Nat. Phys. 8 (2012) 611); NaN where the sum is not greater than 0.

    Raises
    ------
    ValueError
        When there are fewer than 3 segments or not a direction for each.
    """
    counts, angles = np.asarray(sums, np.float64), np.radians(np.asarray(directions_deg, np.float64))
    if angles.ndim != 1 or angles.size < 3 or counts.shape[-1:] != angles.shape:
        raise ValueError(
            f"sums of shape {counts.shape} for {angles.size} directions: DPC takes 3 or more segments, "
            "the last axis of sums one for each direction"
        )
    total = counts.sum(axis=-1)[..., None]
    signal = counts @ np.stack([np.sin(angles), np.cos(angles)], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, signal / total, np.nan)


def _scanned(field: FloatArray) -> Known:
    """(ny, nx) where both components are known."""
    known: Known = np.isfinite(field[..., 0]) & np.isfinite(field[..., 1])
    return known


def _slope(values: FloatArray, axis: int, step: float) -> FloatArray:
    if values.shape[axis] < 2:
        return np.where(np.isfinite(values), 0.0, np.nan)
    slope: FloatArray = np.gradient(values, step, axis=axis)
    return slope


def _smooth_slopes(
    field: FloatArray,
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]] | None:
    """((dFy/dy, dFy/dx), (dFx/dy, dFx/dx)), each (n,) about its mean; None where they are too few or all 0.

    Central differences smoothed across by 1, 2, 1 (Sobel): a third of the noise of bare ones.
    """
    slopes = [_sobel(field[..., component], axis) for component in (0, 1) for axis in (0, 1)]
    known = np.isfinite(slopes).all(axis=0)
    if np.count_nonzero(known) < MIN_PIXELS:
        return None
    yy, yx, xy, xx = (slope[known] - slope[known].mean() for slope in slopes)
    largest = max(float(np.abs(slope).max()) for slope in (yy, yx, xy, xx))
    if largest <= 1e-9 * float(np.nanmax(np.abs(field))):
        return None
    return (yy, yx), (xy, xx)


def _sobel(values: FloatArray, axis: int) -> FloatArray:
    """(ny - 2, nx - 2) derivative along an axis."""
    v = values if axis == 0 else values.T
    slope = (v[2:] - v[:-2]) / 2
    smooth = (slope[:, :-2] + 2 * slope[:, 1:-1] + slope[:, 2:]) / 4
    return smooth if axis == 0 else smooth.T


def _least_curl(c: FloatArray, d: FloatArray) -> tuple[float, float, float]:
    """Angle in degrees (one of two), rms curl / rms divergence, skewness of the divergence."""
    cc, cd, dd = c @ c, c @ d, d @ d
    angle = 0.5 * math.atan2(-2 * cd, dd - cc)
    turned = d * math.cos(angle) - c * math.sin(angle)
    square = float(turned @ turned)
    ratio = math.sqrt(max(float(cc + dd) - square, 0.0) / square)
    skewness = float((turned * turned) @ turned) / turned.size / (square / turned.size) ** 1.5
    return math.degrees(angle), ratio, skewness


def _pair(vector: FloatArray) -> tuple[float, float]:
    return float(vector[0]), float(vector[1])


def _bounding_box(known: Known) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _solve_mirrored(fy: FloatArray, fx: FloatArray, high_pass: float) -> FloatArray:
    """Least squares over cosine series: their gradients are sines along the derivative, cosines across."""
    ky, kx = (np.pi * np.arange(n) / n for n in fy.shape)
    slopes = -ky[:, None] * sines(cosines(fy, 1), 0) - kx[None, :] * cosines(sines(fx, 1), 0)
    return from_cosines(from_cosines(slopes * _inverse(ky, kx, high_pass), 0), 1)


def _solve_periodic(fy: FloatArray, fx: FloatArray, high_pass: float) -> FloatArray:
    ny, nx = fy.shape
    ky, kx = _waves(np.fft.fftfreq(ny)), _waves(np.fft.rfftfreq(nx))
    slopes = ky[:, None] * np.fft.rfft2(fy) + kx[None, :] * np.fft.rfft2(fx)
    return np.fft.irfft2(-1j * slopes * _inverse(ky, kx, high_pass), (ny, nx))


def _waves(cycles: npt.NDArray[np.floating]) -> FloatArray:
    """rad per pixel; 0 for half a cycle per pixel, whose derivative cannot be told from its negative."""
    return np.where(np.abs(cycles) == 0.5, 0.0, 2 * np.pi * cycles)


def _inverse(ky: FloatArray, kx: FloatArray, high_pass: float) -> FloatArray:
    """1 / (k^2 + cut^2), 0 for the mean; k and cut in rad per scan pixel."""
    square = ky[:, None] ** 2 + kx[None, :] ** 2
    whole = square + (2 * np.pi * high_pass) ** 2
    return np.divide(1.0, whole, out=np.zeros_like(whole), where=square > 0)
