"""The benchmark of single frames on tiny ones: it gives its table, nothing is asked of speed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from livem.benchmarks import PICTURES, SUITE, denoise, denoise_peers, denoise_pictures
from livem.benchmarks.denoise import BEST, Plan, measure
from livem.benchmarks.denoise_scenes import PARTICLES, CountedFrame, frames_of, particles
from livem.benchmarks.inpaint_scenes import GRAINS, data_folder, grains
from livem.commands.bench import markdown
from livem.kernels.denoise.frames import LEVELS, FrameFilter


def test_it_is_in_the_suite():
    assert SUITE["denoise"] == "livem.benchmarks.denoise:run"


def test_its_table_without_real_images_and_peers():
    measured = measure(Plan((5.0,), 1, 1, side=64, peers=False), None)
    assert "LIVEM_BENCH_DATA" in measured["title"]
    assert {row["scene"] for row in measured["rows"]} >= {GRAINS, PARTICLES, "CPU ms a frame"}
    assert all(set(LEVELS) <= set(row) for row in measured["rows"])
    assert all(row[BEST] > row["counts"] for row in measured["rows"][:-1])
    names = [gate["name"] for gate in measured["gates"]]
    assert len(set(names)) == len(names) == 2


def test_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(denoise_pictures, "data_folder", lambda: None)
    monkeypatch.setattr(denoise_pictures, "DOSES", (5.0,))
    monkeypatch.setattr(denoise_pictures, "FRAMES", 3)
    assert PICTURES["denoise"] == "livem.benchmarks.denoise_pictures:draw"
    files = denoise_pictures.draw(tmp_path / "new")
    assert [file.name for file in files] == ["grains-5.png", "lattice-5.png", "insitu-5.png"]
    for file in files:
        with Image.open(file) as picture:
            counts, found, truth = (np.asarray(picture, float)[:, k : k + 256] for k in (0, 260, 520))
        likeness = [np.corrcoef(truth.ravel(), one.ravel())[0, 1] for one in (counts, found)]
        assert 1 - likeness[1] < 0.5 * (1 - likeness[0]), "less than half of what was wrong is left"


def test_all_parts_are_told_and_held_to_their_gates(monkeypatch):
    gate = {"name": "g", "value": 1.0, "limit": 0.0, "ok": True}
    table = {"title": "t", "rows": [{"a": 1}], "gates": [gate]}
    lasted = {}
    monkeypatch.setattr(denoise, "measure", lambda plan, folder: table)
    monkeypatch.setattr(denoise.denoise_movies, "run", lambda quick: table)
    monkeypatch.setattr(denoise.denoise_real, "rows", lambda *given: [{"b": 2}])
    monkeypatch.setattr(
        denoise.denoise_session,
        "measure",
        lambda side, seconds: (lasted.update({side: seconds}) or [{"c": side}], [gate]),
    )
    measured = denoise.run(True, minutes=2.0)
    assert lasted == {256: 120.0, 512: 12.0}
    assert len(measured["gates"]) == 4
    assert [part["rows"][0] for part in measured["parts"]] == [{"a": 1}, {"b": 2}, {"c": 256}]
    assert "### Denoised in a session" in list(markdown(measured))


def test_a_frame_has_its_dose():
    frame = CountedFrame.of(grains(128), 5.0)
    assert frame.counts.mean() == pytest.approx(5, rel=0.02)
    assert frame.db_of_counts(frame.scale * frame.truth) > 100


def test_peers_take_noise_out():
    frame = CountedFrame.of(particles(64), 5.0)
    before = frame.db_of_counts(frame.counts)
    for name, filtered in denoise_peers.denoisers().items():
        if name != denoise_peers.BM3D:
            assert frame.db(filtered(frame.stabilised)) > before + 3, name


@pytest.mark.parametrize(
    ("scene", "dose", "least"),
    [("gold", 1, 19.8), ("gold", 20, 28.2), ("silicon", 1, 21.0), ("silicon", 5, 23.9)],
)
def test_real_images_are_as_good_as_was_measured(scene, dose, least):
    scenes = frames_of(data_folder())
    if scene not in scenes:
        pytest.skip("LIVEM_BENCH_DATA names no folder with real images")
    frame = CountedFrame.of(scenes[scene], dose)
    assert frame.db_of_counts(FrameFilter()(frame.counts)) > least


@pytest.mark.parametrize(
    ("scene", "dose", "least"), [("lattice", 1, 30.5), ("grain boundary", 5, 31.8), ("particles", 5, 28.7)]
)
def test_simulated_scenes_are_as_good_as_was_measured(scene, dose, least):
    """VST + BM3D: 30.0, 31.2 and 29.3 dB."""
    frame = CountedFrame.of(np.asarray(frames_of(None)[scene]), dose)
    assert frame.db_of_counts(FrameFilter()(frame.counts)) > least
