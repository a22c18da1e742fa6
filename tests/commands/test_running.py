"""What a session that went to its end amounts to: a run without any result has failed."""

from __future__ import annotations

from typing import Any

import pytest

from livem.commands.running import Outcome, nothing_of_it


def a_summary(**more: Any) -> dict[str, Any]:
    edge = {"policy": "lossless", "processed": 256, "dropped": {}}
    series = {"series": 3, "received": 256, "rejected": {}, "edges": {"vd": {**edge, **more.pop("edge", {})}}}
    return {"series": [{**series, **more}]}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"edge": {"processed": 0, "dropped": {"consumer_error": 256}}}, "'vd' could use none of the 256"),
        ({"edge": {"processed": 0, "dropped": {"undecodable": 256}}}, "'vd' could use none of the 256"),
        ({"received": 0, "rejected": {"payload_size": 32}}, "all 32 frames of series 3 were rejected"),
    ],
)
def test_a_run_without_a_result_has_failed(more, words) -> None:
    summary = a_summary(**more)
    error = nothing_of_it(summary)
    assert words in str(error)
    outcome = Outcome(summary, error)
    assert outcome.exit_code == 1
    assert outcome.as_json()["exit_code"] == 1


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"edge": {"processed": 1, "dropped": {"consumer_error": 255}}},
        {"edge": {"processed": 0, "dropped": {"stopped": 256}}},
        {"edge": {"policy": "latest", "processed": 0, "dropped": {"consumer_error": 256}}},
        {"received": 0, "edge": {"processed": 0}},
    ],
)
def test_a_run_with_some_results_or_no_frames_is_good(more) -> None:
    assert nothing_of_it(a_summary(**more)) is None
    assert nothing_of_it({"series": []}) is None
