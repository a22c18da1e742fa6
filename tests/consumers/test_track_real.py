"""Particles of movies from real microscopes: what is known of them is found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers.base import Frames
from livem.consumers.track import Track
from livem.stream.series import Series, SeriesKey

sys.path.insert(0, str(Path(__file__).parents[1]))
from session_tools import SHARED

BOLTZMANN, CELSIUS, VISCOSITY = 1.380649e-23, 273.15, 1.002e-3
"""J/K, K, and Pa s of water at 20 C."""


def movie(name: str) -> Any:
    path = SHARED / "data" / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return np.load(path)


def tracked(frames: np.ndarray, **options: Any) -> dict[str, Any]:
    series = Series(SeriesKey(bytes(8), 0), frames.shape[1:], "uint8")
    consumer = Track("particles", **options)
    consumer.open(series)
    for number in range(len(frames)):
        block = Frames(series, np.arange(number, number + 1), frames[number : number + 1])
        consumer.merge(consumer.process(block))
    return {output.name: output.arrays for output in consumer.close()}


def test_spheres_in_water_diffuse_as_stokes_and_einstein_say() -> None:
    """Latex of 1 um: within 15 % of the coefficient at 20 C, sizes guessed from the frames."""
    given = movie("colloid_movie.npz")
    found = tracked(given["frames"])["statistics"]["diffusion"]
    square = float(given["um_per_px"]) ** 2 * float(given["frame_rate"])
    expected = BOLTZMANN * (CELSIUS + 20) / (3 * np.pi * VISCOSITY * 1e-6) * 1e12
    assert expected == pytest.approx(0.428, abs=0.002)
    assert float(found[0]) * square == pytest.approx(expected, rel=0.15)


def near_centres(given: Any, found: dict[str, Any]) -> dict[int, set[int]]:
    """Of each track, the frames in which it is within half the particle's radius (17 px) of the centre."""
    rows = found["trajectories"]
    centres = {
        int(number): [float(places.mean()) for places in np.nonzero(mask)]
        for number, mask in zip(given["mask_frames"], given["masks"], strict=True)
    }
    y, x = np.array([centres[int(number)] for number in rows["frame"]]).T
    near = np.hypot(rows["measured_y"] - y, rows["measured_x"] - x) < 17
    return {
        int(one): set(rows["frame"][near & (rows["particle"] == one)]) for one in np.unique(rows["particle"])
    }


def test_the_barely_visible_particle_of_a_liquid_cell_is_followed() -> None:
    """Its radius is known: one track is within half of it from the centre in 90 % of the frames.

    It is not round, and what a disc leaves of it makes two more tracks beside it.
    """
    given = movie("liquid_cell_tem.npz")
    options = {"radius": 34.0, "spread": 0.05, "polarity": "dark", "search_range": 60.0}
    near = near_centres(given, tracked(given["frames"], **options))
    assert max(map(len, near.values())) >= 0.9 * len(given["masks"])
    assert len(near) <= 3


def test_the_particle_of_a_liquid_cell_is_found_without_being_told_its_size() -> None:
    """Nothing is said but that it is of any shape: it is 44 px wide, 106 px long, and jumps by up to 80."""
    given = movie("liquid_cell_tem.npz")
    near = near_centres(given, tracked(given["frames"], detector="regions"))
    assert len(set().union(*near.values())) >= 0.9 * len(given["masks"])
    assert len(near) <= 2
