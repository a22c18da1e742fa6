"""Small files that the viewer keeps for the user: written whole or not at all, never lost.

Knows no window.
"""

from __future__ import annotations

import os
from pathlib import Path

ASIDE = ".set-aside"
LONGEST = 1 << 20
"""Bytes: a file of more is not read. A layout with twenty panels has 3 KiB."""


def read_text(path: Path) -> str:
    """A file's text. Raises OSError where it cannot be read, ValueError for what is too long or no text."""
    if path.stat().st_size > LONGEST:
        raise ValueError(f"it has more than {LONGEST >> 20} MiB")
    return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a file and its folder; an existing one is replaced only by a complete one. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def set_aside(path: Path) -> str:
    """Rename a file that cannot be used; what became of it, in words."""
    aside = path.with_name(path.name + ASIDE)
    try:
        os.replace(path, aside)
    except OSError as failure:
        return f"it stays where it is: {failure}"
    return f"it is kept as {aside.name}"
