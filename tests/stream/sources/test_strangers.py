"""Whose messages a source was sent by mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.stream.messages import Reason, Rejected
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.compress import BlobCache
from livem.stream.simulate.dialects import Speech, dialect_of
from livem.stream.sources.strangers import advised, kind_of
from livem.stream.wire import encode_start

REFUSED = Rejected(Reason.BAD_HEADER, "no header")


def spoken(protocol: str) -> list[bytes]:
    """First parts of all messages of a small series."""
    acquisition = open_acquisition("sim:4dstem?shape=16x16&scan=4x4")
    dialect = dialect_of(protocol)
    key = SeriesKey(b"12345678", 3)
    speech = Speech(acquisition, key, 4, dialect.encodings[0], 1, BlobCache(acquisition.bank), None)
    return [bytes(message.parts[0]) for message in dialect.messages(speech)]


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("livem", "livem"), ("dectris1", "dectris"), ("dectris2", "dectris"), ("karabo-push", "karabo")],
)
def test_every_message_of_a_protocol_is_known_by_its_beginning(protocol: str, kind: str) -> None:
    parts = spoken(protocol)
    assert parts
    assert {kind_of(part) for part in parts} == {kind}


def test_advice_names_the_source_and_never_the_one_that_was_tried() -> None:
    start = bytes(encode_start(Series(SeriesKey(bytes(8), 1), (4, 4), "uint8"))[0])
    advice = advised(REFUSED, start, "dectris", "10.0.0.1:9999").advice
    assert advice == "these are messages of a livem/1 sender: use tcp://10.0.0.1:9999"
    assert "tcp://HOST:PORT" in advised(REFUSED, start, "dectris", "").advice
    assert advised(REFUSED, start, "livem", "10.0.0.1:9999") is REFUSED
    known = Rejected(Reason.BAD_SHAPE, "4 x 5", SeriesKey(bytes(8), 1))
    assert advised(known, start, "dectris", "h:1") is known


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_at(noise: bytes) -> None:
    assert kind_of(noise) in ("", "livem", "dectris", "karabo")
