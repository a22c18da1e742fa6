"""A first guess of what to look for, from the first frames of a series.

A detector for all sizes and both kinds tells which there are; one for those tells their radius. The scale of
a particle is where its response, in standard deviations of the noise, is highest (Lindeberg, Int. J. Comput.
Vis. 30 (1998) 79), and that is where it is found. Noise that hangs together over several pixels has blobs of
its own, of both kinds: what is certain stands out from the noise of its own scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from . import peaks, scales
from .detect import BROAD, REST, Detector, Frame
from .options import DetectorOptions, Polarity
from .regions import RegionDetector, Way
from .table import Detections, Flag, empty_detections
from .verdict import Found

SEARCHES = (8.0, 0.8), (24.0, 0.5)
"""Radius, px, and spread of ln radius of searches for all sizes: factors of 5 and 2.7 each way."""
LARGE = 2.0
"""Particles of so many radii of a search have halos in it, since they are a part of its background."""
FEWER = 1 / 3
"""Of the particles of the first search that the second one has to find to be believed."""
FEWEST = 3
"""Particles that a size is guessed from."""
SURE = 6.0
"""Score of those."""
WIDTHS = 1.0, 1.5, 2.2, 3.3, 5.0, 7.5, 11.0, 17.0, 25.0
"""px, Gaussians whose noise is measured."""
SPREADS = 0.2, 0.8
"""Of ln radius, least and most that is guessed."""
ROUNDS = 4
"""Of the refinement, each at the size that the one before has found."""
SETTLED = 0.08
"""Change of ln radius below which it ends."""


def first_guess(
    frames: Sequence[Frame], options: DetectorOptions | None = None, way: Way | None = None
) -> DetectorOptions | None:
    """Typical radius, its spread and the polarity of the particles of some frames.

    Parameters
    ----------
    frames : one or more, (h, w) each, of one shape; 3 to 5 are enough.
    options : what is known besides; its radius, spread and polarity are replaced.
    way : of the `RegionDetector` that will look for them, by their area; None: `Detector` will.

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
    known, shape = DetectorOptions() if options is None else options, frames[0].shape
    found, most = empty_detections(), max(min(shape) / 10, 1.0)
    for radius, spread in SEARCHES:
        is_settled = len(found) >= FEWEST and _typical(found) < LARGE * SEARCHES[0][0]
        if not is_settled and (not len(found) or radius < most):
            wide = replace(known, radius=min(radius, most), spread=spread, polarity="both")
            larger = _certain(frames, Detector(shape, wide))
            found = larger if len(larger) >= max(FEWEST, FEWER * len(found)) else found
    if len(found) < FEWEST:
        return None
    guess = _refined(frames, found, known)
    return guess if way is None else _by_regions(frames, guess)


def _refined(frames: Sequence[Frame], found: Detections, known: DetectorOptions) -> DetectorOptions:
    """What those of a search for all sizes tell, looked at again at that size."""
    weight = found["score"].astype(np.float64) ** 2
    bright = float(weight[found["contrast"] > 0].sum() / weight.sum())
    polarity: Polarity = "bright" if bright > 0.8 else "dark" if bright < 0.2 else "both"
    if polarity != "both":
        found = found[(found["contrast"] > 0) == (polarity == "bright")]
    guess = replace(known, radius=_typical(found), spread=0.4, polarity=polarity)
    near = _certain(frames, Detector(frames[0].shape, guess))
    if len(near) < FEWEST:
        return guess
    return replace(guess, radius=_typical(near), spread=_spread(near))


def _by_regions(frames: Sequence[Frame], guess: DetectorOptions) -> DetectorOptions:
    """The same with the radius of the regions' area, at which they are looked for again."""
    for _ in range(ROUNDS):
        finder = RegionDetector(frames[0].shape, guess)
        found = _sure(np.concatenate([finder.detect(frame) for frame in frames]))
        if len(found) < FEWEST:
            return guess
        before, guess = guess, replace(guess, radius=_typical(found), spread=_spread(found))
        if abs(math.log(guess.radius / before.radius)) < SETTLED:
            break
    return guess


def _certain(frames: Sequence[Frame], detector: Detector) -> Detections:
    """The certain ones of all frames, in the noise of their own scale."""
    seen = [detector.examine(frame, keep_rest=True) for frame in frames]
    rows: Detections = np.concatenate([one.detections for one in seen])
    rows["score"] /= np.interp(np.log(BROAD * rows["radius"]), np.log(WIDTHS), _colour(seen))
    return _sure(rows)


def _colour(seen: Sequence[Found]) -> npt.NDArray[np.float64]:
    """Noise after each Gaussian of `WIDTHS` in that of white noise, 1 or more: of what is left of the frames
    without their strong particles, the median of all frames."""
    rests = [one.rest for one in seen if one.rest is not None and one.noise > 0]
    found = np.ones((max(len(rests), 1), len(WIDTHS)))
    for k, rest in enumerate(rests):
        values, size = rest.astype(np.float32) / np.float32(REST), 1
        for i, width in enumerate(WIDTHS):
            while size < 2 ** scales.halvings(width) and min(values.shape) > 1:
                smaller = np.empty((values.shape[0] // 2, values.shape[1] // 2), np.float32)
                scales.halve(values, smaller)
                values, size = smaller, 2 * size
            taps, out = scales.taps(width / size), np.empty_like(values)
            scales.blur(values, taps, out)
            found[k, i] = peaks.spread_of(out) / scales.white_spread(taps)
    return np.asarray(np.maximum(np.median(found, axis=0), 1.0))


def _sure(found: Detections) -> Detections:
    """Those with a high score, not at the edge."""
    sure: Detections = found[(found["score"] > SURE) & (found["flags"] & (Flag.WEAK | Flag.EDGE) == 0)]
    return sure


def _typical(found: Detections) -> float:
    return max(math.exp(float(np.median(np.log(found["radius"].astype(np.float64))))), 1.0)


def _spread(found: Detections) -> float:
    logs = np.log(found["radius"].astype(np.float64))
    spread = float(np.subtract(*np.quantile(logs, [0.84, 0.16]))) / 2
    return min(max(spread, SPREADS[0]), SPREADS[1])
