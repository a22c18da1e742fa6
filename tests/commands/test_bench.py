"""``livem bench``: tables, gates, files; the figures themselves are the benchmarks' business."""

from __future__ import annotations

import importlib
import json
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from livem.cli import main
from livem.commands import bench


def measure(quick: bool) -> dict[str, Any]:
    return {
        "title": "Ring",
        "rows": [{"size": 64, "GB/s": 9.87654321}, {"size": 4096, "GB/s": 11.0}],
        "gates": [{"name": "ratio", "value": 0.9, "limit": 0.7, "ok": quick}],
    }


@pytest.fixture(autouse=True)
def suite(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("livem.benchmarks")
    module.SUITE = {"ring": f"{__name__}_made:measure"}  # type: ignore[attr-defined]
    made = types.ModuleType(f"{__name__}_made")
    made.measure = measure  # type: ignore[attr-defined]
    modules = {"livem.benchmarks": module, made.__name__: made}
    real = importlib.import_module
    monkeypatch.setattr(bench, "import_module", lambda name: modules.get(name) or real(name))


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["bench", *args])


def test_minutes_are_for_those_that_watch_memory() -> None:
    done = run("ring", "--quick", "--minutes", "1")
    assert done.exit_code == 2
    assert "benchmark 'ring' watches nothing over minutes" in done.output


def test_table_and_gates() -> None:
    done = run("--quick")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "## Ring",
        "",
        "| size | GB/s  |",
        "|------|-------|",
        "| 64   | 9.877 |",
    ]
    assert "- ok: ratio: 0.9 (limit 0.7)" in lines
    assert "Python" in lines[-1]


def test_a_missed_gate_is_a_failure() -> None:
    done = run("ring")
    assert done.exit_code == 1
    assert "MISSED: ratio" in done.stdout


def test_files(tmp_path: Path) -> None:
    assert run("--quick", "--out", str(tmp_path / "figures.md")).exit_code == 0
    assert "| 4096 | 11    |" in (tmp_path / "figures.md").read_text()
    done = run("--quick", "--json", "--out", str(tmp_path / "figures.json"))
    assert json.loads(done.stdout) == json.loads((tmp_path / "figures.json").read_text())
    assert json.loads(done.stdout)["benchmarks"][0]["rows"][1]["size"] == 4096
    assert run("--quick", "--out", str(tmp_path / "no" / "x.md")).exit_code == 2


def test_names() -> None:
    assert run("--list").stdout == "ring\n"
    done = run("rong")
    assert done.exit_code == 2
    assert "did you mean 'ring'?" in done.stderr


def test_no_benchmarks_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "import_module", lambda name: types.ModuleType(name))
    done = run()
    assert done.exit_code == 2
    assert "source tree" in done.stderr
