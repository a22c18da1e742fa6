"""``livem keep``: write down what a running session has just seen (pre-trigger recording)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import click

from . import options as opt

LOOK_S = 0.2
Ask = Callable[[dict[str, Any]], dict[str, Any]]


@click.command()
@click.argument("seconds", type=opt.SECONDS)
@click.argument("address", required=False)
@opt.as_json
def command(seconds: float, address: str | None, as_json: bool) -> int:
    """Have a running session with --record write the last SECONDS that its buffer still holds to a file.

    ADDRESS is the control address that the session printed; without it the newest session of this machine.
    It ends once the file is written. With [record] continuous = false nothing else is kept: the event first,
    then the recording of it.

    \b
    Examples:
      livem keep 10
      livem keep 2.5 tcp://127.0.0.1:40404
    """
    from ..errors import UsageError
    from ..stream import session_directory
    from ..stream.control import ControlClient
    from .exits import print_json

    found = [address] if address else session_directory.running()[:1]
    if not found:
        raise UsageError("no session runs on this machine; give the address of one elsewhere")
    with ControlClient(found[0]) as client:
        kept = keep(lambda request: client.request(request, timeout=10.0), seconds)
    if as_json:
        print_json(kept)
    else:
        click.echo(f"{kept['frames']} frames of the last {seconds:g} s are in {kept['file']}")
    return 0


def keep(ask: Ask, seconds: float) -> Mapping[str, Any]:
    """Ask a session for its last seconds; returns what the recorder says of the file once it is written.

    Raises SessionError when the file could not be written, or not to its end.
    """
    from ..errors import SessionError

    kept = ask({"do": "set", "consumer": "recorder", "name": "keep_last", "value": seconds})["kept"]
    path, pause = kept["file"], Event()
    while not kept["done"] and not kept["error"]:
        pause.wait(LOOK_S)
        kept = ask({"do": "parameters", "consumer": "recorder"}).get("kept")
        if kept is None or kept["file"] != path:
            raise SessionError(f"{path} was not written to its end: the recorder died; try `livem repair`")
    if kept["error"]:
        raise SessionError(f"the last {seconds:g} s are not kept: {kept['error']}")
    result: Mapping[str, Any] = kept
    return result
