"""The user's models, copied into one folder with their manifest and SHA-256, and those that come with livem.

Models are loaded only from here. Knows files; a model's bytes are read once, and those that were hashed are
those that run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ...errors import ModelError
from . import shipped
from .archive import MOST_BYTES
from .manifest import NAME, Manifest
from .scan import MANIFEST, SUFFIXES, Scanned, scan

VARIABLE = "LIVEM_MODELS"
_RECORD, _MANIFEST, _CARD = "record.json", "manifest.toml", "card.md"
MOST_TEXT = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that may be loaded."""

    name: str
    path: Path
    """The model's own file."""
    sha256: str
    """Of it, as it was when it was added."""
    manifest: Manifest
    bytes: int
    shipped: bool = False
    """It comes with livem."""
    adapted_from: str = ""
    """Of weights that were learnt from a stream: which model's, in words."""

    @property
    def card(self) -> Path | None:
        """What is said of it, where it has a page."""
        place = self.path.with_suffix(".md") if self.shipped else self.path.parent / _CARD
        return place if place.is_file() else None

    def load(self) -> Scanned:
        """Read the model, hold it against its SHA-256, and look at it again. Raises ModelError."""
        where = f"model {self.name!r}"
        data = _read(where, self.path, MOST_BYTES)
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            mend = "install livem again" if self.shipped else "remove it, and add it again if you trust it"
            raise ModelError(
                f"{where}: its file has SHA-256 {found[:12]}, it was added with {self.sha256[:12]}: "
                f"somebody has changed it; {mend}"
            )
        return scan(where, data, self.path.suffix)


def folder() -> Path:
    """Where models are kept: what LIVEM_MODELS says, else in the user's data folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("livem")) / "models"


class Store:
    """Models in a folder, by default the user's, and behind them those that come with livem."""

    def __init__(self, where: Path | None = None) -> None:
        self.folder = where or folder()

    def names(self) -> list[str]:
        """Of all models, sorted."""
        own = (path.parent.name for path in self.folder.glob(f"*/{_RECORD}"))
        return sorted({*own, *shipped.names()})

    def __iter__(self) -> Iterator[Entry]:
        return map(self.find, self.names())

    def find(self, name: str) -> Entry:
        """Raises ModelError where there is none of this name, or what was written of it cannot be read."""
        place = self._place(name)
        if not (place / _RECORD).is_file():
            known = self.names()
            if name in known:
                return _shipped(name)
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
            raise ModelError(f"no model {name!r} in {self.folder}; {hint} (livem model add FILE)")
        where = f"model {name!r}"
        try:
            record = json.loads(_read(where, place / _RECORD, MOST_TEXT))
            suffix, sha256, size = record["suffix"], record["sha256"], record["bytes"]
            origin = record.get("adapted_from", "")
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{where}: its record cannot be read ({error!r}); add it again") from error
        if suffix not in SUFFIXES or not isinstance(sha256, str) or not isinstance(origin, str):
            raise ModelError(f"{where}: its record makes no sense; add it again")
        text = _read(where, place / _MANIFEST, MOST_TEXT)
        if hashlib.sha256(text).hexdigest() != record.get("manifest_sha256"):
            raise ModelError(f"{where}: its manifest was changed after it was added; add it again")
        manifest = Manifest.parse(where, text.decode())
        return Entry(name, place / f"model{suffix}", sha256, manifest, int(size), adapted_from=origin)

    def add(self, file: Path, name: str | None = None) -> Entry:
        """Look at a model's file and keep a copy; a model of the same name is an error.

        The manifest is FILE with the suffix .toml, or the member ``extra/livem.toml`` of its archive.

        Raises
        ------
        ModelError
            No such file, no manifest, or a model that is refused.
        """
        where = file.name
        data = _read(where, file, MOST_BYTES)
        scanned = scan(where, data, file.suffix.lower())
        manifest_file = file.with_suffix(".toml")
        if manifest_file.is_file():
            text = _read(manifest_file.name, manifest_file, MOST_TEXT)
        elif scanned.manifest is not None:
            text = scanned.manifest.encode()
        else:
            raise ModelError(
                f"{where}: no manifest; write {manifest_file.name} beside it (docs/models.md), or put it "
                f"into the archive as {MANIFEST}"
            )
        manifest = Manifest.parse(manifest_file.name, _decoded(manifest_file.name, text))
        return self.put(name or manifest.name, data, file.suffix.lower(), text, file=file.name)

    def put(self, name: str, data: bytes, suffix: str, manifest: bytes, card: str = "", **said: str) -> Entry:
        """Keep a model whose bytes were scanned; a model of the same name is an error.

        Parameters
        ----------
        manifest, card : its pages, TOML and Markdown.
        said : what else its record says.

        Raises
        ------
        ModelError
            No name, one that is taken, or a folder that cannot be written.
        """
        place = self._place(name)
        if name in shipped.names():
            raise ModelError(f"a model {name!r} comes with livem; give another name")
        if place.exists():
            raise ModelError(f"a model {name!r} is there already; remove it first, or give another name")
        record = {
            "suffix": suffix,
            "sha256": hashlib.sha256(data).hexdigest(),
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
            "bytes": len(data),
            **said,
        }
        files = {f"model{suffix}": data, _MANIFEST: manifest}
        self._write(place, files | ({_CARD: card.encode()} if card else {}), record)
        return self.find(name)

    def remove(self, name: str) -> None:
        """Raises ModelError where there is none, or it comes with livem."""
        place = self._place(name)
        if not (place / _RECORD).is_file():
            self.find(name)
            raise ModelError(f"model {name!r} comes with livem and cannot be removed")
        shutil.rmtree(place)

    def _place(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ModelError(f"model name {name!r}; it must be 1 to 64 letters, digits, _ or -")
        return self.folder / name

    def _write(self, place: Path, files: dict[str, bytes], record: dict[str, object]) -> None:
        """All of a model, or nothing."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(prefix=".adding-", dir=self.folder) as draft:
                for name, content in files.items():
                    Path(draft, "new", name).parent.mkdir(exist_ok=True)
                    Path(draft, "new", name).write_bytes(content)
                Path(draft, "new", _RECORD).write_text(json.dumps(record))
                Path(draft, "new").rename(place)
        except OSError as error:
            raise ModelError(f"the model cannot be kept in {self.folder}: {error}") from error


def _shipped(name: str) -> Entry:
    where, recorded = f"shipped model {name!r}", shipped.recorded(name)
    path = shipped.FOLDER / f"{name}.pt"
    text = _read(where, path.with_suffix(".toml"), MOST_TEXT)
    if hashlib.sha256(text).hexdigest() != recorded[".toml"]:
        raise ModelError(f"{where}: its manifest was changed; install livem again")
    manifest = Manifest.parse(where, _decoded(where, text))
    return Entry(name, path, recorded[".pt"], manifest, path.stat().st_size, shipped=True)


def _read(where: str, path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ModelError(f"{where}: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise ModelError(f"{where}: {path} has more than {most >> 20} MiB")
    return data


def _decoded(where: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: is no text: {error}") from error
