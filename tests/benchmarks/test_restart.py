"""livem bench restart on a tiny session: each process is killed and comes back; no speed is asserted."""

from __future__ import annotations

import pytest

from livem.benchmarks import restart

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def test_each_process_comes_back():
    plan = restart.Plan(1, 500, (32, 32), (16, 16), between_s=0.05, ring_bytes=16 << 20)
    measured = restart.measure(plan)
    assert [row["process"] for row in measured["rows"]] == list(restart.PROCESSES)
    assert all(row["killed"] == 1 for row in measured["rows"])
    assert all(gate["value"] > 0 for gate in measured["gates"])
