"""What was refused is told once for each reason and series, in words."""

from __future__ import annotations

from livem.stream.messages import Reason, Rejected
from livem.stream.refusals import TEXT_LENGTH, FirstRefusals, refusal_report
from livem.stream.series import SeriesKey

ONE, TWO = SeriesKey(bytes(8), 1), SeriesKey(bytes(8), 2)


def a_refusal(reason: Reason = Reason.PAYLOAD_SIZE, detail: str = "8 bytes, 9 expected") -> Rejected:
    return Rejected(reason, detail, ONE, 0, 1)


def test_the_first_of_each_reason_in_each_series_is_told() -> None:
    refusals = FirstRefusals()
    told = [
        refusals.is_first(a_refusal(), ONE),
        refusals.is_first(a_refusal(), ONE),
        refusals.is_first(a_refusal(Reason.BAD_SHAPE), ONE),
        refusals.is_first(a_refusal(), TWO),
        refusals.is_first(a_refusal(), None),
        refusals.is_first(a_refusal(), None),
    ]
    assert told == [True, False, True, True, True, False]


def test_frames_that_the_user_left_out_are_not_told() -> None:
    assert not FirstRefusals().is_first(a_refusal(Reason.NOT_REPLAYED), ONE)


def test_the_first_outside_of_all_series_stays_with_its_count() -> None:
    refusals = FirstRefusals()
    assert refusals.unascribed(0) is None
    first = Rejected(Reason.BAD_HEADER, "no msgpack", advice="use dectris://h:1")
    refusals.is_first(first, None)
    refusals.is_first(a_refusal(Reason.UNKNOWN_SERIES), None)
    assert refusals.unascribed(408) == {
        "count": 408,
        "series": None,
        "epoch": None,
        "reason": "bad_header",
        "text": "no msgpack",
        "advice": "use dectris://h:1",
    }


def test_a_report_names_its_series() -> None:
    report = refusal_report(a_refusal(), ONE)
    assert (report["series"], report["epoch"], report["reason"]) == (1, "00" * 8, "payload_size")


def test_a_text_as_long_as_a_sender_likes_is_cut() -> None:
    long = Rejected(Reason.BAD_HEADER, "x" * 70_000, advice="y" * 70_000)
    report = refusal_report(long, None)
    assert (len(report["text"]), len(report["advice"])) == (TEXT_LENGTH, TEXT_LENGTH)
