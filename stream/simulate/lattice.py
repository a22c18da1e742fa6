"""A crystal seen along its atomic columns: two hexagonal grains, their boundary, a vacancy.

Pure geometry in scan pixels; knows no detector and no dose. Shared by the 4D-STEM and the sparse-scan
simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

GRAIN_ANGLES = (9.0, -16.0)
"""Rotation of the two grains in degrees."""
BOUNDARY_NORMAL = np.array([np.sin(np.deg2rad(8.0)), np.cos(np.deg2rad(8.0))])
"""(y, x) unit vector across the boundary, from the left grain to the right one."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """Atomic columns of a field of view."""

    shape: tuple[int, int]
    """(ny, nx) of the field in scan pixels."""
    columns: FloatArray
    """(n, 2) (y, x) of the columns that are there."""
    sites: FloatArray
    """(m, 2) (y, x) of all lattice sites, the vacant one included."""
    vacancy: FloatArray
    """(2,) (y, x) of the site without a column."""
    spacing: float
    """Distance of neighbouring columns."""

    @property
    def sigma(self) -> float:
        """Width (standard deviation) of a column's image."""
        return 0.19 * self.spacing

    def without(self, site: int) -> Crystal:
        """The same crystal with the vacancy at another site."""
        return Crystal(self.shape, np.delete(self.sites, site, 0), self.sites, self.sites[site], self.spacing)


def boundary_distance(y: npt.ArrayLike, x: npt.ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Signed distance (scan pixels) from the slightly inclined grain boundary; negative in the left grain."""
    ny, nx = shape
    along = (np.asarray(y) - 0.5 * (ny - 1)) * BOUNDARY_NORMAL[0]
    return np.asarray(along + (np.asarray(x) - 0.56 * (nx - 1)) * BOUNDARY_NORMAL[1], np.float64)


def grow_crystal(shape: tuple[int, int], spacing: float, seed: int) -> Crystal:
    """Two grains that meet at the boundary, with one vacancy well inside the left one.

    Columns nearer than 0.62 spacings to a column of the other grain are left out, as a real boundary does.
    """
    rng = np.random.default_rng(seed)
    left, right = (_hexagonal(shape, spacing, angle, rng.random(2)) for angle in GRAIN_ANGLES)
    left = left[boundary_distance(left[:, 0], left[:, 1], shape) < 0]
    right = right[boundary_distance(right[:, 0], right[:, 1], shape) >= 0]
    right = right[~_crowded(right, left, shape, 0.62 * spacing)]
    sites = np.concatenate([left, right])
    wanted = np.array([0.42 * (shape[0] - 1), 0.27 * (shape[1] - 1)])
    vacancy = int(np.argmin(np.sum((sites - wanted) ** 2, axis=1)))
    return Crystal(shape, sites, sites, sites[vacancy], spacing).without(vacancy)


def _hexagonal(shape: tuple[int, int], spacing: float, degrees: float, origin: FloatArray) -> FloatArray:
    """Sites of a hexagonal lattice over the field and a margin of two spacings."""
    reach = int(np.hypot(*shape) / spacing) + 4
    i, j = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    y = (i.ravel() + origin[0]) * spacing * np.sqrt(0.75)
    x = (j.ravel() + 0.5 * (i.ravel() % 2) + origin[1]) * spacing
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    sites = np.stack([cos * y + sin * x + 0.5 * shape[0], cos * x - sin * y + 0.5 * shape[1]], axis=1)
    inside = np.all((sites > -2 * spacing) & (sites < np.array(shape) + 2 * spacing), axis=1)
    return sites[inside]


def _crowded(
    points: FloatArray, others: FloatArray, shape: tuple[int, int], distance: float
) -> npt.NDArray[np.bool_]:
    """Which points lie nearer than ``distance`` to one of the others, which are across the boundary."""
    across = others[boundary_distance(others[:, 0], others[:, 1], shape) > -distance]
    near = np.flatnonzero(boundary_distance(points[:, 0], points[:, 1], shape) < distance)
    gap = np.linalg.norm(points[near, None] - across[None], axis=2)
    crowded = np.zeros(len(points), bool)
    crowded[near] = gap.min(axis=1, initial=np.inf) <= distance
    return crowded


def projected_columns(
    crystal: Crystal, sigma: float | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Image of the columns and its gradient.

    Returns
    -------
    image, gradient_y, gradient_x : (ny, nx) float64
        A sum of Gaussians of height 1 and standard deviation ``sigma`` (default: the crystal's), and its
        analytic derivative per scan pixel.
    """
    sigma = crystal.sigma if sigma is None else sigma
    y, x, dy, dx = _patches(crystal, int(np.ceil(4 * sigma)))
    weight = np.exp(-0.5 * (dy**2 + dx**2) / sigma**2)
    flat = y * crystal.shape[1] + x
    parts = (weight, -dy / sigma**2 * weight, -dx / sigma**2 * weight)
    size = crystal.shape[0] * crystal.shape[1]
    image, gy, gx = (
        np.bincount(flat, part, size).astype(np.float64).reshape(crystal.shape) for part in parts
    )
    return image, gy, gx


def _patches(crystal: Crystal, reach: int) -> tuple[IndexArray, IndexArray, FloatArray, FloatArray]:
    """Pixels (y, x) around each column and their offset (dy, dx) from it, flat, inside the field only."""
    centre = np.rint(crystal.columns).astype(np.int64)
    offsets = np.arange(-reach, reach + 1)
    y = centre[:, 0, None, None] + offsets[None, :, None] + 0 * offsets[None, None, :]
    x = centre[:, 1, None, None] + offsets[None, None, :] + 0 * offsets[None, :, None]
    inside = (y >= 0) & (y < crystal.shape[0]) & (x >= 0) & (x < crystal.shape[1])
    dy = y - crystal.columns[:, 0, None, None]
    dx = x - crystal.columns[:, 1, None, None]
    return y[inside], x[inside], dy[inside], dx[inside]


def sample_columns(crystal: Crystal, positions: npt.NDArray[np.float32]) -> FloatArray:
    """Image of the columns at (n, 2) positions (y, x) between the pixels.

    Bilinear, with half of the slopes at the four pixels around: exact for cubics along either axis.
    """
    image, gradient_y, gradient_x = projected_columns(crystal)
    last = np.array(crystal.shape) - 1
    low = np.clip(np.floor(positions), 0, np.maximum(last - 1, 0)).astype(np.int64)
    fraction = positions - low
    total = np.zeros(len(positions))
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.prod(np.where(corner, fraction, 1 - fraction), axis=1)
        y, x = np.minimum(low + corner, last).T
        dy, dx = (fraction - corner).T
        total += weight * (image[y, x] + 0.5 * (dy * gradient_y[y, x] + dx * gradient_x[y, x]))
    return total
