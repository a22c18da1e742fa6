"""A first guess of what to look for, from the first frames of a series.

A detector for all sizes and both kinds tells which there are; one for those tells their radius. The scale of
a particle is where its response, in standard deviations of the noise, is highest (Lindeberg, Int. J. Comput.
Vis. 30 (1998) 79), and that is where it is found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .detect import Detector, Frame
from .options import DetectorOptions, Polarity
from .table import Detections, Flag

WIDE = 0.8
"""Spread of ln radius of a search for all sizes: a factor of 5 each way."""
FEWEST = 3
"""Particles that a size is guessed from."""
SURE = 6.0
"""Score of those."""


def first_guess(frames: Sequence[Frame], options: DetectorOptions | None = None) -> DetectorOptions | None:
    """Typical radius, its spread and the polarity of the particles of some frames.

    Parameters
    ----------
    frames : one or more, (h, w) each, of one shape; 3 to 5 are enough.
    options : what is known besides; its radius, spread and polarity are replaced.

    Returns
    -------
    DetectorOptions or None
        None where fewer than `FEWEST` particles are certain: ask again with more frames, or the user.

    Raises
    ------
    ValueError
        No frame, or frames of several shapes.
    """
    if not len(frames):
        raise ValueError("no frames: give one or more")
    shape, known = frames[0].shape, DetectorOptions() if options is None else options
    widest = max(min(8.0, min(shape) / 10), 1.0)
    wide = _all(frames, Detector(shape, replace(known, radius=widest, spread=WIDE, polarity="both")))
    if len(wide) < FEWEST:
        return None
    weight = wide["score"].astype(np.float64) ** 2
    bright = float(weight[wide["contrast"] > 0].sum() / weight.sum())
    polarity: Polarity = "bright" if bright > 0.8 else "dark" if bright < 0.2 else "both"
    if polarity != "both":
        wide = wide[(wide["contrast"] > 0) == (polarity == "bright")]
    guess = replace(known, radius=_typical(wide), spread=0.4, polarity=polarity)
    near = _all(frames, Detector(shape, guess))
    if len(near) < FEWEST:
        return guess
    logs = np.log(near["radius"].astype(np.float64))
    spread = float(np.subtract(*np.quantile(logs, [0.84, 0.16]))) / 2
    return replace(guess, radius=_typical(near), spread=min(max(spread, 0.2), WIDE))


def _all(frames: Sequence[Frame], detector: Detector) -> Detections:
    """The certain ones of all frames, those at the edge left out."""
    found: Detections = np.concatenate([detector.detect(frame) for frame in frames])
    sure: Detections = found[(found["score"] > SURE) & (found["flags"] & (Flag.WEAK | Flag.EDGE) == 0)]
    return sure


def _typical(found: Detections) -> float:
    return max(math.exp(float(np.median(np.log(found["radius"].astype(np.float64))))), 1.0)
