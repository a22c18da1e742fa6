"""A Quantum Detectors Merlin as a simulated detector: an acquisition header, then frame by frame, over TCP.

What is absent in the acquisition is a sequence number that is never sent, as a detector under load leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...errors import SourceError
from ..endpoints import Endpoint
from ..files.acquisition import Acquisition
from ..series import Encoding
from .dialects import Speech
from .merlin_frames import (
    CHIPS,
    DEPTHS,
    KINDS,
    RAW24,
    WORDS,
    Array,
    Readout,
    acquisition_text,
    frame_text,
    message,
    pixel_bytes,
)
from .merlin_line import ServerLine
from .options import option, parse_options
from .outgoing import Outgoing, announce

ACQUISITION_BYTES = 2044
"""What real ones are padded to."""
NO_TIME_NS = 1_577_836_800_000_000_000
"""2020-01-01, where the speech has no clock."""
MAX_SIDE = 9999
"""Pixels in a row or column that four digits can say."""
IDENTITY_BYTES = len("MPX,0000000000,MQ1,000000,")
TOGETHER = 64
"""Frames that are asked for at once."""


@dataclass(frozen=True, slots=True)
class MerlinOptions:
    """What ``--protocol merlin?key=value`` may say."""

    pixels: str = option("processed", "raw: as the chips shift them out", choices=("processed", "raw"))
    depth: int = option(0, "bits of a raw counter; 0: what the type of the frames holds", 0, 24)
    layout: str = option("1x1", "assembly of chips", choices=tuple(CHIPS))
    raw24: str = option(RAW24[0], "order of raw 24-bit halves of 2x2 chips", choices=RAW24)


class Merlin:
    """The dialect of a Merlin.

    Parameters
    ----------
    raw : bool
        The chips' own order (R64) in place of big-endian integers.
    depth : int, optional
        Bits of a counter; None = what the acquisition's type holds: 6, 12 or 24.
    layout : str
        "1x1", "2x2" or "2x2G"; of processed pixels it is only a name.
    raw24 : str
        Order of the halves of raw 24-bit counts of four chips, by `merlin_frames.RAW24`.
    """

    encodings: tuple[Encoding, ...] = ("raw",)
    one_frame_a_message = True

    def __init__(
        self, *, raw: bool = False, depth: int | None = None, layout: str = "1x1", raw24: str = RAW24[0]
    ) -> None:
        self._raw, self._depth, self._layout, self._raw24 = raw, depth, layout, raw24

    @classmethod
    def set_up(cls, query: str) -> Merlin:
        """From ``pixels=raw&layout=2x2``. Raises SourceError for what there is not."""
        chosen = parse_options(MerlinOptions, "merlin", query)
        return cls(
            raw=chosen.pixels == "raw",
            depth=chosen.depth or None,
            layout=chosen.layout,
            raw24=chosen.raw24,
        )

    def line(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool) -> ServerLine:
        """A server at the endpoint; what waits for a slow receiver waits in the kernel's buffers."""
        return ServerLine(endpoint, insecure_bind, "merlin")

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        """All messages of one series. Raises SourceError for what a Merlin has not."""
        acquisition = speech.acquisition
        readout = self._readout(acquisition)
        series = announce(acquisition, speech.key, "raw", speech.repeat)
        text = acquisition_text(_fields(acquisition, readout, series.count), ACQUISITION_BYTES)
        yield Outgoing((message(len(text)), text), speech.key, 0, 0, "start")
        first = 0
        while series.count is None or first < series.count:
            n = _together(first, acquisition.count, series.count)
            yield from self._frames(speech, readout, first, n)
            first += n
        yield Outgoing((), speech.key, first, 0, "end")

    def _frames(self, speech: Speech, readout: Readout, first: int, n: int) -> Iterator[Outgoing]:
        acquisition = speech.acquisition
        at = first if acquisition.count is None else first % acquisition.count
        frames, present = acquisition.frames(at, n), acquisition.present(at, n)
        exposure_ns = round(float(acquisition.meta.get("frame_time", 1e-3)) * 1e9)
        for i in range(n):
            if present is not None and not present[i]:
                continue
            now = NO_TIME_NS + (first + i) * exposure_ns if speech.clock is None else speech.clock()
            yield _frame(speech, readout, first + i, frames[i], now, exposure_ns)

    def _readout(self, acquisition: Acquisition) -> Readout:
        height, width = acquisition.shape
        if acquisition.dtype not in KINDS:
            raise SourceError(
                f"{acquisition.name} is {acquisition.dtype}; a Merlin counts: {', '.join(KINDS)} can be sent"
            )
        if max(height, width) > MAX_SIDE:
            raise SourceError(
                f"{acquisition.name} has frames of {height} x {width}; a Merlin's have at most {MAX_SIDE} "
                "pixels a side"
            )
        if acquisition.scan is not None and acquisition.scan.order == "positions":
            raise SourceError(
                f"{acquisition.name} has explicit positions, for which Merlin's protocol has no place: "
                "send it with --protocol livem"
            )
        size = height, width
        readout = Readout(acquisition.dtype, size, self._raw, self._depth, self._layout, self._raw24)
        _check_raw(acquisition, readout)
        return readout


def _check_raw(acquisition: Acquisition, readout: Readout) -> None:
    """Raw pixels come in whole words, and a type holds certain counters only."""
    depth, dtype = readout.counter_depth, readout.dtype
    if not readout.raw:
        return
    if depth != DEPTHS[dtype] and (depth, dtype) != (1, "uint8"):
        raise SourceError(f"{acquisition.name} is {dtype}; raw {depth}-bit counters do not give that")
    row = (readout.shape[1] - readout.gap) // 2 if readout.chips == 4 else readout.shape[1]
    if row % WORDS[depth]:
        raise SourceError(
            f"{acquisition.name}: a chip's row of {row} pixels is no multiple of {WORDS[depth]}, as raw "
            f"{depth}-bit pixels need"
        )


def _fields(acquisition: Acquisition, readout: Readout, count: int | None) -> dict[str, object]:
    """The acquisition header's lines, in a real one's order."""
    scan = acquisition.scan
    raster = scan is not None and scan.order == "raster" and not scan.skip
    ny, nx = scan.shape if scan is not None and raster else (0, 1)
    fields: dict[str, object] = {
        "Chip ID": ",".join(["W000_A0"] * readout.chips),
        "Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)": "Medipix 3RX",
        "Assembly Size (NX1, 2X2)": f"{readout.layout:>6}",
        "Chip Mode  (SPM, CSM, CM, CSCM)": "SPM",
        "Counter Depth (number)": readout.counter_depth,
        "Gain": "SLGM",
        "Active Counters": "Alternating",
        "Gap Fill Mode": "None",
        "Acquisition Type (Normal, Th_scan, Config)": "Normal",
        "Frames in Acquisition (Number)": count or 0,
        "Frames per Trigger (Number)": nx,
        "Trigger Start (Positive, Negative, Internal)": "Internal",
        "Trigger Stop (Positive, Negative, Internal)": "Internal",
        "Sensor Bias (V)": "120 V",
        "Readout System": "livem simulator",
        "Software Version": "0",
    }
    return fields | ({"ScanX": nx, "ScanY": ny} if raster else {})


def _together(first: int, per_round: int | None, count: int | None) -> int:
    n = TOGETHER if per_round is None else min(TOGETHER, per_round - first % per_round)
    return n if count is None else min(n, count - first)


def _frame(
    speech: Speech, readout: Readout, index: int, frame: Array, time_ns: int, exposure_ns: int
) -> Outgoing:
    def message_of(frame: Array, readout: Readout) -> tuple[bytes, bytes]:
        text = frame_text(readout, index + 1, time_ns, exposure_ns)
        pixels = pixel_bytes(frame, readout)
        return message(len(text) + len(pixels)) + text, pixels

    def misshapen() -> tuple[bytes, bytes]:
        processed = Readout(readout.dtype, (readout.shape[0], 2 * readout.shape[1]))
        return message_of(np.repeat(frame, 2, axis=1), processed)

    return Outgoing(
        message_of(frame, readout),
        speech.key,
        index,
        1,
        "frames",
        identity_bytes=IDENTITY_BYTES,
        misshapen=misshapen,
    )
