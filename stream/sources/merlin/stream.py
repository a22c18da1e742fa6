"""The bytes of a Merlin's data connection become messages. No socket: bytes in, messages out.

Every message is ``MPX,<10 digits>,`` and a text or a frame. A frame that lies complete and like its
predecessors is found by a compiled loop; everything else is read here, one message at a time. No bytes
whatever make this raise: what is not understood is skipped to the next message and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...messages import DEFAULT_LIMITS, Fault, Limits, Message, Reason
from ...series import Series
from ..strangers import ZEROMQ_GREETING
from .header import (
    FIXED_BYTES,
    FrameHeader,
    header_bytes_of,
    parse_acquisition,
    parse_frame,
    time_in,
)
from .order_finder import OrderFinder
from .orders import Order
from .pixels import PixelFormat, pixel_format
from .scan import MARK, MARK_TEXT, MORE, WAIT, find_run, pattern
from .series import Run, SeriesBook

Bytes = npt.NDArray[np.uint8]

PREFIX_BYTES = 15
"""``MPX,`` ten digits and a comma, which the number counts: a payload is the number less one."""
START_BYTES = PREFIX_BYTES + 4
_START = re.compile(rb"MPX,(\d{10}),(HDR,|MQ1,)")
BUFFER_BYTES = 4 << 20
"""32 frames of 256 x 256 uint16; it grows to hold a larger frame once a header has announced one."""
BATCH_BYTES = 1 << 20
"""Of frames that are unpacked together: they are still in the cache when they are copied into the ring."""
MOST_SPOILED = 4
"""Messages in a row whose heads may be spoiled without casting doubt on the frame before them."""
ZEROMQ_HINT = "they are of a ZeroMQ sender, use tcp://HOST:PORT or dectris://HOST:PORT"
MOST_FRAMES = 4096
"""Found by one call of the compiled loop."""
ORDER_KEY = "raw_24_bit_order"
"""Of a series' metadata."""


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    """What messages that are all alike have in common."""

    header: FrameHeader
    format: PixelFormat
    prefix: Bytes
    identity: Bytes
    total: int
    pixels_at: int
    """From the beginning of the message."""
    batch: int
    """Frames that are unpacked together."""


class MerlinStream:
    """One detector's bytes, over any number of connections.

    Parameters
    ----------
    limits : Limits, optional
    use_scan : bool
        Whether the acquisition header decides the scan.
    order : Order or None
        Of the halves of raw 24-bit counts of four chips; None: found from the counts.
    """

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, use_scan: bool = True, order: Order | None = None
    ) -> None:
        self._limits = limits
        self._book = SeriesBook(use_scan)
        self._orders = OrderFinder(order)
        self._template: _Template | None = None
        self._room(BUFFER_BYTES)
        self._at = self._stop = 0
        self._skipped = 0
        self._skipping = False
        self._charged = self._zeromq = False
        self._places = np.empty(MOST_FRAMES, np.int64)
        self.understood = 0
        """Messages that were Merlin's, good or bad."""

    def _room(self, nbytes: int) -> None:
        self._memory = bytearray(nbytes)
        self._buffer: Bytes = np.frombuffer(self._memory, np.uint8)

    # -- bytes -------------------------------------------------------------------------------------------

    def space(self) -> memoryview:
        """Where to receive into, never empty. Moves what is left to the front: call when ``next`` has
        nothing."""
        left = self._stop - self._at
        if self._at and (left == 0 or 2 * self._stop > len(self._memory)):
            self._buffer[:left] = self._buffer[self._at : self._stop].copy()
            self._at, self._stop = 0, left
        return memoryview(self._memory)[self._stop :]

    def took(self, nbytes: int) -> None:
        """So many bytes were received into ``space``."""
        self._stop += nbytes

    def _grow(self, nbytes: int) -> None:
        left = self._buffer[self._at : self._stop]
        self._room(nbytes)
        self._buffer[: len(left)] = left
        self._at, self._stop = 0, len(left)

    def line_lost(self, orderly: bool) -> None:
        """The connection is gone; what is left of its bytes is no message."""
        if self._skipping:
            self._skipped += self._stop - self._at
            self._end_skip()
        while self._at < self._stop:
            self._reject_rest()
            begin = _find_start(self._memory, self._at + 1, self._stop)
            self._at = self._stop if begin < 0 else begin
        self._at = self._stop = 0
        self._orders.forget()
        if self._template is not None and self._template.format.needs_order:
            self._template = None
        self._book.line_lost(orderly)

    def _reject_rest(self) -> None:
        """A message that the connection's end has cut."""
        detail = f"the connection ended {self._stop - self._at:,} bytes behind the beginning of a message"
        match = _START.match(self._memory, self._at, self._stop)
        text = bytes(self._memory[self._at + PREFIX_BYTES : self._stop][:FIXED_BYTES])
        frame = parse_frame(text) if match is not None and match[2] == b"MQ1," else None
        if isinstance(frame, FrameHeader):
            self._reject(Reason.PAYLOAD_SIZE, detail, frame)
        else:
            self._reject(Reason.BAD_PARTS, detail, None)

    def resume(self, series: Series) -> None:
        """Go on with a series of a former process."""
        self._book.resume(series)

    @property
    def note(self) -> str:
        """For the user: what is unusual; empty when nothing is."""
        if self._skipping and not self._charged:
            hint = ZEROMQ_HINT if self._zeromq else "is this the data port (6342)?"
            return f"{self._skipped:,} bytes so far that are no Merlin message: {hint}"
        return self._book.note or self._orders.note

    # -- messages ----------------------------------------------------------------------------------------

    def next(self) -> Message | None:
        """One message, or None when more bytes are needed."""
        queue = self._book.queue
        while not queue:
            if not self._advance():
                return None
        return queue.popleft()

    def _advance(self) -> bool:
        """Read on; False when more bytes are needed."""
        if self._skipping:
            return self._skip_on()
        if self._at == self._stop:
            return False
        if self._template is not None:
            why = self._run(self._template)
            if why in (MORE, WAIT):
                return why == MORE
        return self._one()

    def _run(self, template: _Template) -> int:
        """Consecutive frames like the template, as far as they reach; MORE when there were any."""
        places, kind = self._places[: template.batch], template
        found, self._at, why, sequence = find_run(
            self._buffer, self._at, self._stop, kind.prefix, kind.identity, kind.total, MARK, places
        )
        if found:
            self._hand_on(template, sequence, places[:found])
        return MORE if found else why

    def _hand_on(
        self,
        template: _Template,
        sequence: int,
        places: npt.NDArray[np.int64],
        fault: Fault | None = None,
    ) -> None:
        """Give frames to their series; ``fault``: why they cannot be read."""
        self.understood += len(places)
        if sequence == 0:
            self._reject(Reason.BAD_INDEX, "sequence number 0; they begin at 1", None)
            sequence, places = 1, places[1:]
        if not len(places):
            return
        run = Run(
            template.header,
            template.format,
            sequence,
            len(places),
            lambda: template.format.unpack(self._buffer, places + template.pixels_at),
            lambda: self._time_at(template, int(places[0])),
            lambda: self._time_at(template, int(places[-1])),
            {ORDER_KEY: self._orders.known} if template.format.needs_order else {},
            fault,
        )
        self._book.frames(run)

    def _time_at(self, template: _Template, place: int) -> int | None:
        text_at = place + PREFIX_BYTES
        return time_in(bytes(self._memory[text_at : text_at + template.header.header_bytes]))

    # -- one message at a time ---------------------------------------------------------------------------

    def _one(self) -> bool:
        """Read the message that begins here, whatever it is."""
        at, left = self._at, self._stop - self._at
        start = _START.match(self._memory, at, self._stop)
        if start is None:
            if left < START_BYTES and _may_begin(self._memory[at : self._stop]):
                return False
            return self._skip(charged=False)
        size = int(start[1]) - 1
        return self._acquisition(size) if start[2] == b"HDR," else self._frame(size)

    def _acquisition(self, size: int) -> bool:
        if size > self._limits.header_bytes:
            detail = f"an acquisition header of {size:,} bytes; the limit is {self._limits.header_bytes:,}"
            return self._refuse(Reason.HEADER_TOO_LARGE, detail)
        end = self._at + PREFIX_BYTES + size
        if end > self._stop or not self._followed(end):
            begin = _find_start(self._memory, self._at + START_BYTES, self._stop)
            if 0 <= begin < end:
                return self._refuse(Reason.BAD_PARTS, "an acquisition header ended early")
        if end > self._stop:
            return False
        self.understood += 1
        header = parse_acquisition(bytes(self._memory[self._at + PREFIX_BYTES : end]), self._limits)
        if isinstance(header, tuple):
            self._reject(*header, None)
        self._book.announce(None if isinstance(header, tuple) else header)
        self._at = end
        return True

    def _frame(self, size: int) -> bool:
        text_at, left = self._at + PREFIX_BYTES, self._stop - self._at - PREFIX_BYTES
        if left < min(size, FIXED_BYTES):
            return False
        header_bytes = header_bytes_of(bytes(self._memory[text_at : text_at + FIXED_BYTES]))
        if isinstance(header_bytes, tuple):
            return self._refuse(*header_bytes)
        if header_bytes > min(size, self._limits.header_bytes):
            detail = f"a frame header of {header_bytes:,} bytes in a message of {size:,}"
            return self._refuse(Reason.BAD_HEADER, detail)
        if left < header_bytes:
            return False
        header = parse_frame(bytes(self._memory[text_at : text_at + header_bytes]))
        if isinstance(header, tuple):
            return self._refuse(*header)
        form = pixel_format(header)
        if isinstance(form, tuple):
            return self._refuse(*form, header)
        return self._measured(size, header, form)

    def _measured(self, size: int, header: FrameHeader, form: PixelFormat) -> bool:
        """The frame's text is understood: does the message hold its pixels?"""
        if form.frame_bytes > self._limits.max_frame_bytes:
            detail = f"a frame has {form.frame_bytes:,} bytes, the limit is {self._limits.max_frame_bytes:,}"
            return self._refuse(Reason.FRAME_TOO_LARGE, detail, header)
        if size != header.header_bytes + form.wire_bytes:
            detail = (
                f"frame {header.index} has {size - header.header_bytes:,} bytes of pixels; {header.height} x "
                f"{header.width} {header.kind} are {form.wire_bytes:,}"
            )
            return self._refuse(Reason.PAYLOAD_SIZE, detail, header)
        end = self._at + PREFIX_BYTES + size
        if end > self._stop:
            if PREFIX_BYTES + size + len(MARK) > len(self._memory):
                self._grow(PREFIX_BYTES + size + BUFFER_BYTES)
            return False
        whole = self._whole(end)
        if whole is None:
            return False
        if not whole:
            detail = f"frame {header.index} does not end where its message says"
            return self._refuse(Reason.PAYLOAD_SIZE, detail, header)
        self._accept(size, header, form)
        return True

    def _accept(self, size: int, header: FrameHeader, form: PixelFormat) -> None:
        prefix = b"MPX,%010d,MQ1," % (size + 1)
        pixels_at, fault = PREFIX_BYTES + header.header_bytes, None
        if form.needs_order:
            begin = self._at + pixels_at
            fault = self._orders.look(form, self._buffer[begin : begin + form.wire_bytes], header.index)
            form = form.ordered(self._orders.order)
        template = _Template(
            header,
            form,
            pattern(prefix),
            pattern(header.identity),
            total=PREFIX_BYTES + size,
            pixels_at=pixels_at,
            batch=min(max(1, BATCH_BYTES // form.frame_bytes), MOST_FRAMES),
        )
        at, self._at = self._at, self._at + template.total
        self._hand_on(template, header.sequence, np.array([at]), fault)
        self._template = None if form.needs_order and form.order is None else template

    def _followed(self, end: int) -> bool:
        """Whether a message, or nothing so far, follows at ``end``: what is before it is whole then."""
        return MARK_TEXT.startswith(self._memory[end : min(end + len(MARK_TEXT), self._stop)])

    def _whole(self, end: int) -> bool | None:
        """Whether the frame that should end here does so; None: later bytes will tell.

        One that is not followed by a message was cut short, and has swallowed what came next; unless just
        the heads of the next few messages, as long as this one, are spoiled.
        """
        if self._followed(end):
            return True
        total = end - self._at
        begin = _find_start(self._memory, self._at + START_BYTES, self._stop)
        if begin >= 0:
            return begin >= end and (begin - end) % total == 0
        enough = end + MOST_SPOILED * total + START_BYTES
        return None if self._stop < enough <= self._at + len(self._memory) else False

    # -- what is not understood --------------------------------------------------------------------------

    def _reject(self, reason: Reason, detail: str, header: FrameHeader | None) -> None:
        self._book.reject(reason, detail, header)

    def _refuse(self, reason: Reason, detail: str, header: FrameHeader | None = None) -> bool:
        """Reject the message that begins here, and go on with the next."""
        self.understood += 1
        self._reject(reason, detail, header)
        return self._skip(charged=True)

    def _skip(self, charged: bool) -> bool:
        """Leave this place; ``charged``: what is skipped has been rejected already."""
        self._skipping, self._charged, self._skipped = True, charged, 1
        self._zeromq = self._memory.startswith(ZEROMQ_GREETING, self._at)
        self._at += 1
        return True

    def _skip_on(self) -> bool:
        """Go to the next message; False when it has not come yet."""
        begin = _find_start(self._memory, self._at, self._stop)
        upto = begin if begin >= 0 else _possible_start(self._memory, self._at, self._stop)
        self._skipped += upto - self._at
        self._at = upto
        if begin < 0:
            return False
        self._end_skip()
        return True

    def _end_skip(self) -> None:
        if not self._charged:
            detail = f"skipped {self._skipped:,} bytes that are no Merlin message"
            self._reject(Reason.BAD_PARTS, f"{detail}: {ZEROMQ_HINT}" if self._zeromq else detail, None)
        self._skipping = False


def _may_begin(piece: bytearray) -> bool:
    """Whether the beginning of a message looks like this."""
    return re.fullmatch(rb"M|MP|MPX|MPX,\d{0,10}|MPX,\d{10},(H|HD|HDR|M|MQ|MQ1)?", bytes(piece)) is not None


def _find_start(memory: bytearray, at: int, stop: int) -> int:
    """Where the next message certainly begins; -1 when nowhere."""
    match = _START.search(memory, at, stop)
    return -1 if match is None else match.start()


def _possible_start(memory: bytearray, at: int, stop: int) -> int:
    """Where a message may begin that is not yet there as a whole; ``stop`` when nowhere."""
    for place in range(max(at, stop - START_BYTES + 1), stop):
        if memory[place] == MARK[0] and _may_begin(memory[place:stop]):
            return place
    return stop
