"""Freeze, rewind and step without a window: what is asked of the session, and what is shown meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.viewer.models.clip_pictures import ClipPictures
from livem.viewer.models.commands import Outcome, Question
from livem.viewer.models.happenings import Happening
from livem.viewer.models.held import Recent, moment_of
from livem.viewer.models.past_frames import parse_past
from livem.viewer.models.playhead import Playhead
from livem.viewer.models.session import Session
from livem.viewer.models.timeline import ago_text, live_timeline, replay_frame, span_of, timeline_of
from livem.viewer.models.transport import Playback

KEY = SeriesKey(b"\x01" * 8, 3)
NEXT = SeriesKey(b"\x01" * 8, 4)
S = 1_000_000_000


def stretch(key: SeriesKey = KEY, first: int = 0, stop: int = 100, begin: float = 0.0) -> dict[str, Any]:
    """Ten frames a second."""
    index = [first, stop - 1]
    times = [round((begin + i / 10) * S) for i in (0, stop - 1 - first)]
    return {
        "epoch": key.epoch,
        "series": key.number,
        "first": first,
        "stop": stop,
        "frames": stop - first,
        "state": "open",
        "t_ns": times,
        "index": index,
    }


def history(*stretches: dict[str, Any], now: float = 10.0, marks: Any = ()) -> dict[str, Any]:
    return {"now_ns": round(now * S), "stretches": list(stretches), "marks": list(marks)}


class Viewer:
    """Models as a window has them, and a session that answers when told to."""

    def __init__(self, commands: Any, clock: Any, make: Any) -> None:
        self.commands, self.clock, self.make = commands, clock, make
        self.session = Session()
        self.playhead = Playhead(self.session, commands, clock)

    def take(self, *results: Result) -> None:
        self.session.take({result.topic: result for result in results})

    def frame(self, index: int, value: int = 0, series: SeriesKey = KEY) -> Result:
        return replace(self.make.frame(np.full((4, 4), value, np.uint16), index=index), series=series)

    def estimate(self, index: int) -> Result:
        image = np.full((4, 4), index, np.float32)
        return self.make.scan("denoise.image", image, index=index, of_frame=True, estimate=True)

    def asked(self, do: str) -> list[Any]:
        found = [dict(each.fields) for each in self.commands.posed if each.do == do]
        self.commands.posed = [each for each in self.commands.posed if each.do != do]
        return found

    def says(self, answer: dict[str, Any]) -> None:
        self.playhead.answered(Outcome(Question("history"), None, answer))

    def answers(self, index: int, value: int, toward: int = 0, series: SeriesKey = KEY, **more: Any) -> None:
        fields = {
            "epoch": series.epoch,
            "series": series.number,
            "index": index,
            "toward": toward,
            "consumer": "preview",
        }
        result = self.frame(more.pop("shows", index), value, series)
        answer = more or {"found": True, "result": result}
        self.playhead.answered(Outcome(Question("rewind", fields), None, answer))

    @property
    def state(self) -> str:
        return self.playhead.state

    @property
    def shown(self) -> tuple[int, int]:
        """Number of the frame that is shown, and the value of its pixels."""
        assert self.session.frame is not None
        return self.session.frame.attrs["index"], int(self.session.frame.arrays["image"][0, 0])


@pytest.fixture
def viewer(commands: Any, clock: Any, make: Any) -> Viewer:
    viewer = Viewer(commands, clock, make)
    viewer.take(viewer.frame(50, 5))
    viewer.says(history(stretch()))
    return viewer


def test_frozen_is_what_was_shown_while_live_goes_on(viewer: Viewer) -> None:
    viewer.playhead.toggle()
    assert viewer.state == "frozen"
    viewer.take(viewer.frame(60, 6))
    assert viewer.shown == (50, 5)
    assert viewer.session.live_frame.attrs["index"] == 60
    viewer.playhead.toggle()
    assert viewer.state == "live"
    assert viewer.shown == (60, 6)


def test_there_is_nothing_to_freeze_before_the_first_frame(commands: Any, clock: Any, make: Any) -> None:
    viewer = Viewer(commands, clock, make)
    for act in (viewer.playhead.toggle, lambda: viewer.playhead.step(1), viewer.playhead.oldest):
        act()
        assert viewer.state == "live"
    assert viewer.session.frame is None


def test_freezing_takes_the_newest_frame_that_has_its_estimate_and_asks_for_its_picture(
    viewer: Viewer,
) -> None:
    viewer.take(viewer.frame(51, 5), viewer.estimate(50))
    viewer.take(viewer.frame(52, 5), viewer.estimate(51))
    viewer.take(viewer.frame(53, 5))
    viewer.playhead.freeze()
    assert viewer.playhead.moment == (KEY, 51)
    (image,) = viewer.session.images
    assert (image.attrs["index"], image.arrays["image"][0, 0]) == (51, 51)


def test_freezing_stays_with_the_frame_that_is_shown_where_its_estimate_is_far_behind(viewer: Viewer) -> None:
    viewer.take(viewer.frame(90, 9), viewer.estimate(50))
    viewer.playhead.freeze()
    assert viewer.playhead.moment == (KEY, 90)
    (image,) = viewer.session.images
    assert image.attrs["unavailable"] is True


def test_an_estimate_of_another_frame_is_never_shown_beside(viewer: Viewer) -> None:
    viewer.take(viewer.estimate(49))
    viewer.playhead.freeze()
    viewer.playhead.seek((KEY, 20))
    viewer.answers(20, 2)
    assert viewer.shown == (20, 2)
    (image,) = viewer.session.images
    assert image.attrs["unavailable"] is True
    assert np.isnan(image.arrays["image"]).all()
    assert image.attrs["index"] == 20
    assert "estimate" not in image.attrs


def test_running_pictures_say_up_to_which_frame(viewer: Viewer, make: Any) -> None:
    running = replace(make.scan("vd.bf", np.ones((4, 4))), frames=(0, 48))
    viewer.take(running)
    viewer.playhead.freeze()
    viewer.take(replace(running, frames=(0, 70)))
    (image,) = viewer.session.images
    assert image.attrs["as_of"] == 47


def test_steps_ask_for_the_neighbours_and_cross_to_the_next_series(viewer: Viewer) -> None:
    viewer.says(history(stretch(stop=51), stretch(NEXT, 0, 10, 6.0)))
    viewer.playhead.step(-1)
    (asked,) = viewer.asked("rewind")[-1:]
    assert (asked["index"], asked["toward"], asked["consumer"]) == (49, -1, "preview")
    viewer.answers(49, 4, -1)
    assert viewer.state == "rewind"
    assert viewer.shown == (49, 4)
    for index in (50, 0):
        viewer.playhead.step(1)
        (asked,) = viewer.asked("rewind")
        assert asked["index"] == index
        viewer.answers(index, 1, 1, KEY if index else NEXT)
    assert viewer.playhead.moment == (NEXT, 0)


@pytest.mark.parametrize("more", [(), (stretch(NEXT, 0, 10, 6.0),)])
def test_a_step_back_is_one_frame_also_from_frames_newer_than_the_last_answer(
    viewer: Viewer, more: tuple[Any, ...]
) -> None:
    viewer.says(history(stretch(stop=31), *more))  # and frame 50 is shown
    viewer.playhead.freeze()
    for wanted in (49, 48):
        viewer.playhead.step(-1)
        asked = viewer.playhead.target
        assert asked == (KEY, wanted)


def test_of_a_drag_only_the_newest_place_is_asked_for_and_shown(viewer: Viewer) -> None:
    viewer.playhead.freeze()
    viewer.asked("rewind")
    viewer.playhead._under_way = False
    for index in (40, 30, 20):
        viewer.playhead.seek((KEY, index))
    assert [asked["index"] for asked in viewer.asked("rewind")] == [40]
    viewer.answers(40, 4)
    assert viewer.shown == (50, 5)
    viewer.playhead.tick(True)
    assert [asked["index"] for asked in viewer.asked("rewind")] == [20]
    viewer.answers(20, 2)
    assert viewer.shown == (20, 2)


def test_a_process_that_begins_is_asked_again(viewer: Viewer) -> None:
    viewer.playhead.seek((KEY, 20))
    viewer.asked("rewind")
    viewer.answers(20, 2, starting=True, found=False)
    viewer.playhead.tick(True)
    assert viewer.asked("rewind") == []
    viewer.clock.forward(0.3)
    viewer.playhead.tick(True)
    assert len(viewer.asked("rewind")) == 1
    viewer.answers(20, 2)
    assert viewer.shown == (20, 2)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda v: v.answers(20, 0, found=False, why="frame 20 is no longer in the buffer"), "no longer"),
        (lambda v: v.answers(20, 2, shows=22), "frame 20 was lost on its way: frame 22 is shown"),
        (lambda v: v.answers(20, 0, found=True, result="hostile"), "no such frame"),
        (lambda v: v.answers(20, 0, found=True, first=30, result=v.frame(30)), "goes back to frame 30"),
    ],
)
def test_why_a_frame_is_not_shown_is_said(
    viewer: Viewer, answer: Callable[[Viewer], None], words: str
) -> None:
    viewer.playhead.seek((KEY, 20))
    answer(viewer)
    assert words in viewer.playhead.notice
    assert viewer.shown[0] in (50, 22, 30)


def test_a_session_that_does_not_answer_leaves_the_picture(viewer: Viewer) -> None:
    viewer.playhead.seek((KEY, 20))
    viewer.playhead.answered(Outcome(Question("rewind"), "no session answers"))
    assert viewer.playhead.notice == "no session answers"
    assert viewer.shown == (50, 5)
    viewer.playhead.answered(Outcome(Question("history"), "no session answers"))
    assert viewer.playhead.past is not None


def test_a_frame_is_asked_for_again_if_no_answer_comes_but_not_for_ever(viewer: Viewer, clock: Any) -> None:
    viewer.playhead.seek((KEY, 20))
    unanswered = Outcome(Question("rewind"), "no session answers", is_unanswered=True)
    for _ in range(3):
        assert viewer.asked("rewind")[-1]["index"] == 20
        viewer.playhead.answered(unanswered)
        assert viewer.playhead.is_waiting
        clock.now += 2.0
        viewer.playhead.tick(True)
    viewer.answers(20, 2)
    assert viewer.shown == (20, 2)
    viewer.playhead.seek((KEY, 30))
    clock.now += 20.0
    viewer.playhead.answered(unanswered)
    assert not viewer.playhead.is_waiting
    assert viewer.playhead.notice == "no session answers"


def test_a_frame_that_is_overwritten_while_it_is_looked_at_stays_and_that_is_said(viewer: Viewer) -> None:
    viewer.playhead.freeze()
    viewer.says(history(stretch(first=60, stop=120), now=12.0))
    assert viewer.playhead.has_left
    timeline = live_timeline(viewer.session, viewer.playhead, False)
    assert "this picture stays" in timeline.notice
    assert (timeline.badge, timeline.tone, timeline.head) == ("FROZEN", "warn", 0.0)
    assert viewer.shown == (50, 5)
    viewer.playhead.step(-1)  # from a frame that is gone one can only go to what is there
    assert viewer.asked("rewind")[-1]["index"] == 60


def test_another_session_while_frozen(viewer: Viewer) -> None:
    viewer.playhead.freeze()
    restarted = SeriesKey(b"\x07" * 8, 0)
    viewer.take(viewer.frame(2, 9, restarted))
    viewer.says(history(stretch(restarted, 0, 5), now=0.5))
    assert viewer.shown == (50, 5)
    assert not viewer.session.is_lost_or_past(viewer.session.frame)
    assert "this picture stays" in live_timeline(viewer.session, viewer.playhead, False).notice
    assert "the session is gone" in live_timeline(viewer.session, viewer.playhead, True).notice
    viewer.playhead.live()
    assert viewer.shown == (2, 9)


def test_a_point_detector_is_live_without_a_frame(commands: Any, clock: Any, make: Any) -> None:
    viewer = Viewer(commands, clock, make)
    viewer.says(history(stretch()))
    viewer.take(viewer.make.status(series={"series": 3, "state": "open"}))
    assert live_timeline(viewer.session, viewer.playhead, False).badge == "NO FRAMES"
    viewer.take(viewer.make.scan("inpaint.image", np.ones((4, 4), np.float32)))
    assert live_timeline(viewer.session, viewer.playhead, False).badge == "LIVE"


def test_the_badge_counts_how_far_back_it_is(viewer: Viewer) -> None:
    assert live_timeline(viewer.session, viewer.playhead, False).badge == "NO NEW FRAMES"
    viewer.take(viewer.make.status(series={"series": 3, "state": "open"}))
    live = live_timeline(viewer.session, viewer.playhead, False)
    assert (live.badge, live.look, live.tone, live.head) == ("LIVE", "live", "good", 1.0)
    assert live.begin == ago_text(10.0)
    viewer.playhead.seek((KEY, 20))
    viewer.answers(20, 2)
    back = live_timeline(viewer.session, viewer.playhead, False)
    assert (back.badge, back.tone, back.head) == (f"REWIND {ago_text(8.0)}", "warn", pytest.approx(0.2))
    viewer.clock.forward(1.5)
    assert live_timeline(viewer.session, viewer.playhead, False).badge == f"REWIND {ago_text(9.5)}"
    assert "series 3   frame 20" in back.text


def test_the_head_is_where_the_user_wants_to_be_before_the_frame_is_here(viewer: Viewer) -> None:
    viewer.playhead.seek((KEY, 20))
    viewer.answers(20, 2)
    viewer.playhead.seek((KEY, 70))
    waiting = live_timeline(viewer.session, viewer.playhead, False)
    assert waiting.head == pytest.approx(0.7)
    assert waiting.text == f"series 3   frame 20   {ago_text(8.0)}   fetching frame 70"


def test_a_place_that_was_overwritten_is_at_the_left_end_and_its_clip_marks_are_gone(viewer: Viewer) -> None:
    viewer.playhead.seek((KEY, 40))
    viewer.answers(40, 4)
    viewer.playhead.clip.mark_in((KEY, 20))
    viewer.playhead.clip.mark_out((KEY, 60))
    whole = live_timeline(viewer.session, viewer.playhead, False)
    assert list(whole.clip) == [pytest.approx(0.2), pytest.approx(0.6)]
    assert [list(band) for band in whole.bands] == [[0.0, pytest.approx(0.99)]]
    viewer.says(history(stretch(first=80, stop=100, begin=8.0)))
    left = live_timeline(viewer.session, viewer.playhead, False)
    assert (left.head, left.clip) == (0.0, (None, None))


def test_a_buffer_of_less_than_a_second_is_drawn_as_one(viewer: Viewer) -> None:
    """Else the only frame would be at both ends."""
    viewer.says(history(stretch(stop=6, begin=9.5)))
    span = span_of(viewer.playhead)
    assert span is not None
    assert span.now_ns - span.begin_ns == S
    assert span.share(round(9.75 * S)) == pytest.approx(0.75)


def test_without_a_session_and_before_one_the_badge_says_so(
    viewer: Viewer, commands: Any, clock: Any
) -> None:
    lost = live_timeline(viewer.session, viewer.playhead, True)
    assert (lost.badge, lost.tone, lost.look, lost.notice) == ("NO SESSION", "bad", "none", "")
    nothing = Session()
    assert live_timeline(nothing, Playhead(nothing, commands, clock), False).badge == "NO FRAMES"


@pytest.mark.parametrize(
    ("index", "more", "look", "badge", "head"),
    [
        (0, {}, "replay", "REPLAY", 0.0),
        (1, {}, "replay", "REPLAY", 0.0),
        (51, {"paused": True}, "paused", "REPLAY PAUSED", 0.5),
        (101, {"ended": True}, "paused", "REPLAY ENDED", 1.0),
    ],
)
def test_a_replay_is_drawn_from_its_first_frame_to_its_last(
    viewer: Viewer, index: int, more: dict[str, bool], look: str, badge: str, head: float
) -> None:
    viewer.playhead.clip.mark_in((KEY, 25))
    viewer.playhead.clip.mark_out((KEY, 400))
    playback = Playback(index, 101, index / 10, 10.1, **more)
    drawn = timeline_of(viewer.session, viewer.playhead, True, playback)
    assert (drawn.look, drawn.badge, drawn.tone) == (look, badge, "warn")
    assert (drawn.head, drawn.bands, drawn.clip) == (head, ((0.0, 1.0),), (0.25, 1.0))
    assert drawn.text == ""  # frame and time stand in the bar of replays, once


def test_a_place_in_a_replay_is_a_frame_and_none_beyond_the_last() -> None:
    playback = Playback(1, 101)
    assert [replay_frame(playback, share) for share in (-1.0, 0.0, 0.504, 1.0, 3.0)] == [0, 0, 50, 100, 100]
    assert replay_frame(Playback(0, 0), 0.5) == 0


def test_a_place_on_the_timeline_is_the_frame_that_came_last_by_then(viewer: Viewer) -> None:
    span = span_of(viewer.playhead)
    assert span is not None
    viewer.playhead.seek_time(span.at(0.33))
    assert viewer.asked("rewind")[-1]["index"] == 33
    viewer.playhead.seek_time(span.at(2.0))
    assert viewer.playhead.target == (KEY, 99)


def test_ticks_say_what_happened_and_when(viewer: Viewer) -> None:
    marks = [
        [-S // 4, "series", "series 3 begins"],
        [4 * S, "missing", "5 frames lost"],
        [99 * S, "alarm", "?"],
    ]
    viewer.says(history(stretch(), marks=[*marks, "hostile", [1, 2, 3]]))
    ticks = live_timeline(viewer.session, viewer.playhead, False).ticks
    assert [(tick.share, tick.kind) for tick in ticks] == [(0.0, "series"), (pytest.approx(0.4), "missing")]
    assert ticks[1].text == f"5 frames lost   {ago_text(6.0)}"


def test_what_happened_to_particles_stands_where_its_frame_came(viewer: Viewer) -> None:
    happenings = viewer.session.live_tracking.happenings
    happenings.see(Happening(frame, "nucleation", 1.0, 2.0, (7,)) for frame in (5, 25, 400))
    viewer.says(history(stretch(first=10)))
    (tick,) = live_timeline(viewer.session, viewer.playhead, False).ticks
    assert tick.kind == "nucleation"
    assert tick.share == pytest.approx(1.5 / 10.0)
    assert tick.text == f"nucleation   7   frame 25   {ago_text(8.5)}"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"now_ns": "x"},
        {"now_ns": 5, "stretches": 7, "marks": 8},
        {"now_ns": 5, "stretches": [{**stretch(), "t_ns": [1]}, {**stretch(), "index": ["a", "b"]}]},
        {"now_ns": 5, "stretches": [{**stretch(), "t_ns": [], "index": []}, {**stretch(), "stop": 0}]},
        {"now_ns": 5, "stretches": [{**stretch(), "t_ns": [9, 1]}, {**stretch(), "t_ns": [True, 2**70]}]},
    ],
)
def test_an_answer_that_makes_no_sense_is_as_none(answer: dict[str, Any]) -> None:
    past = parse_past(answer)
    assert past is None or (past.stretches == () and past.marks == ())


def test_what_came_of_single_frames_is_bounded(make: Any) -> None:
    recent = Recent(limit=1000)
    for index in range(50):
        recent.see(make.frame(np.zeros((10, 10), np.uint8), index=index))
        recent.see(make.scan("vd.bf", np.zeros((100, 100))))  # runs over the series
    assert recent.of((KEY, 39)) == {}
    assert len(recent.of((KEY, 49))) == 1
    assert moment_of(make.frame(np.zeros((2, 2)), index=True)) is None


def test_pictures_of_a_clip_are_those_of_its_frames_each_once(viewer: Viewer) -> None:
    saved: list[int] = []
    playhead, clip = viewer.playhead, viewer.playhead.clip

    def save(moment: Any) -> str:
        saved.append(moment[1])
        return "the disk is full" if moment[1] == 15 else ""

    pictures = ClipPictures(playhead, save)
    pictures.begin()
    assert clip.said[1] == "warn"
    clip.mark_in((KEY, 10))
    clip.mark_out((KEY, 14))
    pictures.begin()
    pictures.step()
    assert saved == []  # the picture is still under way
    for index, shows in ((10, 10), (11, 13), (14, 14)):  # 11 and 12 were lost
        viewer.answers(index, 1, 1, found=True, result=viewer.frame(shows))
        pictures.step()
    assert saved == [10, 13, 14]
    assert not pictures
    clip.mark_out((KEY, 16))
    clip.mark_in((KEY, 15))
    pictures.begin()
    viewer.answers(15, 1, 1)
    pictures.step()
    assert clip.said == ("the disk is full", "bad")
    pictures.begin()
    playhead.live()
    pictures.step()
    assert clip.said[0].startswith("pictures: stopped")
    assert not pictures


def test_clip_marks(viewer: Viewer) -> None:
    clip = viewer.playhead.clip
    clip.export("h5")
    assert clip.said[1] == "warn"
    clip.mark_in((KEY, 10))
    clip.mark_out((KEY, 19))
    assert clip.frames == 10
    clip.export("tif")
    (asked,) = viewer.asked("clip")
    assert (asked["first"], asked["stop"], asked["format"], asked["series"]) == (10, 20, "tif", 3)
    told = {"file": "a.h5", "frames": 4, "wanted": 10, "done": False}
    clip.answered(Outcome(Question("clip", asked), None, {"found": False, "starting": True}))
    clip.tick(1.0)
    assert viewer.asked("clip") == [asked]
    clip.answered(Outcome(Question("clip", asked), None, {"clip": told}))
    assert clip.said[0] == "clip: 4 of 10 frames"
    clip.tick(2.0)
    assert viewer.asked("clip") == [{}]
    done = {**told, "frames": 9, "done": True}
    clip.answered(Outcome(Question("clip"), None, {"clip": done}))
    assert clip.said == ("9 frames are in a.h5; 1 were not there any more", "warn")
    assert not clip.writing
    clip.mark_in((KEY, 30))
    assert (clip.begin, clip.end) == ((KEY, 30), None)
