"""The detectors' benchmark on tiny sizes: nothing is lost, whatever this machine's speed."""

from __future__ import annotations

from livem.benchmarks import detectors

PLAN = detectors.Plan(300, 1, shape=(32, 32), ring_bytes=16 << 20)


def test_every_protocol_is_compared_with_the_bare_loop_and_loses_nothing():
    measured = detectors.measure(PLAN)
    ways = [row["way"] for row in measured["rows"]]
    assert len(ways) == 2 * len(detectors.PROTOCOLS)
    for name in detectors.PROTOCOLS.values():
        assert next(gate for gate in measured["gates"] if gate["name"] == f"{name}: frames lost")["ok"]
    assert all(set(gate) == {"name", "value", "limit", "ok"} for gate in measured["gates"])
