from __future__ import annotations

import pytest

from livem.viewer.models.numbers import (
    bytes_text,
    count_text,
    duration_text,
    level_text,
    ms_text,
    rate_text,
    value_text,
)
from livem.viewer.models.pacing import Pacing

NAN = float("nan")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (count_text(12345678), "12,345,678"),
        (rate_text(2000.3), "2,000"),
        (rate_text(12.34), "12.3"),
        (rate_text(NAN), "-"),
        (bytes_text(0), "0 B"),
        (bytes_text(262.1e6), "262 MB"),
        (bytes_text(999.6e3), "1 MB"),
        (bytes_text(3.2e9), "3.2 GB"),
        (bytes_text(5e15), "5,000 TB"),
        (ms_text(3.14), "3.1"),
        (ms_text(1234.5), "1,234"),
        (ms_text(None), "-"),
        (ms_text(NAN), "-"),
        (value_text(123456.0), "123,456"),
        (value_text(0.123456), "0.1235"),
        (value_text(NAN), "nothing"),
        (value_text(1.5e12), "1.5e+12"),
        (level_text(19.125), "19.1"),
        (level_text(8103.6), "8,104"),
    ],
)
def test_texts(said: str, text: str) -> None:
    assert said == text


def test_drawing_is_paced_by_what_it_costs() -> None:
    pacing = Pacing()
    assert pacing.interval == pytest.approx(1 / 30)
    for _ in range(100):
        pacing.spent(0.06)
    assert pacing.interval == pytest.approx(0.1, rel=0.01)
    for _ in range(100):
        pacing.spent(60.0)
    assert pacing.interval == 1.0
    for _ in range(100):
        pacing.spent(0.001)
    assert pacing.interval == pytest.approx(1 / 30)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (150, "2 min"),
        (7199, "120 min"),
        (9000, "2.5 h"),
        (1e6, "12 d"),
        (NAN, "-"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
