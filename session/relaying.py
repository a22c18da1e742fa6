"""The session's side of its relay: started when the first viewer elsewhere asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..stream.desk import Reply
from ..stream.endpoints import local_endpoint
from ..stream.hub import HubAddresses
from ..stream.processes import Processes, ProcessSpec
from .relay import NAME, RelayOptions, run_relay


class Relaying:
    """See the module.

    Parameters
    ----------
    command : callable
        Sends a consumer a command that wants no answer.
    """

    def __init__(
        self,
        processes: Processes,
        addresses: HubAddresses,
        directory: Path,
        command: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._processes, self._addresses, self._directory = processes, addresses, directory
        self._command = command
        self._address = ""

    def ask(self, endpoint: str) -> Reply:
        """Where the relay answers, as a client can reach it that came by ``endpoint``; empty: ask again.

        While one that died starts again, the address is that of the dead one: nobody answers there.
        """
        if NAME not in set(self._processes):
            self._processes.start(self._spec())
        return {"ok": True, "address": _as_reached(self._address, endpoint)}

    def _spec(self) -> ProcessSpec:
        control = self._addresses.control
        tcp = control.startswith("tcp://")
        bind = f"{_host(control)}:*" if tcp else local_endpoint(self._directory, NAME)
        options = RelayOptions(
            bind, control, self._addresses.private, children_address=self._addresses.children
        )
        return ProcessSpec(NAME, run_relay, (options,))

    def hear(self, name: str, message: Mapping[str, Any]) -> None:
        """What the session's processes say; what concerns nobody here is passed over."""
        if name != NAME:
            return
        if message.get("type") == "ready":
            self._address = str(message.get("address") or "")
        elif message.get("kind") == "views":
            self._take_views(message.get("views"))

    def _take_views(self, views: object) -> None:
        """What it wants of previews: {consumer: cutouts}."""
        for consumer, cutouts in views.items() if isinstance(views, dict) else ():
            self._command(str(consumer), {"do": "set", "name": "views", "value": cutouts})


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]


def _as_reached(address: str, endpoint: str) -> str:
    """By the host name that the client used, since "0.0.0.0" says nothing to it."""
    if not (address.startswith("tcp://") and endpoint.startswith("tcp://")):
        return address
    return f"{_host(endpoint)}:{address.rpartition(':')[2]}"
