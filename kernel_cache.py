"""Where numba keeps compiled kernels: a directory named by all sources that they were compiled from.

numba looks at a function's own file only. A kernel whose callee or constant has changed in another file would
go on with the old machine code, and give wrong numbers after an update. Standard library only; knows no
kernel.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any

VARIABLE = "NUMBA_CACHE_DIR"
KEPT = 3
"""Directories of older sources that stay, for whoever goes back and forth: 14 MB each."""
IDLE_S = 86_400.0
"""Younger ones stay too: a process that runs may still write to its own."""

_NAME = re.compile(r"livem-kernels-[0-9a-f]{16}")
_COMPILED = re.compile(rb"^[ \t]*(?:from|import) numba\b", re.M)
_IMPORT = re.compile(rb"^[ \t]*from (\.+)([\w.]*) import (\([^)]*\)|[^\n]*)", re.M)


def use_own_cache(package: str) -> str | None:
    """Point numba, imported or not, at a directory of the present sources; child processes inherit it.

    Parameters
    ----------
    package : str
        Folder of the package.

    Returns
    -------
    str or None
        The directory; None where a choice of the user's was left alone, where nothing can be written, or no
        sources are to be seen.
    """
    config = sys.modules.get("numba.core.config")
    chosen = os.environ.get(VARIABLE) or getattr(config, "CACHE_DIR", "")
    if chosen and not is_own(chosen):
        return None
    directory = None
    with suppress(OSError):  # not even a folder for temporary files, say
        directory = _directory(package)
    if directory is None:
        os.environ.pop(VARIABLE, None)  # an older livem's, inherited
    else:
        os.environ[VARIABLE] = directory
        _tidy(directory)
    if config is not None:
        config.CACHE_DIR = directory or ""  # type: ignore[attr-defined]
    return directory


def _directory(package: str) -> str | None:
    """The first that can be written."""
    digest = _noted_digest(package)
    places = (os.path.join(root, f"livem-kernels-{digest}") for root in _roots(package)) if digest else ()
    return next(filter(_usable, places), None)


def is_own(directory: str) -> bool:
    """Whether livem, this one or another, made a cache directory; otherwise it is a choice of the user's."""
    return _NAME.fullmatch(os.path.basename(directory)) is not None


def _roots(package: str) -> Iterator[str]:
    """Beside the compiled Python files where that can be written, else where the user's caches are."""
    yield os.path.join(package, "__pycache__")
    yield os.path.join(_user_caches(), "livem")
    from tempfile import gettempdir  # 4 ms, hardly ever needed

    user = getattr(os, "getuid", lambda: "")()
    yield os.path.join(gettempdir(), f"livem-{user}")


def _user_caches() -> str:
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches")
    return os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")


def _usable(directory: str) -> bool:
    """Make it, for this user alone: numba unpickles what it finds there."""
    try:
        parent = os.path.dirname(directory)
        beside = os.path.basename(parent) == "__pycache__"  # who may write there may write the sources too
        os.makedirs(parent, mode=0o777 if beside else 0o700, exist_ok=True)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        safe = (beside or _is_ours_alone(parent)) and _is_ours_alone(directory)
        os.utime(directory)  # its age is the time since it was last used
    except OSError:
        return False
    return safe and os.access(directory, os.W_OK | os.X_OK)


def _is_ours_alone(directory: str) -> bool:
    """Whether nobody else can put or swap anything there; a link may be turned elsewhere by its owner."""
    found = os.lstat(directory)
    if not hasattr(os, "getuid"):
        return True
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def lock_saves() -> None:
    """Let one process at a time enter a kernel, where numba is imported.

    Two that compile a kernel for different types would read the same index, choose the same file, and leave
    one type's machine code under the other's name: no process could load it from then on.
    """
    caching = sys.modules.get("numba.core.caching")
    if caching is None or hasattr(caching.IndexDataCacheFile.save, "__wrapped__"):
        return
    save = caching.IndexDataCacheFile.save

    def locked(self: Any, key: Any, data: Any) -> None:
        with _alone_in(self._cache_path):
            save(self, key, data)

    locked.__wrapped__ = save  # type: ignore[attr-defined]
    caching.IndexDataCacheFile.save = locked


@contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Hold the directory's lock; go on without where none is to be had, as numba does."""
    with ExitStack() as held:
        with suppress(OSError):
            file = held.enter_context(open(os.path.join(directory, "livem.lock"), "ab"))  # closing lets go
            _lock(file.fileno())
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _tidy(directory: str) -> None:
    """Remove the directories of older sources that nobody uses any more."""
    root, own = os.path.split(directory)
    with suppress(OSError):
        with os.scandir(root) as entries:
            others = [entry for entry in entries if is_own(entry.name) and entry.name != own]
        others.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in others[KEPT - 1 :]:
            if time.time() - entry.stat().st_mtime > IDLE_S:
                _remove(entry.path)


def _remove(directory: str) -> None:
    from shutil import rmtree  # 5 ms, hardly ever needed

    rmtree(directory, ignore_errors=True)


# -- what the kernels are compiled from ------------------------------------------------------------------


def _noted_digest(package: str) -> str:
    """The digest of the sources as they are now, "" without any.

    It takes 25 ms of processor time; 4 ms where a process before has noted it, beside the compiled Python
    files, and no file has changed: by its size, its times and its number on the disk.
    """
    stamp, note = _stamp(package), os.path.join(package, "__pycache__", "livem-kernels.txt")
    with suppress(OSError, ValueError), open(note, encoding="ascii") as file:
        noted, digest = file.read().split()
        if noted == stamp:
            return digest
    sources = dict(_sources(package, ""))
    if not sources:
        return ""
    digest = _digest(sources)
    with suppress(OSError):
        os.makedirs(os.path.dirname(note), exist_ok=True)
        draft = f"{note}.{os.getpid()}"
        with open(draft, "w", encoding="ascii") as file:
            file.write(f"{stamp} {digest}")
        os.replace(draft, note)
    return digest


def _stamp(package: str) -> str:
    """Changes with every file of the package that is written, made or moved, and with Python and numba."""
    digest = blake2b(_numba_version(), digest_size=16)
    for path, found in sorted(_files(package, ""), key=lambda one: one[0]):
        about = found.stat()
        facts = path, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino
        digest.update(repr(facts).encode())
    return digest.hexdigest()


def _digest(sources: dict[str, bytes]) -> str:
    """Of numba's version and of the files that hold kernels, or anything that these import."""
    digest = blake2b(_numba_version(), digest_size=8)
    for name in sorted(_compiled_from(sources)):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(sources[name]), sources[name]))
    return digest.hexdigest()


def _sources(folder: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Path within the package, with ``/``, and content of every module: 8 ms for 570 of them."""
    for path, entry in _files(folder, prefix):
        with suppress(OSError), open(entry.path, "rb") as file:
            yield path, file.read()


def _files(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Path within the package, and entry, of every module."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:  # in an archive
        return
    inside = prefix == "" or any(entry.name == "__init__.py" for entry in found)
    for entry in found if inside else ():
        if entry.name.endswith(".py"):
            yield prefix + entry.name, entry
        elif entry.is_dir():
            yield from _files(entry.path, f"{prefix}{entry.name}/")


def _compiled_from(sources: dict[str, bytes]) -> set[str]:
    """Files that import numba, all kernels, and what these import from the package, however indirectly."""
    found = {
        name
        for name, text in sources.items()
        if name.startswith("kernels/") or (b"numba" in text and _COMPILED.search(text))
    }
    left = list(found)
    while left:
        for name in _imported(left.pop(), sources):
            if name not in found:
                found.add(name)
                left.append(name)
    return found


def _imported(name: str, sources: dict[str, bytes]) -> Iterator[str]:
    """Files that one file's relative imports may mean: a module, a package, a module of a package."""
    for dots, module, names in _IMPORT.findall(sources[name]):
        start = name.split("/")[: -len(dots)]
        base = "/".join([*start, *filter(None, module.decode().split("."))])
        inside = re.findall(r"\w+", names.decode())
        for path in (base, *(f"{base}/{word}" if base else word for word in inside)):
            yield from filter(sources.__contains__, (f"{path}.py", f"{path}/__init__.py".lstrip("/")))


def _numba_version() -> bytes:
    """Of Python and numba, which is not imported for it."""
    version = sys.version.encode()
    with suppress(OSError, ImportError, ValueError):
        spec = find_spec("numba")
        if spec is not None and spec.origin:
            with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), "rb") as file:
                version += file.read()
    return version
