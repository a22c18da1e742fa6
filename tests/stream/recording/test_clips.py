"""Clips: frames of the ring, or of a file that is played, in files of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from livem.errors import SourceError
from livem.stream.files.recordings import open_recording
from livem.stream.recording import clips as clips_module
from livem.stream.recording.clips import Clips, Wanted, cut
from livem.stream.ring import Ring
from livem.stream.ring_history import RingHistory
from livem.stream.ring_writer import RingWriter
from livem.stream.series import Block

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


@pytest.mark.parametrize(("first", "stop"), [(100, 105), (102, 104), (90, 103), (104, 200), (103, 104)])
@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_part_of_a_block_has_what_belongs_to_its_frames(first: int, stop: int, is_encoded: bool) -> None:
    """Payloads of different lengths, positions, the time of its first frame, in memory of its own."""
    sizes = np.array([3, 1, 4, 2, 5]) if is_encoded else np.full(5, 2)
    begins = np.cumsum(sizes) - sizes
    payload, positions = np.arange(sizes.sum(), dtype=np.uint8), np.arange(10, dtype=np.float32).reshape(5, 2)
    block = Block(SERIES, 100, 5, payload, sizes if is_encoded else None, positions, 10**9, 0, 40)
    part = cut(block, first, stop)
    kept = range(max(first, 100), min(stop, 105))
    assert (part.first, part.count, part.ordinal) == (kept[0], len(kept), 40 + kept[0] - 100)
    assert part.time_ns == 10**9 + (kept[0] - 100) * 10_000_000
    expected = [payload[begins[i - 100] : begins[i - 100] + sizes[i - 100]] for i in kept]
    np.testing.assert_array_equal(part.payload, np.concatenate(expected))
    np.testing.assert_array_equal(part.positions, positions[kept[0] - 100 : kept[-1] - 99])
    if is_encoded:
        np.testing.assert_array_equal(part.sizes, sizes[kept[0] - 100 : kept[-1] - 99])
    else:
        assert part.sizes is None
    for mine, ring in ((part.payload, payload), (part.positions, positions), (part.sizes, sizes)):
        assert mine is None or not np.shares_memory(mine, ring)


def test_a_block_without_a_time_gives_parts_without() -> None:
    block = Block(SERIES, 0, 2, np.zeros(4, np.uint8), None, None, None, 0, 0)
    assert cut(block, 1, 2).time_ns is None


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


def test_frames_that_are_overwritten_while_they_are_copied_are_left_out(
    feeder, history, tmp_path, monkeypatch
):
    feeder.frames(0, 10)

    def while_a_beam_goes_on(block: Block, first: int, stop: int) -> Block:
        for k in range(300):  # 1.5 MB into a ring of 1 MiB
            feeder.frames(1000 + 10 * k, 10)
        return cut(block, first, stop)

    monkeypatch.setattr(clips_module, "cut", while_a_beam_goes_on)
    clips = Clips(str(tmp_path), history)
    done = written(clips, Wanted(SERIES, 0, 10))
    assert (done["frames"], done["error"]) == (0, "none of its frames is there any more")
    clips.close()


def test_a_clip_that_cannot_be_written_in_another_format_says_why(feeder, history, tmp_path, monkeypatch):
    def fails(*args: Any, **how: Any) -> None:
        raise SourceError("the disk is full")

    monkeypatch.setattr(clips_module, "export", fails)
    feeder.frames(40, 20)
    clips = Clips(str(tmp_path), history)
    done = written(clips, Wanted(SERIES, 45, 50, "npy"))
    assert (done["frames"], done["exported"], done["error"]) == (5, None, "the disk is full")
    clips.close()


def test_what_is_wrong_is_said(feeder, history, tmp_path):
    feeder.frames(0, 5)
    clips = Clips(str(tmp_path), history)
    assert "no frames" in str(clips.begin(Wanted(SERIES, 4, 4)))
    assert "no frames" in str(clips.begin(Wanted(SERIES, -1, 4)))
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
