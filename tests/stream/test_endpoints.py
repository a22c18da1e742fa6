"""Addresses as people write them, and the rule about binds beyond this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livem.errors import SourceError, UnauthorisedBindError
from livem.stream.endpoints import (
    IPC_PATH_LIMIT,
    Endpoint,
    host_resolves,
    is_loopback,
    local_endpoint,
    parse_endpoint,
    require_safe_bind,
)

needs_ipc = pytest.mark.skipif(sys.platform == "win32", reason="there is no ipc on Windows")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://10.42.41.10:9999", Endpoint("tcp://10.42.41.10:9999")),
        (" tcp://camera-pc.local:1 ", Endpoint("tcp://camera-pc.local:1")),
        ("bind+tcp://*:9999", Endpoint("tcp://*:9999", True)),
        ("bind+tcp://127.0.0.1:*", Endpoint("tcp://127.0.0.1:*", True)),
        ("bind+tcp://127.0.0.1:0", Endpoint("tcp://127.0.0.1:0", True)),
        ("connect+tcp://[::1]:65535", Endpoint("tcp://[::1]:65535", False)),
        ("sub+tcp://h:5", Endpoint("tcp://h:5", None, "sub")),
        ("sub+bind+tcp://h:5", Endpoint("tcp://h:5", True, "sub")),
        ("bind+sub+tcp://h:5", Endpoint("tcp://h:5", True, "sub")),
        pytest.param("ipc:///tmp/a.sock", Endpoint("ipc:///tmp/a.sock"), marks=needs_ipc),
        pytest.param("bind+ipc://@abstract", Endpoint("ipc://@abstract", True), marks=needs_ipc),
    ],
)
def test_valid_endpoints(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected
    assert parse_endpoint(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("http://camera:9999", "did you mean 'tcp://camera:9999'"),
        ("camera:9999", "did you mean 'tcp://camera:9999'"),
        ("camera", "did you mean 'tcp://camera:9999'"),
        ("tcp:/camera:9999", "did you mean 'tcp://camera:9999'"),
        ("/tmp/a.sock", "did you mean 'ipc:///tmp/a.sock'"),
        ("", "neither tcp://host:port nor ipc://path"),
        ("bnd+tcp://h:5", "did you mean 'bind+tcp://h:5'"),
        ("push+tcp://h:5", "unknown prefix 'push+'"),
        ("bind+connect+tcp://h:5", "keep one of"),
        ("tcp://camera", "'tcp://camera:9999'"),
        ("tcp://camera:", "'tcp://camera:9999'"),
        ("tcp://camera:abc", "must be a number from 1 to 65535"),
        ("tcp://camera:65536", "must be a number from 1 to 65535"),
        ("tcp://camera:-1", "must be a number from 1 to 65535"),
        ("tcp://camera:٣", "must be a number from 1 to 65535"),
        ("tcp://camera:*", "can only be bound"),
        ("connect+tcp://camera:0", "can only be bound"),
        ("tcp://*:9999", "write 'bind+tcp://*:9999'"),
        ("tcp://:9999", "'tcp://127.0.0.1:9999'"),
        ("bind+tcp://:9999", "'tcp://*:9999'"),
        ("tcp://cam era:9999", "no host name"),
        ("tcp://[1.2.3.4]:9999", "no host name"),
        ("tcp://::1:9999", "'tcp://[::1]:9999'"),
        ("tcp://camera:9999/path", "did you mean 'tcp://camera:9999'"),
        pytest.param("ipc:///tmp/\0", "unprintable", marks=needs_ipc),
        pytest.param("ipc:///tmp/\udcff", "unprintable", marks=needs_ipc),
        pytest.param("ipc://", "'ipc:///tmp/livem.sock'", marks=needs_ipc),
        pytest.param("ipc:///" + "a" * 120, "the limit is 100", marks=needs_ipc),
    ],
)
def test_wrong_endpoints_name_the_nearest_valid_form(text: str, nearest: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_endpoint(text)
    assert nearest in str(caught.value)
    assert repr(text) in str(caught.value)


@given(st.one_of(st.text(), st.text(alphabet="tcpipcbindsub+:/[]*.0123456789a@%")))
@example("tcp://[::1%eth0]:5")
@example("+")
@example("tcp://[")
def test_any_text_is_an_endpoint_or_a_clear_error(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except SourceError:
        return
    assert parse_endpoint(str(endpoint)) == endpoint
    assert endpoint.port is None or 1 <= endpoint.port <= 65_535


def test_parts_of_an_endpoint() -> None:
    endpoint = parse_endpoint("bind+tcp://[::1]:9999")
    assert (endpoint.host, endpoint.port, endpoint.path, endpoint.place) == ("::1", 9999, "", "[::1]:9999")
    assert parse_endpoint("bind+tcp://*:*").port is None
    path = Endpoint("ipc:///tmp/a.sock")
    assert (path.host, path.port, path.path, path.place) == ("", None, "/tmp/a.sock", "/tmp/a.sock")


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("tcp://127.0.0.1:5", True),
        ("tcp://127.8.9.1:5", True),
        ("tcp://localhost:5", True),
        ("tcp://LOCALHOST:*", True),
        ("tcp://[::1]:5", True),
        ("tcp://[::ffff:127.0.0.1]:5", True),
        ("ipc:///tmp/a", True),
        ("tcp://*:5", False),
        ("tcp://0.0.0.0:5", False),
        ("tcp://[::]:5", False),
        ("tcp://10.0.0.1:5", False),
        ("tcp://[::ffff:10.0.0.1]:5", False),
        ("tcp://eth0:5", False),
        ("tcp://localhost.example.org:5", False),
        ("tcp://127.1:5", False),
        ("pgm://127.0.0.1:5", False),
    ],
)
def test_loopback(address: str, ours: bool) -> None:
    assert is_loopback(address) is ours


def test_fault_17_a_bind_beyond_this_machine_needs_keys_or_an_explicit_word() -> None:
    outside = parse_endpoint("bind+tcp://*:9999")
    with pytest.raises(UnauthorisedBindError, match=r"bind\+tcp://127\.0\.0\.1:9999.*--insecure-bind"):
        require_safe_bind(outside, insecure=False, curve=False)
    require_safe_bind(outside, insecure=True, curve=False)
    require_safe_bind(outside, insecure=False, curve=True)
    require_safe_bind(parse_endpoint("bind+tcp://127.0.0.1:9999"), insecure=False, curve=False)
    require_safe_bind(parse_endpoint("tcp://10.0.0.1:9999"), insecure=False, curve=False)


@needs_ipc
def test_local_endpoint_is_a_path_that_every_platform_takes(tmp_path: Path) -> None:
    short = Path("/tmp/x")
    assert local_endpoint(short, "bus") == "ipc:///tmp/x/bus.sock"
    deep = tmp_path / ("deep" * 30)
    assert local_endpoint(deep, "bus") == "tcp://127.0.0.1:*"
    longest = "n" * (IPC_PATH_LIMIT - len("/tmp/x/.sock"))
    assert parse_endpoint(local_endpoint(short, longest)).path.endswith(".sock")
    assert local_endpoint(short, longest + "n").startswith("tcp://127.0.0.1:")


def test_local_endpoint_on_windows_is_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert local_endpoint("somewhere", "bus") == "tcp://127.0.0.1:*"
    with pytest.raises(SourceError, match="no ipc on Windows"):
        parse_endpoint("ipc:///tmp/a.sock")


def test_names_that_this_machine_does_not_know() -> None:
    assert host_resolves("127.0.0.1")
    assert host_resolves("*")
    assert not host_resolves("256.256.256.256.")
    assert not host_resolves("a" * 70)
