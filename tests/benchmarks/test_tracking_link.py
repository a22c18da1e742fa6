"""The benchmark of linking on few particles: it gives its table, nothing is asked of speed."""

from __future__ import annotations

from livem.benchmarks import SUITE, tracking_link
from livem.benchmarks.tracking_link import Plan


def test_it_is_in_the_suite() -> None:
    assert SUITE["tracking_link"] == "livem.benchmarks.tracking_link:run"


def test_its_table() -> None:
    measured = tracking_link.measure(Plan(frames=30, crowd=60, worst=100, long=40))
    assert any("all jump" in row["way"] for row in measured["rows"])
    gates = {gate["name"]: gate["ok"] for gate in measured["gates"]}
    assert gates["all jump: flagged"]
    assert len(gates) == 6
