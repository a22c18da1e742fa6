"""livem bench drag on a tiny session: every step is answered, then the image is whole; at any speed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livem.benchmarks import drag
from livem.benchmarks.drag import Case, Dragged, annulus
from livem.stream.results import Result

TABLE = annulus((32, 32), 8.0)


def test_a_drag_is_answered_step_by_step_and_ends_with_a_whole_image() -> None:
    plan = drag.Plan((Case(math.inf, (16, 16)),), 3, (32, 32), ring_bytes=16 << 20)
    one = drag.dragged(plan, plan.cases[0])
    assert len(one.first_ms) == 3
    assert 0 < one.first_ms[-1] <= one.whole_ms
    assert 128 <= one.pixels[0] <= one.pixels[1] <= 256


def image_of(values: list[float], **attrs: object) -> Result:
    return Result("vd.haadf", "image", None, (0, 4), 1, {"image": np.array([values])}, attrs=dict(attrs))


def test_an_answer_is_of_the_new_annulus_and_has_pixels() -> None:
    assert drag._answers(image_of([np.nan, 2.0], **TABLE), TABLE)
    assert not drag._answers(image_of([np.nan, np.nan], **TABLE), TABLE)
    assert not drag._answers(image_of([1.0, 2.0], **{**TABLE, "outer": 9.0}), TABLE)


def test_an_image_is_whole_when_all_pixels_of_before_are_there() -> None:
    before = np.array([[False, True, True]])
    assert drag._answers(image_of([np.nan, 2.0, 3.0], **TABLE), TABLE, before)
    assert not drag._answers(image_of([1.0, 2.0, np.nan], **TABLE), TABLE, before)


@pytest.mark.parametrize(("slowest", "ok"), [(99.0, True), (101.0, False)])
def test_its_table_and_its_gate(monkeypatch: pytest.MonkeyPatch, slowest: float, ok: bool) -> None:
    seen = Dragged([20.0, slowest], 300.0, (128, 192))
    monkeypatch.setattr(drag, "dragged", lambda plan, case: seen)
    measured = drag.measure(drag.Plan((Case(math.inf, (16, 16)),), 2))
    (row,), (gate,) = measured["rows"], measured["gates"]
    assert (row["pace"], row["scanned, %"], row["whole again, ms"]) == ("flat out", "50 to 75", 300)
    assert (gate["value"], gate["ok"]) == (slowest, ok)
