"""Parameters are declared once: the same limits refuse a value and are shown by a form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.base import Consumer
from livem.consumers.denoise import Denoise
from livem.consumers.denoising.options import DenoiseOptions
from livem.consumers.models.options import ModelOptions
from livem.consumers.parameters import (
    Parameter,
    check_declared,
    choice,
    number,
    parameters_of,
    switch,
    told_by,
    whole,
)
from livem.consumers.registry import create
from livem.consumers.sparse.options import InpaintOptions
from livem.consumers.testing import example_series
from livem.consumers.tracking.options import TrackOptions
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.errors import PipelineError


@dataclass(frozen=True, slots=True)
class Options:
    hz: float = number(30.0, 0.1, 100.0, "pictures a second", "Hz")
    reach: float | str = number("auto", 0.0, 9.0, "how far", "px")
    gap: int = whole(4, 0, 8, "frames")
    mode: str = choice("mean", ("mean", "max"), "of the pixels")
    on: bool = switch(True, "whether")


def test_what_is_declared_is_what_a_form_gets() -> None:
    hz, reach, gap, mode, on = (one.as_map() for one in parameters_of(Options))
    assert hz == {
        "name": "hz", "kind": "number", "text": "pictures a second", "unit": "Hz", "low": 0.1, "high": 100.0,
    }  # fmt: skip
    assert (reach["kind"], reach["choices"]) == ("number", ["auto"])
    assert (gap["kind"], gap["low"], gap["high"]) == ("whole", 0, 8)
    assert (mode["kind"], mode["choices"]) == ("choice", ["mean", "max"])
    assert on == {"name": "on", "kind": "switch", "text": "whether"}
    check_declared("here", Options())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hz": 0.0}, "here: hz = 0.0; it must be a number from 0.1 to 100"),
        ({"hz": True}, "hz = True"),
        ({"hz": "auto"}, "hz = 'auto'; it must be a number"),
        ({"reach": 10}, 'reach = 10; it must be "auto" or a number from 0 to 9'),
        ({"gap": 1.5}, "gap = 1.5; it must be a whole number from 0 to 8"),
        ({"mode": "men"}, "mode = 'men'; did you mean 'mean'. It must be one of mean, max"),
        ({"mode": ["mean"]}, "mode = "),
        ({"on": 1}, "on = 1; it must be true or false"),
    ],
)
def test_a_refusal_names_value_and_limit(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError, match=words.replace("'. It", r"'\? It")):
        check_declared("here", Options(**changed))


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from(parameters_of(Options)),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers()),
)
def test_any_value_is_taken_or_refused_in_words(parameter: Parameter, value: Any) -> None:
    if (refusal := refusal_of(parameter, value)) is None:
        assert isinstance(value, (bool, int, float, str))
    else:
        assert f"here: {parameter.name} = " in refusal


def refusal_of(parameter: Parameter, value: Any) -> str | None:
    """None of a value that is taken."""
    try:
        parameter.check("here", value)
    except PipelineError as error:
        return str(error)
    return None


@pytest.mark.parametrize("options", [DenoiseOptions, InpaintOptions, ModelOptions, TrackOptions])
def test_every_option_of_ours_is_declared_with_words(options: type[Any]) -> None:
    known = {one.name: one for one in parameters_of(options)}
    assert set(known) >= {one.name for one in fields(options)} - {"files"}
    assert all(one.text and one.kind != "other" for one in known.values())


class Threshold(Consumer[None]):
    """As a user writes one: what is declared can be set, and nothing else is to be written for it."""

    type_name: ClassVar[str] = "threshold"
    declared: ClassVar[Sequence[Parameter]] = (
        Parameter("floor", "number", "counts below are left out", "counts", 0.0, 100.0),
    )

    def __init__(self, name: str, floor: float = 3.0) -> None:
        super().__init__(name)
        self.floor = floor

    def open(self, series: Any) -> None:
        """Nothing to begin."""

    def process(self, frames: Any) -> None:
        """Nothing to do."""

    def merge(self, partial: None) -> tuple[()]:
        return ()


class Untold(Threshold):
    """One that wrote its own parameters before there was anything to declare."""

    declared: ClassVar[Sequence[Parameter]] = ()

    def parameters(self) -> dict[str, Any]:
        return {"floor": self.floor, "deep": False, "label": "a", "bins": 3, "places": [[1, 2]]}


def test_a_users_consumer_gets_its_parameters_for_declaring_them() -> None:
    consumer = Threshold("mine")
    assert consumer.parameters() == {"floor": 3.0}
    assert consumer.set("floor", 7) is False
    assert consumer.floor == 7
    with pytest.raises(PipelineError, match=r"'mine' \(threshold\): floor = 101; .* from 0 to 100"):
        consumer.set("floor", 101)
    with pytest.raises(PipelineError, match="'flor'; did you mean 'floor'"):
        consumer.set("flor", 1)
    assert [one.as_map()["high"] for one in consumer.described()] == [100.0]


def test_what_is_not_declared_is_described_by_its_value() -> None:
    kinds = {one.name: one.kind for one in Untold("mine").described()}
    assert kinds == {
        "floor": "number", "deep": "switch", "label": "text", "bins": "whole", "places": "other",
    }  # fmt: skip
    assert told_by("x", None).kind == "other"


def test_a_declared_limit_holds_for_the_pipeline_file_too() -> None:
    type_name = f"{Threshold.__module__}:Threshold"
    assert create(type_name, "mine", {"floor": 5}).parameters() == {"floor": 5}
    with pytest.raises(PipelineError, match="floor = -1; it must be a number from 0 to 100"):
        create(type_name, "mine", {"floor": -1})


def test_detectors_are_described_as_they_are_checked() -> None:
    consumer = VirtualDetectors(
        "vd",
        {
            "bf": {"kind": "disk", "radius": 3.0},
            "far": {"kind": "annulus", "inner": 4.0, "outer": 6.0, "unit": "mrad"},
            "com": {"kind": "com", "rotation": "auto"},
            "dose": {"kind": "dose"},
        },
    )
    consumer.open(replace(example_series(), meta={"pixel_size": 1.0, "pixel_unit": "mrad"}))
    known = {one.name: one for one in consumer.described()}
    assert set(known) == set(consumer.parameters())
    assert (known["detectors.bf.radius"].kind, known["detectors.bf.radius"].unit) == ("number", "px")
    assert known["detectors.far.unit"].choices == ("px", "mrad")
    assert known["detectors.com.rotation"].choices == ("auto",)
    assert (known["calibrate"].kind, known["detectors.dose.reset"].kind) == ("action", "action")
    assert known["pattern"].choices == ("auto",)
    assert known["detectors.bf"].kind == "other"


def test_denoising_says_units_and_limits() -> None:
    known = {one.name: one for one in Denoise("quiet").described()}
    assert (known["budget_ms"].unit, known["budget_ms"].low) == ("ms", 1.0)
    assert known["pixel_mask"].kind == "switch"
    assert "movie" in known["method"].choices
