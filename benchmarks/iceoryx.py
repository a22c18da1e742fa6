"""The peer: the same frames through iceoryx2's shared memory, written and checked as in the ring.

Zero-copy on both sides: the writer copies the source into a loaned slice, the reader looks at the received
one. Waiting is iceoryx2's own (``RetryUntilDelivered``) on the writer's side and a yielding poll on the
reader's, which saves it every wake-up.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ..errors import MissingDependencyError
from .frames import Bytes, Source, stamps, wrong_frames
from .partner import Partner, requests

ALIGNMENT = 4096
"""As the ring's blocks."""


class Line:
    """A publisher here and a subscriber in a process of its own, with room for ``nbytes`` between them.

    With ``history`` the last ``nbytes`` stay readable, as in a ring. Without, iceoryx2 hands the chunk that
    was read last out again first, so that a quick reader keeps all that is written within the caches.
    """

    def __init__(self, nbytes: int, source: Source, *, history: bool) -> None:
        self._source = source
        self._depth = max(nbytes // source.block_bytes, 2)
        self._history = self._depth if history else 0

    def __enter__(self) -> Line:
        """Raises MissingDependencyError where iceoryx2 is not installed."""
        iox = _import()
        name = f"livem-bench-{os.getpid()}-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            node = _node(iox)
            service = _service(iox, node, name, self._depth, self._history)
            builder = service.publisher_builder().initial_max_slice_len(self._source.block_bytes)
            retry = iox.BackpressureStrategy.RetryUntilDelivered
            self._publisher = builder.backpressure_strategy(retry).create()
            stack.callback(self._publisher.delete)
            self._reader = stack.enter_context(
                Partner(
                    check_samples,
                    name,
                    (self._depth, self._history),
                    self._source.frames,
                    self._source.period,
                )
            )
            self._reader.hear()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def bytes_per_second(self, blocks: int) -> float:
        """Of ``blocks`` blocks, from the first loan to the reader's word on the last."""
        self._reader.tell(blocks)
        size = self._source.block_bytes
        started = time.perf_counter()
        for number in range(blocks):
            sample = self._publisher.loan_slice_uninit(size)
            np.copyto(_view(sample.payload_ptr, size), self._source.block(number))
            sample.assume_init().send()
        frames, wrong = self._reader.hear()
        seconds = time.perf_counter() - started
        assert (frames, wrong) == (blocks * self._source.frames, 0), f"{wrong} of {frames} frames are wrong"
        return blocks * size / seconds


def check_samples(pipe: Connection, name: str, limits: tuple[int, int], frames: int, period: int) -> None:
    """Body of the subscriber's process: receive as many blocks as asked; answer (frames, wrong ones)."""
    iox = _import()
    node = _node(iox)
    subscriber = _service(iox, node, name, *limits).subscriber_builder().create()
    expected = stamps(frames, period)
    pipe.send("ready")
    for blocks in requests(pipe):
        received = wrong = 0
        while received < blocks:
            sample = subscriber.receive()
            if sample is None:
                time.sleep(0)  # the peer has no wake-up: gives the processor away, no more
                continue
            payload = _view(sample.payload_ptr, int(sample.header.number_of_elements))
            wrong += wrong_frames(payload, received * frames, expected)
            sample.delete()
            received += 1
        pipe.send((received * frames, wrong))
    subscriber.delete()


def _import() -> Any:
    try:
        import iceoryx2 as iox
    except ImportError as error:
        raise MissingDependencyError('not installed: pip install "livem[bench]"') from error
    iox.set_log_level(iox.LogLevel.Error)
    return iox


def _node(iox: Any) -> Any:
    return iox.NodeBuilder.new().create(iox.ServiceType.Ipc)


def _service(iox: Any, node: Any, name: str, depth: int, history: int) -> Any:
    """Like a lossless edge: nothing is overwritten, the writer waits when ``depth`` blocks are unread."""
    builder = node.service_builder(iox.ServiceName.new(name))
    builder = builder.publish_subscribe(iox.Slice[ctypes.c_uint8]).enable_safe_overflow(False)
    builder = builder.subscriber_max_buffer_size(depth).history_size(history)
    builder = builder.max_publishers(1).max_subscribers(1)
    return builder.payload_alignment(iox.Alignment.new(ALIGNMENT)).open_or_create()


def _view(address: int, nbytes: int) -> Bytes:
    return np.frombuffer(memoryview((ctypes.c_uint8 * nbytes).from_address(address)).cast("B"), np.uint8)
