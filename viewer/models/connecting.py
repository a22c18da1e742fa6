"""Where a window can be connected to, and how: sources used before, sessions that run, what a source says.

What may take seconds runs in a process of its own (`livem doctor`, `livem live`, `livem replay`), is asked
whether it is done, and can be cancelled at any time. Knows no window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import platformdirs

from ...errors import SessionError, UsageError
from ...stream import session_directory
from ...stream.control import ControlClient

VERSION = 1
MOST_SOURCES = 20
LISTEN_S = 3.0
HELLO_S = 0.5
RECORDINGS = (".h5", ".hdf5", ".nxs", ".emd", ".mib", ".hdr", ".npy", ".npz", ".tif", ".tiff", ".mrc", ".dm4")
"""Endings of what may be dropped on the window."""

_PREVIEW = '[[consumers]]\nname = "preview"\ntype = "preview"\n'
_SUMS = '[[consumers]]\nname = "vd"\ntype = "virtual_detectors"\n'
_PICTURE = '[[consumers]]\nname = "inpaint"\ntype = "inpaint"\n'
_QUIET = '[[consumers]]\nname = "denoise"\ntype = "denoise"\n'
_TRACKS = '[[consumers]]\nname = "track"\ntype = "track"\n'
PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "4D-STEM": _PREVIEW + _SUMS,
        "Imaging": _PREVIEW,
        "Sparse scan": _PREVIEW + _SUMS + _PICTURE,
        "In situ": _PREVIEW + _QUIET + _TRACKS,
    }
)
"""Pipelines without a file of one's own, the usual one first."""


def state_folder() -> Path:
    """The user's, where the program keeps what it remembers."""
    return Path(platformdirs.user_state_dir("livem"))


# -- sources used before ---------------------------------------------------------------------------


class Recent:
    """Sources used before, the newest first; kept in a file.

    A file that cannot be read is set aside and said in ``trouble``; one that cannot be written is said there,
    and costs nothing else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "sources.json"
        self.trouble = ""
        self.sources: tuple[str, ...] = self._read()

    def use(self, source: str) -> None:
        """It was used now."""
        others = [one for one in self.sources if one != source]
        self.sources = (source, *others)[:MOST_SOURCES]
        self._write()

    def forget(self, source: str) -> None:
        """The user does not want to see it again."""
        self.sources = tuple(one for one in self.sources if one != source)
        self._write()

    def _read(self) -> tuple[str, ...]:
        try:
            return _sources_in(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            self.trouble = f"the list of sources {self.path} cannot be read ({error}); a new one is begun"
        with suppress(OSError):
            os.replace(self.path, self.path.with_suffix(".damaged"))
            self.trouble += f", the old one is {self.path.with_suffix('.damaged').name}"
        return ()

    def _write(self) -> None:
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"version": VERSION, "sources": list(self.sources)}), "utf-8")
            os.replace(part, self.path)
        except OSError as error:
            self.trouble = f"the list of sources {self.path} cannot be kept: {error}"


def _sources_in(data: object) -> tuple[str, ...]:
    match data:
        case {"version": 1, "sources": list(sources)} if all(isinstance(one, str) for one in sources):
            return tuple(dict.fromkeys(sources))[:MOST_SOURCES]
        case {"version": version}:
            raise ValueError(f"it is of version {version!r}, this livem reads {VERSION}")
    raise ValueError("it is no list of sources")


# -- sessions that run -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """A session of this machine."""

    address: str
    source: str


def running_sessions() -> tuple[Running, ...]:
    """Those that answer, the newest first; takes up to half a second for each that does not."""
    found = []
    for address in session_directory.running():
        with suppress(SessionError, UsageError), ControlClient(address) as client:
            found.append(Running(address, str(client.request({"do": "hello"}, HELLO_S).get("name", ""))))
    return tuple(found)


# -- what takes time -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was heard."""

    level: str
    """ok, note or problem."""
    text: str


class Program:
    """One run of livem beside the window; asked whether it is done, cancelled whenever it is not wanted."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is kept
        self._err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is kept
        self._process = subprocess.Popen(
            [sys.executable, "-m", "livem", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def said(self) -> str:
        """What it has written for a program to read."""
        return _text_of(self._out)

    @property
    def complaint(self) -> str:
        """The last line that it has written for people: what was wrong."""
        lines = [line for line in _text_of(self._err).splitlines() if line.strip()]
        return lines[-1].removeprefix("livem: error: ") if lines else f"it ended with code {self.exit_code}"

    def cancel(self, patience: float = 2.0) -> None:
        """End it: first in its own way, then in any."""
        for insist in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                insist()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience)

    def await_end(self, patience: float) -> None:
        """Wait for it; after so many seconds it goes on without us."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)

    def leave(self) -> None:
        """Nothing that it says is read any more."""
        self._out.close()
        self._err.close()


def _text_of(file: IO[bytes]) -> str:
    place = file.tell()
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.seek(place)
    return text


class Test:
    """What a source says within some seconds, as ``livem doctor SOURCE``; a file, as ``livem info``."""

    __test__ = False  # pytest takes it for one of its own

    def __init__(self, source: str, seconds: float = LISTEN_S) -> None:
        self.source = source
        self._listens = "://" in source
        listen = ["doctor", source, "--seconds", f"{seconds:g}", "--json"]
        self._program = Program(listen if self._listens else ["info", source])

    def heard(self) -> tuple[Line, ...] | None:
        """None while it listens; asked until it is something, or cancelled."""
        if self._program.exit_code is None:
            return None
        lines = _findings_in(self._program.said) if self._listens else _plain(self._program.said)
        heard = tuple(lines) or (Line("problem", self._program.complaint),)
        self._program.leave()
        return heard

    def cancel(self) -> None:
        self._program.cancel(0.2)
        self._program.leave()


def _plain(said: str) -> list[Line]:
    return [Line("ok", line) for line in said.splitlines() if line.strip()]


def _findings_in(said: str) -> list[Line]:
    """What the doctor has found; empty where it did not get that far."""
    try:
        found: Any = json.loads(said).get("findings")
    except (ValueError, AttributeError):
        return []
    lines = []
    for one in found if isinstance(found, list) else ():
        fix = f" \N{RIGHTWARDS ARROW} {one['fix']}" if one.get("fix") else ""
        lines.append(Line(str(one.get("level")), f"{one.get('name')}: {one.get('text')}{fix}"))
    return lines


class Start:
    """A session that is being started for this window; it is its own process and has no other window.

    Parameters
    ----------
    source : a detector's address, a simulator, or a file (which is replayed).
    pipeline : a file, the name of a preset, or empty for the usual one.
    """

    def __init__(self, source: str, pipeline: str = "") -> None:
        self.source = source
        self._preset: IO[str] | None = None
        command = "replay" if is_file(source) else "live"
        self._program = Program([command, source, *self._pipeline(pipeline), "--serve"])

    def _pipeline(self, pipeline: str) -> list[str]:
        if pipeline not in PRESETS:
            return ["-p", pipeline] if pipeline else []
        self._preset = tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8")  # noqa: SIM115
        self._preset.write(PRESETS[pipeline])
        self._preset.flush()
        return ["-p", self._preset.name]

    def address(self) -> str | None:
        """Where it can be attached to; None while it starts. Raises SessionError when it has ended."""
        found = session_directory.address_of(self._program.pid)
        if found is None and self._program.exit_code is not None:
            raise SessionError(self._program.complaint)
        return found

    def cancel(self) -> None:
        self._program.cancel()
        self.leave()

    def await_end(self, patience: float) -> None:
        """It was told to stop: wait for it so many seconds at most."""
        self._program.await_end(patience)
        self.leave()

    def leave(self) -> None:
        """Nothing that it says is read any more."""
        self._program.leave()
        if self._preset is not None:
            self._preset.close()


def is_file(source: str) -> bool:
    """Whether this names a file that is there; FILE#NAME chooses one array of several."""
    return "://" not in source and any(
        Path(one).is_file() for one in (source, source.rpartition("#")[0]) if one
    )


def wanted_of(paths: Sequence[str]) -> tuple[str, str]:
    """What was dropped on a window: (recording, pipeline file), each empty where there is none.

    Raises UsageError for anything else.
    """
    recording = pipeline = ""
    for path in paths:
        ending = Path(path).suffix.lower()
        if ending == ".toml" and not pipeline:
            pipeline = path
        elif (ending in RECORDINGS or Path(path).is_dir()) and not recording:
            recording = path
        else:
            raise UsageError(
                f"{Path(path).name} cannot be opened here: drop one recording or file of frames "
                f"({', '.join(RECORDINGS)}), a pipeline file (.toml), or one of each"
            )
    return recording, pipeline


def source_in(pipeline: Path) -> str:
    """The source that a pipeline file names; empty where it names none or cannot be read: livem says why."""
    import tomllib

    with suppress(OSError, ValueError):
        table = tomllib.loads(pipeline.read_text(encoding="utf-8")).get("source", {})
        if isinstance(table, dict) and isinstance(table.get("url"), str):
            return str(table["url"])
    return ""
