"""The bright-field disk of a mean diffraction pattern: centre and radius, found without being told anything.

Knows one pattern and its dead pixels. Radius and pixel size give the semi-convergence angle (`electrons`).

Method: pixels that stick out of their neighbours are set aside; a threshold between the two populations of
the smoothed pattern (Otsu 1979, on square roots, as counts are Poisson distributed) leaves bright areas, of
which the one with most electrons is taken; a circle through its outline is the guess. The rim is then sought
along sectors (`rim`) and a robust circle laid through it, so that what overlaps the rim (Bragg disks, gaps,
the edge of the frame) costs sectors and not accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from .bright_areas import guesses
from .holes import bridge
from .masks import Center, Mask
from .rim import Circle, FloatArray, Known, Rim, fit_rim, look_along

WORK_SIDE = 256
"""Larger patterns are binned to at most this many pixels a side: the search costs the same for all."""
MIN_SIDE = 8
MIN_RADIUS = 1.5
"""In px of the binned pattern; a smaller disk cannot be told from a hot pixel."""
MIN_RIM = 0.3
"""Share of the circumference that must be found: of less, radius and centre cannot be told apart."""
MIN_AGREEMENT = 0.5
MIN_CONTRAST = 0.1
MIN_EVENNESS = 4.0
"""The same by the scatter inside: a few single counts that happen to lie together are uneven."""
MIN_SIGNIFICANCE = 12.0
"""Standard errors by which the inside must exceed the outside: of 65,536 places noise picks 5 to 6."""
REACHES = (
    (0.5, 2.5, 30.0, False),
    (0.25, 2.5, 20.0, False),
    (0.2, 2.5, 10.0, True),
    (0.2, 2.5, 10.0, True),
)
"""How far from the guess the rim is sought, round by round: share of the radius, least, most px; sharp."""
CONVINCING = 0.4
"""Confidence at which no other guess is tried."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A bright-field disk, lengths in px of the pattern; pixel centres are integers."""

    center_y: float
    center_x: float
    radius: float
    sigma: float
    """Standard error of the radius, from how far the rim's sectors lie off the circle; px."""
    contrast: float
    """0..1, share of the level inside that is lost across the rim."""
    rim: float
    """0..1, share of the circumference that was found on the circle."""
    agreement: float
    """0..1, share of the circumference within the frame (and off gaps) that was found on the circle."""

    @property
    def center(self) -> Center:
        """(y, x)"""
        return self.center_y, self.center_x

    @property
    def confidence(self) -> float:
        """0..1: contrast x agreement^2."""
        return self.contrast * self.agreement**2


@dataclass(frozen=True, slots=True)
class NoDisk:
    """There is no bright-field disk to be found."""

    reason: str
    """For the user, with the value and its limit."""


def bright_field_disk(pattern: npt.ArrayLike, live: Mask | None = None) -> Disk | NoDisk:
    """Find the bright-field disk of a mean (position-averaged) diffraction pattern.

    Parameters
    ----------
    pattern : (h, w), sum or mean over many frames; pixels that are not finite do not count.
    live : (h, w) bool, optional
        False: pixels not to be used. Hot pixels that it does not name are found.

    Returns
    -------
    Disk, or NoDisk with the reason.

    Notes
    -----
    Takes a disk partly outside the frame (30 % of its rim must be seen), off centre, overlapped by weaker
    disks. Where no aperture makes a rim, the radius is that which conserves the flux across the soft edge.
    The brightest area wins: a pattern tilted until a Bragg disk is brighter gives that one.
    """
    image = np.asarray(pattern, np.float64)
    if image.ndim != 2 or min(image.shape, default=0) < MIN_SIDE:
        return NoDisk(
            f"a pattern of shape {image.shape}; a disk needs at least {MIN_SIDE} x {MIN_SIDE} pixels"
        )
    factor = math.ceil(max(image.shape) / WORK_SIDE)
    small, known = _reduced(image, live, factor)
    if np.count_nonzero(known) < MIN_SIDE**2 or not small[known].max() > small[known].min():
        return NoDisk("the pattern is empty: no pixel that can be used differs from the others")
    return _unbinned(_best(small, known), factor)


def _best(image: FloatArray, known: Known) -> Disk | NoDisk:
    best, reason = None, ""
    for guess in guesses(bridge(image, known)):
        found = _refined(image, known, guess)
        if isinstance(found, NoDisk):
            reason = reason or found.reason
        elif best is None or found.confidence > best.confidence:
            best = found
        if best is not None and best.confidence > CONVINCING:
            break
    return best or NoDisk(reason or "no bright area with a round outline")


def _unbinned(found: Disk | NoDisk, factor: int) -> Disk | NoDisk:
    if isinstance(found, NoDisk) or factor == 1:
        return found
    y, x = ((place + 0.5) * factor - 0.5 for place in found.center)
    return replace(found, center_y=y, center_x=x, radius=found.radius * factor, sigma=found.sigma * factor)


def _reduced(image: FloatArray, live: Mask | None, factor: int) -> tuple[FloatArray, Known]:
    """Means of factor x factor areas, and which of them hold anything; hot ones do not."""
    usable = np.isfinite(image)
    if live is not None:
        usable &= live
    if factor > 1:
        image, usable = _binned(image, usable, factor)
    known = _without_hot(np.where(usable, image, 0.0), usable)
    return np.where(known, image, 0.0), known


@njit(nogil=True, cache=True)
def _binned(image, usable, factor):  # type: ignore[no-untyped-def]
    h, w = (image.shape[0] + factor - 1) // factor, (image.shape[1] + factor - 1) // factor
    sums, counts = np.zeros((h, w)), np.zeros((h, w), np.int64)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if usable[y, x]:
                sums[y // factor, x // factor] += image[y, x]
                counts[y // factor, x // factor] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), 0.0), counts > 0


@njit(nogil=True, cache=True)
def _without_hot(image, usable):  # type: ignore[no-untyped-def]
    """Usable pixels but those over 3 x the second highest neighbour plus the mean: two hot ones may touch."""
    h, w = image.shape
    known = usable.copy()
    mean = max(image.sum() / max(usable.sum(), 1), 0.0)
    for y in range(h):
        for x in range(w):
            value = image[y, x]
            if not usable[y, x] or value <= mean:
                continue
            first, second = 0.0, 0.0
            for v in range(max(y - 1, 0), min(y + 2, h)):
                for u in range(max(x - 1, 0), min(x + 2, w)):
                    if (v != y or u != x) and image[v, u] > second:
                        second = min(first, image[v, u])
                        first = max(first, image[v, u])
            known[y, x] = value <= 3 * second + mean
    return known


def _refined(image: FloatArray, known: Known, guess: Circle) -> Disk | NoDisk:
    """From a guess to the circle: steps within a shrinking reach, then the balance of flux."""
    circle = guess
    for share, least, most, sharp in REACHES:
        reach = min(max(share * circle.r, least), most)
        rim = look_along(image, known, circle, reach, sharp)
        fitted = fit_rim(rim)
        if fitted is None or not 0.4 * guess.r < fitted[0].r < 2.5 * guess.r:
            return NoDisk(f"no rim about the bright area of radius {guess.r:.1f} px")
        circle, off = fitted
    if not _stands_out(image, known, circle):
        return NoDisk("no bright area stands out of the noise")
    return _judged(rim, circle, off, reach)


def _stands_out(image: FloatArray, known: Known, circle: Circle) -> bool:
    """Whether the level inside exceeds the noise outside: noise alone has bright areas too, if one looks."""
    n, mean, variance = _inside_outside(image, known, circle.y, circle.x, circle.r)
    step = mean[0] - mean[1]
    noise = math.sqrt(variance[1] * (1 / n[0] + 1 / n[1]))
    scatter = math.sqrt(variance[0] / n[0] + variance[1] / n[1])
    return bool(step > MIN_SIGNIFICANCE * noise and step > MIN_EVENNESS * scatter)


@njit(nogil=True, cache=True)
def _inside_outside(image, known, cy, cx, r):  # type: ignore[no-untyped-def]
    """Pixels, mean and variance (2,) within the circle and in the ring of 1..2 radii (at least 8 px wide)."""
    n, mean, square = np.full(2, 1e-9), np.zeros(2), np.zeros(2)
    reach = max(2 * r, r + 8)
    for y in range(max(int(cy - reach), 0), min(int(cy + reach) + 2, image.shape[0])):
        for x in range(max(int(cx - reach), 0), min(int(cx + reach) + 2, image.shape[1])):
            distance = math.hypot(y - cy, x - cx)
            if known[y, x] and distance < reach:
                part = 0 if distance < r else 1
                n[part] += 1
                mean[part] += image[y, x]
                square[part] += image[y, x] ** 2
    return n, mean / n, np.maximum(square / n - (mean / n) ** 2, 0.0)


def _judged(rim: Rim, circle: Circle, off: FloatArray, reach: float) -> Disk | NoDisk:
    """The disk, if enough of its rim is there and on a circle."""
    agrees = np.abs(off) < max(0.25 * reach, 0.75)
    n = int(np.count_nonzero(agrees))
    share, agreement = n / agrees.size, n / max(int(np.count_nonzero(rim.visible)), 1)
    if share < MIN_RIM or agreement < MIN_AGREEMENT:
        return NoDisk(
            f"{share:.0%} of the rim lies on a circle, {agreement:.0%} of what is in the frame; "
            f"{MIN_RIM:.0%} and {MIN_AGREEMENT:.0%} are the least"
        )
    step = rim.inside[agrees] - rim.outside[agrees]
    contrast = float(step.mean() / np.abs(rim.inside[agrees]).mean())
    if contrast < MIN_CONTRAST:
        return NoDisk(f"the rim falls by {contrast:.0%} of the level inside; {MIN_CONTRAST:.0%} is the least")
    if circle.r < MIN_RADIUS:
        return NoDisk(f"a radius of {circle.r:.1f} px (binned); {MIN_RADIUS:g} px is the least")
    sigma = float(np.sqrt(np.mean(off[agrees] ** 2) / n))
    return Disk(circle.y, circle.x, circle.r, sigma, min(contrast, 1.0), share, agreement)
