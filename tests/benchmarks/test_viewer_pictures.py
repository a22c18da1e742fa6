"""The pictures of the window in the manual: every mode has its session."""

from __future__ import annotations

import tomllib
from pathlib import Path

from PIL import Image

from livem.benchmarks import PICTURES, viewer_pictures
from livem.pipeline import parse
from livem.viewer.models.keys import key_of
from livem.viewer.models.modes import MODES


def test_every_mode_has_a_session_whose_pipeline_is_one() -> None:
    assert PICTURES["viewer"] == "livem.benchmarks.viewer_pictures:draw"
    assert [scene.mode for scene in viewer_pictures.SCENES] == [mode.name for mode in MODES]
    for scene in viewer_pictures.SCENES:
        assert parse(tomllib.loads(scene.pipeline)).consumers
        assert all(key_of(action) for action in scene.actions)


def test_pictures_of_the_manual_are_small() -> None:
    pictures = sorted((Path(__file__).parents[2] / "docs" / "images").glob("viewer-*-*.png"))
    assert pictures
    for path in pictures:
        assert path.stat().st_size < 250_000
        with Image.open(path) as picture:
            assert picture.size == viewer_pictures.SIZE
