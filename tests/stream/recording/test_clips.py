"""Clips: frames of the ring, or of a file that is played, in files of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from livem.stream.files.recordings import open_recording
from livem.stream.recording.clips import Clips, Wanted
from livem.stream.ring import Ring
from livem.stream.ring_history import RingHistory
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parents[1]))
from ring_tools import Feeder, a_series, frame_content, make_ring

SERIES = a_series(7, (16, 16), meta={"frame_time": 0.01, "title": "gold"})


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = make_ring(1 << 20, vd="latest")
    yield made
    made.close()


@pytest.fixture
def feeder(ring: Ring) -> Feeder:
    feeder = Feeder(RingWriter(ring.writer_port()))
    feeder.start(SERIES)
    return feeder


@pytest.fixture
def history(ring: Ring) -> Iterator[RingHistory]:
    looking = RingHistory(ring.history_port())
    yield looking
    looking.close()


def written(clips: Clips, wanted: Wanted) -> dict[str, Any]:
    """The status of a clip at its end."""
    assert clips.begin(wanted) is None
    assert clips.begin(wanted) == "a clip is being written already; wait for its end"
    while clips:
        clips.step()
    return clips.status()


def test_frames_keep_their_numbers_and_their_bytes(feeder, history, tmp_path):
    for first in (100, 110, 130):
        feeder.frames(first, 10)
    clips = Clips(str(tmp_path / "new"), history)
    assert clips.status() is None
    done = written(clips, Wanted(SERIES, 105, 134))
    assert done == {
        "file": str(tmp_path / "new" / "gold_7_00010203_clip.h5"),
        "frames": 19,
        "wanted": 29,
        "done": True,
        "error": None,
        "exported": None,
    }
    kept = open_recording(done["file"])
    assert kept.series == SERIES
    (there,) = np.nonzero(kept.present(0, kept.count))
    assert there.tolist() == [*range(105, 120), *range(130, 134)]
    expected = frame_content(SERIES, 0, 134)
    np.testing.assert_array_equal(kept.frames(0, 134)[there], expected[there])
    times = kept.times(0, 134)
    assert times[105] - 5 * 10_000_000 == times[110] - 0 * 10_000_000 == 1_700_000_000
    kept.close()
    again = written(clips, Wanted(SERIES, 105, 106))
    assert again["file"].endswith("_clip_2.h5")
    clips.close()


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_a_clip_in_another_format_holds_its_own_frames_only(feeder, history, tmp_path, kind):
    feeder.frames(40, 20)
    clips = Clips(str(tmp_path), history)
    done = written(clips, Wanted(SERIES, 45, 50, kind))
    assert done["error"] is None
    path = Path(done["exported"])
    frames = np.load(path) if kind == "npy" else tifffile.imread(path)
    np.testing.assert_array_equal(frames, frame_content(SERIES, 45, 5))
    clips.close()


def test_what_is_wrong_is_said(feeder, history, tmp_path):
    feeder.frames(0, 5)
    clips = Clips(str(tmp_path), history)
    assert "no frames" in str(clips.begin(Wanted(SERIES, 4, 4)))
    assert "h5, tif, npy, zarr" in str(clips.begin(Wanted(SERIES, 0, 4, "mp4")))
    gone = written(clips, Wanted(SERIES, 50, 60))
    assert (gone["frames"], gone["done"]) == (0, True)
    assert gone["error"] == "none of its frames is there any more"
    assert clips.begin(Wanted(SERIES, 0, 4)) is None
    clips.close()
    assert clips.status()["error"] == "the session was stopped"


def test_a_folder_that_cannot_be_written_is_said(feeder, history, tmp_path):
    feeder.frames(0, 5)
    (tmp_path / "file").write_text("")
    clips = Clips(str(tmp_path / "file"), history)
    assert "cannot be written" in str(clips.begin(Wanted(SERIES, 0, 4)))
    assert not clips
    clips.close()


def test_a_clip_of_a_recording_that_is_played_is_cut_from_its_file(feeder, history, tmp_path):
    feeder.frames(0, 40)
    clips = Clips(str(tmp_path), history)
    whole = written(clips, Wanted(SERIES, 0, 40))
    clips.close()
    cutting = Clips(str(tmp_path), history, whole["file"])
    feeder.end()
    feeder.start(SERIES)  # the ring has no more of the clip than this, the file has all
    part = written(cutting, Wanted(SERIES, 10, 30))
    assert (part["frames"], part["wanted"], part["error"]) == (20, 20, None)
    with_times, before = open_recording(part["file"]), open_recording(whole["file"])
    np.testing.assert_array_equal(with_times.frames(10, 20), before.frames(10, 20))
    np.testing.assert_array_equal(with_times.times(10, 20), before.times(10, 20))
    cutting.close()
