"""``livem keep``: write down what a running session has just seen (pre-trigger recording)."""

from __future__ import annotations

from typing import Any

import click

from . import options as opt


@click.command()
@click.argument("seconds", type=opt.SECONDS)
@click.argument("address", required=False)
@opt.as_json
def command(seconds: float, address: str | None, as_json: bool) -> int:
    """Have a running session with --record write the last SECONDS that its buffer still holds to a file.

    ADDRESS is the control address that the session printed; without it the newest session of this machine.
    With [record] continuous = false nothing else is kept: the event first, then the recording of it.

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
        answer: dict[str, Any] = client.request(
            {"do": "set", "consumer": "recorder", "name": "keep_last", "value": seconds}, timeout=10.0
        )
    if as_json:
        print_json(answer)
    else:
        click.echo(f"the last {seconds:g} s are being kept; the session shows the file")
    return 0
