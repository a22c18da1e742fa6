"""How commands end when livem itself is at fault: one line, a traceback for the report, exit code 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livem.commands.exits import exit_code_of


def broken() -> None:
    raise ZeroDivisionError("division by zero")


def test_a_fault_of_livem_is_one_line_and_a_file(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("LIVEM_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert exit_code_of(broken, as_json=True) == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("livem: error: ZeroDivisionError: division by zero; this is a fault of livem")
    (file,) = tmp_path.iterdir()
    assert str(file) in line
    assert "in broken" in file.read_text()
    assert json.loads(out)["exit_code"] == 1


def test_with_the_variable_the_traceback_is_shown(capsys, monkeypatch) -> None:
    monkeypatch.setenv("LIVEM_DEBUG", "1")
    assert exit_code_of(broken, as_json=False) == 1
    err = capsys.readouterr().err
    assert "in broken" in err
    assert "its traceback is above" in err


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that takes no file")
def test_without_a_place_for_it_the_line_says_how_to_see_it(capsys, monkeypatch) -> None:
    monkeypatch.delenv("LIVEM_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    assert exit_code_of(broken, as_json=False) == 1
    assert "LIVEM_DEBUG=1 shows its traceback" in capsys.readouterr().err
