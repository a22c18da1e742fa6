"""The comparison with LiberTEM-live on a tiny scan: both give the truth, nothing is asked of speed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from livem.benchmarks import libertem_peer, virtual_detectors
from livem.benchmarks.libertem_peer import Answer
from livem.benchmarks.receivers import Bare, BurstSender, Outcome
from livem.benchmarks.scan_dump import (
    BAD_VALUE,
    RINGS,
    ScanPlan,
    as_burst,
    axes_from_centre,
    record,
    ring_mask,
)
from livem.benchmarks.virtual_detectors import BURST, COM_PX, JOBS, THREE, Case, Found, compare
from livem.errors import MissingDependencyError
from livem.kernels.bslz4 import Status, decode_into

pytestmark = pytest.mark.timeout(300)
TINY = ScanPlan((16, 16), (64, 64), 0.3, unique=7)
needs_peer = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in libertem_peer.NEEDED),
    reason="libertem-live is not installed: pip install libertem-live flask",
)


def test_the_rings_part_the_middle_of_the_frame():
    masks = np.stack([ring_mask(name, (64, 48)) for name in RINGS])
    assert masks.sum(axis=0).max() == 1
    assert masks[0][31:33, 23:25].all()


def test_a_dump_holds_the_frames_that_its_truth_is_about(tmp_path):
    dump = record(tmp_path / "scan.dat", replace(TINY, bad_pixels=5))
    burst = as_burst(dump.path, dump.frames)
    assert len(burst) == dump.frames + 2
    frames = np.empty((dump.frames, 64, 64), np.uint16)
    for number, frame in enumerate(frames, 1):
        blob = np.frombuffer(burst.message(number)[2], np.uint8)
        assert decode_into(blob, frame) is Status.OK
    assert (frames[:, dump.bad[:, 0], dump.bad[:, 1]] == BAD_VALUE).all()
    counts = (frames * dump.live()).astype(np.int64)
    for name in RINGS:
        sums = (counts * ring_mask(name, (64, 64))).sum((1, 2)).reshape(16, 16)
        np.testing.assert_array_equal(dump.truth[name], sums)
    com = [(counts * axis).sum((1, 2)) / counts.sum((1, 2)) for axis in axes_from_centre((64, 64))]
    np.testing.assert_allclose(dump.truth["com"].reshape(-1, 2), np.stack(com, -1), rtol=0, atol=1e-12)


def test_the_bare_loop_takes_all_that_a_sender_has(tmp_path):
    dump = record(tmp_path / "scan.dat", TINY)
    with Bare(dump, lambda: BurstSender(dump)) as bare:
        for _ in range(2):
            assert bare.series().rate > 0


@needs_peer
@pytest.mark.slow
def test_both_give_the_truth(tmp_path):
    dump = record(tmp_path / "scan.dat", replace(TINY, bad_pixels=5))
    case = Case(dump, THREE, replace(JOBS[THREE], fused=True), sender=virtual_detectors.SIMULATOR)
    found = compare(case, 1)
    for outcomes in (found.ours, found.peer):
        assert_true(dump, outcomes)
    assert found.ours_mib > 0
    assert found.peer_mib > 0
    assert found.peer_watched is not None


@pytest.mark.slow
def test_ours_gives_the_truth_of_what_comes_from_memory(tmp_path):
    dump = record(tmp_path / "scan.dat", TINY)
    case = Case(dump, THREE, JOBS[THREE], sender=BURST)
    with virtual_detectors.Ours(dump, case.make_sender, case.job) as ours:
        assert_true(dump, [ours.series()])


def assert_true(dump, outcomes):
    (outcome,) = outcomes
    assert set(outcome.answer.images) == {*RINGS, "com"}
    pixels, px = virtual_detectors._errors(dump, outcomes)
    assert pixels == 0
    assert px < COM_PX
    assert outcome.rate > 0


def test_its_table_and_its_gates(monkeypatch):
    def found(case: Case, rounds: int) -> Found:
        images = {
            name: case.dump.truth[name] for name in (*case.job.rings, *(["com"] if case.job.com else []))
        }
        fast, slow = (
            Outcome(rate, cpu_us, 20.0, 33.0, 5.0, Answer(0.0, [], images))
            for rate, cpu_us in ((30e3, 30.0), (10e3, 120.0))
        )
        return Found([fast] * rounds, [slow] * rounds, slow)

    monkeypatch.setattr(virtual_detectors, "compare", found)
    monkeypatch.setattr(virtual_detectors, "require_peer", lambda: None)
    bare = Outcome(32e3, 10.0, 1.0, 1.0, 1.0, Answer(0.0))
    monkeypatch.setattr(virtual_detectors, "_bare", lambda case, rounds: [bare])
    measured = virtual_detectors.measure(virtual_detectors.Plan(2, TINY, bad_pixels=3))
    assert all(gate["ok"] for gate in measured["gates"])
    of_ours = [row for row in measured["rows"] if row["receiver"] == virtual_detectors.LIVEM]
    assert {row["x frames/s"] for row in of_ours} == {"3"}
    assert {row["x less CPU"] for row in of_ours} == {"4.00"}
    assert {row.get("of the bare loop") for row in of_ours} == {"0.94: the sender is the limit", None}


def test_a_wrong_image_is_seen(tmp_path):
    dump = record(tmp_path / "scan.dat", TINY)
    wrong = {name: image + (name == "bf") for name, image in dump.truth.items()}
    wrong["com"] = np.full_like(wrong["com"], np.nan)
    outcome = Outcome(1.0, 1.0, 1.0, 1.0, 1.0, Answer(0.0, [], wrong))
    with np.errstate(all="ignore"):
        assert virtual_detectors._errors(dump, [outcome]) == (dump.frames, float("inf"))


def test_without_the_peer_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(libertem_peer, "NEEDED", ("not_a_package",))
    with pytest.raises(MissingDependencyError, match="pip install"):
        libertem_peer.require_peer()
    measured = virtual_detectors.measure(virtual_detectors.Plan(1, TINY))
    assert "pip install" in measured["rows"][0]["note"]
    assert measured["gates"] == []
