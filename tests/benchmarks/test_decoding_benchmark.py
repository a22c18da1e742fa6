"""The decoding benchmark runs on tiny frames; its ratios are not looked at here."""

from __future__ import annotations

from livem.benchmarks import decoding


def test_every_case_is_timed_and_checked():
    measured = decoding.measure(decoding.Plan(frames=2, rounds=2, shape=(32, 48), dtypes=("uint16",)))
    assert len(measured["rows"]) == len(decoding.MEAN_COUNTS) * len(decoding.BAD_PIXELS)
    wrong = measured["gates"][-1]
    assert (wrong["value"], wrong["ok"]) == (0, True)


def test_a_frame_decoded_wrongly_is_seen():
    case = decoding.Case.of(decoding.Plan(frames=2, rounds=1, shape=(32, 48)), "uint16", 0.3, 20)
    case.frames[1, 0, 0] += 1
    case.take_turns()
    assert case.wrong == 1
