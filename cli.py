"""``livem``: the front door. It names the commands; each one lives in its own module of ``commands``.

Nothing heavier than click is imported before a command is chosen: ``livem --help`` takes a tenth of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from . import __version__
from .commands.exits import exit_code_of

COMMANDS: Mapping[str, str] = {
    "demo": "Simulated microscopes, from the detector to the pictures.",
    "live": "Show and compute while a detector sends: the main job.",
    "record": "Keep a detector's stream, and nothing else.",
    "keep": "Write down what a running session has just seen (pre-trigger).",
    "replay": "Play a recording back through the same pipeline.",
    "process": "Compute a live session's results from a file.",
    "pattern": "Plan the path of a probe, and write it for a scan generator.",
    "repair": "Mend recordings whose writer was killed, or that are damaged.",
    "model": "Keep models that run on frames: add, list, show, remove.",
    "export": "Write the frames of a file in another format.",
    "send": "Be a detector: send a simulator or a file, faults included.",
    "view": "Open a window on a running session, here or elsewhere.",
    "info": "Look at a file, a simulator, a pipeline or a running session.",
    "doctor": "Check this machine, or listen to a detector.",
    "bench": "Measure this machine.",
}
"""Commands and what they do. Kept here, so that the list costs no import; a test compares the help texts."""


class FrontDoor(click.Group):
    """A group whose commands are imported when they are asked for, and whose errors are one clear line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".commands.{cmd_name}", __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], list(COMMANDS), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
            ctx.fail(f"no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line and exit with its code: 0, 1 failed, 2 wrong usage, 130 Ctrl-C."""
        argv = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        run = super().main
        sys.exit(exit_code_of(lambda: run(argv, prog_name or "livem", **extra), as_json="--json" in argv))


@click.group(cls=FrontDoor, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="livem")
def main() -> None:
    """Real-time streaming processor for live electron-microscope acquisition.

    \b
    livem demo                         a simulated microscope
    livem live tcp://10.42.41.10:9999  a real one
    livem live --help                  what a command takes
    """
