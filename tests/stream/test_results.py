"""Results as bytes: round trips, limits, and bytes that are no result."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livem.errors import ResultError
from livem.stream.bus_codec import BUS_DTYPES, MAX_ARRAYS, decode, encode
from livem.stream.plain_map import MAX_HEADER, BadMessage, pack_map, unpack_map
from livem.stream.results import Result, fault_of, valid_of
from livem.stream.series import SeriesKey
from livem.stream.stamp import Message, Stamp

KEY = SeriesKey(b"12345678", 3)


def image(array: npt.NDArray[Any] | None = None, **fields: Any) -> Result:
    arrays = {"image": np.arange(12.0).reshape(3, 4) if array is None else array}
    return replace(Result("vd.bf", "image", KEY, (0, 12), 99, arrays), **fields)


def sent(result: Result) -> list[bytes]:
    return [bytes(part) for part in encode(result)]


def decoded(parts: list[bytes]) -> Result:
    result = decode(parts)
    assert isinstance(result, Result), result
    return result


def reason(parts: list[bytes]) -> str:
    result = decode(parts)
    assert isinstance(result, BadMessage)
    return str(result.reason)


def with_header(result: Result, **changes: Any) -> list[bytes]:
    topic, header, *arrays = sent(result)
    return [topic, msgpack.packb(msgpack.unpackb(header) | changes), *arrays]


def test_everything_comes_back() -> None:
    valid = np.array([[True, False, True, True]] * 3)
    result = Result(
        "vd.haadf",
        "image",
        KEY,
        (0, 12),
        123_456_789,
        {"image": np.arange(12, dtype=np.uint32).reshape(3, 4), "valid": valid},
        units={"image": "counts"},
        attrs={"estimate": True, "centre": [1.5, np.float64(2.5)], "n": np.int32(7)},
        final=True,
    )
    back = decoded(sent(result))
    assert (back.topic, back.kind, back.series, back.frames) == ("vd.haadf", "image", KEY, (0, 12))
    assert (back.t_ns, back.final, back.units) == (123_456_789, True, {"image": "counts"})
    assert back.attrs == {"estimate": True, "centre": [1.5, 2.5], "n": 7}
    np.testing.assert_array_equal(back.arrays["image"], result.arrays["image"])
    np.testing.assert_array_equal(valid_of(back), valid)


@given(
    hnp.arrays(
        st.sampled_from(
            [np.dtype(t) for t in BUS_DTYPES] + [np.dtype("<U5"), np.dtype("S3"), np.dtype(">i4")]
        ),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_array_of_the_table_comes_back(array: npt.NDArray[Any], transposed: bool) -> None:
    array = array.T if transposed else array
    back = decoded(sent(Result("a.b", "status", None, (0, 0), 0, {"x": array}))).arrays["x"]
    assert back.shape == array.shape
    assert back.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable
    assert back.flags.aligned


def test_big_arrays_are_not_copied() -> None:
    array = np.zeros((256, 256))
    parts = encode(image(array))
    assert np.shares_memory(np.frombuffer(parts[2], np.float64), array)
    received = bytearray(parts[2])
    back = decode([parts[0], parts[1], received])
    assert isinstance(back, Result)
    assert np.shares_memory(back.arrays["image"], np.frombuffer(received, np.uint8))


def test_unaligned_bytes_become_an_aligned_array() -> None:
    topic, header, body = sent(image())
    back = decoded([topic, header, memoryview(b"x" + body)[1:]])  # type: ignore[list-item]
    assert back.arrays["image"].flags.aligned
    np.testing.assert_array_equal(back.arrays["image"], np.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (image(np.array([[object()]])), "must be numbers"),
        (image(np.zeros(4)), "shape \\(ny, nx\\)"),
        (image(arrays={"picture": np.zeros((2, 2))}), 'needs an array "image"'),
        (image(arrays={"image": np.zeros((2, 2)), "valid": np.ones((2, 3), bool)}), "must be bool"),
        (image(kind="curve", arrays={"x": np.zeros(3), "y": np.zeros(4)}), "must be \\(n,\\)"),
        (image(kind="curve", arrays={"x": np.zeros(3)}), '"x" and "y"'),
        (image(kind="table", arrays={"a": np.zeros(3), "b": np.zeros(4)}), "columns"),
        (image(kind="status", arrays={"a": np.zeros(3, complex)}), "the bus carries"),
        (image(kind="status", arrays={"a": np.zeros((1,) * 5)}), "limits"),
        (image(kind="status", arrays={str(n): np.zeros(1) for n in range(MAX_ARRAYS + 1)}), "limit is"),
        (image(attrs={"f": lambda: None}), "plain"),
        (image(attrs={"f": 1 << 80}), "header"),
        (image(attrs={"f": "x" * MAX_HEADER}), "limit is"),
        (image(topic=""), "topic"),
        (image(topic="a" * 200), "topic"),
        (image(topic="a\nb"), "topic"),
    ],
)
def test_a_result_against_the_contract_is_refused_where_it_is_made(result: Result, words: str) -> None:
    with pytest.raises(ResultError, match=words):
        encode(result)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"livem": 2}, "not a livem result"),
        ({"kind": "film"}, "not a livem result"),
        ({"kind": ["image"]}, "not a livem result"),
        ({"kind": "curve"}, "arrays do not fit the kind"),
        ({"series": [b"short", 1]}, "bad series"),
        ({"series": [b"12345678", -1]}, "bad series"),
        ({"series": 7}, "bad series"),
        ({"frames": [5, 1]}, "bad frames"),
        ({"frames": [0, 1 << 63]}, "bad frames"),
        ({"frames": [True, 2]}, "bad frames"),
        ({"t_ns": "now"}, "bad time"),
        ({"units": {"image": 3}}, "bad units"),
        ({"attrs": []}, "bad attributes"),
        ({"arrays": None}, "wrong number of parts"),
        ({"arrays": [["image", "float64", [3, 5]]]}, "size and shape disagree"),
        ({"arrays": [["image", "float64", [-3, -4]]]}, "bad shape"),
        ({"arrays": [["image", "float64", [1 << 62, 1 << 62]]]}, "bad shape"),
        ({"arrays": [["image", "float64", [3.0, 4]]]}, "bad shape"),
        ({"arrays": [["image", "float64", [1] * 9]]}, "bad shape"),
        ({"arrays": [["image", "object", [3, 4]]]}, "unknown dtype"),
        ({"arrays": [["image", "U0", [3, 4]]]}, "unknown dtype"),
        ({"arrays": [["image", "U9999", [3, 4]]]}, "unknown dtype"),
        ({"arrays": [["image", "U\u0663", [3, 4]]]}, "unknown dtype"),
        ({"arrays": [["image", "bool", [3, 32]]]}, "not a bool"),
        ({"arrays": [["image", "U8", [3]]]}, "not text"),
        ({"arrays": [[1, "float64", [3, 4]]]}, "bad array description"),
    ],
)
def test_a_wrong_header_is_told_by_its_reason(changes: dict[str, Any], expected: str) -> None:
    assert reason(with_header(image(np.full((3, 4), np.nan)), **changes)) == expected


def test_huge_headers_and_deep_nesting_cost_nothing() -> None:
    topic, _, body = sent(image())
    assert reason([topic, b"\x90" * (MAX_HEADER + 1), body]) == "header too long"
    tracemalloc.start()
    for hostile in (b"\x91" * MAX_HEADER, b"\xdd\xff\xff\xff\xff" * 100, b"\xc7\x08\x05" + b"x" * 8):
        assert isinstance(decode([topic, hostile, body]), BadMessage)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@given(st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(parts: list[bytes]) -> None:
    assert isinstance(decode(parts), (Result, BadMessage))
    Message.of(parts)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
header_keys = st.sampled_from(
    ["livem", "kind", "series", "frames", "t_ns", "arrays", "units", "attrs", "final"]
)


@given(st.dictionaries(header_keys, plain, max_size=3))
@settings(max_examples=300, deadline=None)
def test_no_header_raises(changes: dict[str, Any]) -> None:
    assert isinstance(decode(with_header(image(), **changes)), (Result, BadMessage))


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_no_flipped_byte_raises(where: int, value: int, part: int) -> None:
    parts = sent(Result("t.rows", "table", KEY, (0, 1), 0, {"name": np.array(["ab", "c"]), "y": np.ones(2)}))
    broken = bytearray(parts[part])
    broken[where % len(broken)] = value
    parts[part] = bytes(broken)
    back = decode(parts)
    if isinstance(back, Result) and "name" in back.arrays:
        back.arrays["name"].tolist()


@given(st.dictionaries(st.text(max_size=8), plain, max_size=5))
@settings(max_examples=100, deadline=None)
def test_plain_maps_come_back(fields: dict[str, Any]) -> None:
    back = unpack_map(pack_map(fields))
    assert repr(back) == repr(fields)


@pytest.mark.parametrize("raw", [b"\x80\x00" * 9, b"\xdb\x00\x00\x00\x00", b"\x91" * 8])
def test_a_message_without_a_stamp_is_none(raw: bytes) -> None:
    assert Message.of([b"a.b", raw, b"\x80"]) is None
    assert Message.of([b"a.b"]) is None


def test_stamp_comes_back() -> None:
    stamp = Stamp(b"sessions", 1 << 40, 7, "event", True)
    assert Stamp.unpack(stamp.pack()) == stamp


def test_validity_without_a_map_is_what_is_finite() -> None:
    colour = np.ones((2, 2, 3))
    colour[0, 1, 2] = np.nan
    np.testing.assert_array_equal(valid_of(image(colour)), [[True, False], [True, True]])
    assert valid_of(image(np.zeros((2, 2), np.uint8))).all()
    assert fault_of("image", {"image": colour}) is None
    assert image(colour).nbytes == colour.nbytes
