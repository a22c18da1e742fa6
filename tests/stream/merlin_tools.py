"""Shared by the Merlin tests: acquisitions as bytes, and a stream that reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from livem.stream.messages import FrameBatch, Message
from livem.stream.simulate.merlin_frames import Readout, acquisition_text, frame_text, message, pixel_bytes
from livem.stream.sources.merlin.header import FrameHeader, parse_frame
from livem.stream.sources.merlin.pixels import PixelFormat, pixel_format
from livem.stream.sources.merlin.stream import MerlinStream

READOUT = Readout("uint16", (8, 16))
NS = 1_700_000_000_000_000_000


def hdr(count: int, per_trigger: int = 1, **more: object) -> bytes:
    fields = {"Frames in Acquisition (Number)": count, "Frames per Trigger (Number)": per_trigger, **more}
    text = acquisition_text(fields, 512)
    return message(len(text)) + text


def content(index: int, readout: Readout = READOUT) -> np.ndarray:
    """Every pixel of frame i is i and a little more, so that no two pixels of a row are alike."""
    h, w = readout.shape
    top = 1 << readout.counter_depth
    return ((index + np.arange(h * w).reshape(h, w)) % top).astype(readout.dtype)


def frame(index: int, readout: Readout = READOUT, time_ns: int | None = None) -> bytes:
    pixels = pixel_bytes(content(index, readout), readout)
    text = frame_text(readout, index + 1, NS + index if time_ns is None else time_ns)
    return message(len(text) + len(pixels)) + text + pixels


def acquisition(count: int, indices: Iterable[int] | None = None, readout: Readout = READOUT) -> bytes:
    return hdr(count) + b"".join(frame(i, readout) for i in (range(count) if indices is None else indices))


def drain(stream: MerlinStream) -> list[Message]:
    found: list[Message] = []
    while (message := stream.next()) is not None:
        found.append(message)
    return found


def feed(stream: MerlinStream, data: bytes, cuts: Sequence[int] = ()) -> list[Message]:
    """Give bytes to a stream in pieces that end at ``cuts``; all its messages."""
    found: list[Message] = []
    bounds = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(bounds):
        piece = data[begin:end]
        while piece:
            space = stream.space()
            assert len(space), "a stream without room would stand still"
            taken = min(len(space), len(piece))
            space[:taken] = piece[:taken]
            stream.took(taken)
            piece = piece[taken:]
            found += drain(stream)
    return found


def frames_in(messages: Iterable[Message], readout: Readout = READOUT) -> dict[int, np.ndarray]:
    """The pixels of each frame by its index."""
    return {
        batch.first + i: pixels
        for batch in messages
        if isinstance(batch, FrameBatch)
        for i, pixels in enumerate(
            batch.payload.view(np.dtype(readout.dtype)).reshape(batch.count, *readout.shape)
        )
    }


def header_of(readout: Readout) -> FrameHeader:
    header = parse_frame(frame_text(readout, 1, 0))
    assert isinstance(header, FrameHeader), header
    return header


def format_of(readout: Readout) -> PixelFormat:
    form = pixel_format(header_of(readout))
    assert isinstance(form, PixelFormat), form
    return form


def unpack(form: PixelFormat, wire: list[bytes], lead: int = 3) -> np.ndarray:
    """Frames from a buffer in which they begin at odd addresses, with something in between."""
    buffer = b"".join(bytes([255]) * lead + payload for payload in wire)
    places = lead + np.arange(len(wire)) * (lead + form.wire_bytes)
    payload = form.unpack(np.frombuffer(bytearray(buffer), np.uint8), places)
    assert not payload.flags.writeable
    return payload.view(form.dtype).reshape(len(wire), *form.shape)
