"""livem/1 as a simulated detector speaks it: batches of frames over a ZeroMQ PUSH socket."""

from __future__ import annotations

from collections.abc import Iterator

from ..endpoints import Endpoint
from .dialects import Speech
from .outgoing import SENDABLE, Outgoing, series_messages
from .push_line import PushLine


class Livem:
    """The native dialect."""

    encodings = SENDABLE
    one_frame_a_message = False

    def line(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool) -> PushLine:
        return PushLine(endpoint, queue_messages, insecure_bind)

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        return series_messages(
            speech.acquisition,
            speech.key,
            speech.batch,
            speech.encoding,
            repeat=speech.repeat,
            blobs=speech.blobs,
            clock=speech.clock,
        )
