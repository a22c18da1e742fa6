"""The pipeline in the real window: stages, forms of every kind of parameter, refusals, keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.viewer import theme
from livem.viewer.models.commands import Ask, Change, Outcome
from livem.viewer.panels.editors import ActionEditor, ChoiceEditor, NumberEditor, SwitchEditor, TextEditor
from livem.viewer.snapshot import paint

STAGES = [
    {"name": "preview", "type": "preview", "is_there": True, "ms": {"p50": 1.0, "p95": 2.0}, "device": "CPU"},
    {
        "name": "quiet",
        "type": "denoise",
        "is_there": True,
        "ms": {"p50": 10.0, "p95": 40.0},
        "fault": "ValueError: no noise",
    },
    {"name": "net", "type": "torchscript", "is_there": True, "enabled": False},
]
EDGES = {
    "preview": {"policy": "latest", "processed": 140, "dropped": {"skipped": 9076}},
    "quiet": {"policy": "lossless", "processed": 9000, "dropped": {"late": 7}},
}
STATUS = {"state": "running", "stages": STAGES, "edges": EDGES}
ANSWER: dict[str, Any] = {
    "parameters": {
        "enabled": True,
        "budget_ms": 40.0,
        "gain": "auto",
        "gap": 4,
        "method": "auto",
        "pattern": "auto",
        "label": "a",
        "calibrate": False,
        "dead_pixels": [[1, 2]],
    },
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
        {"name": "gain", "kind": "number", "low": 0.0, "high": 1e12, "unit": "counts", "choices": ["auto"]},
        {"name": "gap", "kind": "whole", "low": 0, "high": 8, "unit": "frames"},
        {"name": "method", "kind": "choice", "choices": ["auto", "movie", "frames"]},
        {"name": "pattern", "kind": "switch", "choices": ["auto"]},
        {"name": "label", "kind": "text"},
        {"name": "calibrate", "kind": "action"},
        {"name": "dead_pixels", "kind": "other"},
    ],
    "file": {"budget_ms": 20.0},
}


@pytest.fixture
def opened(window: Any, show: Any, make: Any, commands: Any) -> Any:
    """The panel, on its key, with the second stage chosen."""
    window.resize(1300, 900)
    show(make.frame(np.ones((16, 16), np.uint8)), make.status(**STATUS))
    QTest.keyClick(window, Qt.Key.Key_E)
    paint(window)
    commands.answers = [Outcome(Ask("quiet"), None, ANSWER)]
    window.pipeline.choose("quiet")
    paint(window)
    return window.pipeline


def editor(panel: Any, name: str) -> Any:
    return panel.form.rows[name].editor


def test_stages_stand_in_the_order_of_the_data_with_times_and_states(opened: Any, commands: Any) -> None:
    tree = opened.tree
    rows = [[tree.topLevelItem(n).text(column) for column in range(5)] for n in range(3)]
    assert rows == [
        ["preview", "works", "1.0 / 2.0", "140", "9,076"],
        ["quiet", "failed", "10 / 40", "9,000", "7"],
        ["net", "off", "- / -", "0", "0"],
    ]
    assert opened.isVisible()
    assert "not seen: 7 late" in tree.topLevelItem(1).toolTip(0)
    assert opened.fault.text() == "ValueError: no noise"
    assert set(commands.questions) == {"preview", "quiet", "net"}
    picture = tree.viewport().grab().toImage()
    left = tree.columnViewportPosition(2)
    lengths = []
    for row in range(3):
        y = tree.visualItemRect(tree.topLevelItem(row)).bottom()
        colours = [picture.pixelColor(left + x, y).name() for x in range(tree.columnWidth(2))]
        lengths.append((colours.count(theme.WARN), colours.count(theme.curve_colour(0))))
    assert lengths[2] == (0, 0)
    assert lengths[1][0] == pytest.approx(3 * lengths[1][1], rel=0.1), "40 ms beyond 10 ms of the median"
    assert sum(lengths[1]) == pytest.approx(20 * sum(lengths[0]), rel=0.3)


def test_every_kind_has_its_editor_with_unit_limits_and_value(opened: Any) -> None:
    kinds = {name: type(editor(opened, name)) for name in ANSWER["parameters"]}
    assert kinds["budget_ms"] is kinds["gain"] is kinds["gap"] is NumberEditor
    assert kinds["method"] is kinds["pattern"] is ChoiceEditor
    assert (kinds["enabled"], kinds["label"], kinds["calibrate"]) == (SwitchEditor, TextEditor, ActionEditor)
    budget = editor(opened, "budget_ms").spin
    assert budget.text() == "40 ms"
    assert (budget.minimum(), budget.maximum()) == (1.0, 60_000.0)
    row = opened.form.rows["budget_ms"]
    assert row.limits.text() == "1 .. 60,000 ms"
    assert row.reset.isVisible()
    assert "20, as in the pipeline file" in row.reset.toolTip()
    assert not opened.form.rows["method"].reset.isVisible()
    gain = editor(opened, "gain")
    assert gain.auto.isChecked()
    assert not gain.spin.isEnabled()
    assert editor(opened, "dead_pixels").label.text() == "[[1, 2]]"


def test_what_the_user_sets_is_asked_for(opened: Any, commands: Any) -> None:
    budget = editor(opened, "budget_ms").spin
    budget.setFocus()
    budget.selectAll()
    QTest.keyClicks(budget, "55.5")
    QTest.keyClick(budget, Qt.Key.Key_Return)
    editor(opened, "gain").auto.click()
    editor(opened, "gap").spin.stepUp()
    editor(opened, "method").box.setCurrentText("movie")
    editor(opened, "method").box.activated.emit(1)
    editor(opened, "pattern").box.setCurrentText("off")
    editor(opened, "pattern").box.activated.emit(2)
    line = editor(opened, "label").line
    line.selectAll()
    QTest.keyClicks(line, "b0 a")
    QTest.keyClick(line, Qt.Key.Key_Return)
    editor(opened, "calibrate").button.click()
    opened.form.rows["budget_ms"].reset.click()
    assert [(one.name, one.value) for one in commands.asked] == [
        ("budget_ms", 55.5),
        ("gain", 0.0),
        ("gap", 5),
        ("method", "movie"),
        ("pattern", False),
        ("label", "b0 a"),
        ("calibrate", True),
        ("budget_ms", 20.0),
    ]
    assert type(commands.asked[2].value) is int
    assert {one.consumer for one in commands.asked} == {"quiet"}


def test_a_refused_change_is_shown_as_it_was_with_the_reason(
    window: Any, opened: Any, commands: Any, clock: Any
) -> None:
    editor(opened, "budget_ms").spin.setValue(2.0)
    reason = "budget_ms = 2; it must be a number from 3 to 9"
    commands.answers = [Outcome(commands.asked[-1], reason)]
    window.tick()
    row = opened.form.rows["budget_ms"]
    assert row.editor.spin.value() == 40.0
    assert row.error.isVisible()
    assert row.error.text() == reason
    assert window.status.message.text() == reason
    row.editor.spin.setValue(5.0)
    taken = {"parameters": ANSWER["parameters"] | {"budget_ms": 5.0}}
    commands.answers = [Outcome(commands.asked[-1], None, taken)]
    window.tick()
    assert not row.error.isVisible()
    assert row.editor.spin.value() == 5.0


def test_what_another_viewer_changes_appears(
    window: Any, opened: Any, show: Any, make: Any, commands: Any
) -> None:
    asked = len(commands.questions)
    stages = [STAGES[0], STAGES[1] | {"revision": 1}, STAGES[2]]
    show(make.status(**STATUS | {"stages": stages}))
    assert commands.questions[asked:] == ["quiet"]
    commands.answers = [
        Outcome(Ask("quiet"), None, ANSWER | {"parameters": ANSWER["parameters"] | {"gap": 7}})
    ]
    window.tick()
    assert editor(opened, "gap").spin.value() == 7


def test_keys_reach_everything_and_typing_starts_no_shortcut(window: Any, opened: Any, commands: Any) -> None:
    QTest.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)
    assert commands.asked.pop() == Change("quiet", "enabled", False)
    box = editor(opened, "enabled").box
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Space)
    assert commands.asked.pop() == Change("quiet", "enabled", False)
    seen, order = opened.tree, []
    for _ in range(400):
        seen = seen.nextInFocusChain()
        order.append(seen)
    for name in ("enabled", "budget_ms", "method", "label", "calibrate"):
        part = editor(opened, name).focusProxy()
        assert part in order, name
        assert part.focusPolicy() & Qt.FocusPolicy.TabFocus
    QTest.keyClick(window, Qt.Key.Key_U)
    assert "no model here" in window._notice[0]
    QTest.keyClick(window, Qt.Key.Key_E)
    paint(window)
    assert not opened.isVisible()


def test_alarms_are_put_away_and_the_dose_begins_at_0_by_key(
    window: Any, show: Any, make: Any, commands: Any
) -> None:
    counted = {"mean_counts": 5.0, "live_pixels": 256, "counts_per_electron": 1.0}
    frame = make.frame(np.ones((16, 16), np.uint8), **counted, saturated_pixels=64, saturation=255)
    window.resize(1800, 700)
    show(frame, make.status(state="running", alarms=["disk full"]))
    assert window.banner.isVisible()
    assert window.banner.text().startswith("disk full\n25 % of the pixels are at the detector's limit (255")
    assert window.status.text("dose") == "dose 5 e/px, sum 210 e/px"
    QTest.keyClick(window, Qt.Key.Key_N)
    assert not window.banner.isVisible()
    show(make.status(state="running", alarms=["disk full", "disk gone"]))
    assert window.banner.text() == "disk gone"
    QTest.keyClick(window, Qt.Key.Key_Z)
    show(make.frame(np.ones((16, 16), np.uint8), **counted | {"index": 43}))
    assert window.status.text("dose") == "dose 5 e/px, sum 10 e/px"
