"""From a SOURCE url to what the session starts: which source ingest opens, and whether it needs a sender.

Text to plan; opens nothing but a look at whether a file or host exists.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from ...errors import SourceError
from ..arming.base import Armer
from ..curve import CurveKeys
from ..endpoints import Endpoint, parse_endpoint, require_safe_bind
from ..files.file_acquisition import split_key
from ..messages import Limits
from ..opening import require_known_host
from .base import Source
from .detector_url import DetectorUrl, parse_detector_url
from .native import NativeSource

NATIVE = ("tcp://", "ipc://", "bind+", "connect+", "sub+")
DETECTORS = {"dectris": "DECTRIS SIMPLON", "merlin": "Quantum Detectors Merlin", "karabo": "karabo-bridge"}
ARMED = {"dectris": ("simplon", "SimplonArmer"), "merlin": ("merlin", "MerlinArmer")}
FORMS = (
    "tcp://host:port, ipc://path, bind+tcp://..., sub+tcp://..., dectris://host, merlin://host, "
    "karabo://host:port, sim:4dstem|sparse|insitu, or a file"
)


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """How a session gets its frames."""

    make_source: Callable[[Limits], Source]
    """Factory for the ingest process; can be handed to a spawned process."""
    spec: str | None = None
    """Simulator or file that the session has to send itself; None for a real detector."""
    sender_endpoint: str = ""
    """Where that sender goes."""
    make_armer: Callable[[Mapping[str, str]], Armer] | None = None
    """Control of the detector from settings; None where livem cannot arm it."""
    ends: bool = False
    """Whether the source has an end of its own (a file that is replayed once)."""
    recording: str = ""
    """FILE that is replayed; "" where frames come from elsewhere."""


def plan_source(url: str, *, insecure_bind: bool = False, curve: CurveKeys | None = None) -> SourcePlan:
    """Understand a SOURCE. Raises SourceError (or UnauthorisedBindError) with the nearest form.

    ``curve`` holds for livem/1 alone: detectors have no keys.
    """
    if url.startswith(NATIVE):
        return _native(parse_endpoint(url), insecure_bind, curve)
    if curve is not None:
        raise SourceError(f"{url!r} has no CURVE keys, they are for livem/1 senders: leave them out")
    scheme, mark, _ = url.partition("://")
    if mark:
        if scheme in DETECTORS:
            return _detector(parse_detector_url(url))
        raise SourceError(f"{url!r}: unknown kind of source {scheme!r}; known: {FORMS}")
    if not url.startswith("sim:") and not split_key(url)[0].exists():
        raise SourceError(f"{url!r} is no file and no address; known sources: {FORMS}")
    return _own_sender(url)


def _native(endpoint: Endpoint, insecure_bind: bool, curve: CurveKeys | None) -> SourcePlan:
    require_safe_bind(endpoint, insecure_bind, curve is not None)
    if not endpoint.bind and endpoint.is_tcp:
        require_known_host(endpoint, endpoint.host)
    return SourcePlan(functools.partial(_open_native, endpoint, insecure_bind, curve))


def _open_native(endpoint: Endpoint, insecure_bind: bool, curve: CurveKeys | None, limits: Limits) -> Source:
    return NativeSource(endpoint, limits=limits, insecure_bind=insecure_bind, curve=curve)


def _detector(url: DetectorUrl) -> SourcePlan:
    require_known_host(url, url.host)
    make_armer = functools.partial(_armer_of, url) if url.scheme in ARMED else None
    return SourcePlan(functools.partial(_open_detector, url), make_armer=make_armer)


def _armer_of(url: DetectorUrl, settings: Mapping[str, str]) -> Armer:
    """Raises SourceError for a setting that the detector does not have."""
    module, name = ARMED[url.scheme]
    chosen = dict(settings)
    port = chosen.pop("control_port", "")
    if port and not (port.isdigit() and 0 < int(port) < 65_536):
        raise SourceError(f"control_port is {port!r}; it must be a number from 1 to 65535")
    at = {"port": int(port)} if port else {}
    made: Armer = getattr(import_module(f"..arming.{module}", __package__), name)(
        url.host, settings=chosen, **at
    )
    return made


def _open_detector(url: DetectorUrl, limits: Limits) -> Source:
    """In the ingest process: each protocol is imported where it is used."""
    module = import_module(f".{url.scheme}.source", __package__)
    opened: Source = getattr(module, f"open_{url.scheme}")(url, limits)
    return opened


def _own_sender(spec: str) -> SourcePlan:
    # Not ipc: libzmq drops the tail of an ipc sender that ends while the receiver is behind (measured: 72 of
    # 200 messages), TCP delivers it.
    address = f"tcp://127.0.0.1:{_free_port()}"
    endpoint = Endpoint(address, bind=True)
    return SourcePlan(functools.partial(_open_native, endpoint, False, None), spec, f"connect+{address}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
