"""How a worker's consumer stands: on or off, its time, its faults, and its parameters in the file."""

from __future__ import annotations

from typing import Any

import pytest

from livem.consumers.preview import Preview
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work.stage import FAULT_LENGTH, FAULT_S, PIECES, TELL_S, Stage
from livem.errors import PipelineError


class Told:
    """A line to the supervisor, and a clock."""

    def __init__(self) -> None:
        self.now = 50.0
        self.reports: list[dict[str, Any]] = []
        self.errors: list[Exception] = []

    def report(self, kind: str, **fields: Any) -> None:
        assert kind == "stage"
        self.reports.append(fields)

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, stage: Stage) -> dict[str, Any] | None:
        """What is reported then; None for nothing."""
        self.now += seconds
        known = len(self.reports)
        stage.tell()
        return self.reports[-1] if len(self.reports) > known else None


@pytest.fixture
def told() -> Told:
    return Told()


def stage_of(told: Told, consumer: Any = None) -> Stage:
    return Stage(consumer or Preview("live"), told.report, told.errors.append, told.clock)


def test_times_are_told_twice_a_second_and_only_when_they_changed(told: Told) -> None:
    stage = stage_of(told)
    for seconds in [0.001] * 90 + [0.010] * 10:
        stage.took(seconds)
    assert told.after(TELL_S / 2, stage) is None
    report = told.after(TELL_S / 2, stage)
    assert report is not None
    assert report["ms"] == {"p50": 1.0, "p95": 10.0}
    assert report["busy"] == pytest.approx(0.19 / TELL_S)
    idle = told.after(TELL_S, stage)
    assert idle is not None
    assert idle["busy"] == 0.0, "the share is that of the last time"
    assert told.after(TELL_S, stage) is None


def test_how_busy_it_is_is_the_share_of_the_time_since_the_last_report_and_never_more_than_all(
    told: Told,
) -> None:
    """A piece that began before the last report may be longer than the time since."""
    stage = stage_of(told)
    stage.took(0.5)
    report = told.after(4 * TELL_S, stage)
    assert report is not None
    assert report["busy"] == pytest.approx(0.5 / (4 * TELL_S))
    stage.took(3.0)
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["busy"] == 1.0


def test_times_are_those_of_the_newest_pieces(told: Told) -> None:
    stage = stage_of(told)
    for seconds in [1.0] * PIECES + [0.002] * PIECES:
        stage.took(seconds)
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["ms"] == {"p50": 2.0, "p95": 2.0}


def test_a_fault_is_said_for_a_while_and_a_misfit_until_the_next_series(told: Told) -> None:
    stage = stage_of(told)
    stage.failed(ValueError("a frame that ends in 7"))
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["fault"] == "ValueError: a frame that ends in 7"
    report = told.after(FAULT_S, stage)
    assert report is not None
    assert report["fault"] == ""
    stage.opened("the mask lies outside")
    report = told.after(FAULT_S + TELL_S, stage)
    assert report is not None
    assert report["fault"] == "the mask lies outside"
    stage.opened()
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["fault"] == ""


def test_what_differs_from_the_file_is_said_with_the_files_value(told: Told) -> None:
    consumer = VirtualDetectors("vd", {"bf": {"kind": "disk", "radius": 3.0}})
    stage = stage_of(told, consumer)
    assert stage.answer()["file"] == {}
    consumer.set("detectors.bf.radius", 2.0)
    stage.changed()
    answer = stage.answer()
    assert answer["file"]["detectors.bf.radius"] == 3.0
    assert answer["parameters"]["detectors.bf.radius"] == 2.0
    assert [one["name"] for one in answer["described"]] == list(answer["parameters"])
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["revision"] == answer["revision"] == 1
    stage.changed()
    assert stage.answer()["revision"] == 2


def test_values_of_the_file_outlive_a_series_and_new_parameters_begin_as_they_are(told: Told) -> None:
    """A detector that is added has no value in the file; what it begins with counts as such."""
    consumer = VirtualDetectors("vd", {"bf": {"kind": "disk", "radius": 3.0}})
    stage = stage_of(told, consumer)
    consumer.set("detectors.bf.radius", 2.0)
    consumer.set("detectors.df", {"kind": "disk", "radius": 1.0})
    revision = stage.answer()["revision"]
    stage.opened()
    assert stage.answer()["revision"] == revision + 1
    consumer.set("detectors.df.radius", 5.0)
    file = stage.answer()["file"]
    assert (file["detectors.bf.radius"], file["detectors.df.radius"]) == (3.0, 1.0)


def test_long_faults_and_misfits_are_cut(told: Told) -> None:
    stage = stage_of(told)
    stage.failed(ValueError("x" * 5000))
    report = told.after(TELL_S, stage)
    assert report is not None
    assert len(report["fault"]) == FAULT_LENGTH
    stage.opened("y" * 5000)
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["fault"] == "y" * FAULT_LENGTH


def test_every_stage_can_be_switched_and_one_with_its_own_switch_does_it_itself(told: Told) -> None:
    stage = stage_of(told)
    assert stage.is_switch("enabled")
    assert stage.parameters()["enabled"] is True
    assert stage.turn(False)
    assert not stage.turn(False)
    with pytest.raises(PipelineError, match="enabled = 'off'; it must be true or false"):
        stage.turn("off")

    class Own(Preview):
        def parameters(self) -> dict[str, Any]:
            return {**super().parameters(), "enabled": False}

    own = stage_of(told, Own("own"))
    assert not own.is_switch("enabled")
    report = told.after(TELL_S, own)
    assert report is not None
    assert report["enabled"] is False


def test_a_stage_can_begin_off_and_one_with_its_own_switch_is_not_asked(told: Told) -> None:
    stage = Stage(Preview("live"), told.report, told.errors.append, told.clock, begins_on=False)
    assert stage.parameters()["enabled"] is False
    assert stage.answer()["file"] == {}
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["enabled"] is False
    assert stage.turn(True)
    assert stage.answer()["file"] == {"enabled": False}

    class Own(Preview):
        def parameters(self) -> dict[str, Any]:
            return {**super().parameters(), "enabled": False}

    assert Stage(Own("own"), told.report, told.errors.append, told.clock, begins_on=False).enabled


def test_a_consumer_that_cannot_say_its_parameters_is_told_of(told: Told) -> None:
    class Broken(Preview):
        def parameters(self) -> dict[str, Any]:
            raise KeyError("x")

    stage = stage_of(told, Broken("b"))
    assert stage.parameters() == {"enabled": True}
    assert told.errors
    report = told.after(TELL_S, stage)
    assert report is not None
    assert report["fault"] == "KeyError: 'x'"
