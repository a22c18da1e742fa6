"""``livem doctor``: what each check makes of good and bad machines, and the report as a whole."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numba
import pytest
from click.testing import CliRunner

from livem.cli import main
from livem.commands.checks import gpu, machine, memory, network, numba_cache, packages, qt
from livem.commands.checks.finding import Finding
from livem.stream.segment import PREFIX, Owner
from livem.viewer import qt as viewer_qt

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


def test_report_names_level_meaning_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("one", "ok", "good"), Finding("two", "problem", "bad", "mend it")]
    monkeypatch.setattr("livem.commands.checks.all_findings", lambda: found)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ok", "one", "good"]
    assert lines[2].split() == ["->", "mend", "it"]
    assert lines[-1] == "1 problem"


def test_this_machine_as_json() -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"])
    told = json.loads(done.stdout)
    problems = [finding for finding in told["findings"] if finding["level"] == "problem"]
    assert (done.exit_code, told["problems"]) == (min(1, len(problems)), len(problems))
    assert {"Python", "numba", "Qt", "display", "ZeroMQ", "numba cache", "GPU"} <= {
        finding["name"] for finding in told["findings"]
    }
    assert all(finding["fix"] for finding in problems)


def test_package_tables_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(packages.REQUIRED) == {_name(line) for line in project["dependencies"]}
    for extra, table in packages.EXTRAS.items():
        assert set(table) == {_name(line) for line in project["optional-dependencies"][extra]}
    pin = next(line for line in project["optional-dependencies"]["viewer"] if line.startswith("PySide6"))
    assert pin == "PySide6-Essentials>=6.8,<6.12"
    assert (packages.PYSIDE_FROM, packages.PYSIDE_BELOW) == ((6, 8), (6, 12))


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("=")[0]


@pytest.mark.parametrize(
    ("version", "level"), [("6.7.3", "problem"), ("6.8.0", "ok"), ("6.11.9", "ok"), ("6.12.0", "problem")]
)
def test_pyside_range(version: str, level: str) -> None:
    assert packages.pyside_range(version).level == level


def test_missing_packages_name_their_line() -> None:
    assert packages.required("no-such-package", "x").fix == "pip install no-such-package"
    finding = packages.optional("no-such-package", "x", "torch")
    assert (finding.level, finding.fix) == ("note", 'pip install "livem[torch]"')


def test_qt_that_cannot_load_tells_the_loaders_words_and_the_whole_line() -> None:
    probe = "raise ImportError('libEGL.so.1: cannot open shared object file')"
    finding = qt.loads(probe)
    assert finding.level == "problem"
    assert "libEGL.so.1: cannot open shared object file" in finding.text
    assert finding.fix == (
        "apt-get install -y libglib2.0-0 libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
    )


def test_readme_and_preparation_ask_for_the_same_libraries() -> None:
    script = (ROOT / ".ci" / "prepare").read_text(encoding="utf-8")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for array, line in (("qt_libraries", viewer_qt.APT), ("x11_libraries", viewer_qt.APT_X11)):
        wanted = line.removeprefix("apt-get install -y ")
        (listed,) = re.findall(rf"^{array}=\((.*?)^\)", script, re.DOTALL | re.MULTILINE)
        assert re.findall(r"=(\S+)", listed) == wanted.split()
        assert f"{wanted}`" in readme


def test_qt_that_aborts_is_a_problem() -> None:
    assert "code" in qt.loads("import os; os._exit(134)").text


def test_display_or_not() -> None:
    assert qt.display(True).level == "ok"
    assert "livem view" in qt.display(False).fix


@pytest.mark.parametrize(
    ("free", "ring", "level"),
    [(4096 * MIB, 512 * MIB, "ok"), (64 * MIB, 16 * MIB, "note"), (8 * MIB, 16 * MIB, "problem")],
)
def test_shared_memory_against_the_ring(free: int, ring: int, level: str) -> None:
    finding = memory.shared_memory(free, free, ring)
    assert finding.level == level
    assert ("shm-size" in finding.fix) == (level != "ok")


def test_leftovers_of_dead_sessions_only(tmp_path: Path) -> None:
    me = Owner.me()
    (tmp_path / f"{PREFIX}{me.pid}-{me.started}-abcd-ring").touch()
    (tmp_path / f"{PREFIX}not-a-session").touch()
    assert memory.leftovers([tmp_path]).level == "ok"
    (tmp_path / f"{PREFIX}{me.pid}-1000-abcd-ring").touch()
    finding = memory.leftovers([tmp_path])
    assert finding.level == "note"
    assert "left 1" in finding.text


@pytest.mark.parametrize(("limit", "level"), [(212_992, "note"), (16 * MIB, "ok")])
def test_receive_buffer(limit: int, level: str) -> None:
    finding = network.receive_buffer(limit)
    assert finding.level == level
    assert ("sysctl -w net.core.rmem_max=16777216" in finding.fix) == (level == "note")


def test_local_sockets_work_here() -> None:
    assert network.local_sockets().level == "ok"
    assert network.curve(False).level == "note"


def test_python_and_cores() -> None:
    assert machine.python((3, 10, 4)).level == "problem"
    assert machine.python((3, 11, 0)).level == "ok"
    assert machine.cores(2).level == "note"
    assert machine.cores(16).level == "ok"


def test_thread_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    levels = {finding.name: finding.level for finding in machine.threads()}
    assert levels["OMP_WAIT_POLICY"] == "note"
    assert levels["NUMBA_DISABLE_JIT"] == "problem"
    assert levels["OMP_NUM_THREADS"] == "ok"


def test_numba_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "below"))
    finding = numba_cache.cache()
    assert finding.level == "problem"
    assert "NUMBA_CACHE_DIR" in finding.fix


class _FakeCupy:
    def __init__(self, available: bool) -> None:
        self.cuda = self
        self._available = available

    def is_available(self) -> bool:
        return self._available


@pytest.mark.parametrize(
    ("available", "card", "level"), [(True, True, "ok"), (False, True, "problem"), (False, False, "note")]
)
def test_cupy_must_see_the_gpu(
    available: bool, card: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> Any:
        return _FakeCupy(available)

    monkeypatch.setattr(gpu, "find_spec", lambda name: object())
    monkeypatch.setattr(gpu, "import_module", load)
    assert gpu.cupy_package(card).level == level


def test_no_gpu_is_no_problem() -> None:
    assert gpu.driver([]).level == "note"
    assert gpu.driver(["NVIDIA H200, 143771 MiB, 580.1"]).level == "ok"


def test_a_dead_owner_is_told_from_a_living_one() -> None:
    me = Owner.me()
    assert me.alive()
    assert not Owner(me.pid, me.started + 1000).alive()
