"""How the user has arranged the window, as a file: the last time, and under names. Knows no window.

A file is JSON that a program can read before Qt sees any of it. One that this version cannot use is renamed,
never overwritten, and the user is told why.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import LivemError
from .drawing import Drawing
from .kept_files import read_text, set_aside, write_text

VERSION = 1
NAME_LENGTH = 40


class LayoutError(LivemError):
    """A layout cannot be kept, found or used; the message says why, and what became of it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One arrangement by the user."""

    docks: bytes
    """Places and sizes of all panels, as Qt writes them."""
    window: bytes
    """Place and size of the window, as Qt writes it."""
    screen: tuple[int, int]
    """(width, height) of all screens together, in px."""
    mode: str = ""
    """The mode that was chosen; empty: the one that fits."""
    is_moved: bool = False
    """Whether panels or borders were moved; else they are where the mode has them."""
    asked: Mapping[str, bool] = field(default_factory=dict)
    """Panels that were opened or closed by hand."""
    pictures: Mapping[str, Drawing] = field(default_factory=dict)
    """Colours and tones that were chosen, by pane."""

    def as_json(self) -> str:
        """The file's text."""
        content = {
            "livem": "layout",
            "version": VERSION,
            "mode": self.mode,
            "is_moved": self.is_moved,
            "asked": dict(self.asked),
            "pictures": {pane: drawing.as_plain() for pane, drawing in self.pictures.items()},
            "screen": list(self.screen),
            "docks": base64.b64encode(self.docks).decode(),
            "window": base64.b64encode(self.window).decode(),
            "sha256": _digest(self.docks, self.window),
        }
        return json.dumps(content, indent=1)


def parse_layout(text: str) -> Layout:
    """The layout in a file's text. Raises LayoutError with the reason, which ends no sentence."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise LayoutError("it is damaged: no JSON") from None
    if not isinstance(content, dict) or content.get("livem") != "layout":
        raise LayoutError("it is no layout of livem")
    version = content.get("version")
    if version != VERSION:
        raise LayoutError(f"it is of version {str(version)[:20]}, this livem knows version {VERSION}")
    try:
        return _layout(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise LayoutError(f"it is damaged: {problem}") from None


def _layout(content: Mapping[str, Any]) -> Layout:
    docks, window = (base64.b64decode(content[key], validate=True) for key in ("docks", "window"))
    # Qt reads lengths and counts from these bytes: only what was written by us gets there.
    if content["sha256"] != _digest(docks, window):
        raise ValueError("its bytes were changed")
    width, height = (int(length) for length in content["screen"])
    asked = {str(name): seen is True for name, seen in content["asked"].items()}
    mode, is_moved = str(content["mode"]), content["is_moved"] is True
    # Files from before there was a choice have none.
    pictures = {str(pane): Drawing.parse(part) for pane, part in content.get("pictures", {}).items()}
    return Layout(docks, window, (width, height), mode, is_moved, asked, pictures)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def require_room(layout: Layout, screen: tuple[int, int]) -> None:
    """Raise LayoutError where the layout is for more screen than there is."""
    if layout.screen[0] > screen[0] or layout.screen[1] > screen[1]:
        made, here = (f"{w} x {h}" for w, h in (layout.screen, screen))
        raise LayoutError(f"it was made for a screen of {made} px, and here are {here}")


class LayoutFiles:
    """A folder with the last layout and the named ones.

    Parameters
    ----------
    folder : Path, optional
        Made when something is kept; None: nothing is ever kept, as for pictures without a display.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layouts that were given one, sorted."""
        if self._folder is None:
            return ()
        return tuple(sorted(path.stem for path in self._named.glob("*.json")))

    def last(self, screen: tuple[int, int]) -> Layout | None:
        """As the window was left; None the first time. Raises LayoutError for a file that cannot be used."""
        if self._folder is None or not self._last.exists():
            return None
        return self._read(self._last, "the last layout", screen)

    def named(self, name: str, screen: tuple[int, int]) -> Layout:
        """A layout by its name. Raises LayoutError where there is none that can be used."""
        return self._read(self._path(name), f"the layout {name!r}", screen)

    def keep_last(self, layout: Layout) -> None:
        """For the next start. Raises LayoutError where it cannot be written."""
        if self._folder is not None:
            _write(self._last, layout)

    def keep(self, name: str, layout: Layout) -> None:
        """Under a name; an older one of that name is replaced. Raises LayoutError where it cannot be."""
        _write(self._path(name), layout)

    def remove(self, name: str) -> None:
        """Forget a name. Raises LayoutError where that cannot be."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as failure:
            raise LayoutError(f"the layout {name!r} cannot be removed: {failure}") from failure

    @property
    def _last(self) -> Path:
        assert self._folder is not None
        return self._folder / "last-layout.json"

    @property
    def _named(self) -> Path:
        assert self._folder is not None
        return self._folder / "layouts"

    def _path(self, name: str) -> Path:
        plain = name.replace(" ", "").replace("-", "").replace("_", "")
        if self._folder is None:
            raise LayoutError("layouts are not kept here")
        if not plain.isalnum() or name != name.strip() or len(name) > NAME_LENGTH:
            raise LayoutError(
                f"{name[:NAME_LENGTH]!r} is no name for a layout: letters, digits, blanks, - and _, "
                f"{NAME_LENGTH} at most"
            )
        return self._named / f"{name}.json"

    def _read(self, path: Path, what: str, screen: tuple[int, int]) -> Layout:
        try:
            layout = parse_layout(read_text(path))
        except OSError as failure:
            raise LayoutError(f"{what} cannot be read: {failure}") from failure
        except (LayoutError, ValueError) as problem:
            raise LayoutError(f"{what} is not used: {problem}; {set_aside(path)}") from problem
        try:
            require_room(layout, screen)
        except LayoutError as problem:
            raise LayoutError(f"{what} is not used: {problem}") from problem
        return layout


def _write(path: Path, layout: Layout) -> None:
    try:
        write_text(path, layout.as_json())
    except OSError as failure:
        raise LayoutError(f"the layout cannot be kept as {path}: {failure}") from failure
