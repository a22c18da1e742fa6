"""karabo-bridge parts: what its own serializer and client write and read, and what a peer may do wrong."""

from __future__ import annotations

import random
from typing import Any

import karabo_bridge.serializer as foreign
import msgpack
import msgpack_numpy  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.stream import karabo_wire as wire
from livem.stream.messages import Reason

FRAMES = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
META = {"timestamp.tid": 7, "timestamp.sec": "12", "timestamp.frac": "034000000000000000"}


def parts_of(**arrays: Any) -> list[Any]:
    parts: list[Any] = foreign.serialize({"det": {"x": 1.5, **arrays}}, {"det": META})
    return parts


def header(**changes: Any) -> bytes:
    fields = {"source": "det", "content": "array", "path": "a", "dtype": "uint16", "shape": [2, 3, 4]}
    packed: bytes = msgpack.packb(fields | changes)
    return packed


def test_reads_what_the_foreign_serializer_writes() -> None:
    train = wire.decode(parts_of(**{"image.data": FRAMES, "gain": FRAMES[0].astype(">i4")}))
    assert train.fault is None
    det = train.sources["det"]
    assert (det.tid, det.time_ns) == (7, 12_034_000_000)
    assert list(det.arrays) == ["image.data", "gain"]
    assert np.array_equal(det.arrays["image.data"], FRAMES)
    assert det.arrays["gain"].dtype == np.dtype(">i4")
    assert np.array_equal(det.arrays["gain"], FRAMES[0])
    assert not det.arrays["gain"].flags.writeable


@pytest.mark.parametrize("dtype", list(wire.WIRE_DTYPES))
def test_the_foreign_client_reads_what_is_written_here(dtype: str) -> None:
    array = (np.arange(12).reshape(3, 4) % 2).astype(wire.WIRE_DTYPES[dtype])
    parts = wire.encode(
        "a", wire.stamp("a", 3, 1_500_000_000), {"n": np.int64(2)}, {"p": array, "t": array.T}
    )
    parts += wire.encode("b", wire.stamp("b", 3, None), {}, {})
    data, meta = foreign.deserialize([bytes(part) for part in parts])
    assert data["a"]["n"] == 2
    assert data["a"]["p"].dtype == array.dtype
    assert np.array_equal(data["a"]["p"], array)
    assert np.array_equal(data["a"]["t"], array.T)
    assert data["b"] == {}
    assert meta["a"] == {
        "source": "a",
        "timestamp.tid": 3,
        "timestamp": 1.5,
        "timestamp.sec": "1",
        "timestamp.frac": "500000000000000000",
    }
    assert np.array_equal(wire.decode(parts).sources["a"].arrays["p"], array)


def test_arrays_that_hold_no_numbers_are_left_out_not_refused() -> None:
    train = wire.decode(parts_of(names=np.array(["ab"]), wave=np.zeros(2, complex), none=np.zeros((0, 3))))
    assert train.fault is None
    assert train.sources["det"].unread == {"names": "'<U2'", "wave": "'complex128'", "none": "empty"}


def test_values_that_would_need_unpickling_are_never_read() -> None:
    parts = parts_of(image=FRAMES)
    parts[1] = msgpack.packb({"x": np.array([None])}, default=msgpack_numpy.encode)
    assert wire.decode(parts).fault is None
    parts[1] = b"\xc1 no msgpack at all"
    assert np.array_equal(wire.decode(parts).sources["det"].arrays["image"], FRAMES)


@pytest.mark.parametrize(
    ("metadata", "tid", "time_ns"),
    [
        ({}, None, None),
        ({"timestamp.tid": True, "timestamp": 1.25}, None, 1_250_000_000),
        ({"timestamp.tid": -1, "timestamp": float("nan")}, None, None),
        ({"timestamp.tid": 2**63, "timestamp": "1"}, None, None),
        ({"timestamp.tid": 0, "timestamp.sec": 5, "timestamp.frac": 10**16}, 0, 5_010_000_000),
        ({"timestamp.sec": "9" * 300}, None, None),
        ({"timestamp.sec": "\u0663"}, None, None),
    ],
)
def test_times_and_train_numbers(metadata: dict[str, Any], tid: int | None, time_ns: int | None) -> None:
    data = wire.SourceData(metadata)
    assert (data.tid, data.time_ns) == (tid, time_ns)


@pytest.mark.parametrize(
    ("parts", "reason", "words"),
    [
        ([], Reason.BAD_PARTS, "number of parts is 0"),
        ([b"Error: bad request"], Reason.BAD_VERSION, "protocol 1.0"),
        ([b""] * 600, Reason.BAD_PARTS, "from 2 to 512"),
        (parts_of(a=FRAMES)[:3], Reason.BAD_PARTS, "must be even"),
        ([b"\xc1", b""], Reason.BAD_HEADER, "not msgpack"),
        ([b"", b""], Reason.BAD_HEADER, "not msgpack"),
        ([msgpack.packb([1]), b""], Reason.BAD_HEADER, "a msgpack map"),
        ([msgpack.packb({1: 2}), b""], Reason.BAD_HEADER, "not msgpack"),
        ([b"x" * 70_000, b""], Reason.HEADER_TOO_LARGE, "70000"),
        ([header(content="pickle"), b""], Reason.BAD_TYPE, "one of msgpack, array"),
        ([header(source=""), b""], Reason.BAD_HEADER, "'source'"),
        ([header(source=3), b""], Reason.BAD_HEADER, "'source'"),
        ([header(), b""], Reason.BAD_PARTS, "whose values came before"),
        (parts_of() + parts_of(), Reason.BAD_PARTS, "once"),
        ([*parts_of(), header(path=None), b"1"], Reason.BAD_HEADER, "'path'"),
        ([*parts_of(), header(dtype=3), b"1"], Reason.BAD_DTYPE, "'dtype'"),
        ([*parts_of(), header(shape=[2, -3]), b"1"], Reason.BAD_SHAPE, "'shape'"),
        ([*parts_of(), header(shape=[2, True]), b"1"], Reason.BAD_SHAPE, "'shape'"),
        ([*parts_of(), header(shape=[2**40] * 8), b"1"], Reason.BAD_SHAPE, "'shape'"),
        ([*parts_of(), header(shape=[1] * 9), b"12"], Reason.BAD_SHAPE, "'shape'"),
        ([*parts_of(), header(), b"123"], Reason.PAYLOAD_SIZE, "is 3, must be 48"),
        ([*parts_of(), header(shape=[2**30] * 8), b"1"], Reason.PAYLOAD_SIZE, "is 1"),
        ([*parts_of(), msgpack.packb({"a": msgpack.ExtType(1, b"x")}), b"1"], Reason.BAD_HEADER, "msgpack"),
    ],
)
def test_what_cannot_be_used_has_its_reason(parts: list[bytes], reason: Reason, words: str) -> None:
    fault = wire.decode(parts).fault
    assert fault is not None
    assert fault.reason is reason
    assert words in fault.detail


def test_what_came_before_a_fault_is_known() -> None:
    train = wire.decode([*parts_of(), header(), b"123"])
    assert train.sources["det"].tid == 7


@given(st.lists(st.binary(max_size=200), max_size=9))
def test_no_bytes_raise(parts: list[bytes]) -> None:
    wire.decode(parts)


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_no_damage_raises(seed: int, hits: int) -> None:
    rng = random.Random(seed)
    parts = [bytearray(bytes(part)) for part in parts_of(image=FRAMES, more=FRAMES[0])]
    for _ in range(hits):
        part = rng.choice(parts)
        if part and rng.random() < 0.8:
            part[rng.randrange(len(part))] = rng.randrange(256)
        else:
            del part[rng.randrange(len(part) + 1) :]
    train = wire.decode([bytes(part) for part in parts])
    for data in train.sources.values():
        assert all(array.size for array in data.arrays.values())
        assert data.tid is None or data.tid >= 0
        assert data.time_ns is None or data.time_ns >= 0
