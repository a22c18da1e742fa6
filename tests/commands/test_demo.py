"""``livem demo``: each ends with exact accounting, results, the truth, and says where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livem.commands.demo import SOURCES, WINDOW_SOURCES, Demo
from livem.stream.simulate.catalogue import open_acquisition

Start = Callable[..., Any]


def test_one_demo_without_a_window(start: Start, tmp_path: Path) -> None:
    demo = start("demo", "insitu", "--headless", "--duration", 1.5, "--out", tmp_path, "--json")
    stdout, stderr = demo.end()
    assert demo.returncode == 0, stderr
    told = json.loads(stdout)
    (series,) = told["series"]
    assert series["demo"] == "insitu"
    assert series["received"] == series["edges"]["vd"]["processed"] > 0
    assert set(told["demos"]) == {"insitu"}
    pictures = told["demos"]["insitu"]["pictures"]
    assert pictures
    assert all(Path(picture).is_file() for picture in pictures)
    assert (tmp_path / "insitu" / "truth").is_dir()


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
