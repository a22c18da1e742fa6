"""A recording played back: the same bytes, gaps and pace, and what can be asked of it meanwhile.

No wall clock: the source is given one that the test moves. Where it reads in its thread, the test waits for
the bell.
"""

from __future__ import annotations

import math
import select
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.errors import SourceError, UsageError
from livem.stream.files.acquisition import Acquisition, FrameBank
from livem.stream.files.open_file import open_file
from livem.stream.messages import End, FrameBatch, Limits, Message, Reason, Rejected, Start
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.sources.base import Playback, Source
from livem.stream.sources.replay import frame_reader
from livem.stream.sources.replay import source as replay
from livem.stream.sources.replay.frame_reader import Damage, FrameReader, Piece
from livem.stream.sources.replay.pace import LATE_NS, LONGEST_PAUSE_NS, PlaybackClock, RecordedTimes
from livem.stream.sources.replay.source import LULL_NS, ReplayOptions, ReplaySource

MS = 1_000_000
PATIENCE_S = 20.0


class Recording(Acquisition):
    """What a recording is to its readers: stored payloads, holes, times, a table."""

    def __init__(
        self,
        count: int = 20,
        *,
        holes: tuple[int, ...] = (),
        damaged: tuple[int, ...] = (),
        encoded: bool = False,
        times: np.ndarray | None = None,
        scan: Scan | None = None,
        frame_time: float | None = 0.01,
    ) -> None:
        self.name, self.scan = "a.h5", scan
        self.meta = {} if frame_time is None else {"frame_time": frame_time}
        frames = np.arange(count * 12, dtype=np.uint16).reshape(count, 3, 4)
        self.bank, self.count = FrameBank(frames), count
        self._holes, self._damaged, self._times = holes, set(damaged), times
        if encoded:
            self.encoding = "lz4"

    def stored(self, index: int) -> bytes:
        """Sizes differ, so that every offset shows."""
        return bytes([index % 251]) * (3 + index % 5)

    def payloads(self, first: int, n: int) -> list[bytes] | None:
        self._fail(first, n)
        if self.encoding == "raw":
            return None
        return [b"" if i in self._holes else self.stored(i) for i in range(first, first + n)]

    def frames(self, first: int, n: int) -> np.ndarray:
        self._fail(first, n)
        return super().frames(first, n)

    def _fail(self, first: int, n: int) -> None:
        if bad := self._damaged & set(range(first, first + n)):
            raise OSError(f"frame {min(bad)} cannot be read")

    def present(self, first: int, n: int) -> np.ndarray | None:
        if not self._holes:
            return None
        return ~np.isin(np.arange(first, first + n), self._holes)

    def times(self, first: int, n: int) -> np.ndarray | None:
        return None if self._times is None else self._times[first : first + n]

    def positions(self, first: int, n: int) -> np.ndarray | None:
        if self.scan is None or self.scan.order != "positions":
            return None
        return np.stack([np.arange(first, first + n), np.zeros(n)], 1).astype(np.float32)

    def tables(self) -> Mapping[str, np.ndarray]:
        return {"pixel_mask": np.zeros((3, 4), np.uint32)}

    def truth(self) -> Mapping[str, np.ndarray]:
        return {}


class Clock:
    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns


class Player:
    """A replay with its clock, and what came out of it."""

    def __init__(self, recording: Acquisition, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        monkeypatch.setattr(replay, "open_file", lambda spec: recording)
        self.clock = Clock()
        self.source = ReplaySource(ReplayOptions("a.h5", **options), clock=self.clock)
        self.source.open()

    def now(self) -> list[Message]:
        """Everything that is due at this moment; waits for what is being read."""
        messages = []
        while True:
            if (message := self.source.receive()) is not None:
                messages.append(message)
            elif self.source.due_ns() is None and self._reading():
                readable, _, _ = select.select(self.source.pollables(), [], [], PATIENCE_S)
                assert readable
            elif (due := self.source.due_ns()) is None or due > self.clock():
                return messages

    def _reading(self) -> bool:
        source = self.source
        return source._moving and not source._opening and source._piece is None and source._ahead.waiting

    def forward(self, seconds: float) -> list[Message]:
        """Let time pass and take what became due."""
        self.clock.ns += round(seconds * 1e9)
        return self.now()

    def to_the_end(self) -> list[Message]:
        """Play as a loop would that waits for what is due next."""
        messages = self.now()
        while not any(isinstance(m, End) for m in messages):
            due = self.source.due_ns()
            assert due is not None
            self.clock.ns = max(self.clock.ns, due)
            messages += self.now()
        return messages

    def tell(self, action: str, value: Any = None) -> Mapping[str, Any]:
        return self.source.command(action, value)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Player]]:
    """Players that have been told to go, closed at the end."""
    players: list[Player] = []

    def begin(recording: Acquisition | None = None, *, go: bool = True, **options: Any) -> Player:
        players.append(Player(recording or Recording(), monkeypatch, **options))
        if go:
            players[-1].tell("go")
        return players[-1]

    yield begin
    for player in players:
        player.source.close()
        player.source.close()


def batches(messages: list[Message]) -> list[FrameBatch]:
    return [message for message in messages if isinstance(message, FrameBatch)]


def indices(messages: list[Message]) -> list[int]:
    return [i for batch in batches(messages) for i in range(batch.first, batch.first + batch.count)]


# -- what is played ------------------------------------------------------------------------------------


def test_it_is_a_source_and_a_playback(play: Any) -> None:
    source: Source = play().source
    assert isinstance(source, Playback)
    assert source.link().peers == 1
    assert "a.h5" in source.link().detail


def test_frames_come_as_they_are_in_one_series(play: Any) -> None:
    recording = Recording()
    start, *frames, end = play(recording, speed=math.inf).now()
    assert isinstance(start, Start)
    assert (start.series.shape, start.series.dtype, start.series.count) == ((3, 4), "uint16", 20)
    assert start.series.key.number == 1
    assert list(start.tables) == ["pixel_mask"]
    assert indices(frames) == list(range(20))
    payload = np.concatenate([batch.payload for batch in frames])
    np.testing.assert_array_equal(payload.view(np.uint16), recording.bank.stock.reshape(-1))
    assert end == End(start.series.key, 20)


def test_stored_payloads_come_byte_for_byte_with_their_holes(play: Any) -> None:
    recording = Recording(encoded=True, holes=(0, 5, 6, 12, 19))
    start, *frames, end = play(recording, speed=math.inf).now()
    assert start.series.encoding == "lz4"
    assert indices(frames) == [i for i in range(20) if i not in (0, 5, 6, 12, 19)]
    for batch in frames:
        there = range(batch.first, batch.first + batch.count)
        assert bytes(batch.payload) == b"".join(recording.stored(i) for i in there)
        assert batch.sizes.tolist() == [3 + i % 5 for i in there]
    assert end.count == 20


def test_positions_belong_to_their_frames(play: Any) -> None:
    player = play(Recording(scan=Scan((20, 20), "positions"), holes=(3,)), speed=1.0)
    messages = player.to_the_end()
    assert len(batches(messages)) > 2
    for batch in batches(messages):
        assert batch.positions[:, 0].tolist() == list(range(batch.first, batch.first + batch.count))


def test_recorded_times_travel_as_labels(play: Any) -> None:
    times = 1_700_000_000_000_000_000 + np.arange(20) * 10 * MS
    times[4:6] = 0
    got = {batch.first: batch.time_ns for batch in batches(play(Recording(times=times)).to_the_end())}
    assert got[0] == times[0]
    assert got[6] == times[6]
    assert got.get(4) is None


def test_an_unreadable_frame_is_rejected_and_costs_no_other(play: Any) -> None:
    messages = play(Recording(damaged=(4, 11)), speed=math.inf).now()
    rejected = [m for m in messages if isinstance(m, Rejected)]
    assert [(m.reason, m.first, m.count) for m in rejected] == [
        (Reason.BAD_PAYLOAD, 4, 1),
        (Reason.BAD_PAYLOAD, 11, 1),
    ]
    assert "frame 4 cannot be read" in rejected[0].detail
    assert indices(messages) == [i for i in range(20) if i not in (4, 11)]


def recorded(path: Path, announced: int | None, batches: list[tuple[int, int]], sent: int) -> str:
    """A recording of tiny frames that say which they are."""
    file = RecordingFile(path, Series(SeriesKey(bytes(8), 4), (2, 2), "uint16", "raw", announced))
    for first, count in batches:
        frames = np.repeat(np.arange(first, first + count, dtype=np.uint16), 4)
        file.append(first, count, frames.view(np.uint8), None, None, None)
    file.write_accounts({"state": "complete", "sent": sent})
    file.close()
    return str(path)


def test_more_frames_sent_than_announced_are_missing_not_repeated(tmp_path: Path, play: Any) -> None:
    path = recorded(tmp_path / "a.h5", 8, [(0, 8)], sent=12)
    player = play(open_file(path), speed=math.inf)
    *messages, end = player.now()
    assert indices(messages) == list(range(8))
    assert end.count == 12
    player.tell("seek", 11)
    player.tell("step", -1)
    assert indices(player.now()) == [7]


@pytest.mark.parametrize("sent", [0, 1 << 60])
def test_a_recording_without_frames_is_not_played(tmp_path: Path, sent: int) -> None:
    source = ReplaySource(ReplayOptions(recorded(tmp_path / "a.h5", None, [], sent), loop=True))
    with pytest.raises(SourceError, match="nothing to replay"):
        source.open()
    source.close()


def test_a_recording_whose_frames_were_all_lost_is_no_flood_of_series(tmp_path: Path, play: Any) -> None:
    player = play(open_file(recorded(tmp_path / "a.h5", 8, [], 8)), speed=math.inf, loop=True)
    assert [type(message) for message in player.now()] == [Start, End]
    assert player.source.due_ns() == player.clock() + LULL_NS


@pytest.mark.parametrize("frame_time", [1e300, 1e9])
def test_a_senseless_frame_time_is_none(play: Any, frame_time: float) -> None:
    assert "says nothing about its pace" in play(Recording(frame_time=frame_time)).source.link().detail


def test_whatever_a_library_raises_costs_one_frame(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Recording, first: int, n: int) -> None:
        if first <= 4 < first + n:
            raise zlib.error("Error -3 while decompressing")

    monkeypatch.setattr(Recording, "_fail", fail)
    messages = play(Recording(), speed=math.inf).now()
    (rejected,) = (m for m in messages if isinstance(m, Rejected))
    assert (rejected.first, rejected.count) == (4, 1)
    assert "decompressing" in rejected.detail
    assert indices(messages) == [i for i in range(20) if i != 4]


def test_nothing_is_played_before_everybody_is_ready(play: Any) -> None:
    player = play(go=False)
    assert player.now() == []
    assert player.source.due_ns() is None
    player.tell("go")
    assert isinstance(player.now()[0], Start)


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, 1e-310, 1e-7, 1e7, 10**400])
def test_a_wrong_speed_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        ReplaySource(ReplayOptions("a.h5", speed=speed))


def test_files_that_cannot_be_played(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        ReplaySource(ReplayOptions(str(tmp_path / "a.npy"))).open()
    path = tmp_path / "large.npy"
    np.save(path, np.zeros((2, 64, 64), np.uint8))
    source = ReplaySource(ReplayOptions(str(path)), Limits(max_frame_bytes=4000))
    with pytest.raises(SourceError, match="give the ring more memory"):
        source.open()
    source.close()


def test_a_file_without_times_says_at_which_pace_it_is_played(play: Any) -> None:
    player = play(Recording(frame_time=None))
    assert "25 frames/s" in player.source.link().detail
    assert player.tell("go")["duration"] == pytest.approx(20 / 25)
    assert play(Recording(frame_time=None, scan=Scan((4, 5)))).tell("go")["duration"] == 0.02


# -- pace ----------------------------------------------------------------------------------------------


def test_frames_come_when_they_are_due(play: Any) -> None:
    player = play()  # 10 ms a frame
    assert indices(player.now()) == [0]
    assert indices(player.forward(0.009)) == []
    assert player.source.due_ns() == player.clock() + MS
    assert indices(player.forward(0.001)) == [1]
    assert indices(player.forward(0.035)) == [2, 3, 4]


def test_speed_divides_the_time(play: Any) -> None:
    player = play(speed=4.0)
    player.now()
    assert indices(player.forward(0.010)) == [1, 2, 3, 4]
    player.tell("speed", 0.5)
    assert indices(player.now()) == [5]
    assert indices(player.forward(0.019)) == []
    assert indices(player.forward(0.001)) == [6]
    assert player.tell("speed", "max")["speed"] == "max"
    assert indices(player.now()) == list(range(7, 20))


def test_missing_frames_take_their_time(play: Any) -> None:
    player = play(Recording(holes=(1, 2, 3)))
    assert indices(player.now()) == [0]
    assert indices(player.forward(0.039)) == []
    assert indices(player.forward(0.001)) == [4]


def test_recorded_times_set_the_pace(play: Any) -> None:
    times = 1_700_000_000_000_000_000 + np.array([0, 1, 2, 50, 51, 52]) * MS
    player = play(Recording(6, times=times, frame_time=1.0))
    assert indices(player.now()) == [0]
    assert indices(player.forward(0.002)) == [1, 2]
    assert indices(player.forward(0.047)) == []
    assert indices(player.forward(0.001)) == [3]
    assert player.tell("pause")["duration"] == pytest.approx(6 * 0.052 / 5)


def test_who_is_late_plays_later_not_faster(play: Any) -> None:
    player = play()
    player.now()
    player.clock.ns += LATE_NS + 60 * MS
    assert indices(player.now()) == [1]
    assert indices(player.forward(0.010)) == [2]


@settings(deadline=None)
@given(st.lists(st.integers(-(10**9), 2**62), min_size=1, max_size=30), st.integers(1, 7))
def test_any_recorded_times_give_a_pace_that_neither_runs_back_nor_stands(times: list[int], cut: int) -> None:
    recorded = np.array(times, np.int64)
    axis = RecordedTimes(1e6)
    parts = [
        axis.of(at, len(recorded[at : at + cut]), recorded[at : at + cut])
        for at in range(0, len(recorded), cut)
    ]
    steps = np.diff(np.concatenate(parts))
    assert (steps >= 0).all()
    assert (steps <= LONGEST_PAUSE_NS).all()
    assert parts[0][0] == 0


def test_unknown_times_lie_between_their_neighbours() -> None:
    start = 1_700_000_000 * 10**9
    times = RecordedTimes(1e6).of(0, 5, np.array([start, 0, start + 20 * MS, 0, start + 40 * MS]))
    np.testing.assert_allclose(times, np.arange(5) * 10 * MS, atol=1000)


def test_an_endless_speed_is_due_at_once() -> None:
    clock = PlaybackClock(math.inf)
    assert clock.due_ns(10**12, 5) == 5
    assert clock.reached(5) == math.inf


# -- rounds --------------------------------------------------------------------------------------------


def test_each_round_of_a_loop_is_a_series(play: Any) -> None:
    player = play(speed=math.inf, loop=True)
    numbers = []
    for _ in range(3):
        start, *frames, end = player.forward(LULL_NS / 1e9)
        assert indices(frames) == list(range(20))
        assert end.key == start.series.key
        numbers.append(start.series.key.number)
    assert numbers == [1, 2, 3]
    assert not player.tell("pause")["ended"]


def test_a_loop_goes_on_as_from_frame_to_frame(play: Any) -> None:
    player = play(Recording(60), loop=True)
    player.to_the_end()
    assert player.source.due_ns() == player.clock() + 10 * MS


@pytest.mark.parametrize("speed", [1.0, math.inf])
def test_a_loop_of_one_frame_is_no_flood_of_series(play: Any, speed: float) -> None:
    player = play(Recording(1), speed=speed, loop=True)
    for _ in range(3):
        assert len(player.now()) == 3
        assert player.source.due_ns() == player.clock() + LULL_NS
        player.clock.ns += LULL_NS


def test_a_round_with_holes_is_given_time_to_end(play: Any) -> None:
    """Otherwise the next series would end it, and nobody would read how many were lost."""
    player = play(Recording(holes=(3,)), speed=math.inf, loop=True)
    assert isinstance(player.now()[-1], End)
    assert player.source.due_ns() == player.clock() + LULL_NS
    assert isinstance(player.forward(LULL_NS / 1e9)[0], Start)


def test_after_the_end_it_can_be_played_again(play: Any) -> None:
    player = play(speed=math.inf)
    (start, *_), position = player.now(), player.source.position()
    assert (position["ended"], position["index"]) == (True, 20)
    assert player.source.due_ns() is None
    player.tell("resume")
    again, *frames, _ = player.now()
    assert again.series.key.number == start.series.key.number + 1
    assert again.series.key.epoch == start.series.key.epoch
    assert indices(frames) == list(range(20))


# -- commands ------------------------------------------------------------------------------------------


def test_pause_and_resume(play: Any) -> None:
    player = play()
    player.now()
    assert player.tell("pause")["paused"]
    assert player.forward(5.0) == []
    assert player.source.due_ns() is None
    assert not player.tell("resume")["paused"]
    assert indices(player.now()) == [1]
    assert indices(player.forward(0.01)) == [2]


def test_steps_show_single_frames(play: Any) -> None:
    player = play()
    player.now()
    player.tell("step")
    assert indices(player.now()) == [1]
    player.tell("step", 3)
    assert indices(player.now()) == [2, 3, 4]
    assert player.forward(1.0) == []
    assert player.source.position()["index"] == 5


def test_a_step_back_is_a_series_that_begins_there(play: Any) -> None:
    player = play()
    player.now()
    player.forward(0.05)
    assert player.source.position()["index"] == 6  # frame 5 was the last
    player.tell("step", -1)
    end, start, skipped, batch = player.now()
    assert (end.count, start.series.count) == (6, 20)
    assert (skipped.reason, skipped.first, skipped.count) == (Reason.NOT_REPLAYED, 0, 4)
    assert (batch.first, batch.count) == (4, 1)


@pytest.mark.parametrize("gone", ["holes", "damaged"])
@pytest.mark.parametrize("encoded", [True, False])
def test_steps_back_cross_what_is_missing(play: Any, gone: str, encoded: bool) -> None:
    player = play(Recording(encoded=encoded, **{gone: (0, 5, 6, 7, 8)}))
    player.now()
    player.tell("seek", 10)
    assert indices(player.now()) == [10]
    shown = []
    for _ in range(6):
        player.tell("step", -1)
        shown += indices(player.now())
    assert shown == [9, 4, 3, 2, 1, 1]
    player.tell("step", 1)
    assert indices(player.now()) == [2]
    player.tell("seek", 12)
    player.now()
    player.tell("step", -5)
    assert indices(player.now()) == [4]


def test_the_search_for_a_frame_in_a_damaged_recording_ends(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_reader, "LOOKS", 3)
    player = play(Recording(damaged=(5, 6, 7, 8)), start_paused=True)
    player.tell("seek", 9)
    player.tell("step", -1)
    player.now()
    assert player.source.position()["index"] == 10  # none of the three was readable: the next that is


def test_a_seek_while_playing_goes_on_from_there(play: Any) -> None:
    player = play()
    first, *_ = player.now()
    player.tell("seek", 15)
    end, start, skipped, *frames = player.now()
    assert end == End(first.series.key, 1)
    assert start.series.key.number == first.series.key.number + 1
    assert (skipped.key, skipped.count) == (start.series.key, 15)
    assert indices(frames) == [15]
    assert indices(player.forward(0.02)) == [16, 17]


def test_a_seek_while_paused_shows_that_frame_only(play: Any) -> None:
    player = play()
    player.now()
    player.tell("pause")
    player.tell("seek", 3)
    assert indices(player.now()) == [3]
    assert player.forward(1.0) == []
    player.tell("resume")
    assert indices(player.now()) == [4]


def test_a_seek_to_the_start_has_nothing_before_it(play: Any) -> None:
    player = play()
    player.now()
    player.tell("seek", 0)
    assert [type(m) for m in player.now()] == [End, Start, FrameBatch]


def test_many_seeks_in_a_row_announce_one_series(play: Any) -> None:
    player = play()
    first, *_ = player.now()
    for index in (5, 10, 2):
        player.tell("seek", index)
    end, start, skipped, *frames = player.now()
    assert isinstance(end, End)
    assert start.series.key.number == first.series.key.number + 1
    assert skipped.count == 2
    assert indices(frames) == [2]


def test_a_seek_before_the_start_begins_there(play: Any) -> None:
    player = play(go=False)
    player.tell("seek", 4)
    assert player.now() == []
    player.tell("go")
    start, skipped, *frames = player.now()
    assert isinstance(start, Start)
    assert skipped.count == 4
    assert indices(frames) == [4]


def test_a_paused_start_shows_the_first_frame(play: Any) -> None:
    player = play(start_paused=True)
    assert [type(m) for m in player.now()] == [Start, FrameBatch]
    assert player.forward(1.0) == []
    assert player.source.position()["paused"]


def test_a_step_behind_the_last_frame_ends_it(play: Any) -> None:
    player = play(start_paused=True)
    player.now()
    player.tell("step", 19)
    assert indices(player.now()) == list(range(1, 20))
    player.tell("step")
    assert [type(m) for m in player.now()] == [End]
    player.tell("step")
    assert player.now() == []
    player.tell("step", -1)
    assert indices(player.now()) == [18]


def test_a_very_far_seek_is_told_in_pieces(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "REJECTED_AT_ONCE", 6)
    player = play()
    player.now()
    player.tell("seek", 15)
    skipped = [(m.first, m.count) for m in player.now() if isinstance(m, Rejected)]
    assert skipped == [(0, 6), (6, 6), (12, 3)]


def test_a_seek_in_the_middle_of_an_announcement_leaves_no_frame_out(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "REJECTED_AT_ONCE", 4)
    player = play()
    player.now()
    player.tell("seek", 10)
    messages = [
        player.source.receive() for _ in range(3)
    ]  # the old end, the new start, some of what it skips
    player.tell("seek", 5)
    messages += player.now()
    _well_formed([*messages, End(messages[-1].key, messages[-1].first + 1)])
    ends = [message.count for message in messages if isinstance(message, End)]
    assert ends == [1, 10]


@pytest.mark.parametrize(
    ("action", "value", "words"),
    [
        ("rewind", None, "it has: go, pause"),
        ("seek", 20, "has 20, from 0 on"),
        ("seek", -1, "has 20, from 0 on"),
        ("seek", 1.5, "whole number"),
        ("seek", math.inf, "whole number"),
        ("seek", "3", "whole number"),
        ("seek", None, "whole number"),
        ("step", True, "whole number"),
        ("speed", 0, "above 0"),
        ("speed", math.nan, "above 0"),
        ("speed", "fast", "'max'"),
        ("speed", None, "'max'"),
    ],
)
def test_wrong_commands_change_nothing(play: Any, action: str, value: Any, words: str) -> None:
    player = play()
    player.now()
    before = player.source.position()
    with pytest.raises(UsageError, match=words):
        player.tell(action, value)
    assert player.source.position() == before
    assert indices(player.forward(0.01)) == [1]


def test_a_new_process_goes_on_with_the_open_series(play: Any) -> None:
    old = play()
    (start, *_), _ = old.now(), old.forward(0.05)
    new = play(go=False)
    new.source.resume(start.series)
    new.source.go_on_at(6)
    (batch,) = new.now()
    assert (batch.key, batch.first) == (start.series.key, 6)
    new.tell("go")
    assert new.to_the_end()[-1] == End(start.series.key, 20)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["pause", "resume", "step", "back", "seek", "max", "time"]), max_size=12))
def test_whatever_is_asked_series_are_well_formed(actions: list[str]) -> None:
    """Each series is announced once, begins where it says, skips nothing that is there, and ends once."""
    with pytest.MonkeyPatch.context() as patch:
        player = Player(Recording(holes=(7, 8)), patch)
        messages: list[Message] = []
        player.tell("go")
        for number, action in enumerate(actions):
            if action == "time":
                messages += player.forward(0.03)
            elif action == "max":
                player.tell("speed", "max" if number % 2 else 1.0)
            else:
                what, value = {"back": ("step", -2), "seek": ("seek", number)}.get(action, (action, None))
                player.tell(what, value)
        player.tell("speed", "max")
        player.tell("resume")
        messages += player.now()
        player.source.close()
    _well_formed(messages)


def _well_formed(messages: list[Message]) -> None:
    first = messages[0]
    key, expected = (first.key if isinstance(first, End) else None), 1
    for message in messages:
        if isinstance(message, Start):
            assert key is None
            key, expected = message.series.key, 0
        elif isinstance(message, End):
            assert message.key == key
            assert message.count in (expected, 20)  # 20: behind the last frame that is there
            key = None
        elif isinstance(message, Rejected):
            assert (message.key, message.first) == (key, expected)
            expected += message.count or 0
        else:
            assert message.key == key
            assert message.first == expected or (message.first == 9 and expected in (7, 8))
            expected = message.first + (message.count or 0)
    assert key is None


# -- reading -------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 39)),
    st.sets(st.integers(0, 39)),
    st.integers(1, 200),
    st.integers(0, 39),
    st.booleans(),
)
def test_every_frame_is_read_once_or_was_a_hole(
    holes: set[int], damaged: set[int], read_bytes: int, first: int, encoded: bool
) -> None:
    recording = Recording(40, holes=tuple(holes), damaged=tuple(damaged), encoded=encoded)
    reader = FrameReader(recording, 40, read_bytes)
    reader.seek(first)
    pieces: list[Piece] = []
    broken: list[int] = []
    while parts := reader.read():
        pieces += [part for part in parts if isinstance(part, Piece)]
        broken += [part.first for part in parts if isinstance(part, Damage)]
    read = [i for piece in pieces for i in range(piece.first, piece.first + piece.count)]
    wanted = set(range(first, 40))
    assert set(broken) <= damaged
    assert sorted(read + broken) == sorted((wanted - holes) | (wanted & set(broken)))
    assert set(read).isdisjoint(damaged | holes)
    for piece in pieces:
        there = range(piece.first, piece.first + piece.count)
        expected = (
            b"".join(map(recording.stored, there))
            if encoded
            else recording.bank.stock[piece.first : piece.first + piece.count].tobytes()
        )
        assert piece.payload.tobytes() == expected


def test_readings_grow_to_several_megabytes_of_what_is_stored() -> None:
    recording = Recording(4000, encoded=True)
    reader = FrameReader(recording, 4000, 4096)
    counts = []
    while parts := reader.read():
        counts.append(sum(part.count for part in parts))
    assert counts[0] == 4096 // 24
    assert counts[1] == pytest.approx(4096 / 5, rel=0.1)
