"""A sender that is done before the analyses are ready: its series waits for them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import zmq

from livem.pipeline import load
from livem.session import Session, SessionOptions, settling
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.wire import encode_end, encode_frames, encode_start

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import identity_holds, step_until

pytestmark = pytest.mark.timeout(300)

SLOW = """
from pathlib import Path
from select import select
from livem.consumers.virtual_detectors import VirtualDetectors

class Slow(VirtualDetectors):
    type_name = "slow"
    def open(self, series):
        while not Path(__file__).with_name("go").exists():
            select([], [], [], 0.01)  # a kernel that takes long to compile
        super().open(series)
"""


def test_a_series_that_is_over_before_its_consumer_is_ready_waits_for_it(tmp_path, monkeypatch):
    (tmp_path / "slow_one.py").write_text(SLOW)
    (tmp_path / "p.toml").write_text(
        '[[consumers]]\nname = "vd"\ntype = "slow_one:Slow"\ndetectors = { all = { kind = "total" } }\n'
    )
    monkeypatch.setattr(settling, "SETTLE_S", 0.0)
    monkeypatch.setattr(settling, "STALLED_S", 0.0)
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        url = f"tcp://127.0.0.1:{port}"
        with Session(load(tmp_path / "p.toml"), SessionOptions(url)) as session:
            session.start()
            send_all(sender)
            step_until(session, lambda: session.accounts.series_count() and session.accounts.is_over(0))
            for _ in range(20):
                session.step(0.01)
            assert not session.settling.settled
            monkeypatch.undo()
            (tmp_path / "go").touch()
            step_until(session, lambda: session.settling.settled)
            session.stop("seen")
            session.finish()
            (account,) = session.settling.settled
    assert account["edges"]["vd"]["processed"] == 12
    assert identity_holds(account)


def send_all(sender: zmq.Socket[bytes]) -> None:
    series = Series(SeriesKey(bytes(range(8)), 3), (4, 5), "uint16", count=12, scan=Scan((3, 4)))
    frames = np.arange(12 * 20, dtype=np.uint16).reshape(12, 4, 5)
    sender.send_multipart(encode_start(series))
    sender.send_multipart(encode_frames(series.key, 0, 12, frames.tobytes()))
    sender.send_multipart(encode_end(series.key, 12))
