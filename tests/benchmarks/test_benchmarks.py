"""Every benchmark runs on tiny sizes and tells what it found in the form that ``livem bench`` shows.

No speed is asserted: only that nothing is lost or torn, which must hold anywhere.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import psutil
import pytest

from livem.benchmarks import SUITE, ingest, latency, memory, ring, startup
from livem.benchmarks.eyes import Drawn, Sample, Sight
from livem.benchmarks.figures import Spread, at_least, at_most, ratios
from livem.benchmarks.frames import Source, stamped_frames, stamps, wrong_frames
from livem.benchmarks.memory import Track
from livem.benchmarks.partner import Partner
from livem.errors import SessionError

MIB = 1 << 20


def well_formed(measured) -> bool:
    rows, gates = measured["rows"], measured["gates"]
    return (
        bool(measured["title"])
        and all(isinstance(cell, str | int | float) for row in rows for cell in row.values())
        and all(set(gate) == {"name", "value", "limit", "ok"} for gate in gates)
        and len(rows) > 0
    )


def gate(measured, part: str):
    return next(gate for gate in measured["gates"] if part in gate["name"])


def test_the_suite_names_functions_that_are_there():
    for place in SUITE.values():
        module, _, function = place.partition(":")
        assert callable(getattr(import_module(module), function))


def test_ring():
    plan = ring.Plan(4 * MIB, MIB, 1, 200, block_frames=(4, 1), shape=(32, 32))
    measured = ring.measure(plan)
    assert well_formed(measured)
    assert gate(measured, "undetected")["value"] == 0
    absent = set() if find_spec("iceoryx2") else {ring.KEEPER}
    assert {row["way"] for row in measured["rows"]} == {*ring.WAYS, "torn reads"} - absent


def test_ring_without_the_peer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "iceoryx2", None)
    plan = ring.Plan(4 * MIB, MIB, 1, 10, block_frames=(4,), shape=(32, 32))
    peer = next(row for row in ring.measure(plan)["rows"] if row["way"] == ring.PEER)
    assert "livem[bench]" in peer["note"]


def test_ingest():
    plan = ingest.Plan(16 * MIB, MIB, 1, 0.05, paced_rate=1000.0, batch=8, shape=(32, 32))
    measured = ingest.measure(plan)
    assert well_formed(measured)
    assert gate(measured, "lost")["ok"]


@pytest.mark.slow
def test_latency(qapp):
    plan = latency.Plan((latency.Case(500, (32, 32)),), 1, 0.5, 2.0, scan=(16, 16), ring_bytes=16 * MIB)
    measured = latency.measure(plan)
    assert well_formed(measured)
    assert measured["rows"][0]["lost"] == 0
    assert "window, drawn/s" in measured["rows"][0]
    assert gate(measured, "received at 500 frames/s")["value"] > 0


def test_startup():
    measured = startup.measure(startup.Plan(help_runs=1, demo_runs=0))
    assert well_formed(measured)


@pytest.mark.slow
def test_startup_of_the_demonstration():
    phases = startup.demo_seconds()
    assert list(phases) == list(startup.PHASES)
    assert list(phases.values()) == sorted(phases.values())


@pytest.mark.slow
def test_memory():
    plan = memory.Plan(0.0, 0.5, 0.1, True, shape=(32, 32))
    measured = memory.measure(plan)
    assert well_formed(measured)
    assert {"supervisor", "ingest", "preview", "vd", "sender"} <= {row["process"] for row in measured["rows"]}


# -- the parts -------------------------------------------------------------------------------------------


def test_a_spread_is_the_median_and_the_range():
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2 (1 to 3)"
    assert str(Spread.of([2000.0])) == "2000"
    assert ratios([2.0, 9.0], [1.0, 3.0]) == Spread(2.5, 2.0, 3.0)


def test_gates_hold_their_limit_and_miss_without_a_value():
    assert at_least("x", 0.7, 0.7)["ok"]
    assert at_most("x", 0.7, 0.7)["ok"]
    assert not at_least("x", None, 0.7)["ok"]
    assert not at_most("x", 0.8, 0.7)["ok"]


def test_a_frame_that_is_not_the_one_expected_is_wrong():
    frames = stamped_frames(8, 16)
    assert wrong_frames(frames[4:].view("u1").reshape(-1), 12, stamps(4, 8)) == 0
    frames[5, -1] += 1
    assert wrong_frames(frames[4:].view("u1").reshape(-1), 12, stamps(4, 8)) == 1


def test_a_source_gives_its_blocks_in_turn():
    source = Source(2, 16)
    blocks = source.period // 2
    assert (source.block(0) == source.block(blocks)).all()
    assert wrong_frames(source.block(blocks + 1), 2 * (blocks + 1), stamps(2, source.period)) == 0


def test_the_rate_seen_is_that_of_the_slowest_topic():
    sight = Sight({"a": [0, 10**9], "b": [5 * 10**8, 10**9, 15 * 10**8]})
    assert sight.updates_per_second() == 1.0
    assert sight.first_ns == 0
    assert Sight().updates_per_second() is None


def test_the_rate_drawn_leaves_out_the_first_second_and_the_end():
    samples = [Sample(0.1 * i, 2 * i, 0.01 * i) for i in range(1, 31)]
    samples += [Sample(3.1 + 0.1 * i, 60, 0.3) for i in range(10)]
    drawn = Drawn.of(samples)
    assert drawn is not None
    assert drawn.per_second == pytest.approx(20.0)
    assert drawn.cpu_ms == pytest.approx(5.0)
    assert Drawn.of([]) is None


def test_growth_is_that_of_the_level_and_neither_a_step_nor_what_comes_and_goes():
    seconds = [36.0 * i for i in range(100)]
    swing = [25.0 * (i % 3 == 0) for i in range(100)]
    leaking = Track(seconds, own=[0.5 * i + s for i, s in enumerate(swing)])
    assert leaking.growth() is not None
    assert leaking.growth().median == pytest.approx(50.0, rel=0.05)
    stepping = Track(seconds, own=[s + (i > 70) for i, s in enumerate(swing)])
    assert stepping.growth().median == 0.0
    assert Track([0.0], own=[1.0]).growth() is None


def test_a_librarys_pages_are_no_memory_of_ones_own():
    track, me = Track(), psutil.Process()
    track.sample(me, 0.0)
    block = np.ones(64 << 20, np.uint8)  # beyond what a heap keeps: fresh pages
    track.sample(me, 1.0)
    assert track.own[1] - track.own[0] == pytest.approx(64.0, abs=10.0)
    assert track.own[1] <= track.unique[1]
    assert block.any()


def raise_at_once(pipe):
    raise SystemExit(3)


def test_a_partner_that_dies_is_an_error_with_its_exit_code():
    with Partner(raise_at_once) as partner, pytest.raises(SessionError, match="code 3"):
        partner.hear()
