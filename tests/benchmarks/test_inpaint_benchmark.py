"""The benchmark of sparse scans on tiny fields: it gives its table, nothing is asked of speed."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from livem.benchmarks import SUITE, inpaint, inpaint_peers, inpaint_pictures
from livem.benchmarks.inpaint import GRAINS, LATTICE, Plans, measure, regret_of
from livem.benchmarks.inpaint_scenes import SparseScan, data_folder, grains, psnr, real_spiral, scenes
from livem.benchmarks.inpaint_session import Pictures, judged
from livem.cli import main
from livem.outputs import UNKNOWN_RGB

TINY = Plans(
    rounds=1,
    sides=(64, 128),
    fractions=(0.25,),
    doses=(0.0, 20.0),
    scenes=(GRAINS,),
    seconds=0.0,
    quality=((LATTICE, "random", 0.25),),
    side=64,
)


def test_it_is_in_the_suite():
    assert SUITE["inpaint"] == "livem.benchmarks.inpaint:run"


def test_its_table_without_real_images():
    measured = measure(TINY, None)
    assert "LIVEM_BENCH_DATA" in measured["title"]
    ways = {row["way"] for row in measured["rows"]}
    ours = {"livem, auto", "thin plate", "sparse cosines", "wavelet thresholds"}
    assert {*ours, "scipy griddata", inpaint_peers.FISTA} <= ways
    assert {row["scan"].split(",")[0] for row in measured["rows"]} >= {"lattice", "grain boundary", "128x128"}
    names = [gate["name"] for gate in measured["gates"]]
    assert len(set(names)) == len(names)
    assert any("bytes a pixel" in name for name in names)
    assert any("of 8 choices" in name for name in names)
    assert not any("spiral scan" in name for name in names)


def test_a_scan_keeps_its_samples():
    scan = SparseScan.of(grains(64), "random", 0.5, dose=20.0)
    data, weight = scan.fields()
    assert weight.sum() == len(scan.values) == 2048
    assert (data * weight).sum() == pytest.approx(scan.values.sum(), rel=1e-4)
    assert scan.noise.variance(1.0) == pytest.approx(1 / 20 / 0.9**2, rel=1e-6)
    exact = SparseScan.of(grains(64), "random", 0.5)
    held = exact.fields()[1] > 0
    np.testing.assert_array_equal(exact.fields()[0][0][held], exact.truth[held])


def test_peers_fill_holes():
    truth = grains(64)
    known = np.random.default_rng(0).random(truth.shape) < 0.5
    for name, fill in inpaint_peers.fillers().items():
        filled = fill(truth, known)
        assert filled.shape == truth.shape, name
        assert np.isfinite(filled).all(), name
        assert psnr(filled, truth) > 18, name


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(inpaint_peers, "find_spec", lambda name: None)
    assert inpaint_peers.missing() == ["scikit-image", "opencv-python-headless"]
    assert "scipy griddata" in inpaint_peers.fillers()
    assert inpaint_peers.BIHARMONIC not in inpaint_peers.fillers()


def test_regret_is_small_on_an_easy_scene():
    assert regret_of(SparseScan.of(grains(64), "random", 0.5)).db < 1.0


def test_real_images_are_looked_for_in_the_folder_that_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("LIVEM_BENCH_DATA", raising=False)
    assert data_folder() is None
    monkeypatch.setenv("LIVEM_BENCH_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert real_spiral(data_folder()) is None
    assert set(scenes(data_folder())) == {LATTICE, GRAINS}
    images = np.random.default_rng(0).integers(0, 65536, (512, 512)).astype(np.uint16)
    np.savez(tmp_path / "stem_images.npz", gold_grain_boundary=images, silicon_110=images)
    found = scenes(data_folder())
    assert [(image.shape, image.min(), image.max()) for image in found.values()] == [((256, 256), 0, 1)] * 4


def test_pictures_show_samples_estimate_and_uncertainty(tmp_path, monkeypatch):
    monkeypatch.delenv("LIVEM_BENCH_DATA", raising=False)
    monkeypatch.setattr(inpaint_pictures, "grains", lambda: grains(64))
    done = CliRunner().invoke(main, ["bench", "inpaint", "--pictures", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    files = [tmp_path / "new" / name for name in ("grains-10.png", "grains-25.png")]
    assert done.stdout.split() == [str(file) for file in files]
    samples, estimate, sigma = np.split(np.asarray(Image.open(files[1])).astype(float), 3, axis=1)
    unknown = (samples == UNKNOWN_RGB).all(axis=-1)
    assert 0.74 < unknown.mean() < 0.76
    assert not (estimate == UNKNOWN_RGB).all(axis=-1).any()
    assert np.corrcoef(estimate[..., 0].ravel(), grains(64).ravel())[0, 1] > 0.8
    assert sigma[..., 0].std() > 0
    done = CliRunner().invoke(main, ["bench", "ring", "--pictures", str(tmp_path)])
    assert (done.exit_code, "draws no pictures; those that do: inpaint" in done.stderr) == (2, True)


def test_a_session_is_judged_by_its_pictures():
    tick = 40_000_000
    pictures = Pictures([i * tick for i in range(100)], [10 * min(i, 90) for i in range(100)])
    watched = judged(pictures, 89 * tick)
    assert watched.per_second == pytest.approx(25.0)
    assert watched.last_ms == pytest.approx(40.0)
    assert judged(Pictures(), 0).per_second is None
    assert inpaint.SPIRAL_RMSE == 0.1385
