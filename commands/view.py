"""``livem view``: a window on a session that runs already."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SessionError, UsageError
from . import options as opt

BUDGET = click.FloatRange(min=0.05)


@click.command()
@click.argument("endpoint", required=False)
@opt.headless
@click.option("--snapshot", type=opt.FILE, help="Write what the window shows to this PNG file.")
@click.option("--duration", type=opt.SECONDS, metavar="S", help="Close after S seconds.")
@click.option("--budget", type=BUDGET, metavar="MB", help="Megabytes a second from elsewhere; default 10.")
@opt.as_json
def command(
    endpoint: str | None,
    headless: bool,
    snapshot: Path | None,
    duration: float | None,
    budget: float | None,
    as_json: bool,
) -> int:
    """Open a window on a running session.

    ENDPOINT is the session's control address, tcp://HOST:PORT or ipc://PATH; left out, the newest session
    of this machine is taken. Where none runs, the window asks: sources, files, a new session, which ends with
    the window. Any other session goes on when its window is closed.

    From another machine comes only what the window shows: the part that is seen, as fine as the screen,
    packed without loss, at most 60 times a second and within --budget.

    \b
    Examples:
      livem view
      livem view tcp://microscope-pc:5555
      livem view tcp://microscope-pc:5555 --budget 2
      livem view --headless --snapshot now.png --duration 2
    """
    address = endpoint or (newest_session() if headless else next(iter(sessions_here()), None))
    if address is not None:
        require_session(address)
    from ..viewer.app import run_viewer

    limit = None if budget is None else budget * 1e6
    code = run_viewer(address, headless=headless, snapshot=snapshot, duration=duration, budget=limit)
    if as_json:
        from .exits import print_json

        picture = None if snapshot is None else str(snapshot)
        print_json({"session": address, "snapshot": picture, "exit_code": code})
    return code


def sessions_here() -> list[str]:
    """Control addresses of this machine's sessions, the newest first."""
    from ..stream import session_directory

    return session_directory.running()


def newest_session() -> str:
    """Control address of this machine's newest session. Raises SessionError where none runs."""
    addresses = sessions_here()
    if not addresses:
        raise SessionError(
            "no session runs on this machine: start one (`livem live SOURCE`, `livem demo`), or give the "
            "address of one elsewhere (`livem view tcp://HOST:PORT`)"
        )
    return addresses[0]


def require_session(address: str) -> None:
    """Raise UsageError for what is no address, SessionError where no session answers there."""
    from ..stream.control import ControlClient

    if not address.startswith(("tcp://", "ipc://")):
        raise UsageError(f"{address!r} is no address of a session; write tcp://HOST:PORT or ipc://PATH")
    with ControlClient(address) as client:
        client.request({"do": "hello"})
