"""Each alarm is told once, however many others there are."""

from __future__ import annotations

from livem.session.alarms import ALARM_LENGTH, ALARMS_KEPT, TEXTS_KNOWN, Alarms


def test_an_alarm_that_others_pushed_out_is_not_told_again() -> None:
    alarms = Alarms()
    texts = [f"alarm {number}" for number in range(3 * ALARMS_KEPT)]
    assert [alarms.take(text) for text in texts] == [True] * len(texts)
    assert not any(alarms.take(text) for text in texts)
    assert list(alarms) == texts[-ALARMS_KEPT:]


def test_long_ones_are_cut_and_known_by_what_is_left() -> None:
    alarms = Alarms()
    assert alarms.take("x" * 1000)
    assert not alarms.take("x" * 2000)
    assert len(alarms[0]) == ALARM_LENGTH


def test_what_is_known_is_bounded() -> None:
    alarms = Alarms()
    for number in range(TEXTS_KNOWN + 1):
        alarms.take(str(number))
    assert alarms.take("0")
    assert not alarms.take("500")
