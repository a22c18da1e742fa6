"""Shared by the DECTRIS tests: an acquisition of given pixels, bursts of given messages, frames decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from livem.kernels.bslz4 import Status, decode_into
from livem.stream.burst import Burst
from livem.stream.files.acquisition import Acquisition, FrameBank
from livem.stream.messages import FrameBatch, Message
from livem.stream.series import Encoding, Series, SeriesKey
from livem.stream.simulate.compress import BlobCache
from livem.stream.simulate.dialects import Speech

KEY = SeriesKey(b"01234567", 34)


class Pictures(Acquisition):
    """Given pixels (n, h, w), and whatever else a test hangs on."""

    def __init__(self, frames: Any, scan: Any = None, **more: Any) -> None:
        self.name, self.bank, self.count, self.scan = "pictures", FrameBank(frames), len(frames), scan
        self.meta = more.pop("meta", {"frame_time": 0.001})
        self._more = more
        self.encoding: Encoding = more.get("encoding", "raw")

    def positions(self, first: int, n: int) -> Any:
        return self._cut("positions", first, n)

    def payloads(self, first: int, n: int) -> Any:
        return self._cut("payloads", first, n)

    def present(self, first: int, n: int) -> Any:
        return self._cut("present", first, n)

    def times(self, first: int, n: int) -> Any:
        return self._cut("times", first, n)

    def tables(self) -> Any:
        return self._more.get("tables", {})

    def truth(self) -> Any:
        return {}

    def _cut(self, name: str, first: int, n: int) -> Any:
        whole = self._more.get(name)
        return None if whole is None else whole[first : first + n]


def random_frames(n: int, shape: tuple[int, int], dtype: str = "uint16", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.poisson(3.0, (n, *shape)).astype(dtype)


def speech(acquisition: Acquisition, encoding: Encoding = "raw", clock: Any = None, **more: Any) -> Speech:
    given = {"key": KEY, "batch": 1, "repeat": 1, "blobs": BlobCache(acquisition.bank)} | more
    return Speech(acquisition=acquisition, encoding=encoding, clock=clock, **given)


def burst_of(messages: Iterable[Sequence[bytes | memoryview]]) -> Burst:
    """Messages as a socket would hand them on together."""
    whole = [list(map(bytes, parts)) for parts in messages]
    flat = [part for parts in whole for part in parts]
    sizes = np.array([len(part) for part in flat], np.int64)
    offsets = np.cumsum(np.concatenate([[0], sizes]))[:-1]
    table = np.ascontiguousarray(np.stack([offsets, sizes], 1).astype(np.int64))
    first = np.cumsum([0, *map(len, whole)]).astype(np.int64)
    return Burst(np.frombuffer(b"".join(flat), np.uint8).copy(), table, first, np.zeros(len(whole), np.uint8))


def parse_all(parser: Any, messages: Sequence[Any], cuts: Sequence[int] = ()) -> list[Message]:
    """What a parser makes of messages that arrive in bursts which end at ``cuts``."""
    out: deque[Message] = deque()
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(messages)), len(messages)]
    for start, stop in pairwise(edges):
        burst = burst_of(messages[start:stop])
        at = 0
        while at < len(burst):
            behind = parser.parse(burst, at, out)
            assert at < behind <= len(burst)
            at = behind
    return list(out)


def pixels_of(series: Series, batches: Iterable[FrameBatch]) -> dict[int, Any]:
    """Decoded frames by index."""
    frames = {}
    for batch in batches:
        sizes = [series.frame_bytes] * batch.count if batch.sizes is None else batch.sizes.tolist()
        edges = np.cumsum([0, *sizes])
        assert edges[-1] == batch.payload.nbytes
        for number in range(batch.count):
            payload = batch.payload[edges[number] : edges[number + 1]]
            frames[batch.first + number] = decoded(series, payload)
    return frames


def decoded(series: Series, payload: Any) -> Any:
    if series.encoding == "raw":
        return np.frombuffer(payload.tobytes(), series.numpy_dtype).reshape(series.shape)
    frame = np.empty(series.shape, series.numpy_dtype)
    assert decode_into(np.ascontiguousarray(payload), frame, series.encoding) is Status.OK
    return frame
