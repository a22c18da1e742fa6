"""A 4D-STEM scan for tests of virtual detectors, and a consumer played over it as a worker does."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.consumers.pool import Pool
from livem.consumers.testing import snapshot
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work.analysis import Analysis
from livem.kernels.bslz4 import encode
from livem.stream.series import Block, Scan, Series, SeriesKey

SHAPE = (48, 52)
SCAN = Scan((12, 15))
CENTER, RADIUS = (22.0, 27.5), 9.0


def a_series(dtype: str = "uint16", encoding: Any = "raw", scan: Scan | None = SCAN, **meta: Any) -> Series:
    count = None if scan is None else scan.frame_count
    return Series(SeriesKey(b"12345678", 1), SHAPE, dtype, encoding, count, scan, meta)


def patterns(count: int = 180, seed: int = 3) -> np.ndarray:
    """A bright-field disk that wanders with the scan, over a faint background."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    shift = 1.5 * np.stack([np.sin(np.arange(count) / 7), np.cos(np.arange(count) / 5)], axis=1)
    cy, cx = (CENTER + shift).T[:, :, None, None]
    means = np.where(np.hypot(y - cy, x - cx) < RADIUS, 6.0, 0.2)
    return rng.poisson(means).astype(np.uint16)


FRAMES = patterns()
MIXED = {
    "bf": {"preset": "bf"},
    "ring": {"kind": "annulus", "inner": 10, "outer": 20},
    "com": {"kind": "com", "center": "auto"},
    "seg": {"kind": "segments", "outer": 14},
    "dose": {"kind": "dose"},
}


def block_of(series: Series, frames: np.ndarray, first: int = 0) -> Block:
    if series.encoding == "raw":
        payload = np.ascontiguousarray(frames).reshape(-1).view(np.uint8)
        return Block(series, first, len(frames), payload, None, None, None, 0, 0)
    blobs = [encode(frame) for frame in frames]
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    return Block(series, first, len(blobs), np.frombuffer(b"".join(blobs), np.uint8), sizes, None, None, 0, 0)


def played(
    consumer: VirtualDetectors,
    series: Series,
    edges: list[int],
    threads: int = 1,
    changes: Any = None,
    frames: np.ndarray = FRAMES,
) -> dict[str, Any]:
    """What is shown in the end, history being fed again as a worker does it."""
    consumer.open(series)
    pool = Pool(threads)
    analysis = Analysis(consumer, series, pool)
    spans = list(zip([0, *edges], [*edges, len(frames)], strict=True))

    def feed(start: int, stop: int) -> bool:
        for _, partial in analysis.run(block_of(series, frames[start:stop], start)).pieces:
            consumer.merge(partial)
        return consumer.restarted()

    for number, (start, stop) in enumerate(spans):
        again = feed(start, stop)
        for name, value in (changes or {}).get(number, ()):
            again |= consumer.set(name, value)
        if again:
            for past in spans[: number + 1]:
                feed(*past)
    pool.close()
    return snapshot(consumer.close())


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, output in one.items():
        assert output["attrs"] == other[name]["attrs"], name
        for key, array in output["arrays"].items():
            np.testing.assert_array_equal(array, other[name]["arrays"][key], err_msg=f"{name} {key}")


def image(result: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray(result[name]["arrays"]["image"])
