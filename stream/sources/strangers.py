"""Whose protocol bytes are that a source does not understand: told by how messages of each begin.

Only for words to the user; nothing is decoded, and nothing that a source takes in depends on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..messages import Rejected

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOOKED_AT = 4096
"""Bytes of a first part: its keys are among them."""
CBOR_MAPS: Final = (*range(0xA0, 0xC0), 0xD9)
"""Maps, and the tag that says "this is CBOR"."""
MSGPACK_MAPS: Final = (*range(0x80, 0x90), 0xDE, 0xDF)
ZEROMQ_GREETING: Final = b"\xff" + bytes(7)
"""What every ZeroMQ socket says first (ZMTP 3, greeting: 0xff and a length of eight bytes)."""


def advised(refused: Rejected, first_part: ReadableBuffer, own: str, place: str) -> Rejected:
    """A refusal with the SOURCE that would understand the message, where its bytes tell.

    Parameters
    ----------
    refused : Rejected
    first_part : buffer
        Of the message that was refused.
    own : str
        The protocol that was tried: "livem", "dectris" or "karabo".
    place : str
        ``host:port`` of the sender, for the words; empty when it is not known.
    """
    kind = kind_of(first_part)
    if refused.key is not None or kind in ("", own):
        return refused
    name, url = _SCHEMES[kind]
    return replace(refused, advice=f"these are messages of {name}: use {url.format(place or 'HOST:PORT')}")


def kind_of(first_part: ReadableBuffer) -> str:
    """ "livem", "dectris", "karabo", or empty: unlike all of them."""
    head = bytes(memoryview(first_part)[:LOOKED_AT])
    if not head:
        return ""
    if head[0] == ord("{") and b'"htype"' in head:
        return "dectris"
    if head[0] in CBOR_MAPS and b"type" in head and b"series_id" in head:
        return "dectris"
    if head[0] in MSGPACK_MAPS and b"\xa5livem\x01" in head:
        return "livem"
    if head[0] in MSGPACK_MAPS and b"\xa6source" in head and b"\xa7content" in head:
        return "karabo"
    return ""


_SCHEMES = {
    "livem": ("a livem/1 sender", "tcp://{}"),
    "dectris": ("a DECTRIS detector", "dectris://{}"),
    "karabo": ("a karabo-bridge server", "karabo://{}?socket=pull"),
}
