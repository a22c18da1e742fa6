"""Is it a particle, and this one? Log likelihoods of what is found near a track.

The score of a track as in radar (Sittler, IEEE Trans. Mil. Electron. 8 (1964) 125): each frame adds the log
of how much better a particle than noise explains it. Scores of detections are in standard deviations, so a
particle's scatter by 1 about its own mean, and maxima of noise become rare as z exp(-z^2 / 2); how frequent
they are in this field is learnt from detections that no track takes.
"""

from __future__ import annotations

import math
from typing import Any

from numba import float64, int64, njit

from .field import DETECTIONS, FIELDS, LIVES
from .kalman import variance_of

SCATTER = 1.3
"""Standard deviation of a particle's score from frame to frame."""
UNSEEN = 0.03
"""Probability that a bright particle is not found, hidden by a neighbour, say."""
RESTLESS = 0.03
"""Share of steps that are of twice the usual length: particles do not all walk alike."""
NEWCOMERS = 0.02
"""New particles a frame, per particle."""
SCORES = 6.0
"""Range of scores over which newcomers are spread."""
RADIUS_SPREAD = 0.15
"""Scatter of a radius beside its variance, relative."""
ODDS = (-3.0, 4.6, 10.0)
"""Log odds below which a track ends, from which on it is confirmed, and that it can gather."""
FIRST_ODDS = (-8.0, 3.0)


@njit(float64(float64, FIELDS), nogil=True, cache=True)
def noise_density(score: Any, field: Any) -> Any:
    """Maxima of noise per px^2 and unit of score."""
    z = max(score, 0.5)
    return field[0].false_level * z * math.exp(-0.5 * z * z)


@njit(float64(FIELDS, int64), nogil=True, cache=True)
def newcomer_density(field: Any, known: Any) -> Any:
    """New particles per px^2 and unit of score."""
    return NEWCOMERS * max(known, 1) / (field[0].height * field[0].width * SCORES)


@njit(float64(LIVES, int64, FIELDS), nogil=True, cache=True)
def found_probability(live: Any, i: Any, field: Any) -> Any:
    """That a particle as bright as track i has a detection."""
    if not math.isfinite(live[i].score):
        return 1 - UNSEEN
    above = 0.5 * math.erfc((field[0].floor - live[i].score) / (SCATTER * math.sqrt(2.0)))
    return min(max(above, 0.3), 1.0) * (1 - UNSEEN)


@njit(float64(LIVES, int64, DETECTIONS, int64, float64, float64), nogil=True, cache=True)
def log_likelihood(live: Any, i: Any, found: Any, j: Any, square: Any, unsure: Any) -> Any:
    """Of detection j from the particle of track i, per px^2 and unit of score.

    Parameters
    ----------
    square : px^2, their distance squared.
    unsure : px^2, variance of the field's displacement.
    """
    spread = live[i].variance + variance_of(found, j) + unsure
    far = math.exp(-0.125 * square / spread)
    density = ((1 - RESTLESS) * far**4 + RESTLESS / 4 * far) / (2 * math.pi * spread)
    less = 0.0
    if math.isfinite(live[i].score) and math.isfinite(found[j].score):
        z = (min(found[j].score, live[i].score + 3 * SCATTER) - live[i].score) / SCATTER
        density, less = density / (math.sqrt(2 * math.pi) * SCATTER), 0.5 * z * z
    else:
        density /= SCORES
    if math.isfinite(live[i].radius) and found[j].var_radius > 0:
        wide = live[i].var_radius + found[j].var_radius + (RADIUS_SPREAD * live[i].radius) ** 2
        less += min(0.5 * (found[j].radius - live[i].radius) ** 2 / wide, 4.0)
    return math.log(density) - less
