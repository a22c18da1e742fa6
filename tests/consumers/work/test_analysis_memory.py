"""What an analysis of large frames takes beside the block: its tile, and never a copy in another type."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers.pool import Pool
from livem.consumers.preview import Preview
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work.analysis import Analysis
from livem.kernels.bslz4 import encode
from livem.stream.series import Block, Series, SeriesKey

SHAPE, COUNT = (4096, 4096), 2
FRAME_BYTES = 32 << 20
"""So much, or more, the heap takes anew from the system each time: nothing that was freed before hides it."""
FEW = 8 << 20
"""A quarter of one frame as it came, an eighth of one as float32."""
RINGS = {"bf": {"kind": "disk", "radius": 200}, "com": {"kind": "com"}}
PROFILE = {"rings": {"kind": "profile"}}
WATCHED: dict[str, Any] = {}
"""A preview that looks for dead pixels, in a few rows of a frame at a time."""
DEAD = [[5, 9], [700, 1200]]


def block_of(series: Series) -> Block:
    frame = np.random.default_rng(2).integers(0, 4, SHAPE, np.uint16)
    one = encode(frame) if series.encoding == "bslz4" else frame.tobytes()
    sizes = np.full(COUNT, len(one), np.int64) if series.encoding == "bslz4" else None
    payload = np.frombuffer(one * COUNT, np.uint8)
    return Block(series, 1, COUNT, payload, sizes, None, None, 0, 0)


def of_status(name: str) -> int:
    """Bytes, of a line that the system says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("encoding", "detectors", "tile"),
    [
        ("raw", RINGS, 0),
        ("bslz4", RINGS, 0),
        ("bslz4", PROFILE, FRAME_BYTES),
        ("bslz4", None, FRAME_BYTES),
        ("bslz4", WATCHED, FRAME_BYTES),
    ],
)
def test_frames_are_reduced_where_they_are(
    encoding: Any, detectors: Mapping[str, Any] | None, tile: int
) -> None:
    """In the block, from their bit planes, or in a tile of one frame; none of them is one that is checked."""
    series = Series(SeriesKey(bytes(8), 1), SHAPE, "uint16", encoding, COUNT)
    consumer: Any = Preview("preview", dead_pixels=DEAD, watch_pixels=detectors is WATCHED)
    if detectors:
        consumer = VirtualDetectors("vd", detectors, dead_pixels=DEAD, pattern=False)
    consumer.open(series)
    pool, block = Pool(1), block_of(series)
    Analysis(consumer, series, pool).run(block)  # tables of the regions are made with the first frames
    analysis = Analysis(consumer, series, pool)
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    except OSError:
        pytest.skip("the system does not let the peak be counted anew")
    before = of_status("VmRSS:")
    part = analysis.run(block)
    assert of_status("VmHWM:") - before <= tile + FEW
    assert not part.errors
    pool.close()
