"""ZeroMQ, local sockets, and buffers of the network card's side."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zmq

from ...stream.endpoints import local_endpoint
from .finding import Finding

RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
WANTED_RMEM = 16 << 20
"""13 ms of a 10 Gbit/s stream: longer than a scheduler's pause."""
PATIENCE_MS = 2000


def findings() -> Iterator[Finding]:
    yield Finding("ZeroMQ", "ok", f"libzmq {zmq.zmq_version()}, pyzmq {zmq.pyzmq_version()}")
    yield curve(bool(zmq.has("curve")))
    yield local_sockets()
    if RMEM_MAX.is_file():
        yield receive_buffer(int(RMEM_MAX.read_text()))


def curve(there: bool) -> Finding:
    if there:
        return Finding("CURVE", "ok", "streams can be authenticated and encrypted")
    fix = "pip install --force-reinstall pyzmq (its wheels have it)"
    return Finding("CURVE", "note", "this libzmq has no CURVE: no keys for binds beyond this machine", fix)


def local_sockets() -> Finding:
    """A message over the kind of socket that the processes of a session use."""
    with (
        tempfile.TemporaryDirectory(prefix="doctor-") as directory,
        zmq.Context() as context,
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
    ):
        pull.linger = push.linger = 0
        try:
            pull.bind(local_endpoint(directory, "probe"))
            address = pull.get_string(zmq.LAST_ENDPOINT)
            push.connect(address)
            push.send(b"livem")
            heard = bool(pull.poll(PATIENCE_MS))
        except zmq.ZMQError as error:
            return Finding("local sockets", "problem", f"do not work: {error}", _other_directory())
    kind = address.partition(":")[0]
    if heard:
        return Finding("local sockets", "ok", f"{kind} works")
    return Finding("local sockets", "problem", f"{kind}: nothing arrives", _other_directory())


def _other_directory() -> str:
    name = "TEMP" if sys.platform == "win32" else "TMPDIR"
    return f"set {name} to a local directory that allows sockets; now {tempfile.gettempdir()}"


def receive_buffer(limit: int) -> Finding:
    """``limit`` in bytes."""
    text = f"net.core.rmem_max is {limit / 2**20:.1f} MiB"
    if limit >= WANTED_RMEM:
        return Finding("receive buffer", "ok", text)
    return Finding(
        "receive buffer",
        "note",
        f"{text}: a detector at 10 Gbit/s fills it in {limit * 8 / 1e10 * 1e3:.1f} ms",
        f"sudo sysctl -w net.core.rmem_max={WANTED_RMEM}",
    )
