"""What the user has chosen once and for all, as a file. Knows no window."""

from __future__ import annotations

import json
from pathlib import Path

from .kept_files import read_text, set_aside, write_text

VERSION = 1


class Settings:
    """Words by their names: the theme.

    Parameters
    ----------
    folder : Path, optional
        Made when something is kept; None: nothing is ever kept, as for pictures without a display.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "viewer.json"
        self._words: dict[str, str] = {}
        self.problem = ""
        """Why there is nothing of what was chosen before; empty where there is."""
        if self._path is not None and self._path.exists():
            self._words = self._read(self._path)

    def get(self, name: str) -> str:
        """What was chosen; empty where nothing was."""
        return self._words.get(name, "")

    def keep(self, name: str, word: str) -> None:
        """For this run and the next ones. Raises OSError where it cannot be written."""
        self._words[name] = word
        if self._path is not None:
            write_text(self._path, json.dumps({"livem": "viewer", "version": VERSION, "chosen": self._words}))

    def _read(self, path: Path) -> dict[str, str]:
        try:
            content = json.loads(read_text(path))
            if content["livem"] != "viewer" or content["version"] != VERSION:
                raise ValueError("it is of another version")
            return {str(name): str(word) for name, word in content["chosen"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            self.problem = f"{path.name} is not used ({problem}); {set_aside(path)}"
            return {}
