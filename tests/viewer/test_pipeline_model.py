"""The pipeline without a window: stages as the status tells of them, forms, changes, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.viewer.models.commands import Ask, Change, Outcome
from livem.viewer.models.pipeline import RETRY_S, Field, PipelineBook, fields_of, value_text
from livem.viewer.models.stages import Stage, slowest, stages_of

TOLD = {"name": "quiet", "type": "denoise", "is_there": True, "enabled": True, "revision": 3, "fault": ""}
ANSWER: dict[str, Any] = {
    "parameters": {"enabled": True, "budget_ms": 40.0, "method": "auto", "dead_pixels": []},
    "described": [
        {"name": "enabled", "kind": "switch", "text": "off: it rests"},
        {
            "name": "budget_ms",
            "kind": "number",
            "low": 1.0,
            "high": 60_000.0,
            "unit": "ms",
            "text": "a frame",
        },
        {"name": "method", "kind": "choice", "choices": ["auto", "movie"]},
        {"name": "dead_pixels", "kind": "other"},
        {"name": "gone", "kind": "number"},
    ],
    "file": {"budget_ms": 20.0},
}


def known_book(commands: Any) -> PipelineBook:
    book = PipelineBook()
    book.see([Stage("quiet", revision=3)], commands, 0.0)
    book.take(Outcome(Ask("quiet"), None, ANSWER))
    return book


def field(book: PipelineBook, name: str) -> Field:
    return next(one for one in book.fields("quiet") if one.name == name)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "works"),
        ({"enabled": False}, "off"),
        ({"fault": "ValueError: no"}, "failed"),
        ({"is_there": False, "fault": "x"}, "starting"),
        ({"is_given_up": True, "is_there": False}, "given up"),
    ],
)
def test_a_stage_says_how_it_stands(changed: dict[str, Any], state: str) -> None:
    (stage,) = stages_of({"stages": [TOLD | changed]})
    assert stage.state == state


def test_times_and_frames_come_with_a_stage() -> None:
    edge = {
        "policy": "lossless",
        "processed": 90,
        "dropped": {"late": 7, "torn": 0},
        "latency_ms": {"p50": 2.0, "p95": 9.0},
    }
    told = TOLD | {
        "ms": {"p50": 1.5, "p95": 4.0},
        "busy": 0.4,
        "device": "CPU (no card)",
        "inputs": ["vd.bf"],
    }
    (stage,) = stages_of({"stages": [told], "edges": {"quiet": edge}})
    assert (stage.p50_ms, stage.p95_ms, stage.busy, stage.device) == (1.5, 4.0, 0.4, "CPU (no card)")
    assert (stage.processed, stage.dropped, stage.lossless, stage.inputs) == (
        90,
        {"late": 7},
        True,
        ("vd.bf",),
    )
    (on_card,) = stages_of({"stages": [told | {"runs_on": "NVIDIA"}]})
    assert on_card.device == "NVIDIA", "what a model says of itself goes before what its worker knows"
    late = Stage("late", latency_p95_ms=30.0)
    assert slowest((stage, late)) is late
    assert slowest((stage, Stage("late", state="off", latency_p95_ms=30.0))) is stage
    assert slowest(()) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["stages", "edges", *TOLD, *ANSWER, "ms", "inputs"]), junk))
def test_anything_is_read(told: dict[str, Any]) -> None:
    stages_of(told)
    stages_of({"stages": [told, TOLD | told], "edges": {"quiet": told}})
    fields_of(told, {})
    fields_of({**ANSWER, "described": [told, {"name": "enabled", **told}]}, {})


def test_a_stage_is_asked_once_for_each_change_and_again_when_it_does_not_answer(commands: Any) -> None:
    book = PipelineBook()
    for now in (0.0, 0.1):
        book.see([Stage("quiet", revision=3), Stage("new", state="starting")], commands, now)
    assert commands.questions == ["quiet"]
    book.see([Stage("quiet", revision=3)], commands, RETRY_S)
    assert commands.questions == ["quiet"] * 2
    book.take(Outcome(Ask("quiet"), None, ANSWER))
    book.see([Stage("quiet", revision=3)], commands, 9.0)
    assert commands.questions == ["quiet"] * 2
    book.see([Stage("quiet", revision=4)], commands, 9.1)
    assert commands.questions == ["quiet"] * 3, "another viewer has changed something"


def test_a_form_has_units_limits_and_the_files_value(commands: Any) -> None:
    book = known_book(commands)
    assert [one.name for one in book.fields("quiet")] == ["enabled", "budget_ms", "method", "dead_pixels"]
    budget = field(book, "budget_ms")
    assert (budget.value, budget.limits) == (40.0, "1 .. 60,000 ms")
    assert budget.tip == "a frame\n1 .. 60,000 ms\nin the pipeline file: 20"
    assert (budget.differs, field(book, "method").differs) == (True, False)
    assert value_text(field(book, "dead_pixels").value) == "none"


def test_a_change_is_waited_for_taken_and_compared_with_the_file(commands: Any) -> None:
    book = known_book(commands)
    version = book.version
    book.set("quiet", "method", "movie", commands)
    assert commands.asked == [Change("quiet", "method", "movie")]
    assert book.is_waiting("quiet", "method")
    answer = {"parameters": ANSWER["parameters"] | {"method": "movie", "budget_ms": 20.0}}
    book.take(Outcome(commands.asked[0], None, answer))
    assert not book.is_waiting("quiet", "method")
    assert book.version > version
    method, budget = field(book, "method"), field(book, "budget_ms")
    assert (method.value, method.file, method.differs) == ("movie", "auto", True)
    assert (budget.value, budget.differs) == (20.0, False)


def test_a_refusal_leaves_the_value_and_says_why_until_the_next_try(commands: Any) -> None:
    book = known_book(commands)
    book.set("quiet", "budget_ms", 0.1, commands)
    book.take(Outcome(commands.asked[0], "budget_ms = 0.1; it must be a number from 1 to 60000"))
    refused = field(book, "budget_ms")
    assert (refused.value, refused.error[:15]) == (40.0, "budget_ms = 0.1")
    book.take(Outcome(Ask("quiet"), None, ANSWER))
    assert field(book, "budget_ms").error, "another answer does not make it right"
    book.set("quiet", "budget_ms", 50.0, commands)
    assert field(book, "budget_ms").error == ""


def test_one_key_lets_all_models_adapt_or_none(commands: Any) -> None:
    book = known_book(commands)
    assert book.toggle_adaptation(commands) == "no model here can go on learning"
    for name, value in (("a", True), ("b", False)):
        described = [{"name": "adapt", "kind": "switch"}]
        book.take(Outcome(Ask(name), None, {"parameters": {"adapt": value}, "described": described}))
    assert book.toggle_adaptation(commands) == "a, b: go on learning"
    assert commands.asked == [Change("a", "adapt", True), Change("b", "adapt", True)]


def test_a_stage_is_turned_off_and_on(commands: Any) -> None:
    book = PipelineBook()
    book.see([Stage("a"), Stage("b", state="off")], commands, 0.0)
    for name in "abc":
        book.turn(name, commands)
    assert commands.asked == [Change("a", "enabled", False), Change("b", "enabled", True)]
