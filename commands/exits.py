"""How a command ends: every error is one clear line and an exit code, and Ctrl-C is never a traceback.

A fault of livem's own is one line, too; its traceback goes to a file, or to stderr with LIVEM_DEBUG=1.
Knows no command.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import click

from ..errors import LivemError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
DEBUG = "LIVEM_DEBUG"
"""Environment variable: anything but "" and "0" shows tracebacks."""


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
    except Exception as error:  # noqa: BLE001 - the last resort: no user is to read a traceback
        return say_error(_fault(error), FAILED, as_json=as_json)
    return result if isinstance(result, int) else 0


def _fault(error: Exception) -> str:
    """An error that nobody foresaw, in one line; where its traceback is."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
        where = "its traceback is above"
    else:
        where = _kept(error)
    return f"{what}; this is a fault of livem, please report it: {where}"


def _kept(error: Exception) -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="livem-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{DEBUG}=1 shows its traceback"
    return f"its traceback is in {file.name}"


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
