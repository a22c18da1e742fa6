"""libzmq by address: the library is pyzmq's own, also for another process with the same compiled code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq
from numba import int64, njit

from livem.stream import zmq_calls
from livem.stream.zmq_calls import CALLS, ERRNO, NAMES, addresses_in, find_calls, last_error

IN_ANOTHER_PROCESS = """
import zmq
from livem.stream.burst import BurstSocket, pack, send_burst
from livem.stream.zmq_calls import find_calls
with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
    one.bind("inproc://here"); other.connect("inproc://here")
    send_burst(one, find_calls(), pack([[b"a", b"bc"]]))
    receiver = BurstSocket(other, find_calls())
    print([bytes(part) for part in receiver.drain().message(0)])
    receiver.close()
"""


@njit(int64(CALLS), nogil=True)
def _errno(calls):
    return last_error(calls[ERRNO])


def test_the_library_of_pyzmq_is_found():
    calls = find_calls()
    assert calls is not None, "bursts would be received the slow way here"
    assert (calls != 0).all()
    assert len(set(calls.tolist())) == len(NAMES)


def test_it_is_the_library_that_pyzmq_uses():
    """zmq_errno tells what pyzmq's last call failed with: the two share one libzmq."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        with pytest.raises(zmq.Again):
            socket.recv(zmq.NOBLOCK)
        assert _errno(find_calls()) == zmq.EAGAIN


def test_compiled_code_serves_another_process():
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.strip() == "[b'a', b'bc']"


@pytest.mark.parametrize("path", ["/no/such/library.so", sys.executable])
def test_what_is_not_our_libzmq_is_left_alone(path):
    assert addresses_in(Path(path)) is None


def test_another_version_is_left_alone(monkeypatch):
    from zmq.backend.cython import _zmq

    monkeypatch.setattr(zmq_calls.zmq, "zmq_version_info", lambda: (4, 99, 0))
    assert addresses_in(Path(_zmq.__file__)) is None
    monkeypatch.setattr(zmq_calls.zmq, "zmq_version_info", lambda: (5, 0, 0))
    assert find_calls.__wrapped__() is None


def test_addresses_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        find_calls()[0] = np.int64(0)
