"""Ctrl-C: once to end cleanly, twice to end at once, and never a traceback."""

from __future__ import annotations

import signal
import sys

import click
import pytest

from livem.commands.exits import exit_code_of
from livem.commands.interrupts import Interrupts
from livem.errors import SessionError, UsageError
from livem.stream.processes import ctrl_c_held


def test_first_asks_second_ends_later_ones_are_ignored() -> None:
    reasons: list[str] = []
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    with Interrupts(reasons.append) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert reasons == ["Ctrl-C"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert interrupts.count == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_asks_too() -> None:
    reasons: list[str] = []
    with Interrupts(reasons.append):
        signal.raise_signal(signal.SIGTERM)
    assert reasons == ["SIGTERM"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal masks")
def test_held_ctrl_c_comes_afterwards() -> None:
    reasons: list[str] = []
    with Interrupts(reasons.append):
        with ctrl_c_held():
            signal.raise_signal(signal.SIGINT)
            assert reasons == []
        assert reasons == ["Ctrl-C"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong"), 2),
        (SessionError("failed"), 1),
        (click.UsageError("wrong"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert exit_code_of(fail, as_json=False) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("livem: ")
    assert captured.err.count("\n") == 1


def test_results_are_exit_codes() -> None:
    assert exit_code_of(lambda: 130, as_json=False) == 130
    assert exit_code_of(lambda: None, as_json=False) == 0
