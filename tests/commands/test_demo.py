"""``livem demo``: each ends with exact accounting, results, the truth, and says where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PySide6.QtGui import QImage

from livem.cli import main
from livem.commands.demo import SOURCES, WINDOW_SOURCES, Demo, score_line
from livem.stream.simulate.catalogue import open_acquisition

SMALL = {
    "4dstem": "sim:4dstem?shape=64x64&scan=48x48&fps=2000",
    "sparse": "sim:sparse?scan=64x64&fps=2000",
    "insitu": "sim:insitu?shape=128x128&frames=40&dose=5",
}
FRAMES = {"4dstem": 48 * 48, "sparse": 64 * 64 // 4, "insitu": 40}
SHOWN = {
    "4dstem": ("vd.bf", "vd.haadf", "preview.frame"),
    "sparse": ("vd.value", "inpaint.image"),
    "insitu": ("preview.frame", "denoise.image", "denoise.raw"),
}
"""Result images that a snapshot shows in grey or in one colour map (a centre of mass is shown in hues)."""
SMALLEST_PANE = 150


@pytest.mark.timeout(300)
def test_all_demos_are_exact_and_their_snapshots_show_their_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("livem.commands.demo.SOURCES", SMALL)
    done = CliRunner().invoke(main, ["demo", "--headless", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [series["demo"] for series in told["series"]] == list(SMALL)
    for series in told["series"]:
        assert_exact(series, FRAMES[series["demo"]])
        folder = tmp_path / series["demo"]
        assert told["demos"][series["demo"]]["pictures"][0] == str(folder / "snapshot.png")
        assert (folder / "truth").is_dir()
        panes = list(panes_of(folder / "snapshot.png"))
        for topic in SHOWN[series["demo"]]:
            values = np.load(series["results"][topic])
            likeness = [alike(values, pane) for pane in panes]
            assert max(likeness, default=0.0) > 0.9, (series["demo"], topic, likeness)
        if series["demo"] == "insitu":
            assert_nearer_to_the_truth(series["results"], folder / "truth" / "movie.npy")
            assert_followed(told["demos"]["insitu"]["scores"], folder / "truth" / "particles.csv")
        if series["demo"] == "sparse":
            assert_true_picture(Path(series["results"]["inpaint.image"]), folder / "truth" / "haadf.npy")


def assert_true_picture(file: Path, truth: Path) -> None:
    """A settled estimate that says how far it is from the truth, and a held-out error that is about that."""
    image, expected = np.load(file), np.load(truth)
    said = json.loads(file.with_suffix(".json").read_text())["attrs"]
    assert (said["estimate"], said["settled"], said["coverage"] < 0.3) == (True, True, True)
    error = np.sqrt(np.nanmean((image - expected) ** 2))
    assert said["psnr"] == pytest.approx(20 * np.log10(np.ptp(expected) / error))
    assert said["psnr"] > 25
    assert 0.5 < said["held_out_error"][0] / error < 2


def assert_nearer_to_the_truth(results: dict[str, str], truth: Path) -> None:
    """The last frame without its noise, beside the same frame as it came: both say how far they are."""
    said, movie = {}, np.load(truth)
    for name in ("image", "raw"):
        file = Path(results[f"denoise.{name}"])
        attrs = json.loads(file.with_suffix(".json").read_text())["attrs"]
        expected = movie[attrs["index"]].astype(np.float64)
        assert (attrs["index"], attrs["factor"]) == (FRAMES["insitu"] - 1, 1)
        error = np.sqrt(np.mean((np.load(file) - expected) ** 2))
        said[name] = attrs["psnr"]
        assert said[name] == pytest.approx(20 * np.log10(np.ptp(expected) / error), abs=0.01)
    assert said["image"] > said["raw"] + 10


def assert_followed(scores: list[dict[str, float]], truth: Path) -> None:
    """The score counts particles that were there, and is said in words."""
    (score,) = scores
    rows = np.loadtxt(truth, delimiter=",", skiprows=2)
    assert 0 < score["frames"] <= FRAMES["insitu"]
    assert 0 < score["particles"] <= len(rows)
    assert score["particles"] == score["matched"] + score["missed"]
    assert score["f1"] > 0.5
    assert f"{score['matched']:.0f} of {score['particles']:.0f} particles followed" in score_line(score)


def assert_exact(series: dict[str, Any], frames: int) -> None:
    """Every frame is accounted for, in the series and on every edge; of these senders none is missing."""
    known = series["received"] + series["lost"] + sum(series["rejected"].values())
    assert (series["state"], series["sent"], known) == ("complete", frames, frames)
    assert series["received"] == frames
    for edge in series["edges"].values():
        seen = edge["processed"] + sum(edge["dropped"].values()) + edge["in_flight"]
        assert (seen, edge["in_flight"]) == (frames, 0)
    assert series["edges"]["vd"]["processed"] == frames


def panes_of(snapshot: Path) -> Iterator[np.ndarray]:
    """Brightness of every picture in a snapshot: a large rectangle on the panels' one background."""
    image = QImage(str(snapshot)).convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    colours = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(np.float64)
    plain, counts = np.unique(colours.reshape(-1, 3), axis=0, return_counts=True)
    filled = (colours != plain[counts.argmax()]).any(-1)
    for top, bottom, left, right in boxes(whole_windows(filled)):
        yield colours[top : bottom + SMALLEST_PANE - 1, left : right + SMALLEST_PANE - 1].sum(-1)


def whole_windows(filled: np.ndarray) -> np.ndarray:
    """Whether a window of SMALLEST_PANE px each way lies in filled pixels altogether, by its first pixel."""
    n = SMALLEST_PANE
    sums = np.pad(filled.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    windows: np.ndarray = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n] == n * n
    return windows


def boxes(mask: np.ndarray, top: int = 0, left: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Bounding boxes (top, bottom, left, right) of what empty rows and columns part."""
    rows, columns = mask.any(1), mask.any(0)
    runs = [np.flatnonzero(np.diff(np.pad(line.astype(int), 1))).reshape(-1, 2) for line in (rows, columns)]
    if len(runs[0]) == len(runs[1]) == 1 and rows.all() and columns.all():
        yield top, top + mask.shape[0], left, left + mask.shape[1]
        return
    for a, b in runs[0]:
        for c, d in runs[1]:
            yield from boxes(mask[a:b, c:d], top + int(a), left + int(c))


def alike(values: np.ndarray, pane: np.ndarray) -> float:
    """Correlation of a result with a pane, at the middles of its pixels; brightness is linear or a root."""
    (ny, nx), (height, width) = values.shape, pane.shape
    y, x = ((np.arange(ny) + 0.5) * height / ny).astype(int), ((np.arange(nx) + 0.5) * width / nx).astype(int)
    shown, there = pane[np.ix_(y, x)], np.isfinite(values)
    return max(
        float(np.corrcoef(law(values[there].astype(np.float64)), shown[there])[0, 1])
        for law in (np.asarray, np.sqrt)
    )


def test_every_source_opens_and_takes_a_few_seconds() -> None:
    for source in SOURCES.values():
        acquisition = open_acquisition(source)
        assert acquisition.count is not None
        assert 3.5 <= acquisition.count * acquisition.meta["frame_time"] <= 8
    assert set(WINDOW_SOURCES) == set(SOURCES)


def test_the_snapshot_comes_first_among_the_pictures(tmp_path: Path) -> None:
    demo = Demo("4dstem", "sim:4dstem", tmp_path)
    for name in ("1/vd.bf.png", "snapshot.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert demo.pictures() == [str(tmp_path / "snapshot.png"), str(tmp_path / "1" / "vd.bf.png")]
