"""The simulated 4D-STEM scan shows the specimen that its ground truth describes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from livem.kernels.calibrate import Disk, bright_field_disk
from livem.kernels.electrons import mrad_per_px
from livem.stream.simulate.four_d_stem import SEMI_CONVERGENCE_MRAD, FourDStem

Image = npt.NDArray[np.float64]
SMALL = "shape=64x64&scan=32x32&dose=4000&seed=3"


def virtual_images(scan: FourDStem) -> dict[str, Image]:
    """bf, haadf, com_y and com_x computed from the frames by brute force."""
    n = scan.scan.frames_per_pass
    frames = scan.frames(0, n).astype(np.float64)
    height, width = scan.shape
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    radius = np.hypot(y, x)
    weights = {name: (radius >= a) & (radius < b) for name, (a, b) in scan.detectors().items()}
    sums = {name: (frames * mask).sum(axis=(1, 2)) for name, mask in weights.items()}
    total = np.maximum(frames.sum(axis=(1, 2)), 1)
    sums |= {"com_y": (frames * y).sum(axis=(1, 2)) / total, "com_x": (frames * x).sum(axis=(1, 2)) / total}
    pixels = scan.scan.pixels(np.arange(n))
    images = {}
    for name, values in sums.items():
        image = np.full(scan.scan.shape[0] * scan.scan.shape[1], np.nan)
        image[pixels[pixels >= 0]] = values[pixels >= 0]
        images[name] = image.reshape(scan.scan.shape)
    return images


def correlation(a: Image, b: Image) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("more", ["", "&order=serpentine", "&skip=3", "&dose=40000"])
def test_images_from_the_frames_match_the_truth(more: str) -> None:
    scan = FourDStem.open(SMALL.replace("dose=4000&", "") + (more if "dose" in more else "&dose=4000" + more))
    images, truth = virtual_images(scan), scan.truth()
    assert correlation(images["bf"], truth["bf"]) > 0.9
    assert correlation(images["haadf"], truth["haadf"]) > 0.97
    assert correlation(images["com_x"], truth["com"][..., 1]) > 0.6
    assert correlation(images["com_y"], truth["com"][..., 0]) > 0.5
    for name in ("bf", "haadf"):
        assert images[name].mean() == pytest.approx(truth[name].mean(), rel=0.02)


def test_a_scan_larger_than_the_bank_still_shows_the_right_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livem.stream.simulate.four_d_stem.BANK_ELECTRONS", 400 * 4000)
    scan = FourDStem.open(SMALL)
    assert len(scan.bank.stock) <= 400
    images, truth = virtual_images(scan), scan.truth()
    assert correlation(images["haadf"], truth["haadf"]) > 0.95
    assert correlation(images["bf"], truth["bf"]) > 0.88
    assert correlation(images["com_x"], truth["com"][..., 1]) > 0.6


def test_the_vacancy_is_dark_in_haadf_and_the_columns_are_bright() -> None:
    scan = FourDStem.open("shape=64x64&scan=48x48")
    haadf = virtual_images(scan)["haadf"]
    (vacancy,) = np.rint(scan.truth()["vacancy"]).astype(int)
    columns = np.rint(scan.truth()["columns"]).astype(int)
    inside = columns[((columns >= 0) & (columns < 48)).all(axis=1)]
    bright = haadf[inside[:, 0], inside[:, 1]]
    assert np.median(bright) > 2.0 * haadf[tuple(vacancy)]


def test_the_boundary_deflects_the_beam_across_it() -> None:
    truth = FourDStem.open("shape=32x32&scan=64x64").truth()
    along_x = truth["com"][..., 1].mean(axis=0)
    assert 28 <= int(np.argmax(np.convolve(along_x, np.ones(8) / 8, "same"))) <= 44


def test_the_same_seed_gives_the_same_frames_and_another_does_not() -> None:
    first, again, other = (FourDStem.open(f"shape=32x32&scan=16x16&seed={seed}") for seed in (5, 5, 6))
    assert np.array_equal(first.frames(0, 256), again.frames(0, 256))
    assert not np.array_equal(first.frames(0, 256), other.frames(0, 256))


def test_frames_are_views_and_begin_again_after_a_pass() -> None:
    scan = FourDStem.open("shape=16x16&scan=8x8&repeats=0")
    assert scan.count is None
    assert np.shares_memory(scan.frames(3, 5), scan.bank.stock[3:8])
    assert np.array_equal(scan.frames(60, 8), np.concatenate([scan.frames(60, 4), scan.frames(64, 4)]))
    assert np.array_equal(scan.frames(64, 4), scan.frames(0, 4))


def test_count_follows_passes_flyback_and_frames() -> None:
    assert FourDStem.open("shape=8x8&scan=4x6&skip=2&repeats=3").count == 4 * 8 * 3
    assert FourDStem.open("shape=8x8&scan=4x6&frames=10").count == 10


@pytest.mark.parametrize("spec", ["shape=1x1&scan=4x4", "shape=3x50&scan=1x1", "shape=2x2&scan=1x9&dose=1"])
def test_odd_shapes_work(spec: str) -> None:
    scan = FourDStem.open(spec)
    assert scan.frames(0, 1).shape == (1, *scan.shape)
    assert all(np.isfinite(value).all() for value in scan.truth().values())


@pytest.mark.parametrize("shape", ["64x64", "96x128"])
def test_the_disk_has_the_semi_convergence_angle_that_is_announced(shape: str) -> None:
    scan = FourDStem.open(f"shape={shape}&scan=16x16&dose=4000")
    disk = bright_field_disk(scan.frames(0, 256).mean(axis=0))
    assert isinstance(disk, Disk)
    angle = mrad_per_px(scan.meta["pixel_size"], scan.meta["pixel_unit"], scan.meta["beam_energy"])
    assert angle is not None
    assert disk.radius * angle == pytest.approx(SEMI_CONVERGENCE_MRAD, rel=0.05)
