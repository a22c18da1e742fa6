"""The front door: help without weight, nearest names, errors as one line and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest
from click.testing import CliRunner, Result

from livem import __version__
from livem.cli import COMMANDS, main

HEAVY = ("numpy", "zmq", "numba", "PySide6", "h5py", "psutil", "msgpack", "multiprocessing")


def livem(*args: str) -> Result:
    return CliRunner().invoke(main, args)


@pytest.mark.parametrize("args", [["--help"], ["live", "--help"], ["live", "--seris", "3"], ["doctor", "-h"]])
def test_words_cost_no_import(args: list[str]) -> None:
    """--help is to take 0.3 s at most: click takes 0.1, numpy another 0.1, numba 0.6."""
    code = (
        "import sys, io, contextlib\n"
        "from livem.cli import main\n"
        "try:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        f"        main({args!r})\n"
        "except SystemExit:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_python_m_livem_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "livem", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"livem, version {__version__}")


def test_help_names_every_command() -> None:
    done = livem("--help")
    assert done.exit_code == 0
    for name, what in COMMANDS.items():
        assert name in done.stdout
        assert what in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    done = livem(name, "--help")
    assert done.exit_code == 0
    assert "Example" in done.stdout
    assert f"livem {name}" in done.stdout.partition("Example")[2]
    assert "\b" not in done.stdout
    assert import_module(f"livem.commands.{name}").command.name == "command"


def test_no_arguments_show_the_help() -> None:
    done = livem()
    assert done.exit_code == 2
    assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["liev"], "did you mean 'live'?"),
        (["paint"], "there are: demo, live"),
        (["live", "--seris", "3"], "--series"),
        (["live", "sim:4dstem", "--scan", "0x8"], "each from 1 to 65536"),
        (["live", "sim:4dstem", "--duration", "nan"], "must be a number of seconds above 0"),
        (["live", "sim:4dstem", "--duration", "-1"], "must be a number of seconds above 0"),
        (["live", "sim:4dstem", "--series", "0"], "--series"),
        (["live"], "no SOURCE"),
        (["live", "sim:4dstem", "--arm", "trigger_mode"], "must be key=value"),
        (["live", "sim:4dstem", "--headless", "--arm"], "cannot be armed"),
        (["live", "sim:4dstem", "-p", "nowhere.toml"], "'nowhere.toml' does not exist"),
        (["live", "nowhere.npy", "--headless"], "is no file and no address"),
        (["live", "dectris://no-such-host.invalid", "--headless"], "'no-such-host.invalid'"),
        (["live", "dectris://127.0.0.1:port", "--headless"], "scheme://host:port"),
        (["live", "tcp://no-such-host.invalid:99", "--headless"], "'no-such-host.invalid'"),
        (["live", "bind+tcp://*:9999", "--headless"], "--insecure-bind"),
        (["live", "tcp://127.0.0.1:9999", "--rate", "5"], "--rate is for simulators and files"),
        (["live", "sim:4dstem", "--fault", "drpo=0.1"], "did you mean 'drop'?"),
        (["live", "sim:4dstem", "--headless", "--control", "tcp://*:5555"], "--insecure-bind"),
        (["demo", "5dstem"], "4dstem"),
        (["send", "sim:4dstem"], "--to"),
        (["send", "sim:4dstem", "--to", "ipc:///x", "--protocol", "mrlin"], "'merlin'"),
        (["send", "sim:4dstm", "--to", "tcp://127.0.0.1:1"], "did you mean sim:4dstem?"),
        (["view", "microscope-pc"], "tcp://HOST:PORT"),
        (["info", "nothing.xyz"], "cannot be sent"),
        (["doctor", "sim:4dstem"], "livem info"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: list[str], words: str) -> None:
    done = livem(*args)
    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("livem: error: ")
    assert words in last
    assert done.stdout == ""


def test_errors_are_json_where_json_was_asked_for() -> None:
    for args in (["live", "nowhere.npy", "--headless", "--json"], ["live", "--seris", "3", "--json"]):
        done = livem(*args)
        told = json.loads(done.stdout)
        assert (done.exit_code, told["exit_code"]) == (2, 2)
        assert told["error"] in done.stderr


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    command = f"{sys.executable} -m livem info sim:sparse | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
