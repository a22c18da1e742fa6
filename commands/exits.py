"""How a command ends: every error is one clear line and an exit code, and Ctrl-C is never a traceback.

Knows no command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import LivemError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def exit_code_of(run: Callable[[], Any], *, as_json: bool) -> int:
    """Run a command; its exit code, with what went wrong on stderr (and as JSON on stdout)."""
    try:
        result = run()
    except click.ClickException as error:
        return say_error(_with_help(error), error.exit_code, as_json=as_json)
    except LivemError as error:
        return say_error(str(error), error.exit_code, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return say_error("stopped by Ctrl-C", INTERRUPTED, as_json=as_json)
    except BrokenPipeError:  # `livem info ... | head`: the reader has gone, and so has the need to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return result if isinstance(result, int) else 0


def say_error(message: str, code: int, *, as_json: bool) -> int:
    """Say what went wrong; returns the code."""
    click.echo(f"livem: {'' if code == INTERRUPTED else 'error: '}{message}", err=True)
    if as_json:
        print_json({"error": message, "exit_code": code})
    return code


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout."""
    click.echo(json.dumps(value))


def _with_help(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message.rstrip('.')} (`{context.command_path} --help` shows an example)"
