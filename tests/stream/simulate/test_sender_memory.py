"""What a simulated detector holds in memory: at most 220 MiB, with many different frames all the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.four_d_stem import BANK_BYTES
from livem.stream.simulate.send_values import SenderOptions

LIMIT = 220 << 20
QUEUE = SenderOptions("sim:4dstem", "tcp://127.0.0.1:0").queue_bytes
BESIDE = 28 << 20
"""Interpreter, numpy, ZeroMQ, the specimen: what a sender holds beside its bank and its queue."""


def test_bank_and_queue_leave_room_for_the_rest() -> None:
    """Messages that were sent but are not freed yet take as much as the queue."""
    assert BANK_BYTES + 2 * QUEUE + BESIDE <= LIMIT


@pytest.mark.parametrize(
    ("spec", "different"),
    [
        ("sim:4dstem", 4096),
        ("sim:4dstem?scan=128x128", 2000),
        ("sim:4dstem?shape=256x256", 500),
        ("sim:4dstem?shape=256x256&scan=256x256&dose=500", 500),
        ("sim:4dstem?shape=1024x1024", 32),
        ("sim:insitu?shape=512x512&frames=0", 100),
    ],
)
def test_different_frames_in_little_memory(spec: str, different: int) -> None:
    stock = np.asarray(open_acquisition(spec).bank.stock)
    assert stock.nbytes <= BANK_BYTES
    assert len(stock) >= different


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_prepared_sender_measured() -> None:
    """The largest bank there is, whose frames are copied into messages: only the queue comes on top."""
    code = """
from pathlib import Path
from livem.stream.simulate.sender import Sender, SenderOptions
sender = Sender(SenderOptions("sim:4dstem?order=serpentine", "bind+tcp://127.0.0.1:0"))
sender.prepare()
lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")))
sender.close()"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) << 10 <= LIMIT - QUEUE  # not 2 * QUEUE: heaps of other allocators differ
