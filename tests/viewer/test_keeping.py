"""A snapshot on request: pictures of window and panes, and the frame as it was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PySide6.QtGui import QImage

from livem.viewer.models.commands import Change
from livem.viewer.models.snapshots import description, folder_for, is_original, write_data


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept_in(here: Path, window: Any) -> Path:
    window.kept.close()
    window.tick()
    (folder,) = here.glob("livem_*")
    return folder


def test_every_pane_has_its_picture_and_its_data(window: Any, show: Any, make: Any, here: Path) -> None:
    frame = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    scan, field = np.linspace(0, 1, 400).reshape(20, 20), np.ones((20, 20, 2))
    show(
        make.frame(frame, pixel_size=0.02, pixel_unit="nm"),
        make.disk(scan, (30, 30), 9.0),
        make.scan("vd.com", field, kind="com"),
    )
    window.snapshot()
    folder = kept_in(here, window)
    names = {path.name for path in folder.iterdir()}
    assert {"window.png", "preview.frame.png", "vd.bf.png", "vd.com.png"} <= names
    np.testing.assert_array_equal(tifffile.imread(folder / "preview.frame.tif"), frame)
    np.testing.assert_array_equal(tifffile.imread(folder / "vd.bf.tif"), scan)
    np.testing.assert_array_equal(np.load(folder / "vd.com.npy"), field)
    said = json.loads((folder / "preview.frame.json").read_text())
    assert (said["index"], said["series"], said["epoch"]) == (41, 3, "01" * 8)
    assert (said["pixel_size"], said["pixel_unit"], said["units"]) == (0.02, "nm", {"image": "counts"})
    assert (said["original"], said["factor"], said["made_by"]) == (True, 1, "measured")
    with tifffile.TiffFile(folder / "preview.frame.tif") as file:
        assert json.loads(file.pages[0].description.removeprefix("livem\n")) == said
    pane = QImage(str(folder / "preview.frame.png"))
    assert pane.size() == window.frame.pane.size()
    assert f"files are in {folder}" in window.status.message.text()
    bar = window.frame.pane.view.to_screen(63.5, -0.5).toPoint() + window.frame.pane.view.pos()
    assert pane.pixelColor(bar.x() + 18, bar.y() - 16).name() == "#ffffff"


def test_a_smaller_frame_is_asked_for_in_full(
    window: Any, show: Any, make: Any, commands: Any, clock: Any, here: Path
) -> None:
    full = np.arange(100 * 100, dtype=np.uint16).reshape(100, 100)
    small = full.reshape(50, 2, 50, 2).mean(axis=(1, 3))
    show(make.frame(small, 2, (100, 100)))
    window.snapshot()
    assert commands.asked == [Change("preview", "max_size", 100)]
    assert not list(here.glob("livem_*"))
    show(make.frame(full))
    folder = kept_in(here, window)
    np.testing.assert_array_equal(tifffile.imread(folder / "preview.frame.tif"), full)
    assert commands.asked[1:] == [Change("preview", "max_size", 50)]


def test_a_frame_that_never_comes_in_full_is_kept_as_it_is_and_says_so(
    window: Any, show: Any, make: Any, clock: Any, here: Path
) -> None:
    show(make.frame(np.ones((50, 50)), 2, (100, 100)))
    window.snapshot()
    window.snapshot()
    window.tick()
    assert "still being written" in window.status.message.text()
    clock.forward(2.5)
    window.tick()
    folder = kept_in(here, window)
    said = json.loads((folder / "preview.frame.json").read_text())
    assert (said["original"], said["factor"]) == (False, 2)


def test_what_cannot_be_written_is_said(window: Any, show: Any, make: Any, here: Path) -> None:
    show(make.frame(np.ones((8, 8))))
    folder = folder_for(here)
    folder.parent.joinpath("in_the_way").write_text("")
    window.kept.begin({"window": window}, {}, None, 0.0, here / "in_the_way")
    window.kept.close()
    window.tick()
    assert "the snapshot cannot be kept" in window.status.message.text()


def test_two_snapshots_in_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    first = folder_for(tmp_path, 0.0)
    first.mkdir()
    assert folder_for(tmp_path, 0.0) == first.with_name(f"{first.name}_2")


def test_parts_of_an_image_are_no_originals(make: Any) -> None:
    part = {"corner": [0, 16], "factor": 1, "shape": [64, 64]}
    assert not is_original(make.scan("vd.bf", np.ones((32, 32)), cut=part))
    whole = {"corner": [0, 0], "factor": 1, "shape": [32, 32]}
    assert is_original(make.scan("vd.bf", np.ones((32, 32)), cut=whole))


def test_masks_come_along_and_odd_attributes_do_not(make: Any, tmp_path: Path) -> None:
    valid = np.eye(8, dtype=bool)
    result = make.scan("vd.bf", np.ones((8, 8), np.complex64).real, valid, odd={1, 2}, dose=3.5)
    assert write_data(tmp_path, [result]) == 3
    np.testing.assert_array_equal(np.load(tmp_path / "vd.bf.valid.npy"), valid)
    assert description(result)["attributes"] == {"dose": 3.5}
