"""Frames to learn particles from: every size, number, contrast and dose that the model is to meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....stream.simulate.particle_fields import FieldConditions, particle_field
from .heat_maps import Recipe, Scene, draw_bumps
from .heat_models import PLAN, HeatModel

RADII = (1.8, 13.0)
"""px of particles that are to be found in frames as they are; larger ones are found in binned frames."""
LARGE = (15.0, 40.0)
"""px of those that are not: the network has to leave them to the binned frame."""
TOO_LARGE = 14.0
"""px from which a particle has no bump."""
SNRS = (0.7, 12.0)
"""Contrast in the middle of a particle, over the noise of one pixel of the ground."""
STANDING_OUT = (3.5, 20.0)
"""Contrast of the whole of a particle over its noise (d'): where finding it is neither hopeless nor easy."""
DOSES = (0.3, 3000.0)
"""Electrons a pixel."""


def draw_conditions(rng: np.random.Generator, side: int) -> FieldConditions:
    """For a dose of 1."""
    radius = float(np.exp(rng.uniform(*np.log(LARGE if rng.random() < 0.15 else RADII))))
    bright = bool(rng.random() < 0.5)
    contrast = float(rng.uniform(0.1, 0.9) if not bright else np.exp(rng.uniform(*np.log((0.15, 4.0)))))
    return FieldConditions(
        (side, side),
        radius,
        spread=float(rng.uniform(0.05, 0.35)),
        coverage=float(rng.choice([0.0, 1.0], p=[0.05, 0.95]) * np.exp(rng.uniform(*np.log((0.01, 0.5))))),
        gap=float(rng.uniform(0.8, 1.15)),
        contrast=contrast,
        bright=bright,
        roundness=float(0.5 if rng.random() < 0.6 else rng.uniform(0.1, 1.0)),
        eccentricity=float(0.0 if rng.random() < 0.5 else rng.uniform(0, 0.6)),
        blur=float(rng.uniform(0.0, 1.5)),
        unevenness=float(rng.uniform(0.0, 0.4)),
        ground=float(rng.uniform(1.0, 3.0) * max(64.0, 2 * radius)),
        dose=1.0,
    )


def draw_scene(rng: np.random.Generator, side: int) -> Scene:
    """Particles of one kind; their number, size, contrast and shape drawn from what the model is to know.

    A sphere of radius r whose middle stands out by SNR stands out by 1.25 r SNR as a whole.
    """
    conditions = draw_conditions(rng, side)
    field = particle_field(conditions, rng)
    snrs = SNRS if rng.random() < 0.3 else np.divide(STANDING_OUT, 1.25 * conditions.radius)
    low, high = (float(np.clip((snr / conditions.contrast) ** 2, *DOSES)) for snr in snrs)
    small = field.radii < TOO_LARGE
    bumps = draw_bumps(conditions.shape, field.places[small], field.radii[small])
    return Scene(field.expected, bumps, (low, high))


MODEL = HeatModel(
    "particles",
    Recipe(draw_scene, seed=2_000_000, crop=96),
    training="simulated particles of 2 to 13 px radius, dark and bright, sparse and crowded, that stand out "
    "by 3.5 times their noise or more; larger ones are found in binned frames",
    description="where particles are: a Gaussian about each, half its radius wide",
    width=12,
    coarse=4,
    tile=4096,
    plan=replace(PLAN, steps=5_500),
)
make = MODEL.make
