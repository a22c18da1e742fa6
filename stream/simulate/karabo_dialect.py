"""karabo-bridge 2.2 as a simulated server speaks it: trains of frames, handed to whoever asks.

Each train carries, in its metadata, the series and index as livem knows them: karabo_bridge.Client passes
over it, a livem receiver reads it. Pace, faults and series numbers are the sender's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from ...errors import SessionError, SourceError
from ..announcement import series_map
from ..endpoints import Endpoint, require_safe_bind
from ..files.acquisition import Acquisition, Array
from ..karabo_wire import REQUEST, encode, stamp
from ..opening import explain, needs_ipv6, require_free_path
from ..series import Encoding, Series
from .dialects import Speech
from .outgoing import Outgoing, announce, batch_at, place_of, runs_present

SOURCE, FRAMES, POSITIONS = "livem/detector", "image.data", "image.positions"
BAD_REQUEST = b"Error: bad request %b"
"""What karabo-bridge's own server answers."""
POLL_MS = 100
"""How often a server that waits looks whether it shall stop and whether anyone is still there."""

Kind = Literal["rep", "push", "pub"]
# XPUB tells when somebody has subscribed, and may be told to drop nothing.
_TYPES = {"rep": zmq.REP, "push": zmq.PUSH, "pub": zmq.XPUB}


class Karabo:
    """The dialect of a server that answers requests."""

    encodings: tuple[Encoding, ...] = ("raw",)
    one_frame_a_message = False
    kind: Kind = "rep"

    def __init__(self) -> None:
        self._tid = 0

    def line(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool) -> KaraboLine:
        """Open the server. Raises SourceError where that is impossible."""
        return KaraboLine(endpoint, self.kind, queue_messages, insecure_bind)

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        """Trains of frames and, as karabo has no end of a series, one train without any that says so."""
        acquisition, key = speech.acquisition, speech.key
        series = announce(acquisition, key, "raw", speech.repeat)
        first = 0
        while series.count is None or first < series.count:
            n = batch_at(first, speech.batch, acquisition.count)
            time_ns = speech.clock() if speech.clock else None
            for start, stop in runs_present(acquisition, place_of(acquisition, first), n):
                yield self._train(acquisition, series, first + start, stop - start, time_ns)
            first += n
        self._tid += 1
        mark = {"epoch": key.epoch, "series": key.number, "end": first}
        parts = encode(SOURCE, stamp(SOURCE, self._tid, None) | {"livem": mark}, {}, {})
        yield Outgoing(tuple(parts), key, first, 0, "end", payload_part=2)

    def _train(
        self, acquisition: Acquisition, series: Series, first: int, n: int, time_ns: int | None
    ) -> Outgoing:
        self._tid += 1
        at = place_of(acquisition, first)
        times, positions = acquisition.times(at, n), acquisition.positions(at, n)
        arrays: dict[str, Array] = {FRAMES: acquisition.frames(at, n)}
        if positions is not None:
            arrays[POSITIONS] = positions
        mark = {"epoch": series.key.epoch, "series": series.key.number, "index": first, "frames": n}
        metadata = stamp(SOURCE, self._tid, time_ns if times is None else int(times[0]))
        metadata["livem"] = mark | series_map(series)
        parts = encode(SOURCE, metadata, {"image.first": first}, arrays)
        return Outgoing(tuple(parts), series.key, first, n, "frames", payload_part=3)


class KaraboPush(Karabo):
    """The dialect of a server that deals its trains out to PULL clients."""

    kind: Kind = "push"


class KaraboPub(Karabo):
    """The dialect of a server that publishes to SUB clients."""

    kind: Kind = "pub"


class KaraboLine:
    """A server's socket: waits until it is asked (REP) or until there is room (PUSH, PUB); loses nothing.

    Parameters
    ----------
    endpoint : Endpoint
        Bound, unless it says connect+.
    kind : "rep", "push" or "pub"
    queue_messages : int
        Trains that may wait for a PULL or SUB client.
    insecure_bind : bool
        Whether a bind beyond this machine is allowed.

    Raises
    ------
    SourceError, UnauthorisedBindError
        An address that cannot be bound, or must not be.
    """

    def __init__(self, endpoint: Endpoint, kind: Kind, queue_messages: int, insecure_bind: bool) -> None:
        self._kind, self._peers, self._alone_since = kind, 0, time.monotonic()
        self._context = zmq.Context()
        self._socket = self._context.socket(_TYPES[kind])
        self._socket.set(zmq.SNDHWM, queue_messages)
        self._socket.set(zmq.IPV6, int(needs_ipv6(endpoint)))
        if kind == "pub":
            self._socket.set(zmq.XPUB_NODROP, 1)
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self._monitor = self._socket.get_monitor_socket(events)
        try:
            self._attach(endpoint, insecure_bind)
        except BaseException:
            self.close(0.0)
            raise
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT)

    def _attach(self, endpoint: Endpoint, insecure_bind: bool) -> None:
        if endpoint.socket != "pull":
            raise SourceError(f"cannot send to {endpoint}: sub+ is for receivers; leave it out")
        bound = Endpoint(
            endpoint.address.replace("tcp://localhost:", "tcp://127.0.0.1:"), endpoint.bind is not False
        )
        if bound.bind:
            require_safe_bind(bound, insecure_bind, curve=False)
            require_free_path(bound)
        try:
            (self._socket.bind if bound.bind else self._socket.connect)(bound.address)
        except zmq.ZMQError as error:
            raise SourceError(explain(bound, error)) from error

    def wait_for_receiver(self, seconds: float, stop: Event) -> bool:
        """Wait for the first client; False when stopped. Raises SourceError when none comes in time."""
        deadline = time.monotonic() + seconds
        while not self._somebody():
            if stop.is_set():
                return False
            if time.monotonic() > deadline:
                command = f"livem live {self.address.replace('tcp', 'karabo', 1)}"
                raise SourceError(
                    f"no client at {self.address} within {seconds:g} s: start `{command}` or another "
                    "karabo-bridge client, or allow more time"
                )
        return True

    def _somebody(self) -> bool:
        """Whether a client is there, having waited for news; a subscriber counts when it has subscribed."""
        if self._kind == "pub":
            return bool(self._socket.poll(POLL_MS)) and self._socket.recv()[:1] == b"\x01"
        return self._look_for_peers(POLL_MS) > 0

    def send(self, parts: Sequence[bytes | memoryview], stop: Event, patience: float) -> bool:
        """Hand out one train; False when stopped.

        The buffers are not copied and must not change until ``close``. Raises SessionError when no client
        has been there for ``patience`` seconds.
        """
        while not self._try(parts):
            if stop.is_set():
                return False
            if not self._look_for_peers(0) and time.monotonic() - self._alone_since > patience:
                raise SessionError(
                    f"the client at {self.address} has been gone for {patience:g} s: start it again"
                )
        return True

    def _try(self, parts: Sequence[bytes | memoryview]) -> bool:
        if self._kind == "rep" and not self._is_asked():
            return False
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self._socket.poll(POLL_MS, zmq.POLLOUT)
            return False
        return True

    def _is_asked(self) -> bool:
        if not self._socket.poll(POLL_MS):
            return False
        request = self._socket.recv()
        if request == REQUEST:
            return True
        self._socket.send(BAD_REQUEST % request[:100])
        return False

    def close(self, linger_s: float) -> None:
        """Close; waits up to ``linger_s`` for what a client has still to take, not at all without one."""
        if not self._socket.closed:
            wanted = linger_s if self._look_for_peers(0) else 0.0
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(int(wanted * 1000))
        self._context.term()

    def _look_for_peers(self, timeout_ms: int) -> int:
        while self._monitor.poll(timeout_ms):
            event = recv_monitor_message(self._monitor)["event"]
            self._peers = max(0, self._peers + (1 if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else -1))
            timeout_ms = 0
            if not self._peers:
                self._alone_since = time.monotonic()
        return self._peers
