"""Peaks of a response in (y, x, scale), and how many of them noise alone makes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Values = npt.NDArray[np.float32]
Table = npt.NDArray[np.float64]

BINS = 512
"""Of the histogram of magnitudes, up to twice their mean."""
UNSURE = 0.3
"""Share of the noise's number that is not trusted."""
LEAST = 2.0
"""Scores below are the noise's, whatever there is."""
SCALES = 0.62
"""Of maxima over scale, a standard deviation of height, in those of one scale."""
MEDIAN = 0.67449
"""Median magnitude of a normal deviate."""


@njit("f8(f4[:,::1])", nogil=True, cache=True)
def spread_of(response: Values) -> float:
    """Robust standard deviation of a response: its median magnitude, over every fourth pixel each way."""
    counts = np.zeros(BINS + 1, np.int64)
    total, mean = 0, 0.0
    stride = 4 if response.size > 4096 else 1
    for y in range(0, response.shape[0], stride):
        for x in range(0, response.shape[1], stride):
            mean += abs(response[y, x])
            total += 1
    if mean == 0:
        return 0.0
    scale = BINS / 2 * total / mean  # half of all are below twice their mean
    for y in range(0, response.shape[0], stride):
        for x in range(0, response.shape[1], stride):
            counts[int(min(abs(response[y, x]) * scale, np.float64(BINS)))] += 1
    below, k = 0, 0
    while 2 * (below + counts[k]) < total:
        below += counts[k]
        k += 1
    return float((k + (0.5 * total - below) / max(counts[k], 1)) / scale / MEDIAN)


@njit("f8(f8, f8, f8)", nogil=True, cache=True)
def _vertex(before: float, middle: float, after: float) -> float:
    """Place of the vertex of the parabola through three values at -1, 0, 1; within half a pixel."""
    bend = before - 2 * middle + after
    return min(max(0.5 * (before - after) / bend, -0.5), 0.5) if bend < 0 else 0.0


@njit("i8(f4[:,::1], f4, i8, i8, f8[:,::1])", nogil=True, cache=True)
def local_maxima(response: Values, least: float, reach: int, first: int, out: Table) -> int:
    """Pixels above ``least`` that no pixel of the square within ``reach`` px exceeds; of equals the first.

    Parameters
    ----------
    response : (h, w) float32.
    first : row of ``out`` to begin with.
    out : (n, 3) float64, written: y, x, and the height; a parabola through the neighbours places the peak
        within its pixel.

    Returns
    -------
    int
        Rows written, with those before ``first``; n of them: there may have been more.
    """
    h, w = response.shape
    found = first
    crest = np.zeros((w + 7) // 8 * 8, np.uint8)
    eight = crest.view(np.uint64)
    for y in range(h):
        line = response[y]
        above, below = response[max(y - 1, 0)], response[min(y + 1, h - 1)]
        for x in range(w):
            crest[x] = (line[x] > least) & (line[x] >= above[x]) & (line[x] >= below[x])
        for x in range(1, w - 1):
            crest[x] &= (line[x] > line[x - 1]) & (line[x] >= line[x + 1])
        for k in range(eight.size):
            if not eight[k]:
                continue
            for x in range(8 * k, min(8 * k + 8, w)):
                if not crest[x]:
                    continue
                value = line[x]
                if (x > 0 and line[x - 1] >= value) or (x + 1 < w and line[x + 1] > value):
                    continue
                highest = True
                for j in range(max(y - reach, 0), min(y + reach + 1, h)):
                    other = response[j]
                    for i in range(max(x - reach, 0), min(x + reach + 1, w)):
                        if other[i] > value or (other[i] == value and (j < y or (j == y and i < x))):
                            highest = False
                            break
                    if not highest:
                        break
                if not highest:
                    continue
                if found == out.shape[0]:
                    return found
                out[found, 0] = y
                out[found, 1] = x
                out[found, 2] = value
                if 0 < y < h - 1:
                    out[found, 0] += _vertex(response[y - 1, x], value, response[y + 1, x])
                if 0 < x < w - 1:
                    out[found, 1] += _vertex(line[x - 1], value, line[x + 1])
                found += 1
    return found


def false_alarms(threshold: npt.ArrayLike, area: float, sigma: float) -> npt.NDArray[np.float64]:
    """Expected particles in white noise whose score is above a threshold.

    Parameters
    ----------
    threshold : in standard deviations, 1 or more.
    area : that is searched, px^2.
    sigma : width of the field that the scores are maxima of, px.

    Notes
    -----
    Maxima of a smooth Gaussian field over the plane and over scale: their number falls as u^2 exp(-u^2 / 2)
    (Worsley, Adv. Appl. Probab. 27 (1995) 943). The factor of scale is measured: noise of 20 counts, radii
    of 3, 4 and 8 px.
    """
    u = np.asarray(threshold, np.float64)
    return np.asarray(SCALES * area / (2 * sigma**2) * (2 * math.pi) ** -1.5 * u**2 * np.exp(-(u**2) / 2))


@njit("f8(f8, f8, f8)", nogil=True, cache=True)
def threshold_for(alarms: float, area: float, sigma: float) -> float:
    """The threshold, 1.4 or more, above which noise has so many maxima (`false_alarms`)."""
    most = SCALES * area / (2 * sigma**2) * (2 * math.pi) ** -1.5
    low, high = math.sqrt(2), 12.0  # from its maximum on the number falls
    for _ in range(30):
        u = 0.5 * (low + high)
        low, high = (u, high) if most * u * u * math.exp(-u * u / 2) > alarms else (low, u)
    return 0.5 * (low + high)


@njit("f8(f8[::1], f8, f8, f8)", nogil=True, cache=True)
def balanced_threshold(scores: Table, strict: float, area: float, sigma: float) -> float:
    """The threshold of the best expected F1: where what it lets in is as often a particle as not.

    Parameters
    ----------
    scores : (n,) of all candidates.
    strict : the threshold where there are no particles; the result is never above.
    area, sigma : see `false_alarms`.

    Notes
    -----
    Of the D(t) candidates above t the noise makes FA(t); there are at least max(D - FA) particles (Storey,
    J. R. Stat. Soc. B 64 (2002) 479, estimates a share of true nulls so). Below ``strict`` it goes only
    where it lets in more than the noise's number may err: three standard deviations and `UNSURE` of it.
    """
    ordered = -np.sort(-scores[scores >= LEAST])
    best, threshold = 0.0, strict
    sure = 0
    while sure < len(ordered) and ordered[sure] >= strict:
        sure += 1
    most = SCALES * area / (2 * sigma**2) * (2 * math.pi) ** -1.5
    noise = most * ordered**2 * np.exp(-(ordered**2) / 2)
    true = np.arange(1, len(ordered) + 1) - noise
    top = true.max() if len(ordered) else 0.0
    for k in range(len(ordered)):
        if true[k] - sure > 3 * math.sqrt(noise[k] + 1) + UNSURE * noise[k]:
            balance = true[k] / (true[k] + noise[k] + top)
            if balance > best:
                best, threshold = balance, ordered[k]
    return min(strict, threshold)
