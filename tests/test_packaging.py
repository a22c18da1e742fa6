"""What pip and setuptools make of the repository: every room is in, no test is, every import is declared."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import livem

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_PACKAGES = {"tests", "docs", "examples", "build", "dist", "demo-output"}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "PySide6": "PySide6-Essentials",
    "rsciio": "rosettasciio",
    "shiboken6": "PySide6-Essentials",
    "zmq": "pyzmq",
    "dectris": "dectris-compression",
    "llvmlite": "numba",  # numba's own compiler: comes with it, in the version that fits
    "yaml": "pyyaml",
}
"""Packages whose distribution has another name."""


def packages() -> list[str]:
    """Every folder with an __init__.py, by its import name."""
    found = [ROOT / "__init__.py"]
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in NOT_PACKAGES and not folder.name.startswith("."):
            found += folder.rglob("__init__.py")
    return sorted(".".join(("livem", *path.parent.relative_to(ROOT).parts)) for path in found)


def sources() -> Iterator[Path]:
    for package in packages():
        yield from ROOT.joinpath(*package.split(".")[1:]).glob("*.py")


def requirement_name(text: str) -> str:
    match = re.match(r"[A-Za-z0-9_.-]+", text)
    assert match is not None, text
    return match[0].lower().replace("_", "-")


def test_the_list_of_packages_is_complete() -> None:
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == packages()


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == livem.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{livem.__version__}]" in changelog


def test_every_third_party_import_is_declared() -> None:
    project = PROJECT["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    declared = {requirement_name(text) for text in [*project["dependencies"], *extras]}
    imported = {name for path in sources() for name in _imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"livem", "_typeshed"}
    undeclared = {name for name in foreign if DISTRIBUTIONS.get(name, name).lower() not in declared}
    assert not undeclared, f"add to pyproject.toml: {sorted(undeclared)}"


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def test_what_is_known_to_break_is_shut_out() -> None:
    """PySide6 6.12.0 loses a reference to True with every signal; one torch is what was measured."""
    extras = PROJECT["project"]["optional-dependencies"]
    assert "PySide6-Essentials>=6.8,<6.12" in extras["viewer"]
    assert extras["torch"] == ["torch==2.13.0"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy: setuptools would leave folders in the checkout, and take old files from them."""
    where = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "demo-output", "*.egg-info")
    shutil.copytree(ROOT, where / "source", ignore=ignored)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(where)],
        cwd=where / "source",
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = where.glob("livem-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if not name.startswith("livem-")}
    shipped = {path for path in (ROOT / "consumers" / "models" / "shipped").iterdir() if path.is_file()}
    assert packed == {f"livem/{path.relative_to(ROOT)}" for path in {*sources(), *shipped}} | {
        "livem/py.typed"
    }


def test_the_wheel_has_licence_entry_point_and_readme(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if name.startswith("livem-")}
    assert b"livem = livem.cli:main" in wheel.read(f"{info}/entry_points.txt")
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0] in metadata


def test_no_path_of_a_developers_machine_is_in_the_project() -> None:
    home = re.compile(r"(/home/|/Users/|C:\\Users\\)\w+|" + re.escape(str(ROOT)))
    files = [*sources(), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").iterdir(), ROOT / "README.md"]
    found = [path for path in files if path.is_file() and home.search(path.read_text(encoding="utf-8"))]
    assert not found
