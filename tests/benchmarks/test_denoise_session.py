"""The benchmark of whole denoising sessions: what is made of what a subscriber saw, and one short session."""

from __future__ import annotations

import pytest

from livem.benchmarks import denoise_session
from livem.benchmarks.denoise_session import Seen, measure


def test_the_rate_is_that_after_the_first_seconds() -> None:
    seen = Seen([0.0, 1.0, 2.0, 3.0, 4.0], [1, 9, 40, 90, 140])
    assert seen.per_second() == pytest.approx(50.0)
    assert Seen([0.0, 1.0], [1, 9]).per_second() is None
    assert Seen().per_second() is None


@pytest.mark.timeout(120)
def test_a_session_gives_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoise_session, "RATES", {64: 1.0})
    monkeypatch.setattr(denoise_session, "SETTLED_S", 0.2)
    ((row,), (gate,)) = measure(64, 2.0)
    assert row["session"] == "64x64, a session of 2 s"
    assert row["frames/s"] > 0
    assert gate["value"] == row["frames/s"]
