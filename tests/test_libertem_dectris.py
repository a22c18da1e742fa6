"""LiberTEM's DECTRIS simulator, whose REST server and sender are not ours, into our source and a session."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from livem.benchmarks.libertem_peer import Simulator
from livem.errors import SourceError
from livem.stream.arming.simplon import SimplonArmer

sys.path.insert(0, str(Path(__file__).parent))
from dectris_tools import Stage, scan_messages
from session_tools import a_pipeline, identity_holds, load, run

pytest.importorskip("libertem_live", reason="libertem-live is not installed: pip install libertem-live")
pytest.importorskip("libertem_dectris", reason="libertem-dectris is not installed: pip install libertem-live")
pytest.importorskip("flask", reason="flask, which the simulator needs, is not installed: pip install flask")
pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

SCAN, SHAPE, SERIES = (12, 16), (64, 64), 34
RINGS = {"bf": (0.0, 8.0), "abf": (8.0, 16.0), "adf": (16.0, 30.4)}


@pytest.fixture
def simulate() -> Iterator:
    running: list[Simulator] = []

    def start(dump: Path | None = None, mock_frames: int | None = None) -> Simulator:
        running.append(Simulator(dump, mock_frames))
        return running[-1]

    yield start
    for each in running:
        each.close()


def armer_of(simulator: Simulator, **settings: str) -> SimplonArmer:
    return SimplonArmer("127.0.0.1", simulator.control, settings)


def some_frames(n: int) -> np.ndarray:
    """A bright disk that wanders over a weak background, so that centres of mass differ."""
    rng = np.random.default_rng(5)
    h, w = SHAPE
    y, x = np.mgrid[:h, :w]
    centre = rng.uniform(-h / 10, h / 10, (n, 2)) + np.array([(h - 1) / 2, (w - 1) / 2])
    inside = np.hypot(y - centre[:, 0, None, None], x - centre[:, 1, None, None]) < h / 5
    return rng.poisson(np.where(inside, 9.0, 0.3)).astype(np.uint16)


def write_dump(path: Path, frames: np.ndarray) -> Path:
    """A recorded session as the peer keeps one: every part behind its length, no marks between messages."""
    with path.open("wb") as file:
        for message in scan_messages(frames, SERIES):
            for part in message:
                file.write(struct.pack("<q", len(part)) + part)
    return path


def test_a_recorded_session_arrives_pixel_for_pixel_in_two_rounds(simulate, tmp_path):
    frames = some_frames(60)
    simulator = simulate(write_dump(tmp_path / "scan.dat", frames))
    armer = armer_of(
        simulator, trigger_mode="exte", ntrigger="60", compression="bslz4", stream_mode="enabled"
    )
    with Stage() as stage:
        stage.connect(simulator.data)
        for number in (1, 2):
            assert armer.arm() == f"series {SERIES} armed: exte, 60 triggers, bslz4"
            stage.until(lambda n=number: len(stage.ended) == n)
        first, second = stage.series
        assert first.key.number == second.key.number == SERIES
        assert first.key != second.key
        for got in stage.frames:
            assert sorted(got) == list(range(60))
            np.testing.assert_array_equal(np.stack([got[n] for n in range(60)]), frames)
    armer.disarm()


def test_its_mock_frames_with_headers_of_zeros_are_taken(simulate):
    simulator = simulate(mock_frames=40)
    with Stage() as stage:
        stage.connect(simulator.data)
        armer_of(simulator).arm()
        stage.until(lambda: stage.ended)
        assert stage.series[0].shape == (512, 512)
        assert sorted(stage.frames[0]) == list(range(40))


def test_what_its_control_refuses_is_told_in_its_words(simulate, tmp_path):
    simulator = simulate(write_dump(tmp_path / "scan.dat", some_frames(4)))
    with pytest.raises(
        SourceError, match=r"refused PUT .*/config/ntrigger .*500.*does not match file content 4"
    ):
        armer_of(simulator, ntrigger="5").arm()
    with pytest.raises(SourceError, match=r"Parameter format not implemented"):
        armer_of(simulator, stream_format="cbor").arm()


def test_a_session_arms_it_and_its_images_are_numpys(simulate, tmp_path):
    frames = some_frames(SCAN[0] * SCAN[1])
    simulator = simulate(write_dump(tmp_path / "scan.dat", frames))
    detectors: dict = {
        name: {"kind": "annulus", "inner": inner, "outer": outer} for name, (inner, outer) in RINGS.items()
    }
    detectors["com"] = {"kind": "com"}
    pipeline = a_pipeline(
        scan={"shape": list(SCAN)},
        consumers=[{"name": "vd", "type": "virtual_detectors", "detectors": detectors}],
    )
    settings = {"control_port": str(simulator.control), "ntrigger": str(len(frames)), "trigger_mode": "exte"}
    summary = run(simulator.url, tmp_path / "out", pipeline, series=1, arm=settings)
    (account,) = summary["series"]
    assert (account["state"], account["received"], account["lost"]) == ("complete", len(frames), 0)
    assert account["rejected"] == {}
    assert identity_holds(account)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot(y - (SHAPE[0] - 1) / 2, x - (SHAPE[1] - 1) / 2)
    counts = frames.astype(np.int64)
    for name, (inner, outer) in RINGS.items():
        inside = (radius >= inner) & (radius < outer)
        np.testing.assert_array_equal(
            load(account, f"vd.{name}"), (counts * inside).sum((1, 2)).reshape(SCAN)
        )
    total = counts.sum((1, 2))
    centre = [(counts * axis).sum((1, 2)) / total - (SHAPE[0] - 1) / 2 for axis in (y, x)]
    com = np.stack(centre, -1).reshape(*SCAN, 2)
    np.testing.assert_allclose(load(account, "vd.com"), com, rtol=0, atol=1e-4)
