"""Who may import whom, and what may not be loaded where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"numba", "llvmlite", "PySide6", "pyqtgraph", "torch", "cupy", "scipy", "PIL", "h5py", "tifffile"}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after ``statement``."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "tests"
    )
    return set(answer.stdout.split("\n")[-2].split())


def test_the_package_finds_itself_without_being_installed() -> None:
    """Relative imports only: editors and type checkers follow them in a bare checkout."""
    apart = {"tests", "examples", "build", "dist"}
    rooms = [path for path in ROOT.iterdir() if path.name not in apart and path.name[0] != "."]
    files = [path for room in rooms for path in (room.rglob("*.py") if room.is_dir() else [room])]
    modules = {path: path.read_text(encoding="utf-8") for path in files if path.suffix == ".py"}
    assert len(modules) > 300
    maybe = {
        path: text for path, text in modules.items() if re.search(r"(?m)^\s*(from|import)\b.*livem", text)
    }
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, text in maybe.items()
        for node in ast.walk(ast.parse(text))
        if any(name.partition(".")[0] == "livem" for name in imported(node))
    ]
    assert absolute == []


def imported(node: ast.AST) -> list[str]:
    """Modules that a statement imports absolutely."""
    if isinstance(node, ast.ImportFrom):
        return [] if node.level else [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_the_import_contracts_hold(tmp_path: Path) -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    answer = subprocess.run(
        [sys.executable, "-c", lint, "--no-logo", "--cache-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "kept_out"),
    [
        ("livem", HEAVY | {"numpy", "zmq", "msgpack", "psutil", "click"}),
        ("livem.errors", HEAVY | {"numpy", "zmq"}),
        ("livem.cli", HEAVY),  # nothing heavier than numpy, so that --help is quick
        ("livem.session", HEAVY),  # the supervisor stays light: decision 0001
        ("livem.consumers.registry", HEAVY - {"numba", "llvmlite"}),
        ("livem.viewer.models.session", HEAVY - {"numba", "llvmlite"}),
        ("livem.stream.bus", HEAVY),  # what a user's script needs to read results
    ],
)
def test_importing_stays_light(module: str, kept_out: set[str]) -> None:
    heavy = loaded_by(f"import {module}") & kept_out
    assert not heavy, f"import {module} loads {sorted(heavy)}"


def test_no_process_is_forked_and_nothing_is_unpickled_from_a_wire() -> None:
    """Spawn only (decision 0001); bytes of a peer never reach pickle (DESIGN, section 7)."""
    words = re.compile(r"(import|from) pickle\b|(recv|send)_pyobj|os\.fork\(|allow_pickle=True")
    rooms = ("stream", "consumers", "kernels", "viewer", "commands")
    paths = [*ROOT.glob("*.py"), *(path for room in rooms for path in (ROOT / room).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}: {word[0]}"
        for path in paths
        for word in words.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found
