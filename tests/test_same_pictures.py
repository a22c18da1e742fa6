"""The same data by every way into livem: bit-identical virtual images, and the same as numpy's.

Real sessions, real senders in their own processes, one for each protocol; files and recordings as they are.
"""

from __future__ import annotations

import multiprocessing
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from livem.session import Session, SessionOptions
from livem.stream.simulate.sender import SenderOptions, run_sender

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import a_pipeline, identity_holds, load, step_until

pytestmark = pytest.mark.timeout(300)

SCAN, SHAPE = (12, 16), (32, 48)
DETECTORS = {
    "bf": {"kind": "disk", "radius": 6},
    "ring": {"kind": "annulus", "inner": 7.5, "outer": 14},
    "com": {"kind": "com"},
    "all": {"kind": "total"},
}
TOPICS = tuple(f"vd.{name}" for name in DETECTORS)


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    """(12, 16, 32, 48) counts that a 12-bit detector can send."""
    return np.random.default_rng(3).poisson(40, (*SCAN, *SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def data(stack: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scan.npy"
    np.save(path, stack)
    return path


def expected(stack: np.ndarray) -> dict[str, np.ndarray]:
    """What numpy makes of the data."""
    frames = stack.astype(np.int64)
    h, w = SHAPE
    y, x = np.mgrid[:h, :w]
    r = np.hypot(y - (h - 1) / 2, x - (w - 1) / 2)
    total = frames.sum((-2, -1))
    com = [(frames * axis).sum((-2, -1)) / total - (n - 1) / 2 for axis, n in ((y, h), (x, w))]
    return {
        "vd.bf": (frames * (r < 6)).sum((-2, -1)),
        "vd.ring": (frames * ((r >= 7.5) & (r < 14))).sum((-2, -1)),
        "vd.com": np.stack(com, -1),
        "vd.all": total,
    }


def pipeline(scan: bool) -> Any:
    consumer = {"name": "vd", "type": "virtual_detectors", "detectors": DETECTORS}
    tables = {"scan": {"shape": list(SCAN)}} if scan else {}
    return a_pipeline(consumers=[consumer], **tables)


@contextmanager
def sending(data: Path, protocol: str, port: int, **options: Any) -> Iterator[None]:
    """A detector with this protocol, in a process of its own."""
    chosen = SenderOptions(
        str(data), f"bind+tcp://127.0.0.1:{port}", rate=5000.0, protocol=protocol, **options
    )
    process = multiprocessing.get_context("spawn").Process(target=run_sender, args=(chosen,), daemon=True)
    process.start()
    try:
        yield
        process.join(30)
    finally:
        process.kill()
        process.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def images(account: dict[str, Any]) -> dict[str, np.ndarray]:
    assert (account["state"], account["received"], account["lost"]) == ("complete", 192, 0), account
    assert identity_holds(account)
    return {topic: load(account, topic) for topic in TOPICS}


WAYS = [
    ("livem", "tcp://127.0.0.1:{port}", {}),
    ("livem", "tcp://127.0.0.1:{port}", {"encoding": "bslz4", "batch": 7}),
    ("dectris1", "dectris://127.0.0.1:{port}", {}),
    ("dectris1", "dectris://127.0.0.1:{port}", {"encoding": "raw"}),
    ("dectris2", "dectris://127.0.0.1:{port}", {}),
    ("merlin", "merlin://127.0.0.1:{port}", {}),
    ("karabo", "karabo://127.0.0.1:{port}?count=192", {}),
]


@pytest.mark.parametrize(("protocol", "url", "options"), WAYS, ids=lambda value: str(value)[:20])
def test_every_protocol_gives_numpys_images(
    protocol: str, url: str, options: dict[str, Any], data: Path, stack: np.ndarray, tmp_path: Path
) -> None:
    port = free_port()
    session = Session(pipeline(scan=True), SessionOptions(url.format(port=port), out=tmp_path, series=1))
    with session:
        session.start()
        step_until(session, lambda: session.state == "waiting")
        with sending(data, protocol, port, **options):
            step_until(session, session.over)
            session.finish()
        (account,) = session.settling.settled
    agree(images(account), expected(stack))


def test_a_file_gives_numpys_images(data: Path, stack: np.ndarray, tmp_path: Path) -> None:
    (account,) = Session(pipeline(scan=False), SessionOptions(str(data), out=tmp_path)).run()["series"]
    agree(images(account), expected(stack))


def test_dead_pixels_that_the_detector_announces_are_in_no_sum(stack: np.ndarray, tmp_path: Path) -> None:
    """A DECTRIS master file with a pixel mask, sent as v1 with all its tables: the mask arrives and holds."""
    mask = np.zeros(SHAPE, np.uint32)
    mask[14:18, 20:25], mask[3, 3] = 1, 2
    hot = stack.copy()
    hot[..., mask != 0] = 65_535
    master = tmp_path / "run_master.h5"
    with h5py.File(master, "w") as file:
        file["entry/data/data_000001"] = hot.reshape(-1, *SHAPE)
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
    port = free_port()
    url = f"dectris://127.0.0.1:{port}"
    with Session(pipeline(scan=True), SessionOptions(url, out=tmp_path / "out", series=1)) as session:
        session.start()
        step_until(session, lambda: session.state == "waiting")
        with sending(master, "dectris1", port):
            step_until(session, session.over)
            session.finish()
        (account,) = session.settling.settled
    live = stack.astype(np.int64) * (mask == 0)
    agree(images(account), expected(live))


def agree(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for topic, image in wanted.items():
        np.testing.assert_array_equal(found[topic], image, err_msg=topic)
