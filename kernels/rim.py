"""Where the rim of a disk lies, to a fraction of a pixel: edges along sectors, and the circle through them.

Knows one image and a guess of the circle; which image that is, and what may be taken for a guess, is
`calibrate`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
Known = npt.NDArray[np.bool_]

STEP = 0.5
"""Radial sampling in px; finer gains nothing from pixels of 1 px."""
MIN_SECTORS = 12
MAX_SECTORS = 60
ROUNDS = 6
BIWEIGHT = 4.685
"""Tukey's constant: 95 % efficient where all sectors are right."""
RIDGE = np.diag([0.0, 1e-6, 1e-6])
"""Keeps the equations solvable where too short an arc is seen; the circle then does not move."""
SAMPLE = 1.0
"""Distance of rays along the rim in px."""


@dataclass(frozen=True, slots=True)
class Circle:
    """(y, x) and r in px."""

    y: float
    x: float
    r: float


@dataclass(frozen=True, slots=True, eq=False)
class Rim:
    """What is seen along a circle, sector by sector."""

    circle: Circle
    angles: FloatArray
    """(s,) rad, from +x towards +y."""
    visible: Known
    """(s,) sectors with known pixels at every radius."""
    edges: FloatArray
    """(s,) radius of the edge in px; NaN where the sector is not seen or brighter outside."""
    inside: FloatArray
    """(s,) level inside of the edge; NaN as above."""
    outside: FloatArray
    """(s,) level outside of it."""


def fit_points(y: FloatArray, x: FloatArray) -> Circle | None:
    """Circle through points (n,), those off by more than 3 spreads left out; None when they lie on none.

    Algebraic least squares (Kasa 1976) in three rounds of trimming.
    """
    keep = np.ones(y.size, bool)
    circle = None
    for _ in range(3):
        if np.count_nonzero(keep) < 5:
            return circle
        circle = _kasa(y[keep], x[keep])
        if circle is None:
            return None
        off = np.abs(np.hypot(y - circle.y, x - circle.x) - circle.r)
        keep = off <= max(3 * 1.4826 * _median(off[keep]), 1.0)
    return circle


def look_along(image: FloatArray, known: Known, circle: Circle, reach: float, sharp: bool) -> Rim:
    """Find the edge in every sector within ``reach`` px of a circle.

    Parameters
    ----------
    image, known : (h, w); pixels that are not known do not count.
    reach : px inward and outward.
    sharp : False: the best step (the split into two levels with the smallest squared error: finds an edge
        anywhere within reach). True: the place that conserves the flux between both levels, which is
        sub-pixel and blind to how soft the edge is, but wants it within a third of reach.
    """
    angles, radii, profiles = _profiles(image, known, circle, reach)
    split = _best_split(profiles)
    if sharp:
        edges, inside, outside = _balance(profiles, radii)
    else:
        edges, inside, outside = radii[0] + (split - 0.5) * STEP, *_levels_at(profiles, split)
    seen = np.isfinite(edges) & (inside > outside) & (edges > radii[0]) & (edges < radii[-1])
    edges, inside, outside = (np.where(seen, values, np.nan) for values in (edges, inside, outside))
    visible: Known = np.asarray(np.isfinite(profiles).all(axis=1))
    return Rim(circle, angles, visible, edges, inside, outside)


def fit_rim(rim: Rim) -> tuple[Circle, FloatArray] | None:
    """Circle through the edges, and how far each (s,) lies off it in px; None when too few are seen.

    Edge of a circle moved by (dy, dx): r + dy sin a + dx cos a. Tukey's biweight keeps what lies beyond
    overlapping Bragg disks and detector gaps from pulling.
    """
    seen = np.isfinite(rim.edges)
    if np.count_nonzero(seen) < 5:
        return None
    design = np.stack([np.ones(rim.angles.size), np.sin(rim.angles), np.cos(rim.angles)], axis=1)
    edges = np.where(seen, rim.edges, 0.0)
    weight = seen.astype(np.float64)
    for _ in range(ROUNDS):
        weighted = design * weight[:, None]
        r, dy, dx = np.linalg.solve(weighted.T @ design + RIDGE, weighted.T @ edges)
        off = np.where(seen, edges - design @ (r, dy, dx), np.inf)
        scale = BIWEIGHT * max(1.4826 * _median(np.abs(off[seen])), 0.05)
        weight = np.where(seen, np.clip(1 - (off / scale) ** 2, 0, None) ** 2, 0.0)
    circle = Circle(rim.circle.y + float(dy), rim.circle.x + float(dx), float(r))
    return (circle, off) if circle.r > 0 else None


def _median(values: FloatArray) -> float:
    """Of a few dozen numbers: 4 us, where numpy.median takes 30."""
    ordered = np.sort(values)
    return float(ordered[(values.size - 1) // 2] + ordered[values.size // 2]) / 2


def _kasa(y: FloatArray, x: FloatArray) -> Circle | None:
    """x^2 + y^2 = 2 a x + 2 b y + c, about the mean of the points for the numbers' sake."""
    my, mx = y.mean(), x.mean()
    v, u = y - my, x - mx
    design = np.stack([2 * v, 2 * u, np.ones(v.size)], axis=1)
    (b, a, c), _, rank, _ = np.linalg.lstsq(design, u * u + v * v, rcond=1e-9)
    square = c + a * a + b * b
    if rank < 3 or square <= 0:
        return None
    return Circle(float(my + b), float(mx + a), math.sqrt(square))


def _profiles(
    image: FloatArray, known: Known, circle: Circle, reach: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Angles (s,), radii (k,) and mean levels (s, k), NaN where nothing is known."""
    sectors = int(np.clip(2 * math.pi * circle.r / 3, MIN_SECTORS, MAX_SECTORS))
    rays = max(2, math.ceil(2 * math.pi * circle.r / (sectors * SAMPLE)))
    first = max(circle.r - reach, STEP / 2)
    radii: FloatArray = np.arange(first, circle.r + reach + STEP / 2, STEP)
    sums, weights = np.zeros((2, sectors, radii.size))
    _sample(image, known, circle.y, circle.x, radii, rays, sums, weights)
    angles: FloatArray = (np.arange(sectors, dtype=np.float64) + 0.5) * (2 * math.pi / sectors)
    with np.errstate(invalid="ignore", divide="ignore"):
        levels: FloatArray = np.where(weights > 0, sums / weights, np.nan)
    return angles, radii, levels


@njit(nogil=True, cache=True)
def _sample(image, known, cy, cx, radii, rays, sums, weights):  # type: ignore[no-untyped-def]
    """Bilinear samples along rays, added up by sector; weights of pixels that are not known are left out."""
    sectors = sums.shape[0]
    for i in range(sectors * rays):
        angle = (i + 0.5) * (2 * math.pi / (sectors * rays))
        s, sine, cosine = i // rays, math.sin(angle), math.cos(angle)
        for k in range(radii.size):
            y, x = cy + radii[k] * sine, cx + radii[k] * cosine
            top, left = math.floor(y), math.floor(x)
            if top < 0 or left < 0 or top + 1 >= image.shape[0] or left + 1 >= image.shape[1]:
                continue
            for dy in range(2):
                for dx in range(2):
                    if known[top + dy, left + dx]:
                        near = (1 - abs(y - top - dy)) * (1 - abs(x - left - dx))
                        sums[s, k] += near * image[top + dy, left + dx]
                        weights[s, k] += near


def _best_split(profiles: FloatArray) -> FloatArray:
    """(s,) after how many samples the step down that explains most of the variance lies; NaN: none seen."""
    known = np.isfinite(profiles)
    seen, head = known.cumsum(axis=1), np.where(known, profiles, 0.0).cumsum(axis=1)
    before, after = seen[:, :-1], seen[:, -1:] - seen[:, :-1]
    step = head[:, :-1] / np.maximum(before, 1) - (head[:, -1:] - head[:, :-1]) / np.maximum(after, 1)
    beside = known[:, :-1] & known[:, 1:]  # an edge within a gap could be anywhere in it
    gain = np.where((step > 0) & beside, step * step * before * after, 0.0)
    return np.where(gain.max(axis=1, initial=0.0) > 0, 1.0 + gain.argmax(axis=1), np.nan)


def _levels_at(profiles: FloatArray, split: FloatArray) -> tuple[FloatArray, FloatArray]:
    before, known = np.arange(profiles.shape[1]) < split[:, None], np.isfinite(profiles)
    return _mean_over(profiles, before & known), _mean_over(profiles, ~before & known)


def _balance(profiles: FloatArray, radii: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Edge that conserves the flux between the levels of the inner and outer third."""
    third = max(1, radii.size // 3)
    inside, outside = (_around(part.mean(axis=1)) for part in (profiles[:, :third], profiles[:, -third:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (profiles - outside[:, None]) / (inside - outside)[:, None]
    return radii[0] - STEP / 2 + share.sum(axis=1) * STEP, inside, outside


def _around(levels: FloatArray) -> FloatArray:
    """Mean of each sector and its two neighbours, as far as seen: levels change slowly along a rim."""
    near = np.stack([np.roll(levels, shift) for shift in (-1, 0, 1)])
    mean = _mean_over(near.T, np.isfinite(near.T))
    return np.where(np.isfinite(levels), mean, np.nan)


def _mean_over(values: FloatArray, wanted: Known) -> FloatArray:
    """Mean along the last axis of what is wanted; NaN where nothing is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = np.where(wanted, values, 0.0).sum(axis=-1) / wanted.sum(axis=-1)
    return mean
