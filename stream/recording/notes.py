"""What a recorder leaves for its successor, should it die: its switch, and the files of the open series.

A small file in the session's own directory, written at every change. Knows no ring and no recording.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Notes:
    """Read once, at a recorder's start; ``keep`` after every change. Without a path nothing is remembered."""

    path: Path | None
    enabled: bool
    """Whether series are to be kept."""
    serial: int = -1
    files: list[str] = field(default_factory=list)
    """That hold frames of the series ``serial``."""

    @classmethod
    def read(cls, path: str | None, enabled: bool) -> Notes:
        """Those of a predecessor, where there was one; else ``enabled`` holds."""
        notes = cls(None if path is None else Path(path), enabled)
        if notes.path is None:
            return notes
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none, or not one of ours
            said = json.loads(notes.path.read_text(encoding="utf-8"))
            known = bool(said["enabled"]), int(said["serial"]), [str(name) for name in said["files"]]
            notes.enabled, notes.serial, notes.files = known
        return notes

    def open(self, serial: int) -> None:
        """A series begins, or goes on after a death: then its files are those of before as well."""
        if serial != self.serial:
            self.serial, self.files = serial, []

    def keep(self) -> None:
        """Write it down, at once or not at all; a disk that refuses costs the memory only."""
        if self.path is None:
            return
        said = {"enabled": self.enabled, "serial": self.serial, "files": self.files}
        new = self.path.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(said), encoding="utf-8")
            os.replace(new, self.path)
