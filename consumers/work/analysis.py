"""One consumer on the blocks of one series: encoded where it can, decoded otherwise, on several threads.

The same for a live worker, its look back into history, and a recording processed offline: that is what makes
their pictures alike to the bit. Knows no ring, no process and no supervisor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DeviceFaultError
from ...kernels.bslz4 import Status
from ...stream.series import Block, IndexArray, Series
from ..base import Consumer, Encoded, Frames, SelfCheckError
from ..pool import Pool, ranges
from .decode import FrameDecoder


@dataclass(slots=True)
class Part:
    """What became of a range of a block's frames; every frame is in exactly one of these counts."""

    pieces: list[tuple[IndexArray, Any]] = field(default_factory=list)
    """Frame numbers, and the consumer's partial result of them."""
    undecodable: int = 0
    passed_over: int = 0
    """Frames that the edge does not want (every_nth)."""
    failed: int = 0
    errors: list[Exception] = field(default_factory=list)
    """What the consumer raised."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Frames that could not be decoded, by reason."""
    alarm: str = ""
    """Why this block ended the encoded way."""


class Analysis:
    """Reduces blocks of one series with one consumer; merging is the caller's."""

    def __init__(self, consumer: Consumer[Any], series: Series, pool: Pool, every: int = 1) -> None:
        self._consumer, self.series, self._pool, self._every = consumer, series, pool, every
        self._decoders = [FrameDecoder(series) for _ in range(pool.threads)]
        self._helpers = [FrameDecoder(series) for _ in range(pool.threads)]
        """For consumers that take frames encoded and look at a few: what these reject, the status says."""
        self._bad: Counter[str] = Counter()
        self._uncounted: Counter[str] = Counter()
        self._encoded = series.encoding != "raw" and every == 1
        self.alarm = ""
        """Why frames are no longer taken encoded: the check against the decoded path failed."""

    @property
    def rejected(self) -> Counter[str]:
        """Frames that could not be decoded, by reason, since the analysis was made."""
        return sum((decoder.rejected for decoder in self._decoders), self._bad) - self._uncounted

    def run(self, block: Block) -> Part:
        """Reduce all frames of a block; pieces come in the order of its frames."""
        offsets, before, encoded = _offsets(block), self.rejected, self._encoded
        edges = self._ranges(block)
        jobs = [(block, offsets, i, start, stop) for i, (start, stop) in enumerate(edges)]
        part = _joined(self._pool.map(lambda job: self._part(*job), jobs))
        part.rejected = self.rejected - before
        part.alarm = self.alarm if encoded and not self._encoded else ""
        return part

    def uncount(self, part: Part) -> None:
        """Its frames were counted when they were seen first."""
        self._uncounted += part.rejected

    def undo(self, part: Part) -> None:
        """The newest block was overwritten while it was read: what it showed of frames and paths is void."""
        self.uncount(part)
        if part.alarm:
            self._trust(True)
            self.alarm = self.alarm.removeprefix(part.alarm).strip()

    def _trust(self, own: bool) -> None:
        """Whether our own ways are gone: of frames as they are compressed, and of decoding them."""
        self._encoded = own
        for decoder in self._decoders:
            decoder.by_library = not own

    def _ranges(self, block: Block) -> list[tuple[int, int]]:
        """The frames of a block for each thread."""
        return ranges(block.count, self._pool.threads)

    def _part(
        self, block: Block, offsets: npt.NDArray[np.int64] | None, thread: int, start: int, stop: int
    ) -> Part:
        if self._encoded and offsets is not None:
            part = self._part_encoded(Encoded.of(block, offsets, start, stop, self._helpers[thread]))
            if part is not None:
                return part
        return self._part_decoded(block, self._decoders[thread], start, stop)

    def _part_encoded(self, encoded: Encoded) -> Part | None:
        """None: the consumer does not take these frames encoded."""
        part = Part()
        try:
            taken = self._consumer.process_encoded(encoded)
        except SelfCheckError as error:
            self._trust(False)
            self.alarm = str(error)
            return None
        except Exception as error:  # noqa: BLE001 - a consumer's error is counted, never fatal
            part.failed = len(encoded)
            part.errors.append(error)
            return part
        if taken is None:
            return None
        partial, status = taken
        bad = status[status != 0]
        part.undecodable = len(bad)
        self._bad.update(Status.of_code(int(code)).value for code in bad)
        part.pieces.append((encoded.indices[status == 0], partial))
        return part

    def _part_decoded(self, block: Block, decoder: FrameDecoder, start: int, stop: int) -> Part:
        part = Part()
        for frames, bad in decoder.tiles(block, start=start, stop=stop):
            part.undecodable += bad
            self._take(part, frames)
        return part

    def _take(self, part: Part, frames: Frames) -> None:
        """Reduce decoded frames."""
        chosen = self._select(frames)
        part.passed_over += len(frames) - len(chosen)
        try:
            part.pieces.append((chosen.indices, self._consumer.process(chosen)))
        except DeviceFaultError:
            raise  # the block is seen again, by a process whose device works
        except Exception as error:  # noqa: BLE001 - as above
            part.failed += len(chosen)
            part.errors.append(error)

    def _select(self, frames: Frames) -> Frames:
        """The frames that an every_nth edge lets through."""
        if self._every == 1:
            return frames
        keep = frames.indices % self._every == 0
        positions = None if frames.positions is None else frames.positions[keep]
        return replace(frames, indices=frames.indices[keep], data=frames.data[keep], positions=positions)


def _offsets(block: Block) -> npt.NDArray[np.int64] | None:
    """(n + 1,) where each payload begins and the last one ends; None for raw frames."""
    if block.sizes is None:
        return None
    offsets = np.zeros(block.count + 1, np.int64)
    np.cumsum(block.sizes, out=offsets[1:])
    return offsets


def _joined(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    return Part(
        [piece for part in parts for piece in part.pieces],
        sum(part.undecodable for part in parts),
        sum(part.passed_over for part in parts),
        sum(part.failed for part in parts),
        list(_errors(parts)),
    )


def _errors(parts: Sequence[Part]) -> Iterator[Exception]:
    for part in parts:
        yield from part.errors
