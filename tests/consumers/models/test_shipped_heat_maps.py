"""The shipped heat maps keep what their cards promise."""

from __future__ import annotations

import numpy as np
import pytest

from livem.benchmarks.heat_map_scenes import Case, column_cases, particle_cases, show
from livem.benchmarks.heat_maps import THRESHOLDS, at_threshold, load, peaks_of, tuned
from livem.consumers.base import Frames
from livem.consumers.models import shipped
from livem.consumers.models.manifest import Manifest
from livem.consumers.models.training import columns, particles
from livem.consumers.models.training.heat_maps import compare
from livem.consumers.torchscript import TorchScript
from livem.kernels.heat_maps import find_peaks
from livem.stream.series import Series, SeriesKey

pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMES = ("particles", "columns")
SIDE = 160


def case(name: str) -> Case:
    """One of the benchmark's, on smaller frames."""
    return next(one for one in [*particle_cases(SIDE), *column_cases(SIDE)] if one.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_tile_sees_what_the_whole_frame_would_show_it(name):
    manifest = Manifest.parse(name, (shipped.FOLDER / f"{name}.toml").read_text("utf-8"))
    network = {"particles": particles, "columns": columns}[name].MODEL.network()
    assert (manifest.input.halo, manifest.input.multiple_of) == (network.halo, network.multiple)


@pytest.mark.parametrize("name", ["hexagonal, 7 px, 1 e-/px", "perovskite, 8 px, 5 e-/px"])
def test_columns_are_found_as_by_a_detector_tuned_on_these_frames(name):
    kind = case(name)
    shown = show(kind, 1, seed=900)
    ours, theirs = at_threshold(load("columns"), kind, shown, THRESHOLDS["columns"]), tuned(kind, shown)[0]
    assert ours.f1 >= theirs.f1 - 0.01
    assert ours.rms <= 1.1 * theirs.rms


@pytest.mark.parametrize("name", ["r 4 px, dark, crowded, SNR 2", "r 10 px, bright, crowded, SNR 1"])
def test_particles_are_found_as_the_card_says(name):
    kind = case(name)
    found = at_threshold(load("particles"), kind, show(kind, 1, seed=900), THRESHOLDS["particles"])
    assert found.f1 > 0.88


def test_the_consumer_shows_the_heat_map_and_its_peaks_are_the_particles():
    kind = case("r 4 px, dark, sparse, SNR 2")
    (shown,) = show(kind, 1, seed=901)
    series = Series(SeriesKey(bytes(8), 1), shown.counts.shape, "uint16")
    consumer = TorchScript("where", "particles")
    try:
        consumer.open(series)
        frames = Frames(series, np.zeros(1, np.int64), shown.counts.astype(np.uint16)[None])
        outputs = {one.name: one for one in consumer.merge(consumer.process(frames))}
    finally:
        consumer.stop()
    assert outputs["heat_map"].units == {"image": "score"}
    heat = outputs["heat_map"].arrays["image"]
    wanted, _ = peaks_of(load("particles"), shown.stabilised, THRESHOLDS["particles"])
    peaks = find_peaks(heat, THRESHOLDS["particles"])
    np.testing.assert_allclose(np.stack([peaks.y, peaks.x], axis=1), wanted, atol=1e-3)
    found = compare(wanted, shown.places, kind.gate, shown.counts.shape, 10.0)
    assert found.recall > 0.85
