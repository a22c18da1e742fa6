"""Evidence of a particle too faint to be found, summed along all the ways that it may have gone.

Track before detect: the likelihood ratio of a particle at a place against noise alone is a matched filter's
response (Van Trees, Detection, Estimation, and Modulation Theory I, sec. 4.2); a hidden Markov model carries
it from frame to frame over places (Bruno & Moura, IEEE Trans. Aerosp. Electron. Syst. 37 (2001) 925). Pixels
are in standard deviations of the noise. Knows no tracks.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.optimize import minimize_scalar

from .footprint import add_profile, outline, tables_for, widest
from .profile import Profile

Values: TypeAlias = npt.NDArray[np.float64]
Windows: TypeAlias = npt.NDArray[np.float32]

REACH = 10
"""px on each side of where a particle is expected that it may be."""
NEAR = 4
"""The same of one that is tracked."""
TAPS = 6
"""px on each side of a place that count for a particle there."""
SIDE = 2 * (REACH + TAPS) + 1
STEP = 4
"""px that it walks in a frame, at most."""
GRAIN = 0.01
"""px, of the radii that lines are read at."""
MOST = 50.0
"""Log likelihood ratio of one pixel's place, at most."""


def gaussians(profile: Profile, radii: Values) -> Values:
    """The Gaussians that look most like particles of height 1.

    Returns
    -------
    (n, 2) float64 : variance, px^2, and height at the centre, by least squares over the plane.
    """
    found = []
    for radius in radii:
        rho = np.linspace(0, radius + 4 * math.sqrt(profile.variance), 120)
        height = profile.exact(float(radius), rho)

        def share(s2: float, rho: Values = rho, height: Values = height) -> float:
            shape = np.exp(-(rho**2) / (2 * s2))
            return float((rho * height * shape).sum() / (rho * shape**2).sum())

        def miss(s2: float, rho: Values = rho, height: Values = height) -> float:
            rest = height - share(s2) * np.exp(-(rho**2) / (2 * s2))
            return float((rho * rest**2).sum())

        s2 = float(minimize_scalar(miss, bounds=(0.3, radius**2 + 3), method="bounded").x)
        found.append((s2, share(s2)))
    return np.array(found)


@njit("void(f8[:,::1], i8[::1], i8[::1], i8[:,::1], f8, f8, f8, i8, i8, i8, b1[::1])", nogil=True, cache=True)
def not_beside(
    particles: Values, owners: Any, first: Any, lasts: Any, cy: float, cx: float, far: float, own: int,
    end: int, way: int, wanted: Any,
) -> None:  # fmt: skip
    """Which particles near a pixel are the one that is looked for, or tracks that did not live beside it.

    Parameters
    ----------
    particles : (n, 4) as in `refine`. far : px beside their radius that count.
    owners, first : (n,) whose they are, -1: nobody's, and the frame in which that one was seen first.
    lasts : (m, 2) of `last_seen`.
    own, end, way : the particle, the frame in which its track ends, and 0: back or 1: on from there.
    wanted : (n,) bool, written.
    """
    for k in range(len(particles)):
        reach = far + math.exp(particles[k, 3])
        wanted[k] = False
        if abs(particles[k, 0] - cy) > reach or abs(particles[k, 1] - cx) > reach:
            continue
        if owners[k] == own:
            wanted[k] = True
        elif way == 1:
            wanted[k] = first[k] > end
        else:
            at = owners[k] % len(lasts)
            seen = lasts[at, 1] if owners[k] >= 0 and lasts[at, 0] == owners[k] else -1
            wanted[k] = seen < end


@njit("void(i8[::1], i8, i8[:,::1])", nogil=True, cache=True)
def last_seen(particles: Any, number: int, lasts: Any) -> None:
    """Note that particles were seen in a frame.

    ``lasts`` (m, 2), changed: particle and frame, at the particle's number modulo m; of two at the same
    place the later stays, so that it takes no more room however many there were.
    """
    for particle in particles:
        at = particle % len(lasts)
        lasts[at, 0], lasts[at, 1] = particle, number


@njit("f8(f8[:,::1], f8, f8)", nogil=True, cache=True)
def nearest_value(at: Values, y: float, x: float) -> float:
    """Of rows (y, x, value) the value of the nearest; 0 where there are none."""
    best, value = math.inf, 0.0
    for k in range(len(at)):
        square = (at[k, 0] - y) ** 2 + (at[k, 1] - x) ** 2
        if square < best:
            best, value = square, at[k, 2]
    return value


@njit("void(i1[:,::1], i8, i8, f8, f8[:,::1], b1[::1], f4[:,::1], f8, f8, f8, f8, f4[:,::1])",
      nogil=True, cache=True)  # fmt: skip
def cut(
    rest: Any, cy: int, cx: int, scale: float, particles: Values, wanted: Any, table: Windows, start: float,
    step: float, variance: float, reach: float, window: Windows,
) -> None:  # fmt: skip
    """The surroundings of a pixel, with the particles that are wanted put back.

    Parameters
    ----------
    rest : (h, w) int8, `detect.Found.rest`, of which ``scale`` is the step; what is beyond its edge is 0.
    particles : (n, 4) as in `refine`; ``wanted``: (n,) bool. table, start, step, variance, reach: see there.
    window : (SIDE, SIDE) float32, written.
    """
    (h, w), half = rest.shape, SIDE // 2
    for i in range(SIDE):
        y = cy - half + i
        for j in range(SIDE):
            x = cx - half + j
            window[i, j] = scale * rest[y, x] if 0 <= y < h and 0 <= x < w else 0.0
    one, box = np.empty(4), np.empty(4, np.int64)
    tables = tables_for(widest(start + step * (table.shape[0] - 1), reach))
    for k in range(len(particles)):
        far = half + reach + math.exp(particles[k, 3])
        if not wanted[k] or abs(particles[k, 0] - cy) > far or abs(particles[k, 1] - cx) > far:
            continue
        one[:] = particles[k]
        one[0] += half - cy
        one[1] += half - cx
        outline(window, table, start, step, variance, one, reach, tables, box)
        add_profile(window, tables, box, np.float32(one[2]))


@njit("void(f4[:,::1], i8, f8, f4[:,::1])", nogil=True, cache=True, fastmath={"contract"})
def _matched(window: Windows, reach: int, s2: float, out: Windows) -> None:
    """Sums of a window (SIDE, SIDE) under a Gaussian of height 1 at places within ``reach`` of its middle."""
    n, first = 2 * reach + 1, window.shape[0] // 2 - reach - TAPS
    row, taps = np.empty(n, np.float32), np.empty(2 * TAPS + 1, np.float32)
    for q in range(2 * TAPS + 1):
        taps[q] = math.exp(-((q - TAPS) ** 2) / (2 * s2))
    out[:] = 0
    for i in range(n + 2 * TAPS):
        line = window[first + i, first : first + n + 2 * TAPS]
        row[:] = 0
        for q in range(2 * TAPS + 1):
            for j in range(n):
                row[j] += taps[q] * line[q + j]
        for k in range(max(i - 2 * TAPS, 0), min(i + 1, n)):
            tap, to = taps[i - k], out[k]
            for j in range(n):
                to[j] += tap * row[j]


@njit("void(f4[:,::1], f8, f8, f8, f8[::1], f8[::1], f8[::1])", nogil=True, cache=True)
def radius_odds(
    window: Windows, y: float, x: float, variance: float, s2: Values, heights: Values, out: Values
) -> None:
    """Log likelihood ratios of particles of several sizes, about whose place little is known; finite.

    Parameters
    ----------
    window : (SIDE, SIDE) float32.
    y, x : expected place from the window's middle, px; ``variance`` of each, px^2.
    s2, heights : (n,) Gaussians, see `gaussians`; heights in standard deviations of the noise.
    out : (n,) written.
    """
    n = 2 * NEAR + 1
    down, along, sums = np.empty(n), np.empty(n), np.empty((n, n), np.float32)
    for i in range(n):
        down[i] = math.exp(-((i - NEAR - y) ** 2) / (2 * variance))
        along[i] = math.exp(-((i - NEAR - x) ** 2) / (2 * variance))
    weight = down.sum() * along.sum()
    for k in range(len(s2)):
        _matched(window, NEAR, s2[k], sums)
        # in units of the likeliest place: a large particle where none is has odds far below any float
        best = heights[k] * (sums.max() if heights[k] > 0 else sums.min())
        total = 0.0
        for i in range(n):
            for j in range(n):
                total += down[i] * along[j] * math.exp(heights[k] * sums[i, j] - best)
        out[k] = best - 0.5 * heights[k] ** 2 * math.pi * s2[k] + math.log(max(total / weight, 1e-300))


@njit("void(f4[:,::1], f8, f8, f8, f4[:,::1])", nogil=True, cache=True, fastmath={"contract"})
def _walk(chance: Windows, dy: float, dx: float, variance: float, spare: Windows) -> None:
    """Move the probability of places by a step of mean (dy, dx); what leaves the window is gone.

    ``spare`` (n, n + 2 `STEP`): its first and last columns are 0 and stay so.
    """
    n = len(chance)
    down, along = np.empty(2 * STEP + 1, np.float32), np.empty(2 * STEP + 1, np.float32)
    below, beside = 0.0, 0.0
    for q in range(2 * STEP + 1):
        down[q] = math.exp(-((q - STEP - dy) ** 2) / (2 * variance))
        along[q] = math.exp(-((q - STEP - dx) ** 2) / (2 * variance))
        below, beside = below + down[q], beside + along[q]
    for q in range(2 * STEP + 1):
        down[q] /= below
        along[q] /= beside
    for i in range(n):
        to = spare[i]
        to[STEP : STEP + n] = 0
        for d in range(max(i - STEP, 0), min(i + STEP + 1, n)):
            share, of = down[i - d + STEP], chance[d]
            for j in range(n):
                to[STEP + j] += share * of[j]
    for i in range(n):
        to, of = chance[i], spare[i]
        to[:] = 0
        for q in range(2 * STEP + 1):
            share = along[2 * STEP - q]
            for j in range(n):
                to[j] += share * of[q + j]


@njit("f8(f4[:,::1], f4[:,::1], f8, f8, f8, f8[::1])", nogil=True, cache=True)
def _weighed(chance: Windows, sums: Windows, height: float, s2: float, hidden: float, mean: Values) -> float:
    """Multiply the probability of places by what a frame says of each; returns their sum before, which
    is 1 afterwards, and writes the mean place (y, x) from the middle."""
    n = len(chance)
    own, mass, my, mx = 0.5 * height**2 * math.pi * s2, 1e-30, 0.0, 0.0
    for i in range(n):
        line = 0.0
        for j in range(n):
            ratio = math.exp(min(height * sums[i, j] - own, MOST))
            value = chance[i, j] * ((1 - hidden) * ratio + hidden)
            chance[i, j] = value
            line += value
            mx += value * (j - REACH)
        mass += line
        my += line * (i - REACH)
    for i in range(n):
        for j in range(n):
            chance[i, j] /= mass
    mean[0], mean[1] = my / mass, mx / mass
    return mass


@njit("void(f4[:,:,::1], f8, f8, f8, f8[:,::1], f8[::1], f8[:,::1], f8[:,::1], i8[::1], f8, f8[:,::1],"
      "f8[:,:,::1])", nogil=True, cache=True)  # fmt: skip
def presence(
    windows: Any, y: float, x: float, variance: float, moves: Values, walks: Values, s2: Values,
    heights: Values, counts: Any, hidden: float, odds: Values, places: Any,
) -> None:  # fmt: skip
    """Log likelihood ratios that a particle was there in the first k frames beyond a track's end.

    Parameters
    ----------
    windows : (n, SIDE, SIDE) float32, the frames in order from the end.
    y, x : the track's place there, px from the middle of the window before; ``variance`` of each, px^2.
    moves : (n, 2) px, mean step into each frame, beyond that of the window.
    walks : (n,) px^2, its variance.
    s2, heights : (lines, n) the Gaussian that it looks like in each frame, one line for each course that its
        radius may take. Neighbouring lines with the same s2 share the work.
    counts : (lines,) int64, frames that each is followed for.
    hidden : probability that nothing of it is seen in a frame.
    odds, places : (lines, n) and (lines, n, 2) written, as far as they are followed: place (y, x) from each
        window's middle, px.
    """
    n, lines = 2 * REACH + 1, len(counts)
    chance = np.empty((lines, n, n), np.float32)
    spare, sums = np.zeros((n, n + 2 * STEP), np.float32), np.empty((n, n), np.float32)
    first, mean, totals = chance[0], np.empty(2), np.zeros(lines)
    for i in range(n):
        for j in range(n):
            square = (i - REACH - y) ** 2 + (j - REACH - x) ** 2
            first[i, j] = math.exp(-square / (2 * variance))
    first /= first.sum()
    for a in range(1, lines):
        chance[a] = first
    for k in range(len(windows)):
        known = -1.0
        for a in range(lines):
            if k >= counts[a]:
                continue
            if s2[a, k] != known:
                known = s2[a, k]
                _matched(windows[k], REACH, known, sums)
            _walk(chance[a], moves[k, 0], moves[k, 1], walks[k], spare)
            totals[a] += math.log(_weighed(chance[a], sums, heights[a, k], known, hidden, mean))
            odds[a, k], places[a, k, 0], places[a, k, 1] = totals[a], mean[0], mean[1]


@njit("void(f8[:,::1], f8[::1], f8, f8, f8[::1], f8[::1], f8[:,::1])", nogil=True, cache=True)
def line_odds(
    odds: Values, times: Values, start: float, step: float, rates: Values, ends: Values, out: Values
) -> None:
    """Log likelihood ratios of straight lines of the radius.

    Parameters
    ----------
    odds : (n, radii), `radius_odds` of each frame; ln radius runs from ``start`` in steps of ``step``.
    times : (n,) frames from the line's end.
    rates, ends : px per frame, px.
    out : (rates, ends) written.
    """
    last, most = odds.shape[1] - 1.000001, math.exp(start + step * (odds.shape[1] - 1))
    fine = np.empty((len(times), int(most / GRAIN) + 2))
    for q in range(fine.shape[1]):
        at = min(max((math.log(max(q * GRAIN, 1e-3)) - start) / step, 0.0), last)
        i = int(at)
        for k in range(len(times)):
            fine[k, q] = odds[k, i] + (at - i) * (odds[k, i + 1] - odds[k, i])
    for a in range(len(rates)):
        for b in range(len(ends)):
            total = 0.0
            for k in range(len(times)):
                q = int((ends[b] + rates[a] * times[k]) / GRAIN + 0.5)
                total += fine[k, min(max(q, 0), fine.shape[1] - 1)]
            out[a, b] = total
