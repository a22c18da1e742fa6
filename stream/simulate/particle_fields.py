"""Fields of particles as a bright-field image shows them: one image each, every number drawn from a range.

For networks and detectors that must know more than the one specimen of in_situ.py: dark and bright particles,
small and large, few and crowded, on uneven ground. Expected electrons only: the noise is noise.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatArray = npt.NDArray[np.float32]
Places = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SMALLEST = 1.5
"""px, radius below which no particle is drawn."""
TOGETHER = 64
"""Particles, of one size after another, that are drawn at once."""
TRIES = 6
"""Places that are tried for each particle of a crowded field."""


@dataclass(frozen=True, slots=True)
class FieldConditions:
    """One field of particles. Lengths in px."""

    shape: tuple[int, int]
    radius: float
    """Median of the radii."""
    spread: float = 0.2
    """Standard deviation of their logarithms."""
    coverage: float = 0.1
    """Share of the field that particles cover, as far as there is room."""
    gap: float = 1.0
    """Least distance of two centres, in the sum of their radii; below 1 particles overlap."""
    contrast: float = 0.3
    """Of a particle of median radius in its middle, in electrons of the ground; below 1 of a dark one."""
    bright: bool = False
    """Scattered electrons are seen, as many as the particle is thick, instead of those that are left."""
    roundness: float = 0.5
    """Exponent of the profile (1 - (d / r)^2)^e: 0.5 a sphere, towards 0 a disk, 1 a soft blob."""
    eccentricity: float = 0.0
    """Largest difference of the axes, in the radius."""
    blur: float = 0.8
    """Standard deviation of the microscope's blur."""
    unevenness: float = 0.2
    """Amplitude of the ground, in its mean."""
    ground: float = 96.0
    """Distance over which the ground varies."""
    dose: float = 10.0
    """Electrons a pixel of the ground."""


@dataclass(frozen=True, slots=True, eq=False)
class ParticleField:
    """What is there, and what is expected of it."""

    expected: FloatArray
    """(h, w) electrons."""
    places: Places
    """(n, 2) centres (y, x); some lie outside of the field, and only their rim is seen."""
    radii: Places
    """(n,)"""


def particle_field(conditions: FieldConditions, rng: np.random.Generator) -> ParticleField:
    """Particles by random sequential addition, drawn by their thickness, blurred, on uneven ground."""
    places, radii = _place(conditions, rng)
    thickness = _thickness(conditions, places, radii, rng) / np.float32(2 * conditions.radius)
    if conditions.bright:
        image = 1 + np.float32(conditions.contrast) * thickness
    else:
        image = np.exp(np.float32(np.log1p(-conditions.contrast)) * thickness)
    if conditions.blur > 0:
        image = ndimage.gaussian_filter(image, conditions.blur, mode="nearest")
    ground = uneven(conditions.shape, conditions.ground, conditions.unevenness, rng)
    return ParticleField(image * ground * np.float32(conditions.dose), places, radii)


def uneven(shape: tuple[int, int], distance: float, amplitude: float, rng: np.random.Generator) -> FloatArray:
    """(h, w) smooth ground about 1: normal values every ``distance`` px, cubic splines between them."""
    knots = [int(np.ceil(n / distance)) + 3 for n in shape]
    values = ndimage.spline_filter(rng.standard_normal(knots), 3, np.float32)
    start = rng.uniform(1, 2, 2)
    axes = [s + np.arange(n) / distance for s, n in zip(start, shape, strict=True)]
    rows = ndimage.map_coordinates(values, np.meshgrid(*axes, indexing="ij"), order=3, prefilter=False)
    return np.asarray(np.clip(1 + 0.5 * amplitude * rows, 0.3, 2.0), np.float32)


def _place(conditions: FieldConditions, rng: np.random.Generator) -> tuple[Places, Places]:
    """Centres and radii, the largest first; those that found no room are left out."""
    margin = conditions.radius
    size = np.array(conditions.shape) + 2 * margin
    mean_area = np.pi * conditions.radius**2 * np.exp(2 * conditions.spread**2)
    count = int(rng.poisson(conditions.coverage * float(np.prod(size)) / mean_area))
    radii = conditions.radius * np.exp(conditions.spread * rng.standard_normal(count))
    radii = np.sort(np.clip(radii, SMALLEST, None))[::-1]
    kept = np.empty((count, 3))
    n = 0
    for radius in radii:
        for place in rng.random((TRIES, 2)) * size - margin:
            apart = np.hypot(*(kept[:n, :2] - place).T)
            if np.all(apart > conditions.gap * (kept[:n, 2] + radius)):
                kept[n] = *place, radius
                n += 1
                break
    return kept[:n, :2].copy(), kept[:n, 2].copy()


def _thickness(
    conditions: FieldConditions, places: Places, radii: Places, rng: np.random.Generator
) -> FloatArray:
    """(h, w) px of particle: the sum of 2 r (1 - d^2)^e, d the distance in the radii of an ellipse."""
    turn = rng.uniform(0, np.pi, len(radii))
    stretch = 1 + conditions.eccentricity * rng.uniform(0, 0.5, len(radii))
    total = np.zeros(conditions.shape, np.float32).reshape(-1)
    for some in np.array_split(np.arange(len(radii)), -(-len(radii) // TOGETHER) or 1):
        which, pixels, dy, dx = around(conditions.shape, places[some], radii[some] * stretch[some])
        cos, sin, long = np.cos(turn[some])[which], np.sin(turn[some])[which], stretch[some][which]
        along, across = (cos * dy + sin * dx) / long, (cos * dx - sin * dy) * long
        radius = radii[some][which]
        inside = np.clip(1 - (along**2 + across**2) / radius**2, 0, None)
        total += np.bincount(pixels, 2 * radius * inside**conditions.roundness, total.size).astype(np.float32)
    return total.reshape(conditions.shape)


def around(shape: tuple[int, int], places: Places, reach: Places) -> tuple[Indices, Indices, Places, Places]:
    """Pixels about places (n, 2) (y, x).

    Returns
    -------
    which, pixels, dy, dx : the place's number, the flat pixel and its distance from the place, for each pixel
        that is no farther than ``reach`` (n,) px along either axis and inside of ``shape``.
    """
    side = int(np.ceil(reach.max(initial=0)))
    offsets = np.arange(-side, side + 1)
    middle = np.rint(places).astype(np.int64)
    y = middle[:, 0, None, None] + offsets[None, :, None] + 0 * offsets
    x = middle[:, 1, None, None] + offsets[None, None, :] + 0 * offsets[:, None]
    dy, dx = y - places[:, 0, None, None], x - places[:, 1, None, None]
    near = np.maximum(np.abs(dy), np.abs(dx)) <= reach[:, None, None]
    near &= (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    return np.nonzero(near)[0], (y * shape[1] + x)[near], dy[near], dx[near]
