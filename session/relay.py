"""The relay as its supervisor sees it: what it is told, and where it begins.

Imports nothing that computes: the supervisor stays light, the process loads relay_loop.py itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Final

NAME: Final = "relay"
Views = Mapping[str, list[list[int]]]
"""By consumer: cutouts that its preview is asked for."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """What the process is told."""

    bind: str
    """``tcp://host:*`` or ``ipc://path``; the session has checked that it may be bound."""
    control: str
    """The session's control address."""
    private: str
    """Where the hub sends private results (HubAddresses)."""
    _: KW_ONLY
    children_address: str = ""


def run_relay(options: RelayOptions) -> None:
    """Body of the process. Reports ``views``: {consumer: cutouts}, what previews are to be asked for."""
    from ..stream.child import Child, loading, run_child

    with loading():
        from .relay_loop import Relay

    def serve(child: Child) -> None:
        relay = Relay(options, lambda views: child.link.report("views", views=views))
        child.link.ready({"address": relay.address})
        try:
            while not child.stopping():
                relay.turn()
                while (command := child.link.receive()) is not None:
                    if command.get("do") == "stop":
                        child.stop()
                    child.link.reply(command)
        finally:
            relay.close()

    run_child(NAME, options.children_address, serve)
