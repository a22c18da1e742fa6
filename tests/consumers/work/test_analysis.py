"""A consumer on blocks: encoded or decoded, on one thread or several, the same picture and exact counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from livem.consumers.base import Consumer, Encoded, Frames, Output, SelfCheckError
from livem.consumers.pool import Pool
from livem.consumers.work.analysis import Analysis
from livem.kernels.bslz4 import Status, encode
from livem.stream.series import Block, Series, SeriesKey

SERIES = Series(SeriesKey(b"12345678", 1), (9, 14), "uint16", "bslz4", 40)
FRAMES = np.random.default_rng(5).poisson(2, (40, 9, 14)).astype(np.uint16)


class Totals(Consumer[list[tuple[int, int]]]):
    """Total counts of every frame; takes frames encoded if it is told to."""

    type_name: ClassVar[str] = "totals"

    def __init__(self, way: str = "decoded") -> None:
        super().__init__("totals")
        self.way, self.encoded_blocks = way, 0

    def open(self, series: Series) -> None:
        pass

    def process(self, frames: Frames) -> list[tuple[int, int]]:
        if self.way == "raises":
            raise RuntimeError("no")
        return [(int(i), int(frame.sum())) for i, frame in zip(frames.indices, frames.data, strict=True)]

    def process_encoded(self, encoded: Encoded) -> tuple[list[tuple[int, int]], Any] | None:
        self.encoded_blocks += 1
        if self.way == "decoded":
            return None
        if self.way == "differs":
            raise SelfCheckError("frame 3 differs")
        frames = encoded.decoded(0, len(encoded))
        status = np.full(len(encoded), Status.CORRUPT.code, np.int8)
        status[frames.indices - encoded.indices[0]] = 0
        return self.process(frames), status

    def merge(self, partial: list[tuple[int, int]]) -> Sequence[Output]:
        return ()


def a_block(broken: Sequence[int] = (), first: int = 0) -> Block:
    blobs = [encode(frame) for frame in FRAMES]
    for i in broken:
        blobs[i] = blobs[i][:20] + bytes(len(blobs[i]) - 20)
    payload = np.frombuffer(b"".join(blobs), np.uint8)
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    return Block(SERIES, first, len(blobs), payload, sizes, None, None, 0, 0)


@pytest.fixture(params=[1, 3])
def pool(request):
    made = Pool(request.param)
    yield made
    made.close()


def run(consumer: Totals, pool: Pool, block: Block, every: int = 1):
    analysis = Analysis(consumer, SERIES, pool, every)
    return analysis, analysis.run(block)


@pytest.mark.parametrize("way", ["decoded", "encoded"])
def test_all_frames_in_order_whatever_the_way_and_the_threads(pool, way):
    _, part = run(Totals(way), pool, a_block())
    assert [total for _, piece in part.pieces for total in piece] == list(
        enumerate(FRAMES.sum((1, 2)).tolist())
    )
    assert np.concatenate([indices for indices, _ in part.pieces]).tolist() == list(range(40))


@pytest.mark.parametrize("way", ["decoded", "encoded"])
def test_frames_that_cannot_be_decoded_are_counted_by_reason(pool, way):
    analysis, part = run(Totals(way), pool, a_block(broken=[2, 30]))
    assert part.undecodable == 2
    assert sum(analysis.rejected.values()) == 2
    found = {number for _, piece in part.pieces for number, _ in piece}
    assert found == set(range(40)) - {2, 30}


def test_an_edge_that_wants_every_third_gets_it_decoded(pool):
    consumer = Totals("encoded")
    _, part = run(consumer, pool, a_block(), every=3)
    assert [number for _, piece in part.pieces for number, _ in piece] == list(range(0, 40, 3))
    assert part.passed_over == 26
    assert not consumer.encoded_blocks


def test_a_failed_self_check_is_said_and_ends_the_encoded_way(pool):
    consumer = Totals("differs")
    analysis, part = run(consumer, pool, a_block())
    assert analysis.alarm == "frame 3 differs"
    assert len([number for _, piece in part.pieces for number, _ in piece]) == 40
    before = consumer.encoded_blocks
    analysis.run(a_block())
    assert consumer.encoded_blocks == before


def test_what_a_consumer_raises_is_handed_back_with_its_frames(pool):
    _, part = run(Totals("raises"), pool, a_block())
    assert part.failed == 40
    assert {str(error) for error in part.errors} == {"no"}
    assert not part.pieces


@pytest.mark.parametrize("way", ["decoded", "encoded"])
def test_frames_that_are_seen_again_are_not_counted_again(pool, way):
    analysis, part = run(Totals(way), pool, a_block(broken=[2, 30]))
    assert sum(part.rejected.values()) == 2
    analysis.uncount(analysis.run(a_block(broken=[2, 30])))
    assert analysis.rejected == part.rejected


def test_a_check_that_failed_on_an_overwritten_block_is_void(pool):
    consumer = Totals("differs")
    analysis, part = run(consumer, pool, a_block(broken=[2]))
    assert part.alarm == "frame 3 differs"
    analysis.undo(part)
    assert (analysis.alarm, sum(analysis.rejected.values())) == ("", 0)
    before, consumer.way = consumer.encoded_blocks, "encoded"
    analysis.run(a_block())
    assert consumer.encoded_blocks > before
