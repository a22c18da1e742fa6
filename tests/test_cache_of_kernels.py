"""Compiled kernels never outlive what they were compiled from, and the cache never stands in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from livem import kernel_cache, numba_start
from livem.kernel_cache import IDLE_S, KEPT, VARIABLE, is_own, lock_saves, use_own_cache
from livem.stream import child

SOURCES = {
    "__init__.py": "from os.path import dirname\nfrom .kernel_cache import use_own_cache\n"
    "use_own_cache(dirname(__file__))\n",
    "scale.py": "FACTOR = 10\n",
    "inner.py": "import numba\nfrom .scale import (\n    FACTOR,\n)\n"
    "@numba.njit('i8(i8)')\ndef scaled(x):\n    return FACTOR * x\n",
    "outer.py": "from numba import njit\nfrom . import inner\nscaled = inner.scaled\n"
    "@njit('i8(i8)', cache=True)\ndef answer(x):\n    return scaled(x) + 1\n",
    "window.py": "TITLE = 'no kernel'\n",
    "kernels/__init__.py": "",
    "room/__init__.py": "",
    "room/far.py": "from ..outer import answer\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kernels in two files and a constant in a third; the environment as it is without livem."""
    folder = tmp_path / "toy"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(kernel_cache.__file__, folder / "kernel_cache.py")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    return folder


def run(package: Path, before: str = "", **environment: str) -> dict[str, Any]:
    """Import the package in a process of its own and ask its kernel."""
    code = f"""
import json, os
{before}
from toy.outer import answer
hits = sum(answer.stats.cache_hits.values())
print(json.dumps(dict(answer=answer(4), hits=hits, directory=os.environ.get("{VARIABLE}"),
                      used=answer.stats.cache_path)))"""
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=package.parent,
        env={**clean, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_no_kernel_survives_a_change_of_what_it_calls(package: Path) -> None:
    """numba alone would give 41 for ever: outer.py does not change."""
    first = run(package)
    assert (first["answer"], first["hits"]) == (41, 0)
    again = run(package, **{VARIABLE: first["directory"]})
    assert (again["answer"], again["hits"], again["directory"]) == (41, 1, first["directory"])
    inner = package / "inner.py"
    inner.write_text(inner.read_text().replace("FACTOR * x", "FACTOR + x"))
    changed = run(package, **{VARIABLE: first["directory"]})  # as a process that has it from its parent
    assert changed["answer"] == 15
    (package / "scale.py").write_text("FACTOR = 20\n")
    assert run(package)["answer"] == 25


def test_a_host_that_has_imported_numba_already(package: Path) -> None:
    answer = run(package, before="import numba")
    assert answer["answer"] == 41
    assert Path(answer["used"]).parent == Path(answer["directory"])


@pytest.mark.parametrize("before", ["", "import numba"])
def test_a_choice_of_the_user_is_respected(package: Path, tmp_path: Path, before: str) -> None:
    answer = run(package, before=before, **{VARIABLE: str(tmp_path / "mine")})
    assert Path(answer["directory"]) == tmp_path / "mine"
    assert Path(answer["used"]).parent == tmp_path / "mine"


def test_a_choice_made_in_the_host_program_is_respected(package: Path, tmp_path: Path) -> None:
    chosen = f"import numba; numba.config.CACHE_DIR = {str(tmp_path / 'mine')!r}"
    answer = run(package, before=chosen)
    assert answer["directory"] is None
    assert Path(answer["used"]).parent == tmp_path / "mine"


def test_the_directory_follows_kernels_and_what_they_import(package: Path) -> None:
    def directory() -> str | None:
        return use_own_cache(str(package))

    first = directory()
    assert first is not None
    assert is_own(first)
    assert first == directory()
    for name in ("window.py", "room/far.py"):  # no kernel sees them
        (package / name).write_text("# changed\n")
        assert directory() == first
    seen = {first}
    for name in ("scale.py", "inner.py", "outer.py"):
        (package / name).write_text((package / name).read_text() + "# changed\n")
        seen.add(directory() or "")
    for name, text in (
        ("room/far.py", "import numba\n"),
        ("kernels/decorated.py", "from .own import kernel\n"),
    ):
        (package / name).write_text(text)
        seen.add(directory() or "")
    assert len(seen) == 6
    assert {Path(path).parent for path in seen} == {package / "__pycache__"}


def test_what_the_sources_are_is_looked_up_until_one_of_them_changes(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = use_own_cache(str(package))
    read: list[object] = []
    sources = kernel_cache._sources
    monkeypatch.setattr(kernel_cache, "_sources", lambda *args: read.append(args) or sources(*args))
    assert use_own_cache(str(package)) == first
    assert not read
    inner = package / "inner.py"
    before = inner.stat()
    inner.write_text(inner.read_text().replace("FACTOR * x", "FACTOR + x"))
    os.utime(inner, ns=(before.st_atime_ns, before.st_mtime_ns))  # as large and as old as it was
    changed = use_own_cache(str(package))
    assert read
    assert changed != first
    (package / "__pycache__" / "livem-kernels.txt").write_text("no note")
    assert use_own_cache(str(package)) == changed


def test_older_directories_go_when_nobody_uses_them(package: Path) -> None:
    root = package / "__pycache__"
    now = time.time()
    ages = {"old": 3 * IDLE_S, "older": 4 * IDLE_S, "oldest": 5 * IDLE_S, "fresh": IDLE_S / 2}
    made = {age: root / f"livem-kernels-{number:016x}" for number, age in enumerate(ages)}
    for age, folder in made.items():
        (folder / "kernels").mkdir(parents=True)
        os.utime(folder, (now - ages[age],) * 2)
    (root / "something else").mkdir()
    own = Path(use_own_cache(str(package)) or "")
    left = {made["fresh"], made["old"], own, root / "something else"}
    assert {path for path in root.iterdir() if path.is_dir()} == left
    assert len(left) - 1 == KEPT


def test_many_in_use_all_stay(package: Path) -> None:
    root = package / "__pycache__"
    for number in range(2 * KEPT):
        (root / f"livem-kernels-{number:016x}").mkdir(parents=True)
    use_own_cache(str(package))
    assert sum(is_own(path.name) for path in root.iterdir()) == 2 * KEPT + 1


def blocked(folder: Path) -> Path:
    """Something in whose place no folder can be made, not even by root."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("not a folder")
    return folder


def test_elsewhere_when_the_package_cannot_be_written(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked(package / "__pycache__")
    monkeypatch.setattr(kernel_cache, "_user_caches", lambda: str(tmp_path / "caches"))
    directory = Path(use_own_cache(str(package)) or "")
    assert directory.parent == tmp_path / "caches" / "livem"
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of another kind")
@pytest.mark.parametrize("kind", ["open to all", "link", "sound"])
def test_no_folder_that_others_may_write_to(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Whoever may write there could have numba unpickle what he likes."""
    blocked(package / "__pycache__")
    monkeypatch.setattr(kernel_cache, "_user_caches", lambda: str(blocked(tmp_path / "file")))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder, target = tmp_path / f"livem-{os.getuid()}", tmp_path / "another's"
    if kind == "open to all":
        folder.mkdir()
        folder.chmod(0o777)
    elif kind == "link":
        target.mkdir(mode=0o700)
        folder.symlink_to(target)
    directory = use_own_cache(str(package))
    assert (directory is None) == (kind != "sound")
    if directory:
        assert Path(directory).parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("temporary", [True, False])
def test_nowhere_to_write_breaks_no_import(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: bool
) -> None:
    blocked(package / "__pycache__")
    place = blocked(tmp_path / "file")

    def gettempdir() -> str:
        if temporary:
            return str(place)
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(kernel_cache, "_user_caches", lambda: str(place))
    monkeypatch.setattr("tempfile.gettempdir", gettempdir)
    monkeypatch.setenv(VARIABLE, "/elsewhere/livem-kernels-0123456789abcdef")
    assert use_own_cache(str(package)) is None
    assert VARIABLE not in os.environ


def test_in_an_archive_numba_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/elsewhere/livem-kernels-0123456789abcdef")
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    assert use_own_cache(str(blocked(tmp_path / "archive.zip") / "livem")) is None
    assert VARIABLE not in os.environ


def test_what_livem_itself_is_compiled_from() -> None:
    root = Path(kernel_cache.__file__).parent
    sources = dict(kernel_cache._sources(str(root), ""))
    found = kernel_cache._compiled_from(sources)
    kernels = {name for name in sources if name.startswith("kernels/") or b"@njit" in sources[name]}
    assert {"kernels/masks.py", "stream/messages.py"} | kernels <= found
    assert "cli.py" in sources
    assert not {"cli.py", "viewer/window.py", "session/session.py"} & found
    assert not [name for name in sources if name.startswith(("tests", "docs", "examples", "."))]


def test_processes_of_livem_share_the_directory() -> None:
    code = f"import os, livem; print(os.environ['{VARIABLE}'])"
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ask = [sys.executable, "-c", code]
    first = subprocess.run(ask, env=clean, check=True, capture_output=True, text=True).stdout.strip()
    assert is_own(first)
    assert Path(first).is_dir()


def test_two_that_compile_for_different_types_both_keep_their_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes between the first's look at the index and its entry: numba gives both one file."""
    from numba.core.caching import IndexDataCacheFile

    monkeypatch.setattr(IndexDataCacheFile, "save", IndexDataCacheFile.save)  # as it was, afterwards
    lock_saves()
    lock_saves()  # installed once
    first, second = (IndexDataCacheFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    other = threading.Thread(target=second.save, args=("f8", "code of f8"))
    load = first._load_index

    def load_and_be_overtaken() -> Any:
        found = load()
        other.start()
        other.join(0.3)  # time enough to overtake, if nothing holds it
        return found

    monkeypatch.setattr(first, "_load_index", load_and_be_overtaken)
    first.save("u2", "code of u2")
    other.join()
    assert (second.load("u2"), second.load("f8")) == ("code of u2", "code of f8")


LOOPS = ("stream.ingest_loop", "consumers.work.worker_loop", "stream.recording.recorder_loop")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_process_that_compiles_locks_what_it_saves(loop: str) -> None:
    """run_child locks what is imported: its caller has imported the loop, and numba with it."""
    code = f"""
import sys, livem.{loop}
from numba.core.caching import IndexDataCacheFile
from livem.stream import child
child.Child = lambda *args: sys.exit(not hasattr(IndexDataCacheFile.save, "__wrapped__"))
child.run_child("", "", None)"""
    subprocess.run([sys.executable, "-c", code], check=True)


LIGHT = """
import sys, numpy as np
from toy.numba_start import load_lightly
load_lightly()
from toy.alone import answer
tables = "numba.np.linalg" in sys.modules
hits = sum(answer.stats.cache_hits.values())
from numba import njit
@njit
def length(x):
    return np.linalg.norm(x) + answer(4)
print(hits, tables, "sparse" in sys.modules, "yaml" in sys.modules, length(np.array([3.0, 4.0])))"""


def test_kernels_load_without_what_compiling_needs_and_others_still_compile(package: Path) -> None:
    """Once they are compiled: the first process has to do it."""
    shutil.copy(numba_start.__file__, package / "numba_start.py")
    alone = "from numba import njit\n@njit('i8(i8)', cache=True)\ndef answer(x):\n    return 10 * x + 1\n"
    (package / "alone.py").write_text(alone)
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    said = []
    for _ in range(2):
        code = [sys.executable, "-c", LIGHT]
        done = subprocess.run(code, cwd=package.parent, env=clean, check=True, capture_output=True, text=True)
        said.append(done.stdout.split())
    assert said[0] == ["0", "True", "False", "False", "46.0"]
    assert said[1] == ["1", "False", "False", "False", "46.0"]


@pytest.mark.parametrize("ours", [True, False])
def test_only_processes_of_our_kernels_alone_load_lightly(
    ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(child, "load_lightly", lambda: asked.append(True))
    with child.loading(ours):
        pass
    assert asked == [True] * ours
